"""Inputs for checks, drawn by hypothesis and shrunk to the smallest that still fails.

Values lie on a grid of 1/64: short to print, exact in float32, and often equal to one another or to zero, where
mistakes hide. A domain cuts the grid, so nothing is drawn only to be thrown away.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import Phase, given, reject, settings
from hypothesis import strategies as st
from hypothesis.errors import FailedHealthCheck, Unsatisfiable
from hypothesis.extra import numpy as hnp

from microgradnp.check.problem import Array, NotFiniteError

Strategy = st.SearchStrategy[Any]

GRID = 1 / 64
LAYOUTS = ("C", "F", "strided", "reversed")
"""How an array may lie in memory: in C order, in Fortran order (a transposed view), with gaps, or backwards."""

dtypes: Strategy = st.sampled_from([np.dtype(np.float64), np.dtype(np.float32)])
"""The dtypes that have gradients."""


def arrays(
    shape: tuple[int, ...] | Strategy | None = None,
    *,
    min_dims: int = 0,
    max_dims: int = 2,
    min_side: int = 0,
    max_side: int = 4,
    dtype: Any = np.float64,
    layout: str | Strategy | None = None,
    low: float = -4.0,
    high: float = 4.0,
    away_from: float | Sequence[float] = (),
    margin: float = 0.25,
    distinct: bool = False,
) -> Strategy:
    """Float arrays of drawn shape, dtype, layout and values.

    Parameters
    ----------
    shape
        A shape or a strategy for shapes; if None, ``min_dims`` to ``max_dims`` axes of ``min_side`` to ``max_side``.
    dtype, layout
        What to draw, or a strategy for it (`dtypes`); all of `LAYOUTS`, if ``layout`` is None.
    low, high
        The values' range. ``low=0.25`` gives positive ones.
    away_from, margin
        Values (the function's kinks and poles) from which all entries keep a distance of ``margin``.
    distinct
        Whether no two entries may be equal, as `numpy.max` and `numpy.sort` need it.

    Examples
    --------
    >>> from microgradnp import check
    >>> positive = check.arrays((3,), low=0.25)
    >>> import numpy as np
    >>> check.gradients(np.log, strategy=positive).ok
    True
    """
    grid = _grid(low, high, away_from, margin)
    if shape is None:
        shape = hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side)
    shapes, kinds, lays = _drawn(shape), _drawn(dtype), _layouts(layout)
    place = st.integers(0, len(grid) - 1)

    @st.composite
    def draw_array(draw: Any) -> Array:
        chosen = draw(shapes)
        index = draw(hnp.arrays(np.int64, chosen, elements=place, unique=distinct))
        return lay(grid[index].astype(draw(kinds)), draw(lays) if index.size > 1 else "C")

    return draw_array()


def _grid(low: float, high: float, away_from: float | Sequence[float], margin: float) -> Array:
    """The allowed values, the simplest first, since hypothesis shrinks towards the start."""
    grid = np.arange(np.ceil(low / GRID), np.floor(high / GRID) + 1) * GRID
    for value in np.atleast_1d(np.asarray(away_from, dtype=np.float64)):
        grid = grid[np.abs(grid - value) >= margin]
    if not len(grid):
        raise ValueError(f"no value from {low} to {high} keeps a distance of {margin} from {away_from}.")
    return grid[np.lexsort((grid < 0, np.abs(grid), grid != np.round(grid)))]


def lay(a: Array, layout: str) -> Array:
    """The same values in another place in memory: see `LAYOUTS`."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout is one of {', '.join(LAYOUTS)}; got {layout!r}.")
    if layout == "C" or not a.ndim:
        return np.asarray(a, order="C")
    if layout == "F":
        return np.asarray(a, order="F")
    if layout == "strided":
        wide = np.zeros(tuple(2 * n for n in a.shape), a.dtype)
        view = wide[(slice(None, None, 2),) * a.ndim]
    else:
        view = np.zeros_like(a, order="C")[(slice(None, None, -1),) * a.ndim]
    view[...] = a
    return view


def broadcastable(count: int = 2, **options: Any) -> Strategy:
    """Tuples of arrays whose shapes broadcast together; options as for `arrays`, ``each=`` a dict of more for each."""
    each = options.pop("each", None) or [{}] * count
    sizes: dict[str, Any] = {"min_dims": 0, "max_dims": 2, "min_side": 0, "max_side": 4}
    sizes |= {key: options.pop(key) for key in sizes if key in options}
    shapes = hnp.mutually_broadcastable_shapes(num_shapes=count, **sizes)
    return shapes.flatmap(
        lambda drawn: st.tuples(
            *(arrays(shape, **{**options, **own}) for shape, own in zip(drawn.input_shapes, each, strict=True))
        )
    )


