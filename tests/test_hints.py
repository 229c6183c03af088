"""Names that people bring along: the error says ours, which exists; and what a public module shows is public."""

import inspect
import re
import subprocess
import sys

import pytest

import microgradnp as mg
from microgradnp import check, hints, nn, optim, show

MODULES = {
    "mg": mg,
    "nn": nn,
    "nn.functional": nn.functional,
    "nn.initializers": nn.initializers,
    "nn.losses": nn.losses,
    "nn.metrics": nn.metrics,
    "optim": optim,
    "check": check,
    "show": show,
    "mg.datasets": mg.datasets,
}
modules = pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
TABLES = [(mg, hints.TOP), (nn, hints.NN), (optim, hints.OPTIM), (nn.losses, hints.LOSSES)]
TABLES += [(nn.initializers, hints.INITIALIZERS)]
TOLD = [(module, name, said) for module, table in TABLES for name, said in table.items()]


@pytest.mark.parametrize(("module", "name", "said"), TOLD)
def test_a_name_from_elsewhere_is_told_ours(module, name, said):
    if hasattr(module, name):  # of a submodule that is imported by now
        assert inspect.ismodule(getattr(module, name))
        return
    for spelled in (name, name.lower()):
        if not hasattr(module, spelled):
            with pytest.raises(AttributeError, match=rf"has no {spelled!r}(: |; did you mean)"):
                getattr(module, spelled)
    known = {"mg": mg, "nn": nn, "optim": optim}
    for path in re.findall(r"\b(?:mg|nn|optim)(?:\.\w+)+", said):
        first, *rest = path.split(".")
        thing = known[first]
        for part in rest:
            thing = getattr(thing, part)


@pytest.mark.parametrize(
    ("get", "message"),
    [
        (lambda: optim.SGD, r"^microgradnp\.nn\.optim has no 'SGD': it is optim\.GD\.$"),
        (lambda: nn.Dense, r"it is nn\.Linear"),
        (lambda: nn.Module, r"it is nn\.Layer"),
        (lambda: nn.MSELoss, r"nn\.losses\.mean_squared_error"),
        (lambda: nn.lstm, r"layer of your own"),
        (lambda: mg.Linear, r"^microgradnp has no 'Linear': it is nn\.Linear\.$"),
        (lambda: mg.jit, r"mg\.compile"),
        (lambda: nn.Sigmiod, r"did you mean 'Sigmoid'\?"),
        (lambda: nn.linear, r"did you mean 'Linear'\?"),
        (lambda: nn.functional.gelo, r"did you mean 'gelu'\?"),
        (lambda: check.gradient, r"did you mean 'gradients'\?"),
        (lambda: mg.datasets.two_moon, r"did you mean 'two_moons'\?"),
        (lambda: nn.xyz, r"^microgradnp\.nn has no 'xyz'; dir\(microgradnp\.nn\) lists what it has\.$"),
        (lambda: nn.__wrapped__, r"^microgradnp\.nn has no '__wrapped__'$"),
    ],
)
def test_what_is_said(get, message):
    with pytest.raises(AttributeError, match=message):
        get()


@modules
def test_dir_shows_public_names_only(module):
    names = dir(module)
    assert names == sorted(names)
    for name in names:
        thing = getattr(module, name)
        assert not name.startswith("_") or name == "__version__"
        assert thing.__name__.startswith("microgradnp.") if inspect.ismodule(thing) else True
    assert "np" not in names
    assert "Any" not in names
    assert set(getattr(module, "__all__", names)) <= set(names)


@modules
def test_functions_of_a_module_are_shown(module):
    own = [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__
    ]
    assert set(own) <= set(dir(module))


def test_submodules_are_imported_as_before():
    lines = "import microgradnp", "from microgradnp import show", "from microgradnp.nn import layers", "show.graph"
    code = "\n".join(lines)
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    code = "import microgradnp as mg\ntry: mg.show\nexcept AttributeError as e: print(e)"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said == "microgradnp has no 'show': import it first, import microgradnp.show.\n"
