"""``microgradnp fit`` with rows held out, early stopping and classes; what it saves, and ``microgradnp predict``."""

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from microgradnp import nn
from microgradnp.cli.main import main
from microgradnp.cli.prepare import prepare, read_target
from microgradnp.cli.rows import TableError
from microgradnp.cli.table import read_columns, read_table

QUICK = ["--epochs", "30", "--hidden", "6"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def run(*arguments, code=0, **options):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], **options)
    assert result.exit_code == code, result.output
    return result


def table_of(text):
    header, *rows = csv.reader(io.StringIO(text))
    return {name: np.array(column) for name, column in zip(header, zip(*rows, strict=True), strict=True)}


def write(path, **columns):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *zip(*columns.values(), strict=True)])
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x, z = rng.normal(5, 3, (2, 40))
    labels = np.arange(40) % 3
    y = np.sin(x) + z + 0.1 * rng.normal(size=40)
    write("numbers.csv", x=x, z=z, y=y)
    write("words.csv", x=x + 9 * labels, z=z - 9 * labels, y=np.array(["léger", "moyen", "lourd"])[labels])
    write("integers.csv", x=x + 9 * labels, z=z - 9 * labels, y=labels + 2)
    return tmp_path


def fit(table, *options, **settings):
    return run("fit", table, "--x", "x,z", "--y", "y", *QUICK, *options, **settings)


def predictions():
    return table_of(Path("fit/predictions.csv").read_text(encoding="utf-8"))


# -- What the target column decides ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "asked", "classes", "why"),
    [
        ("no yes " * 3, None, ["no", "yes"], "Classification into 2 classes: 'y' holds words."),
        ("TRUE FALSE " * 3, None, ["FALSE", "TRUE"], "holds words"),
        ("no yes " * 3, "classification", ["no", "yes"], "Classification into 2 classes: as --task says."),
        ("1 0 " * 5, None, [0, 1], "few integers (--task regression takes them as numbers)."),
        ("1.0 3 -2 " * 5, None, [-2, 1, 3], "Classification into 3 classes: 'y' holds few integers"),
        ("1 0 " * 5, "regression", None, "Regression: as --task says."),
        ("1 0 " * 4, None, None, "Regression: 'y' holds 2 different integers."),
        ("1 0 " * 4, "classification", [0, 1], "as --task says"),
        ("0.5 1 " * 5, None, None, "Regression: 'y' holds 2 different numbers."),
        ("0.5 1 " * 5, "classification", [0.5, 1], "as --task says"),
        (" ".join(map(str, range(11))) * 9, None, None, "Regression: 'y' holds "),
        ("1 2a " * 3, "classification", ["1", "2a"], "as --task says"),
        ("20-30 30-40 " * 3, "classification", ["20-30", "30-40"], "as --task says"),
        ("3 " * 9, None, None, "Regression"),
    ],
)
def test_the_target_column_decides_and_says_why(cells, asked, classes, why, tmp_path):
    cells = cells.split()
    table = read_table(write(tmp_path / "table.csv", y=cells, x=cells), ["y"])
    y, found, said = read_target(table, "y", asked)
    assert found == classes
    assert why in said
    if classes:
        assert [type(name) for name in found] == [type(name) for name in classes]
        assert [str(classes[int(place)]) for place in y] == [cell.removesuffix(".0") for cell in cells]


@pytest.mark.parametrize(
    ("cells", "asked", "message"),
    [
        ("1 2 x", None, "row 4, column 'y': 'x' is not a number; mend it or leave the row out. Or take every text"),
        ("20-30 30-40", None, "'20-30' is not a number; .* for a class: --task classification."),
        ("no yes no yes", "regression", "row 2, column 'y': 'no' is not a number; mend it or leave the row out.$"),
        ("a b c d", None, "column 'y' has 4 classes in 4 rows: two rows of each"),
        ("1 2 3", "classification", "column 'y' has 3 classes in 3 rows: two rows of each"),
    ],
)
def test_a_target_that_is_neither_is_refused(cells, asked, message, tmp_path):
    cells = cells.split()
    table = read_table(write(tmp_path / "table.csv", y=cells, x=cells), ["y"])
    with pytest.raises(TableError, match=message):
        read_target(table, "y", asked)