def matrices(
    n: int | Strategy | None = None,
    *,
    batch: tuple[int, ...] | Strategy = (),
    condition: float = 8.0,
    symmetric: bool = False,
    definite: bool = False,
    **options: Any,
) -> Strategy:
    """Square matrices that are far from singular, for `numpy.linalg`.

    Parameters
    ----------
    n
        The number of rows and columns, or a strategy for it; 1 to 4, if None.
    batch
        The shape of the stack of matrices, or a strategy for it.
    condition
        The ratio of the largest singular value to the smallest. They are evenly spaced, so none is twofold.
    symmetric, definite
        Whether the matrices are symmetric; whether they are symmetric and positive definite too.
    **options
        ``dtype`` and ``layout``, as for `arrays`.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import check
    >>> check.gradients(np.linalg.inv, strategy=check.strategies.matrices(2)).ok
    True
    """
    sizes, stacks = st.integers(1, 4) if n is None else _drawn(n), _drawn(batch)
    dtype, layout = _drawn(options.pop("dtype", np.float64)), _layouts(options.pop("layout", None))
    if options:
        raise TypeError(f"matrices takes dtype= and layout= besides its own; got {', '.join(options)}.")

    @st.composite
    def draw_matrices(draw: Any) -> Array:
        size, stack = draw(sizes), draw(stacks)
        shape = (*stack, size, size)
        entries = hnp.arrays(np.int64, shape, elements=st.integers(-64, 64))
        left = np.linalg.qr(draw(entries) * GRID)[0]
        right = left if symmetric or definite else np.linalg.qr(draw(entries) * GRID)[0]
        values = np.linspace(1.0, condition, size)
        if symmetric and not definite:
            values = values * np.where(draw(hnp.arrays(np.bool_, size)), -1.0, 1.0)
        matrix = (left * values) @ np.swapaxes(right, -1, -2)
        if symmetric or definite:
            matrix = (matrix + np.swapaxes(matrix, -1, -2)) / 2  # to the last bit
        return lay(matrix.astype(draw(dtype)), draw(layout) if matrix.size > 1 else "C")

    return draw_matrices()


def _drawn(value: Any) -> Strategy:
    return value if isinstance(value, st.SearchStrategy) else st.just(value)


def _layouts(layout: str | Strategy | None) -> Strategy:
    return st.sampled_from(LAYOUTS) if layout is None else _drawn(layout)


# -- Whole functions ---------------------------------------------------------------------------------------------------


class Program:
    """A drawn function, its source text, and arguments to call it with."""

    def __init__(self, source: str, args: tuple[Any, ...]) -> None:
        self.source, self.args = source, args
        scope: dict[str, Any] = {"np": np}
        exec(compile(source, "<drawn program>", "exec"), scope)
        self.function: Callable[..., Any] = scope["program"]
        self.__name__ = "program"
        self.__wrapped__ = self.function  # inspect reads the arguments' names from here

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def __repr__(self) -> str:
        return f"{self.source}\n# called with {', '.join(map(repr, self.args))}"


# Each keeps values within bounds and needs no domain; shapes are such that all broadcast to (2, 3).
_STEPS = """
np.sin({0})
np.cos({0})
np.tanh({0})
np.arctan({0})
np.exp(np.tanh({0}))
np.log(1 + {0} ** 2)
np.sqrt(1 + {0} ** 2)
1 / (1 + {0} * {0})
-{0}
{0} + {1}
{0} - 2 * {1}
{0} * {1}
{0} / (2 + np.cos({1}))
np.hypot({0}, 1 + {1} ** 2)
np.logaddexp({0}, {1})
np.sum({0})
np.mean({0} * {1})
np.sum({0} + np.zeros((2, 3)), axis=-1, keepdims=True)
np.mean({0} + np.zeros((2, 3)), axis=0)
np.var({0} + {1})
np.cumsum({0} + np.zeros((2, 3)), axis=0)
({0} + np.zeros((2, 3)))[:, ::-1]
({0} + np.zeros((2, 3))).T.reshape(2, 3)
({0} + np.ones((2, 3)))[[1, 1, 0]][1:]
np.concatenate(({0} + np.zeros((1, 3)), {1} + np.ones((2, 3))))[1:3]
np.stack((np.sum({0}), np.sum({1}), np.sum({0} * {1})))
np.matmul({0} + np.zeros((2, 3)), ({1} + np.ones((2, 3))).T)[:, :1]
np.dot({0} + np.zeros((2, 3)), {1} + np.ones(3) if np.ndim({1}) < 2 else np.ones(3))[:, None]
""".strip().splitlines()
_KINKED = """
np.maximum({0}, {1})
np.minimum({0}, 0.5)
np.abs({0})
np.where({0} > 0, {0}, 0.25 * {0})
np.max({0})
np.clip({0}, -1.0, 1.0)
""".strip().splitlines()
_SHAPES = ((), (3,), (2, 1), (2, 3))


