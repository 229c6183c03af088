"""Figures: what they show, that all is named and readable, and that they leak nothing."""

import subprocess
import sys
import warnings

import numpy as np
import pytest

from microgradnp import Tensor
from microgradnp.nn import History
from microgradnp.show import figures, graph

x = np.linspace(0, 1, 20)
y = np.sin(x)

DRAW = {
    "curves": lambda: figures.curves(x, y, {"one": (x, y), "two": (x, 1 - y)}, "time", "height"),
    "side_by_side": lambda: figures.side_by_side(x, {"sine": y, "cosine": np.cos(x)}, "z", "{}(z)"),
    "losses": lambda: figures.losses({"GD": History(np.array([3.0, 2.0, 1.0])), "Adam": History(np.array([3.0, 1.0]))}),
    "predicted": lambda: figures.predicted_against_observed(y, y + 0.1, "height"),
    "held out": lambda: figures.curves(x, y, {"one": (x, y)}, held_out=x > 0.7),
    "held out too": lambda: figures.predicted_against_observed(y, y + 0.1, "height", held_out=x > 0.7),
    "classes": lambda: figures.confusion(np.array([[8, 2], [0, 5]]), ["no", "yes"], "ill"),
    "many classes": lambda: figures.confusion(np.eye(70, dtype=int), ["a long name " * 9] * 70, "a long name " * 9),
    "long names": lambda: figures.curves(x, y, {}, "a long name in the table's own words " * 5, "W" * 300),
    "a long name": lambda: figures.predicted_against_observed(y, y + 0.1, "distance_from_the_wall" * 20),
}


@pytest.mark.parametrize("name", DRAW)
def test_axes_are_named_and_nothing_is_clipped(name):
    figure = DRAW[name]()
    figure.draw_without_rendering()
    width, height = figure.bbox.size
    for axes in figure.axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel()
        tight = axes.get_tightbbox()
        assert tight.x0 >= 0
        assert tight.y0 >= 0
        assert tight.x1 <= width
        assert tight.y1 <= height
        for legend in figure.legends:
            assert not legend.get_window_extent().overlaps(axes.get_window_extent())


@pytest.mark.parametrize("name", DRAW)
def test_lines_differ_in_colour_and_in_dash(name):
    for axes in DRAW[name]().axes:
        styles = [(line.get_color(), line.get_linestyle()) for line in axes.lines]
        assert len({colour for colour, _ in styles}) == len({dash for _, dash in styles}) == len(styles)
        assert all(colour in (figures.BLUE, *figures.COLOURS) for colour, _ in styles)


def test_what_is_drawn_is_what_was_given():
    axes = DRAW["curves"]().axes[0]
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), np.column_stack((x, y)))
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), 1 - y)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time", "height")
    axes = DRAW["losses"]().axes[0]
    assert axes.get_yscale() == "log"
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [3, 2, 1])
    axes = DRAW["predicted"]().axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), axes.lines[0].get_ydata())


def test_a_long_name_keeps_its_end():
    axes = figures.predicted_against_observed(y, y + 0.1, "a name of many words " * 30).axes[0]
    assert axes.get_xlabel().endswith("observed")
    assert axes.get_xlabel().count("\n") == 2


@pytest.mark.parametrize("n", [10, 301, 10_000, 300_000])
@pytest.mark.parametrize("scatter", [0.0, 0.1])
def test_the_line_is_seen_among_any_number_of_points(n, scatter, tmp_path):
    rng = np.random.default_rng(0)
    across = rng.uniform(-1, 1, n)
    observed = np.sin(3 * across) + scatter * rng.normal(size=n)
    grid = np.linspace(-1, 1, 500)
    drawn = {
        "curve": figures.curves(across, observed, {"network": (grid, np.sin(3 * grid))}),
        "diagonal": figures.predicted_against_observed(observed, np.sin(3 * across), "y"),
    }
    for figure in drawn.values():
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)
        line = figure.axes[0].lines[0]
        places = line.get_transform().transform(np.column_stack(line.get_data()))
        rows = figure.bbox.height - places[:, 1]
        columns = np.arange(int(places[0, 0]) + 3, int(places[-1, 0]) - 3)
        at = np.interp(columns, places[:, 0], rows).astype(int)
        assert np.abs(pixels[at, columns] - [0xD5, 0x5E, 0x00]).max() < 60