def test_a_word_for_a_missing_value_is_no_class_without_a_word(folder):
    write(
        "table.csv", x=range(8), z=range(8), y=["benign", "none", "malignant", "benign", "malignant", "", "-", "benign"]
    )
    result = fit("table.csv", code=2)
    assert "row 3, column 'y': 'none' stands for a missing value (write it otherwise if it is a word" in result.output
    assert "3 values in 3 of 8 rows: --missing drop" in result.output
    result = fit("table.csv", "--missing", "drop")
    assert "Note: 3 of 8 rows left out" in result.stderr
    assert set(predictions()["y"]) == {"benign", "malignant"}


def test_one_class_is_none(folder):
    write("table.csv", x=range(8), z=range(8), y=["a", "a", "", "a", "a", "a", "a", "a"])
    assert (
        "column 'y' has the same value a in every row (there are 7)"
        in fit("table.csv", "--missing", "drop", code=2).stderr
    )


# -- Held-out rows, early stopping, batches ----------------------------------------------------------------------------


def test_what_is_held_out_does_not_shape_the_network(folder):
    """Other values in the rows that are held out leave every prediction for the others as it was, to the last bit."""
    fit("numbers.csv")
    before = predictions()
    held_out = before["held out"] == "True"
    assert held_out.sum() == 8
    changed = read_columns("numbers.csv", ["x", "z", "y"])
    changed[held_out] = changed[held_out] * 7 + 1
    write("changed.csv", **dict(zip("xzy", changed.T.tolist(), strict=True)))
    fit("changed.csv")
    after = predictions()
    np.testing.assert_array_equal(after["held out"] == "True", held_out)
    np.testing.assert_array_equal(after["y (predicted)"][~held_out], before["y (predicted)"][~held_out])
    assert not np.any(after["y (predicted)"][held_out] == before["y (predicted)"][held_out])


def test_the_held_out_error_is_the_number_printed_first(folder):
    result = fit("numbers.csv", "--validation", "0.3")
    table = predictions()
    held_out = table["held out"] == "True"
    assert held_out.sum() == 12
    error = table["y (predicted)"].astype(float) - table["y"].astype(float)
    first, second = (f"{np.sqrt(np.mean(error[rows] ** 2)):.6g}" for rows in (held_out, ~held_out))
    assert result.stdout.splitlines()[2].startswith(f"Held-out error {first} y (root mean squared; R2 ")
    assert "12 held out" in result.stdout
    assert result.stdout.index(first) < result.stdout.index("28 trained on") < result.stdout.index(second)


@pytest.mark.parametrize("share", [[], ["--validation", "0"]])
def test_a_training_error_says_that_it_is_one(share, folder):
    rows = 40 if share else 9  # fewer than ten are all trained on
    columns = read_columns("numbers.csv", ["x", "z", "y"])[:rows]
    write("table.csv", **dict(zip("xzy", columns.T.tolist(), strict=True)))
    result = fit("table.csv", *share)
    assert result.stdout.splitlines()[2].startswith("Training error ")
    assert "rows trained on; --validation 0.2 holds some out" in result.stdout
    assert "eld out" not in "".join(predictions())
    result = fit("table.csv", *share, "--patience", "5", code=2)
    assert "--patience looks at rows that are held out, and there are none: give --validation 0.2." in result.stderr
    assert "--validation: a share of 0.01 of " in fit("table.csv", "--validation", "0.01", code=2).stderr


def test_patience_ends_where_the_best_epoch_was(folder):
    """As if as many epochs had been asked for as the best has, to the last bit."""
    result = fit("numbers.csv", "--lr", "0.2", "--epochs", "500", "--patience", "10")
    stopped = predictions()
    words = next(line for line in result.stdout.splitlines() if line.startswith("Epoch ")).split()
    best, last = int(words[1]), int(words[3])
    assert last == best + 10 < 500
    assert f"after {best} epochs" in result.stdout
    fit("numbers.csv", "--lr", "0.2", "--epochs", best)
    np.testing.assert_array_equal(stopped["y (predicted)"], predictions()["y (predicted)"])
    fit("numbers.csv", "--lr", "0.2", "--epochs", last)
    assert not np.array_equal(stopped["y (predicted)"], predictions()["y (predicted)"])


