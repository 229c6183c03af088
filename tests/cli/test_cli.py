"""``microgradnp fit`` on tables good and bad, and the command line as a whole."""

import csv
import errno
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import microgradnp
from microgradnp import __main__
from microgradnp.cli.main import main
from microgradnp.cli.table import read_columns

QUICK = ["--epochs", "20", "--hidden", "4"]


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "data.csv"
    rows = rng.normal([3, 100], [2, 50], (30, 2))
    heights = 1000 + 200 * np.sin(rows[:, 0]) + rows[:, 1]
    lines = [f"{a},{b},{c},text" for (a, b), c in zip(rows, heights, strict=True)]
    path.write_text("\n".join(["age,weight,height,name", *lines]) + "\n")
    return path


def test_one_input_gives_a_curve_and_predictions(table, tmp_path):
    out = tmp_path / "out"
    options = ["--hidden", "8,8", "--activation", "tanh", "--optimizer", "adam", "--lr", "0.05", "--epochs", "300"]
    result = run("fit", table, "--x", "age", "--y", "height", *options, "--seed", "0", "--out", out)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == ["curve.png", "predictions.csv"]
    with open(out / "predictions.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["age", "height", "held out", "height (predicted)"]
    age, height, held_out, predicted = np.array(
        [[cell.replace("True", "1").replace("False", "0") for cell in row] for row in rows], float
    ).T
    given = read_columns(table, ["age", "height"])
    np.testing.assert_array_equal(np.column_stack((age, height)), given)
    # The printed errors are those of the written predictions, in the data's own units; first of those held out.
    held_out = held_out == 1
    assert held_out.sum() == 6
    errors = [f"{np.sqrt(np.mean((predicted - height)[rows] ** 2)):.6g}" for rows in (held_out, ~held_out)]
    assert f"Held-out error {errors[0]} height" in result.output
    assert result.output.index(errors[0]) < result.output.index(errors[1])
    assert "30 rows: 24 to train on, 6 held out" in result.output
    assert "after 300 epochs" in result.output


@pytest.mark.parametrize("options", [["--activation", "relu"], ["--activation", "sigmoid", "--optimizer", "gd"], []])
def test_several_inputs_give_predictions_against_observations(table, tmp_path, options):
    result = run("fit", table, "--x", "age, weight", "--y", "height", *QUICK, *options, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["predicted-against-observed.png", "predictions.csv"]


def test_the_same_seed_gives_the_same_predictions(table, tmp_path):
    for out, seed in (("a", 3), ("b", 3), ("c", 4)):
        run("fit", table, "--x", "age", "--y", "height", *QUICK, "--seed", seed, "--out", tmp_path / out)
    a, b, c = ((tmp_path / out / "predictions.csv").read_text() for out in "abc")
    assert a == b != c


def test_units_do_not_matter(table, tmp_path):
    """Predictions in metres are those in millimetres over a thousand."""
    data = read_columns(table, ["age", "weight", "height"])
    predictions = []
    for scale in (1.0, 1e-3):
        path = tmp_path / f"{scale}.csv"
        np.savetxt(path, data * [scale, 1, scale], delimiter=",", header="age,weight,height", comments="")
        result = run("fit", path, "--x", "age,weight", "--y", "height", *QUICK, "--out", tmp_path / "out")
        assert result.exit_code == 0, result.output
        predictions.append(read_columns(tmp_path / "out" / "predictions.csv", ["height (predicted)"]) / scale)
    np.testing.assert_allclose(*predictions, rtol=1e-9)


BAD_TABLES = [
    ("", "data.csv: the file is empty"),
    ("\n\n", "data.csv: the file is empty"),
    ("a,b\n", "data.csv: no rows of numbers below the column names"),
    ("a,c\n1,2\n", "data.csv, row 1: no column 'b'; it has 'a', 'c'"),
    ("a,b,a\n1,2,3\n", "data.csv, row 1: column 'a' is there 2 times"),
    ("a,b\n1,2\n3,x\n", "data.csv, row 3, column 'b': 'x' is not a number"),
    ("a,b\n1,2\n\n3,1_000\n", "data.csv, row 4, column 'b': '1_000' is not a number"),
    ("a,b\n1,2\nNaN,4\n", "data.csv, row 3, column 'a': 'NaN' is not a finite number"),
    ("a,b\n1,-inf\n", "data.csv, row 2, column 'b': '-inf' is not a finite number"),
    ("a,b\n1,2\n,4\n", "data.csv, row 3, column 'a': the cell is empty"),
    ("a,b\n1,2\n3\n", "data.csv, row 3, column 'a': the row has 1 cell, but the header has 2"),
    ("a,b\n1,2,3\n", "data.csv, row 2, column 'a': the row has 3 cells"),
    ("a,b\n1,2\n,\n3,4\n", "data.csv, row 3, column 'a': the cell is empty"),
    ("  \n,\n", "data.csv: the file is empty"),
    ('a,b\n1,"2\n3"\n', r"'2\n3' is not a number"),
    ("a,b\n1,2\n1,3\n", "data.csv: column 'a' has the same value 1 in every row"),
    ("a,b\n1,2\n", "there are 1"),
    ("a,b\n1e308,2\n-1e308,3\n", "column 'a' has values too large or too close"),
    (b"a,b\n1,\xff\n", "data.csv: not a CSV file in UTF-8"),
    ("a,b\n1," + "2" * 200_000 + "\n", "data.csv: not a CSV file in UTF-8 (field larger"),
]


@pytest.mark.parametrize(("content", "message"), BAD_TABLES)
def test_a_bad_table_is_one_line_and_exit_code_2(content, message, tmp_path):
    path, out = tmp_path / "data.csv", tmp_path / "out"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = run("fit", path, "--x", "a", "--y", "b", "--out", out)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == [path]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.csv", "--x", "a", "--y", "b"], "absent.csv: No such file"),
        ([".", "--x", "a", "--y", "b"], "Is a directory"),
        (["data.csv", "--x", "age,,weight", "--y", "height"], "--x 'age,,weight': give column names"),
        (["data.csv", "--x", "", "--y", "height"], "--x '': give column names"),
        (["data.csv", "--x", " \n", "--y", "height"], "give column names"),
        (["data.csv", "--x", "age", "--y", ""], "--y '': give the name of a column"),
        (["data.csv", "--x", "age,age", "--y", "height"], "a column is given twice"),
        (["data.csv", "--x", "age", "--y", "age"], "--y 'age' is also one of the inputs"),
        (["data.csv", "--x", "age", "--y", "name"], "column 'name' has the same value text in every row"),
        (["data.csv", "--x", "age", "--y", "height", "--hidden", "8,x"], "--hidden '8,x': give the width"),
        (["data.csv", "--x", "age", "--y", "height", "--hidden", "0"], "--hidden '0'"),
        (
            ["data.csv", "--x", "age", "--y", "height", "--hidden", "1000000000"],
            "--hidden 1000000000: a network with 3,0",
        ),
        (["data.csv", "--x", "age", "--y", "height", "--hidden", "9,99999,99999"], "give fewer or narrower layers"),
        (["data.csv", "--x", "age", "--y", "height", "--hidden", "2," * 200 + "2"], "201 hidden layers are more than"),
        (["data.csv", "--x", "age", "--y", "height", "--hidden", "9" * 5000], "give the width of each hidden layer"),
        (["data.csv", "--x", "age", "--y", "height", "--lr", "-1"], "lr must be a finite number, 0 or more; got -1.0"),
        (["data.csv", "--x", "age", "--y", "height", "--lr", "nan"], "got nan"),
        (["data.csv", "--x", "age", "--y", "height", "--out", "data.csv/out"], "--out data.csv/out: Not a directory"),
    ],
)
def test_a_bad_argument_is_one_line_and_exit_code_2(arguments, message, table, monkeypatch):
    monkeypatch.chdir(table.parent)
    result = run("fit", *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1
    assert sorted(table.parent.rglob("*")) == [table]


@pytest.mark.parametrize(
    "arguments", [["--epochs", "-1"], ["--activation", "step"], ["--optimizer", "sgd"], ["--seed", "-1"]]
)
def test_a_choice_out_of_range_exits_2(arguments, table):
    assert run("fit", table, "--x", "age", "--y", "height", *arguments).exit_code == 2


def test_divergence_leaves_the_earlier_output_alone(table, tmp_path):
    out = tmp_path / "out"
    assert run("fit", table, "--x", "age", "--y", "height", *QUICK, "--out", out).exit_code == 0
    before = {path: path.read_bytes() for path in out.iterdir()}
    options = ["--optimizer", "gd", "--lr", "1e6", "--epochs", "500", "--hidden", "8", "--activation", "relu"]
    result = run("fit", table, "--x", "age", "--y", "height", *options, "--out", out)
    assert result.exit_code == 1
    assert "the loss became" in result.output
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_a_failed_write_leaves_nothing_half_written(table, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("microgradnp.show.figures.save", full)
    result = run("fit", table, "--x", "age", "--y", "height", *QUICK, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "No space left on device" in result.output
    assert sorted(tmp_path.rglob("*")) == [table]


def test_a_table_from_a_spreadsheet(tmp_path):
    """With a byte order mark, spaces, blank lines, quoted cells and Windows line ends."""
    path = tmp_path / "data.csv"
    path.write_bytes(b'\xef\xbb\xbf"age" , height\r\n\r\n "1" ,2\r\n3,4.5e0\r\n\r\n')
    np.testing.assert_array_equal(read_columns(path, ["height", "age"]), [[2, 1], [4.5, 3]])


@pytest.mark.parametrize("end", ["  ", " \n", ",\n", "\t\n , \n\n"])
def test_blank_lines_around_and_below_a_table_are_no_rows(end, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text(f" \na,b\n1,2\n  \n3,4\n{end}")
    np.testing.assert_array_equal(read_columns(path, ["a", "b"]), [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("x", "y"),
    [('"a, b"', " y "), ('y ,"a, b"', 'the "z"'), ('"a, b",y', '"the ""z"""'), ("y", "a, b"), ("y", '"a, b"')],
)
def test_columns_are_named_as_in_the_file(x, y, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text('"a, b",y,"the ""z"""\n1,2,3\n2,3,1\n3,1,2\n')
    result = run("fit", path, "--x", x, "--y", y, *QUICK, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output


def test_the_version_is_that_of_the_package():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert microgradnp.__version__ == project["version"]
    assert run("--version").output.split()[1:] == [project["version"]]


# -- Where the output goes --------------------------------------------------------------------------------------------


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def shell(command, folder, **environment):
    """Run a command line; ``microgradnp`` in it is this one."""
    command = command.replace("microgradnp", f'"{sys.executable}" -m microgradnp', 1)
    environment = {**ENVIRONMENT, **environment}
    return subprocess.run(command, shell=True, capture_output=True, cwd=folder, env=environment, check=False)


def japanese_table(folder):
    (folder / "data.csv").write_text("身長,体重²\n1,2\n2,3\n3,5\n", encoding="utf-8")
    return "fit data.csv --x 身長 --y 体重² --epochs 5"


@pytest.mark.parametrize("encoding", ["cp932", "ascii", "utf-8"])
def test_output_goes_into_any_encoding(encoding, tmp_path):
    done = shell(
        f"microgradnp {japanese_table(tmp_path)} > log.txt", tmp_path, PYTHONIOENCODING=encoding, PYTHONUTF8="1"
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    log = (tmp_path / "log.txt").read_text(encoding=encoding)
    assert "mean squared error" in log
    assert "predictions.csv" in log
    assert ("体重" in log) == (encoding != "ascii")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("arguments", ["fit", "--help", "--version"])
@pytest.mark.parametrize(
    ("where", "message"),
    [("> /dev/full", b"cannot be written: No space left on device"), (">&-", b"is closed")],
)
def test_output_that_cannot_be_written_is_one_line(arguments, where, message, tmp_path):
    arguments = japanese_table(tmp_path) if arguments == "fit" else arguments
    done = shell(f"microgradnp {arguments} {where}", tmp_path)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if not line.startswith(b"Note: ")]
    assert len(lines) == 1
    assert lines[0].startswith(b"microgradnp: standard output " + message)


def test_letters_without_a_font_are_a_note(tmp_path, monkeypatch):
    monkeypatch.setattr("microgradnp.show.figures.JAPANESE", ())
    monkeypatch.chdir(tmp_path)
    result = run(*japanese_table(tmp_path).split())
    assert result.exit_code == 0
    (note,) = result.stderr.splitlines()
    assert note.startswith(
        "Note: '身長' is drawn as 'x' and '体重²' is drawn as 'y': no installed font has its letters."
    )
    assert "fonts-noto-cjk" in note
    assert "体重" in (tmp_path / "fit" / "predictions.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_leaves_nothing_behind(name, table):
    if not hasattr(signal, name):
        pytest.skip(f"no {name} here")
    # Tests run in the background may have it ignored (nohup does that), which their children inherit.
    usual = "signal.default_int_handler" if name == "SIGINT" else "signal.SIG_DFL"
    main = (
        f"import runpy, signal; signal.signal(signal.{name}, {usual}); "
        "runpy.run_module('microgradnp', run_name='__main__')"
    )
    command = [sys.executable, "-c", main, "fit", str(table), "--x", "age", "--y", "height"]
    command += ["--epochs", "100000000", "--out", str(table.parent / "out")]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while not list(table.parent.glob(".microgradnp-*")):
                assert process.poll() is None
                time.sleep(0.02)
            process.send_signal(getattr(signal, name))
            assert process.wait(20) not in (0, -signal.SIGKILL)
        finally:
            process.kill()
    assert sorted(table.parent.iterdir()) == [table]


@pytest.mark.parametrize("second", ["folder", "failure"])
def test_all_files_are_published_or_none(second, table, tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "curve.png").write_bytes(b"earlier")
    replace = os.replace

    def fails_for_predictions(source, target):
        if Path(target) == out / "predictions.csv":
            raise PermissionError(errno.EPERM, "Operation not permitted", source, None, target)
        replace(source, target)

    if second == "folder":
        (out / "predictions.csv").mkdir()
    else:
        monkeypatch.setattr(os, "replace", fails_for_predictions)
    result = run("fit", table, "--x", "age", "--y", "height", *QUICK, "--out", out)
    assert result.exit_code == 2
    assert str(out / "predictions.csv") in result.stderr
    assert result.stderr.count("\n") == 1
    assert (out / "curve.png").read_bytes() == b"earlier"
    assert not (out / "predictions.csv").is_file()
    assert not list(tmp_path.rglob(".microgradnp-*"))


def test_python_dash_m(tmp_path):
    done = shell("microgradnp fit absent.csv --x a --y b", tmp_path)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines() == ["Error: absent.csv: No such file or directory."]


@pytest.mark.parametrize("missing", ["click", "rich.table", "matplotlib.figure", "tqdm"])
def test_without_the_extra_one_line_says_what_to_install(missing, table, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "microgradnp.cli.main", raising=False)
    arguments = ["fit", str(table), "--x", "age", "--y", "height", *QUICK, "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["microgradnp", *arguments])
    with pytest.raises(SystemExit) as exit:
        __main__.main()
    assert (
        exit.value.code
        == f"microgradnp: the command line needs {missing.split('.')[0]}: pip install 'microgradnp[cli]'"
    )


def test_another_missing_module_is_no_matter_of_extras(monkeypatch):
    monkeypatch.setitem(sys.modules, "csv", None)
    for module in ("main", "fit"):
        monkeypatch.delitem(sys.modules, f"microgradnp.cli.{module}")
    monkeypatch.setattr(sys, "argv", ["microgradnp", "fit", "a.csv", "--x", "a", "--y", "b"])
    with pytest.raises(ModuleNotFoundError, match="csv"):
        __main__.main()
