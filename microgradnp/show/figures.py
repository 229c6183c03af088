"""Figures: data and curves, functions side by side, losses, predictions against observations, confusions of classes.

Each function returns a matplotlib Figure of its own, outside pyplot's global list: drawing a hundred of them leaks
nothing and needs no display. Colours are those of Okabe and Ito, which readers of every colour vision can tell apart;
lines differ in dash as well, for print in grey.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microgradnp.nn.train import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
COLOURS = (VERMILLION, GREEN, PURPLE, ORANGE, SKY)
HELD_OUT = "held-out rows"
MANY = 30
"""Up to how many classes a confusion matrix has numbers, and names."""
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))

JAPANESE = (
    "Noto Sans CJK JP",
    "Noto Sans JP",
    "Hiragino Sans",
    "Yu Gothic",
    "Meiryo",
    "IPAexGothic",
    "IPAGothic",
    "TakaoGothic",
)


class FontWarning(UserWarning):
    """A name cannot be drawn with the fonts that are installed."""


Curve = tuple[NDArray[Any], NDArray[Any]]


def curves(
    x: NDArray[Any],
    y: NDArray[Any],
    lines: Mapping[str, Curve],
    xlabel: str = "x",
    ylabel: str = "y",
    *,
    held_out: NDArray[np.bool_] | None = None,
) -> Figure:
    """Data points, those that were ``held_out`` apart, and any number of labelled lines ``(x, y)`` through them."""
    figure, (axes,) = _new(1)
    for rows, which in _parts(len(x), "data", held_out):
        _points(axes, x[rows], y[rows], which)
    for (label, (line_x, line_y)), colour, dash in zip(lines.items(), COLOURS, DASHES, strict=False):
        axes.plot(line_x, line_y, color=colour, linestyle=dash, linewidth=2, label=label, zorder=4)
    _name(axes, *_drawable({"x": xlabel, "y": ylabel}))
    _legend(figure)
    return figure


def side_by_side(x: NDArray[Any], functions: Mapping[str, NDArray[Any]], xlabel: str, ylabel: str) -> Figure:
    """One panel for each function's values at ``x``; ``{}`` in ``ylabel`` stands for its name."""
    figure, panels = _new(len(functions))
    for axes, (name, values), colour in zip(panels, functions.items(), (BLUE, *COLOURS), strict=False):
        axes.plot(x, values, color=colour, linewidth=2)
        axes.set(xlabel=xlabel, ylabel=ylabel.format(name), title=name)
    return figure


def losses(histories: Mapping[str, History], ylabel: str = "squared error") -> Figure:
    """The loss of each training against the epoch, on a log scale."""
    figure, (axes,) = _new(1)
    for (label, history), colour, dash in zip(histories.items(), (BLUE, *COLOURS), DASHES, strict=False):
        axes.plot(history.losses, color=colour, linestyle=dash, linewidth=2, label=label)
    axes.set(xlabel="epoch", ylabel=f"{ylabel} (log scale)", yscale="log")
    _legend(figure)
    return figure


def predicted_against_observed(
    observed: NDArray[Any],
    predicted: NDArray[Any],
    name: str,
    rows: str = "rows",
    *,
    held_out: NDArray[np.bool_] | None = None,
) -> Figure:
    """Each prediction against what was observed: right ones lie on the diagonal.

    The legend counts the ``rows``, which may be "training rows", and those ``held_out``, and gives the root mean
    squared error of each.
    """
    figure, (axes,) = _new(1, size=(6.0, 6.0))
    ends = [min(observed.min(), predicted.min()), max(observed.max(), predicted.max())]
    for part, which in _parts(len(observed), rows, held_out):
        o, p = observed[part], predicted[part]
        error = np.sqrt(np.mean((p - o) ** 2))
        _points(axes, o, p, f"{len(o):,} {which}: root mean squared error {error:.4g}", which)
    axes.plot(ends, ends, color=VERMILLION, linewidth=1.5, label="prediction = observation", zorder=4)
    axes.set_aspect("equal")
    (shown,) = _drawable({"y": name})
    _name(axes, f"{shown}, observed", f"{shown}, predicted")
    _legend(figure, columns=1)
    return figure