def test_many_points_are_as_dark_as_they_are_dense():
    """Where a tenth of the points lie, the figure is paler than where the rest does."""
    rng = np.random.default_rng(0)
    across = np.concatenate((rng.uniform(0, 1, 9_000), rng.uniform(1, 2, 1_000)))
    figure = figures.curves(across, rng.uniform(size=10_000), {})
    figure.canvas.draw()
    box = figure.axes[0].get_window_extent()
    blue = np.asarray(figure.canvas.buffer_rgba())[:, :, 0]
    dense, sparse = np.split(blue[:, int(box.x0) : int(box.x1)], 2, axis=1)
    assert 255 - dense.mean() > 3 * (255 - sparse.mean())


def test_predictions_say_how_many_they_are_and_how_good():
    (legend,) = figures.predicted_against_observed(np.zeros(4_000), np.full(4_000, 0.5), "y", "training rows").legends
    assert "4,000 training rows: root mean squared error 0.5" in [text.get_text() for text in legend.get_texts()]


def test_rows_that_were_held_out_stand_apart():
    held_out = x > 0.7
    for figure in (
        figures.curves(x, y, {}, held_out=held_out),
        figures.predicted_against_observed(x, y, "y", held_out=held_out),
    ):
        apart, others = figure.axes[0].collections
        np.testing.assert_array_equal(apart.get_offsets(), np.column_stack((x, y))[held_out])
        np.testing.assert_array_equal(others.get_offsets(), np.column_stack((x, y))[~held_out])
        assert not np.array_equal(apart.get_edgecolor(), others.get_edgecolor())
        words = [text.get_text() for text in figure.legends[0].get_texts()]
        assert "held-out rows" in words[0]
        assert "training rows" in words[1]
    error = np.sqrt(np.mean((x - y)[held_out] ** 2))
    assert words[0] == f"6 held-out rows: root mean squared error {error:.4g}"


def test_a_confusion_matrix_has_a_row_for_what_was_observed():
    counts = np.array([[8, 2, 0], [0, 5, 1], [0, 0, 4]])
    (axes,) = figures.confusion(counts, ["low", "$mid$", "high"], "level", "held-out rows").axes
    numbers = {(int(text.get_position()[1]), int(text.get_position()[0])): int(text.get_text()) for text in axes.texts}
    assert numbers == {(i, j): counts[i, j] for i, j in np.argwhere(counts)}
    np.testing.assert_allclose(axes.images[0].get_array()[0], [0.8, 0.2, 0])
    for axis in (axes.xaxis, axes.yaxis):
        assert [label.get_text() for label in axis.get_ticklabels()] == ["low", "$mid$", "high"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("level, predicted", "level, observed")
    assert axes.get_title() == "20 held-out rows: 17 right (85.00%)"


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_saving(suffix, tmp_path):
    figures.save(DRAW["curves"](), tmp_path / f"figure.{suffix}")
    written = (tmp_path / f"figure.{suffix}").read_bytes()
    assert written.startswith(b"\x89PNG" if suffix == "png" else b"<?xml")
    figures.save(DRAW["curves"](), tmp_path / f"again.{suffix}")
    assert len(written) > 5000


def test_columns_may_have_any_name(tmp_path):
    figure = figures.curves(x, y, {}, r"$\frac{$", "price in $ or $$")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures.save(figure, tmp_path / "figure.png")
    assert figure.axes[0].get_ylabel() == "price in $ or $$"


@pytest.mark.parametrize("draw", [figures.curves, figures.predicted_against_observed])
def test_names_without_a_font_give_way_with_one_warning(draw, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "JAPANESE", ())
    names = ({}, "時間\t(s)", "身長") if draw is figures.curves else ("身長",)
    with pytest.warns(figures.FontWarning, match=r"'身長' is drawn as 'y'.*fonts-noto-cjk") as caught:
        figure = draw(x, y, *names)
    figures.save(figure, tmp_path / "figure.png")
    assert len(caught) == 1
    axes = figure.axes[0]
    shown = (axes.get_xlabel(), axes.get_ylabel())
    assert shown == (("x", "y") if draw is figures.curves else ("y, observed", "y, predicted"))


def test_figures_stay_out_of_pyplots_list():
    program = (
        "import sys; from microgradnp.show import figures; import numpy as np\n"
        "assert 'matplotlib' not in sys.modules\n"
        "figures.curves(np.arange(3), np.arange(3), {})\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.delitem(sys.modules, "microgradnp.show.drawing", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'microgradnp\[plot\]'"):
        figures.curves(x, y, {})
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'microgradnp\[plot\]'"):
        graph(np.sum(Tensor([1.0], requires_grad=True)))


def test_a_notebook_shows_them_without_any_setup():
    """IPython asks an object for its picture by this name; a plain Figure has none until pyplot's backend is loaded."""
    for figure in (figures.curves(x, y, {}), graph(np.sum(Tensor([1.0], requires_grad=True)))):
        assert figure._repr_png_().startswith(b"\x89PNG")