def test_batches_of_all_rows_are_none(folder):
    found = []
    for options in ([], ["--batch-size", "32"], ["--batch-size", "5"], ["--batch-size", "5"]):
        fit("numbers.csv", *options)
        found.append(predictions()["y (predicted)"].tolist())
    assert found[0] == found[1] != found[2] == found[3]


# -- Classification ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["words", "integers"])
def test_classes(name, folder):
    result = fit(f"{name}.csv", "--epochs", "100")
    table = predictions()
    held_out = table["held out"] == "True"
    right = table["y (predicted)"] == table["y"]
    accuracy = f"{np.mean(right[held_out]):.2%} ({right[held_out].sum()} of {held_out.sum()};"
    assert result.stdout.splitlines()[2].startswith(f"Held-out accuracy {accuracy}")
    assert right.mean() > 0.9
    assert Path("fit/confusion-matrix.png").stat().st_size > 5000
    assert table["y"].tolist() == table_of(Path(f"{name}.csv").read_text(encoding="utf-8"))["y"].tolist()
    chances = {
        key.removeprefix("probability of "): column.astype(float) for key, column in table.items() if "prob" in key
    }
    assert list(chances) == sorted(set(table["y"]))
    np.testing.assert_allclose(sum(chances.values()), 1)
    best = np.argmax([*chances.values()], axis=0)
    np.testing.assert_array_equal(np.array([*chances])[best], table["y (predicted)"])


@pytest.mark.parametrize("seed", range(5))
def test_of_each_class_the_same_share_is_held_out(seed, tmp_path):
    y = ["a"] * 50 + ["b"] * 20 + ["c"] * 5
    table = read_table(write(tmp_path / "table.csv", x=range(75), y=y), ["x", "y"])
    sample, task, _ = prepare(table, ["x"], "y", seed=seed)
    assert task.classes == ["a", "b", "c"]
    assert [int(sample.held_out[sample.y == place].sum()) for place in range(3)] == [10, 4, 1]


def test_the_same_column_as_numbers(folder):
    result = fit("integers.csv", "--task", "regression")
    assert result.stdout.startswith("Regression: as --task says.\n")
    assert Path("fit/predicted-against-observed.png").exists()


# -- Saved, and used on another table ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["numbers", "words", "integers"])
def test_what_is_saved_predicts_the_same(name, folder):
    result = fit(f"{name}.csv", "--save", "models/model.npz")
    assert "microgradnp predict models/model.npz NEW.csv" in result.stdout
    expected = {key: column for key, column in predictions().items() if key not in ("y", "held out")}
    rows = [*zip(expected["z"], expected["x"], strict=True)]
    # In another order, with a column beside them, other separators and a decimal comma.
    lines = ["z;name;x", *(f"{z};a, b;{x}".replace(".", ",") for z, x in rows)]
    Path("new.csv").write_text("\n".join(lines), encoding="utf-16")
    printed = run("predict", "models/model.npz", "new.csv").stdout_bytes.decode()
    assert list(table_of(printed)) == list(expected)
    for key, column in table_of(printed).items():
        np.testing.assert_array_equal(column, expected[key])
    assert run("predict", "models/model.npz", "new.csv", "--out", "out.csv").output == ""
    assert Path("out.csv").read_text(encoding="utf-8") == printed
    assert run("predict", "models/model.npz", "-", input=Path("new.csv").read_bytes()).stdout_bytes.decode() == printed


def test_what_is_saved_is_for_python_too(folder):
    fit("words.csv", "--save", "model.npz")
    saved = nn.load("model.npz")
    assert (saved.columns, saved.target, saved.classes) == (["x", "z"], "y", ["lourd", "léger", "moyen"])
    x = read_columns("words.csv", saved.columns)
    best = saved.model.predict(saved.inputs(x)).argmax(axis=1)
    np.testing.assert_array_equal([saved.classes[place] for place in best], predictions()["y (predicted)"])
    fit("numbers.csv", "--save", "model.npz")
    saved = nn.load("model.npz")
    y = saved.outputs.inverse(saved.model.predict(saved.inputs(read_columns("numbers.csv", saved.columns))))
    np.testing.assert_array_equal(y[:, 0], predictions()["y (predicted)"].astype(float))


