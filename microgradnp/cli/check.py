"""``microgradnp check FILE.py:FUNCTION``: the verdict on a gradient, from the command line."""

import ast
import importlib.util
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np

from microgradnp.check.diagnosis.findings import diagnose
from microgradnp.check.gradcheck import GradientError, gradients
from microgradnp.cli.output import InputError


class _ManyArgs(click.Command):
    """A command whose ``--args`` takes all that follows, up to the next option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        spread: list[str] = []
        taking = False
        for token in args:
            if token.startswith("--") or token == "-h":
                taking = token == "--args"
                spread += [] if taking else [token]
            else:
                spread.append(f"--args={token}" if taking else token)
        return super().parse_args(ctx, spread)


@click.command(cls=_ManyArgs)
@click.argument("target", metavar="FILE.py:FUNCTION")
@click.option("--args", "texts", multiple=True, metavar="VALUE...", help="The function's arguments, see above.")
@click.option("--hand", metavar="[FILE.py:]FUNCTION", help="A gradient by hand: checked, and diagnosed if it is wrong.")
@click.option(
    "--argnums", metavar="N[,N]", help="Which arguments to differentiate by, counted from 0; all, if not given."
)
@click.option(
    "--order", type=click.IntRange(1, 3), default=1, show_default=True, help="Check derivatives up to this order."
)
@click.option("--rtol", type=click.FloatRange(min=0), help="The relative difference to allow.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="For drawn arguments.")
def check(
    target: str,
    texts: tuple[str, ...],
    hand: str | None,
    argnums: str | None,
    order: int,
    rtol: float | None,
    seed: int,
) -> None:
    """Check the gradient of FUNCTION in FILE.py, and exit 0 if it is right, 1 if not.

    The gradient by backpropagation is held against finite differences and the complex step, and so is one by hand.

    \b
    Each VALUE after --args is one of:
      0.5  "[[1.0, 2.0], [3.0, 4.0]]"  a number or nested lists of them; integers are constants
      data.npy  data.npz:NAME          an array from a file
      normal(3,2)  uniform(3)          drawn: from N(0, 1), or from 0.5 to 1.5 and so positive; () for a number
      NAME                             what FILE.py calls so

    \b
    Examples:
      microgradnp check model.py:loss --args "normal(8)" 0.5 --hand loss_gradient
      microgradnp check model.py:loss --args x y "normal(8)" --argnums 2 --order 2
    """
    path, name = _split(target)
    module = _load(path)
    function = _function(module, path, name)
    rng = np.random.default_rng(seed)
    values = [_value(text, module, path, rng) for text in texts]
    by_hand = None
    if hand is not None:
        hand_path, hand_name = _split(hand) if ":" in hand else (path, hand)
        by_hand = _function(module if hand_path == path else _load(hand_path), hand_path, hand_name)
    picked = None if argnums is None else _integers(argnums)
    try:
        click.echo(gradients(function, *values, hand=by_hand, order=order, argnums=picked, rtol=rtol))
    except GradientError as error:
        click.echo(error.report)
        if by_hand is not None:
            click.echo()
            click.echo(diagnose(by_hand, function, *values, argnums=picked))
        sys.exit(1)
    except Exception as error:
        raise InputError(f"{target}: {type(error).__name__}: {error}") from error


def _split(target: str) -> tuple[Path, str]:
    path, colon, name = target.rpartition(":")
    if not colon or not path or not name:
        raise InputError(f"{target!r} names no function: write FILE.py:FUNCTION, such as model.py:loss.")
    return Path(path), name


def _load(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    os.environ.setdefault("MPLBACKEND", "Agg")  # a script that shows figures must not wait for someone to close them
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise InputError(f"{path} cannot be loaded: {type(error).__name__}: {error}{line}") from error
    finally:
        sys.path.remove(str(path.parent.resolve()))
    return module


def _function(module: ModuleType, path: Path, name: str) -> Any:
    function: Any = module
    for part in name.split("."):
        function = getattr(function, part, None)
    if not callable(function):
        have = ", ".join(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
        what = "is not a function" if function is not None else "is not there"
        raise InputError(f"{path}: {name} {what}; the file has {have or 'no functions'}.")
    return function


def _integers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--argnums {text!r}: give numbers of arguments, such as 0 or 0,2.") from None


def _value(text: str, module: ModuleType, path: Path, rng: np.random.Generator) -> Any:
    """What a word on the command line stands for."""
    if drawn := re.fullmatch(r"(normal|uniform)\(([\d,\s]*)\)", text):
        shape = tuple(int(part) for part in drawn[2].split(",") if part.strip())
        return rng.standard_normal(shape) if drawn[1] == "normal" else rng.uniform(0.5, 1.5, shape)
    file, _, key = text.rpartition(":")
    if file.endswith(".npz"):
        return _from_file(Path(file), key)
    if text.endswith((".npy", ".npz")):
        return _from_file(Path(text), "")
    if text.isidentifier() and hasattr(module, text):
        return getattr(module, text)
    try:
        literal = ast.literal_eval(text)
        return np.array(literal) if isinstance(literal, list) else literal
    except (ValueError, SyntaxError, TypeError):
        raise InputError(
            f"--args {text!r} is no number, list of numbers, .npy or .npz file, normal(...) or uniform(...), and no "
            f"name in {path}."
        ) from None


def _from_file(path: Path, key: str) -> Any:
    try:
        loaded = np.load(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        if key not in loaded:
            raise InputError(f"{path}: write {path}:NAME, with one of {', '.join(loaded.files)}.")
        return loaded[key]
