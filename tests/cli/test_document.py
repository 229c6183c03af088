"""The chapter's experiment: every number that it prints."""

import re
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from microgradnp.cli import document
from microgradnp.cli.main import main


@pytest.fixture(scope="module")
def chapter():
    return document.run()


def test_every_number_agrees(chapter):
    assert [row.quantity for row in chapter.rows if not row.agrees] == []
    assert len(chapter.rows) == 51
    assert sum(row.quantity.startswith("gradient of") for row in chapter.rows) == 25
    assert sum(row.quantity.startswith("gradient descent, epoch") for row in chapter.rows) == 21


def test_the_tolerances_are_those_promised(chapter):
    tolerances = {row.quantity: row.tolerance for row in chapter.rows}
    assert tolerances["squared error, initial values"] == tolerances["error per data point"] == 1e-13
    assert {tolerances[q] for q in tolerances if q.startswith("gradient of")} == {None}
    assert {tolerances[q] for q in tolerances if q.startswith("gradient descent, epoch")} == {1e-10}
    assert tolerances["Adam, epoch 2000"] == 1e-4


@pytest.mark.parametrize(
    ("printed", "value", "tolerance", "agrees"),
    [
        ("5.21872673e-02", 0.0521872673149, None, True),
        ("5.21872673e-02", 0.0521872673501, None, False),
        ("-8.03960749e+00", -8.039607494, None, True),
        ("-8.03960749e+00", 8.039607494, None, False),
        ("36.82875279", 36.828752795001, None, False),
        ("36.82875279", 36.828752785001, None, True),
        ("58.69466810466825", np.nextafter(58.69466810466825, 0), None, True),  # the last bit may round otherwise
        ("58.69466810466825", 58.6946681046683, None, False),
        ("2.0", 2.0 + 1e-9, 1e-10, False),
        ("2.0", 2.0 + 1e-11, 1e-10, True),
        ("2.0", np.nan, None, False),
        ("2.0", np.nan, 1e-4, False),
        ("2.0", -np.inf, None, False),
    ],
)
def test_what_agrees(printed, value, tolerance, agrees):
    assert document.Row("a number", printed, value, tolerance).agrees is agrees


def test_the_training_is_what_the_figures_show(chapter):
    names = ["1-data", "2-untrained", "3-gradient-descent", "4-adam", "5-activations", "6-derivatives", "7-losses"]
    figures = document.figures(chapter)
    assert list(figures) == names
    truth = np.sin(2 * np.pi * chapter.x)
    error = {
        state: np.sqrt(np.mean((chapter.curve(getattr(chapter, state), chapter.x) - truth) ** 2))
        for state in ("untrained", "descended", "adapted")
    }
    assert error["adapted"] < 0.03 < 0.2 < error["descended"] < error["untrained"]
    sigmoid, relu = (axes.lines[0] for axes in figures["6-derivatives"].axes)
    assert np.max(sigmoid.get_ydata()) == pytest.approx(0.25)
    assert set(relu.get_ydata()) == {0.0, 1.0}


def test_the_figure_of_the_untrained_network_shows_the_chapters_line_too(chapter):
    network, without_b0 = document.figures(chapter)["2-untrained"].axes[0].lines
    b0 = document.network()[2].bias.data[0]
    np.testing.assert_allclose(network.get_ydata() - without_b0.get_ydata(), b0 * np.std(chapter.y))


def test_the_command_prints_the_table_and_saves_the_figures(tmp_path):
    out = tmp_path / "deep" / "figures"
    result = CliRunner().invoke(main, ["document", "--out", str(out), "--svg"])
    assert result.exit_code == 0, result.output
    assert "51 of 51 numbers agree." in result.output
    assert "…" not in result.output
    assert re.search(
        r"gradient of b0 .*│ *58\.69466810466825 │ *58\.6946681046682\d* │.*│ agrees \(all digits\)", result.output
    )
    assert re.search(r"Adam, epoch 2000 .*│ *0\.89838996 │ *0\.8983\d+ │.*│ agrees \(1e-04\)", result.output)
    assert sorted({path.suffix for path in out.iterdir()}) == [".png", ".svg"]
    assert len(list(out.iterdir())) == 14
    assert list(tmp_path.rglob(".*")) == []


def test_the_command_exits_1_if_a_number_differs(tmp_path, monkeypatch, chapter):
    wrong = replace(chapter, rows=(replace(chapter.rows[0], value=61.3), *chapter.rows[1:]))
    monkeypatch.setattr(document, "run", lambda: wrong)
    result = CliRunner().invoke(main, ["document", "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert "50 of 51 numbers agree." in result.output
    assert re.search(r"squared error, initial values .*DIFFERS \(1e-13\)", result.output)
    assert len(list(tmp_path.glob("*.png"))) == 7