def confusion(counts: NDArray[np.int64], classes: Sequence[str], name: str, rows: str = "rows") -> Figure:
    """How often each class (a row) was taken for each (a column); the darker, the larger a share of its row.

    Parameters
    ----------
    counts
        As `microgradnp.nn.metrics.confusion_matrix` gives them: of shape (classes, classes).
    classes
        The names of the classes.
    name
        What they are classes of.
    rows
        What was counted: "held-out rows".
    """
    n = len(classes)
    side = min(max(4.5, 2.5 + 0.55 * n), 14.0)
    figure, (axes,) = _new(1, size=(side, side))
    axes.grid(visible=False)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.argwhere(counts) if n <= MANY else ():
        colour = "white" if share[i, j] > 0.5 else "black"
        axes.text(j, i, f"{counts[i, j]:,}", ha="center", va="center", color=colour)
    shown, *names = _drawable({"class": name, **{f"class {i}": text for i, text in enumerate(classes)}})
    places = np.arange(0, n, -(-n // MANY))
    texts = [textwrap.shorten(names[i], 24, placeholder="…") for i in places]
    axes.set_xticks(places, texts, rotation=90 if max(map(len, texts)) > 4 else 0)
    axes.set_yticks(places, texts)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set(parse_math=False, fontfamily=_families())
    _name(axes, f"{shown}, predicted", f"{shown}, observed")
    right, total = int(np.trace(counts)), int(counts.sum())
    axes.set_title(f"{total:,} {rows}: {right:,} right ({right / total:.2%})", fontsize="medium")
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure to a file, in the format that its name ends in."""
    figure.savefig(path, metadata={"Date": None} if Path(path).suffix == ".svg" else None)


def _drawable(names: Mapping[str, str]) -> list[str]:
    """A user's names as they can be drawn: one that no installed font has the letters for gives way to its key."""
    from matplotlib import get_cachedir
    from matplotlib.font_manager import findfont, get_font

    fonts = [get_font(findfont(family)) for family in _families()]
    shown, lost = [], []
    for instead, name in names.items():
        name = " ".join(name.split())
        if all(c == " " or any(font.get_char_index(ord(c)) for font in fonts) for c in name):
            shown.append(name)
        else:
            shown.append(instead)
            lost.append(f"{name!r} is drawn as {instead!r}")
    if lost:
        warnings.warn(
            f"{' and '.join(lost)}: no installed font has its letters. For Japanese, install Noto Sans CJK JP (the "
            f"package fonts-noto-cjk on Debian and Ubuntu) and remove {get_cachedir()}, where matplotlib remembers the "
            "fonts.",
            FontWarning,
            stacklevel=3,
        )
    return shown


def _families() -> list[str]:
    from matplotlib.font_manager import get_font_names

    installed = get_font_names()
    return ["DejaVu Sans", *(family for family in JAPANESE if family in installed)]


def _parts(n: int, rows: str, held_out: NDArray[np.bool_] | None) -> list[tuple[Any, str]]:
    """Which rows there are, and what they are called."""
    if held_out is None or not held_out.any():
        return [(slice(n), rows)]
    return [(held_out, HELD_OUT), (~held_out, "training rows")]


def _points(axes: Axes, x: NDArray[Any], y: NDArray[Any], label: str, which: str | None = None) -> None:
    """Open rings; where there are too many to tell apart, small translucent dots, darker where they lie closer."""
    crowd = len(x) / 300
    colour, marker = (GREEN, "^") if (which or label) == HELD_OUT else (BLUE, "o")
    if crowd <= 1:
        look: dict[str, Any] = {"s": 36, "facecolors": "none", "edgecolors": colour, "linewidths": 1.2}
    else:
        look = {"s": max(36 / crowd, 5), "color": colour, "alpha": max(0.6 / crowd**0.4, 0.03), "linewidths": 0}
    axes.scatter(x, y, label=label, marker=marker, zorder=3.5 if marker == "^" else 3, rasterized=crowd > 10, **look)


def _name(axes: Axes, xlabel: str, ylabel: str) -> None:
    """Name the axes after a user's own columns: dollar signs stay, and Japanese shows where a font for it is there."""
    for label, text, side in ((axes.xaxis.label, xlabel, 0), (axes.yaxis.label, ylabel, 1)):
        label.set(text=text, parse_math=False, fontfamily=_families())
        label.set_text(_wrapped(text, axes.figure.bbox.size[side] / max(label.get_window_extent().size)))


def _wrapped(text: str, share: float) -> str:
    """A name that fits: on three lines at the most, the end kept, where only that share of it has room on one."""
    lines = textwrap.wrap(text, max(int(0.75 * share * len(text)), 1))
    return "\n".join(lines if len(lines) <= 3 else [lines[0], lines[1][:-1] + "…", lines[-1]])


def _legend(figure: Figure, columns: int = 3) -> None:
    """Above the panel, where it never covers a point; in full colour where the points are translucent."""
    legend = figure.legend(loc="outside upper center", ncols=columns, frameon=False)
    for handle in filter(None, legend.legend_handles):
        handle.set_alpha(1)


def blank(**options: Any) -> Figure:
    """A Figure with nothing on it yet, or word of what to install."""
    try:
        from microgradnp.show.drawing import Drawing
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "figures are drawn by matplotlib: pip install 'microgradnp[plot]'.", name="matplotlib"
        ) from error

    return Drawing(**options)


def _new(panels: int, size: tuple[float, float] = (9.0, 4.5)) -> tuple[Figure, list[Axes]]:
    figure = blank(figsize=size, dpi=150)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    all_axes = list(figure.subplots(1, panels, squeeze=False)[0])
    for axes in all_axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="0.9", linewidth=0.8)
        axes.set_axisbelow(True)
    return figure, all_axes