def programs(
    *, min_steps: int = 1, max_steps: int = 8, kinks: bool = False, dtype: Any = np.float64, scalar: bool = False
) -> Strategy:
    """Differentiable functions made of random NumPy calls, as `Program` objects.

    Parameters
    ----------
    min_steps, max_steps
        How many calls a program is made of.
    kinks
        Whether there may be calls whose derivative jumps, such as `numpy.maximum`.
    dtype
        Of the arguments, or a strategy for it.
    scalar
        Whether the result is a single number.

    Examples
    --------
    >>> from hypothesis import given
    >>> from microgradnp import check
    >>> @given(check.strategies.programs())
    ... def test_gradients(program):
    ...     check.gradients(program, *program.args)
    """
    steps = _STEPS + (_KINKED if kinks else [])

    @st.composite
    def draw_program(draw: Any) -> Program:
        kind = draw(_drawn(dtype))
        count = draw(st.integers(1, 3))
        args = tuple(draw(arrays(draw(st.sampled_from(_SHAPES)), dtype=kind, low=-2, high=2)) for _ in range(count))
        names = [f"x{i}" for i in range(count)]
        lines = [f"def program({', '.join(names)}):"]
        for i in range(draw(st.integers(min_steps, max_steps))):
            # The newest values first: hypothesis shrinks towards a plain chain.
            operands = [draw(st.sampled_from(names[::-1])) for _ in range(2)]
            lines.append(f"    y{i} = {draw(st.sampled_from(steps)).format(*operands)}")
            names.append(f"y{i}")
        lines.append(f"    return {f'np.sum({names[-1]} * np.cos({names[-1]}))' if scalar else names[-1]}")
        return Program("\n".join(lines), args)

    return draw_program()


def networks(*, max_layers: int = 3, max_width: int = 4, dtype: Any = np.float64) -> Strategy:
    """Fully connected networks with a loss, as `Program` objects of the arguments parameters, x and t.

    ``parameters`` is a list of pairs (weight, bias), so that nested arguments are tested too. Depth, widths, batch
    size, smooth activations and the loss are drawn.

    Examples
    --------
    >>> from hypothesis import given
    >>> from microgradnp import check
    >>> @given(check.strategies.networks())
    ... def test_gradients(network):
    ...     check.gradients(network, *network.args, argnums=0)
    """
    width = st.integers(1, max_width)
    activation = st.sampled_from(["np.tanh(z)", "1 / (1 + np.exp(-z))", "np.log1p(np.exp(z))", "z / (1 + np.exp(-z))"])
    loss = st.sampled_from(["np.sum((z - t) ** 2)", "np.mean((z - t) ** 2)", "np.mean(np.log(np.cosh(z - t)))"])

    @st.composite
    def draw_network(draw: Any) -> Program:
        kind = draw(_drawn(dtype))
        widths = [draw(width) for _ in range(draw(st.integers(2, max_layers + 1)))]
        n = draw(st.integers(1, 4))

        def array(*shape: int) -> Array:
            return draw(arrays(shape, dtype=kind, low=-2, high=2))  # type: ignore[no-any-return]  # hypothesis's draw

        parameters = [(array(a, b), array(b)) for a, b in pairwise(widths)]
        lines = ["def program(parameters, x, t):", "    z = x"]
        for k in range(len(parameters)):
            lines.append(f"    z = z @ parameters[{k}][0] + parameters[{k}][1]")
            if k < len(parameters) - 1:
                lines.append(f"    z = {draw(activation)}")
        lines.append(f"    return {draw(loss)}")
        return Program("\n".join(lines), (parameters, array(n, widths[0]), array(n, widths[-1])))

    return draw_network()


# -- Running a check on what is drawn ----------------------------------------------------------------------------------


def for_each(strategy: Strategy, test: Callable[..., None]) -> None:
    """Run ``test`` on each argument, or tuple of them, that is drawn; a failure is raised for the smallest input."""

    # No database: its key is this function's, so it would replay the failures of one user's function on another's.
    @settings(deadline=None, database=None, phases=(Phase.explicit, Phase.generate, Phase.target, Phase.shrink))
    @given(strategy)
    def run(drawn: Any) -> None:
        try:
            test(*(drawn if isinstance(drawn, tuple) else (drawn,)))
        except NotFiniteError:
            reject()

    try:
        run()
    except (FailedHealthCheck, Unsatisfiable) as error:
        error.add_note(
            "The function is finite at too few of the drawn inputs: give the strategy its domain (low=, high=)."
        )
        raise
