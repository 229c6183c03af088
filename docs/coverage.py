"""Writes the page about coverage from the tables themselves: ``python docs/coverage.py > docs/coverage.md``."""

from typing import get_args

import numpy as np

from microgradnp.functions.standing import STRINGS, Kind, classify, overridable
from microgradnp.functions.ufuncs import FOLDABLE
from microgradnp.signatures import name_of


def page() -> str:
    """The page, in Markdown."""
    rows = sorted({classify(f) for f in overridable()})
    public = [row for row in rows if row.name.startswith("np.")]

    def names(kind: Kind, note: str) -> str:
        return ", ".join(f"`{row.name}`" for row in public if (row.kind, row.note) == (kind, note))

    count = {kind: sum(row.kind == kind for row in public) for kind in get_args(Kind)}
    reasons = sorted({row.note for row in public if row.kind == "refused"} - {STRINGS})
    modules = sorted({row.name.rpartition(".")[0] for row in public if row.kind == "differentiable"})
    lines = [
        "# Coverage of NumPy",
        "",
        f"NumPy {'.'.join(np.__version__.split('.')[:2])} has {len(public)} public functions and ufuncs that let a "
        f"Tensor take over. {count['differentiable']} are differentiable, {count['piecewise constant']} piecewise "
        f"constant and {count['refused']} refused; the ufuncs of `np.strings` are refused too. This page is generated, "
        "and a test holds it against NumPy's own list.",
        "",
        "## Differentiable",
        "",
        "To any order, recorded by `microgradnp.compile`, float32 and float64. A function with a rule has a row in the "
        "table of derivatives; the others are composed of such functions. The operators, indexing and the methods of "
        "`Tensor` lead to the same rows, and so do the ufuncs' methods: `outer` of every differentiable ufunc of two "
        "arguments, and `reduce`, `accumulate` and `reduceat` of "
        + ", ".join(f"`{name}`" for name in sorted(map(name_of, FOLDABLE)))
        + ".",
    ]
    for module in modules:
        for note, title in (("a rule", "with a rule of their own"), ("composed of rules", "composed")):
            own = [
                r
                for r in public
                if (r.kind, r.note) == ("differentiable", note) and r.name.rpartition(".")[0] == module
            ]
            if own:
                lines += ["", f"### `{module}`, {title}", "", ", ".join(f"`{row.name}`" for row in own) + "."]
    lines += [
        "",
        "## Piecewise constant",
        "",
        "The result does not change when the argument does; the gradient is zero, and the result a plain array.",
        "",
        names("piecewise constant", "a plain result") + ".",
        "",
        "Functions that make an array out of nothing give a Tensor that needs no gradient where they are called with "
        "`like=` a Tensor:",
        "",
        names("piecewise constant", "with like=, a Tensor that needs no gradient") + ".",
        "",
        "## Refused",
        "",
        "On a Tensor that is part of a graph these raise `TypeError`, and say why. On a Tensor that is not, they work "
        "on its data.",
        "",
        "| functions | why, and what to use instead |",
        "|---|---|",
    ]
    lines += [f"| {names('refused', reason)} | {reason[0].upper()}{reason[1:]} |" for reason in reasons]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