def test_gaps_in_a_new_table(folder):
    fit("numbers.csv", "--save", "model.npz")
    write("new.csv", x=[1, "NA", 3], z=[1, 2, 3])
    assert "row 3, column 'x': 'NA' is not a finite number" in run("predict", "model.npz", "new.csv", code=2).stderr
    result = run("predict", "model.npz", "new.csv", "--missing", "drop")
    assert "Note: 1 of 3 rows left out" in result.stderr
    assert table_of(result.stdout)["x"].tolist() == ["1.0", "3.0"]


def test_what_cannot_be_predicted_with_is_one_line(folder):
    fit("numbers.csv", "--save", "model.npz")
    write("new.csv", a=[1, 2], b=[1, 2])
    Path("words.npz").write_text("no network")
    Path("cut.npz").write_bytes(Path("model.npz").read_bytes()[:-100])
    nn.save("bare.npz", nn.Linear(2, 1))
    scale = nn.Standardizer(np.eye(3))
    nn.save("wrong.npz", nn.Linear(3, 1), columns=["x", "z"], target="y", inputs=scale, outputs=scale)
    for arguments, message in {
        ("model.npz", "new.csv"): "new.csv, row 1: no columns 'x', 'z'; it has 'a', 'b'.",
        ("model.npz", "absent.csv"): "absent.csv: No such file or directory.",
        ("absent.npz", "new.csv"): "absent.npz: No such file or directory.",
        (".", "new.csv"): "Is a directory",
        ("words.npz", "new.csv"): "words.npz is not a file that nn.save has written.",
        ("cut.npz", "new.csv"): "cut.npz is truncated",
        ("bare.npz", "new.csv"): "bare.npz has a model, but no columns, target, inputs: it is not a file that micro",
        ("wrong.npz", "numbers.csv"): "wrong.npz: this Standardizer is of rows of shape (3,); got shape (40, 2).",
        ("model.npz", "numbers.csv", "--out", "."): "--out . is a folder; a file of that name is to be written.",
        ("model.npz", "numbers.csv", "--out", "new.csv/out.csv"): "--out new.csv/out.csv: Not a directory.",
        ("model.npz", "numbers.csv", "--out", "absent/out.csv"): "there is no folder",
    }.items():
        result = run("predict", *arguments, code=2)
        assert message in result.output
        assert result.output.count("\n") == 1


@pytest.mark.parametrize(("place", "message"), [("words.csv/m.npz", "Not a directory"), (".", "is a folder")])
def test_a_place_that_cannot_be_saved_to_is_refused_before_the_training(place, message, folder):
    result = fit("numbers.csv", "--save", place, "--epochs", "1000000000", code=2)
    assert message in result.output
    assert result.output.count("\n") == 1
    assert not Path("fit").exists()


def test_columns_keep_their_values_whatever_their_names(folder):
    columns = dict(zip("xzy", read_columns("numbers.csv", ["x", "z", "y"]).T.tolist(), strict=True))
    write("table.csv", **{"held out": columns["x"], "y (predicted)": columns["z"], "y": columns["y"]})
    run("fit", "table.csv", "--x", "held out,y (predicted)", "--y", "y", *QUICK)
    header, *rows = csv.reader(Path("fit/predictions.csv").read_text(encoding="utf-8").splitlines())
    assert header == ["held out", "y (predicted)", "y", "held out", "y (predicted)"]
    np.testing.assert_array_equal(np.array(rows)[:, :3].astype(float).T, [*columns.values()])


# -- In a process of its own -------------------------------------------------------------------------------------------


def test_the_first_line_comes_before_what_is_slow_to_import(folder):
    code = """
import io, sys
from microgradnp.__main__ import main
class Out(io.StringIO):
    def write(self, text):
        if "held out" in text:
            print(sorted({"matplotlib", "rich", "tqdm", "scipy", "pandas"} & sys.modules.keys()), file=sys.stderr)
        return super().write(text)
sys.stdout = Out()
sys.argv = ["microgradnp", "fit", "numbers.csv", "--x", "x", "--y", "y", "--epochs", "1"]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[0] == "[]", done.stderr


@pytest.mark.skipif(os.name != "posix", reason="a shell's pipe")
def test_predictions_go_into_a_pipe_as_utf_8(folder):
    fit("words.csv", "--save", "model.npz")
    command = f'"{sys.executable}" -m microgradnp predict model.npz words.csv'
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(f"{command} | head -3", shell=True, env=environment, capture_output=True, check=False)
    assert done.stderr == b""
    assert "léger" in done.stdout.decode()
