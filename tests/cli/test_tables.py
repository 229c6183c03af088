"""Tables as people have them: read as a spreadsheet would read them, or refused in one line that says what to do."""

import gzip
import io
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from microgradnp.cli.main import main
from microgradnp.cli.rows import TableError
from microgradnp.cli.table import read_columns

ENCODINGS = {
    "utf-8": ("time", "位置", "Größe", "é (m/s²)", "время"),
    "utf-8-sig": ("time", "位置", "Größe", "é (m/s²)"),
    "utf-16": ("time", "位置", "Größe", "é (m/s²)"),
    "utf-16-le": ("time", "position", "Größe", "é"),
    "utf-16-be": ("time", "position", "Größe", "é"),
    "utf-32": ("time", "位置", "Größe"),
    "cp932": ("time", "時刻", "変位", "ｼﾌﾄ", "表示", "能力 ①"),
    "euc_jp": ("time", "時刻", "変位", "表示"),
    "cp1252": ("time", "Température", "Précipitation", "Größe (°C)", "µm", "“x”"),
    "cp1251": ("time", "время", "скорость"),
    "gb18030": ("time", "时间", "速度"),
}
SEPARATORS = (",", ";", "\t", "|", " ", "   ", " | ")


def quoted(cell, separator):
    return f'"{cell}"' if separator.strip() in cell or (not separator.strip() and " " in cell) else cell


def parse(data, names, tmp_path, **options):
    path = tmp_path / "table.txt"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_columns(path, names, **options)


@given(st.data())
def test_a_table_is_the_same_in_every_form(tmp_path_factory, data):
    """Encoding, separator, decimal sign, line end, packing, what stands above and what stands between the lines."""
    encoding = data.draw(st.sampled_from([*ENCODINGS]))
    separator = data.draw(st.sampled_from(SEPARATORS))
    names = data.draw(st.permutations(ENCODINGS[encoding]))[:3]
    comma = separator != "," and data.draw(st.booleans())
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    number = st.floats(-1e6, 1e6) | st.integers(-1000, 1000).map(float) | st.sampled_from([0.5, -0.0, 1e-30])
    table = np.array([*data.draw(st.lists(st.tuples(*[number] * len(names)), max_size=6)), [0.5] * len(names)])
    cells = [[repr(float(value)) for value in row] for row in table]
    if comma:
        cells = [[cell.replace(".", ",") for cell in row] for row in cells]
    above = data.draw(st.sampled_from(["", "# measured on Monday\n", "\n \n", "sep=;\n", "Instrument 7\nMonday\n\n"]))
    sign = data.draw(st.sampled_from(["", "# ", "#"]))
    between = data.draw(st.sampled_from(["\n", "\n\n", "\n# a pause\n"]))
    last = data.draw(st.sampled_from(["", "\n", "\n\n", " \n"]))
    header = sign + separator.join(quoted(name, separator) for name in names)
    if sign and '"' in header.split(separator)[0]:
        header = header.removeprefix(sign)  # a quote is one only at a cell's beginning
    text = above + header + "\n" + between.join(separator.join(row) for row in cells) + last
    content = text.replace("\n", end).encode(encoding)
    if data.draw(st.booleans()):
        content = gzip.compress(content)
    asked = data.draw(st.permutations(range(len(names))))[:2]
    folder = tmp_path_factory.mktemp("table")
    np.testing.assert_array_equal(parse(content, [names[i] for i in asked], folder), table[:, asked])


@pytest.mark.parametrize("delimiter", [" ", ",", ";", "\t"])
@pytest.mark.parametrize("header", ["x y", "x,y", "x;y", "x\ty", "x, y", "measured\nx y", "note: one, two\n\nx,y"])
@pytest.mark.parametrize("comments", ["# ", "", "%"])
def test_what_savetxt_writes_is_read_back(delimiter, header, comments, tmp_path):
    table = np.random.default_rng(0).normal(size=(5, 2))
    np.savetxt(
        tmp_path / "table.gz", table, delimiter=delimiter, header=header, comments=comments, footer="that, it, is"
    )
    if comments:
        np.testing.assert_array_equal(read_columns(tmp_path / "table.gz", ["y", "x"]), table[:, ::-1])
    np.savetxt(tmp_path / "table.txt", table, delimiter=delimiter, header=header, comments=comments)
    np.testing.assert_array_equal(read_columns(tmp_path / "table.txt", ["x", "y"]), table)


READ = {
    "the names in a comment too": "# x y\nx,y\n1,2\n3,4\n",
    "another table above": "a,b\n5,6\n\nx,y\n1,2\n3,4\n",
    "a table in Markdown": "| x | y |\n|---|:-:|\n| 1 | 2 |\n| 3 | 4 |\n",
    "a table of psql's": " x | y \n---+---\n 1 | 2\n 3 | 4\n",
    "a table of MySQL's": "+---+---+\n| x | y |\n+---+---+\n| 1 | 2 |\n| 3 | 4 |\n+---+---+\n",
    "samples called #1, #2": "sample,x,y\n#1,1,2\n#2,3,4\n# the end, of it\n",
    "columns of equal width": "x        y\n-----  -----\n    1      2\n  3.0      4\n",
    "an index without a name": ",x,y\n0,1,2\n1,3,4\n",
    "an index called #": "#,x,y\n1,1,2\n2,3,4\n",
    "an index called # and spaces": "# x y\n1 1 2\n2 3 4\n",
    "commas at the lines' ends": "x,y,,\n1,2\n3,4,,\n",
    "a comment with the separator in it": "# a, b, c\nx,y\n1,2\n3,4\n",
    "numbers in full-width digits": "x,y\n１,２\n３,４\n",
    "semicolons and three decimals": "x;y\n1,000;2,000\n3,000;4,000\n",
    "quoted decimal commas": 'x,y\n"1,0","2,0"\n"3,0","4,0"\n',
    "text beside the numbers": 'when,x,y\n"Mon, 3 May",1,2\n"Tue; 4 May",3,4\n',
}


@pytest.mark.parametrize("name", READ)
def test_tables_as_people_have_them(name, tmp_path):
    np.testing.assert_array_equal(parse(READ[name], ["x", "y"], tmp_path), [[1, 2], [3, 4]])


def test_a_column_of_true_and_false_is_one_of_1_and_0(tmp_path):
    np.testing.assert_array_equal(parse("x,y\nTRUE,False\nfalse,true\n", ["x", "y"], tmp_path), [[1, 0], [0, 1]])


def test_a_minus_may_be_the_typographic_one(tmp_path):
    np.testing.assert_array_equal(parse("x,y\n−1,2\n−3e−2,4\n", ["x", "y"], tmp_path), [[-1, 2], [-0.03, 4]])


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("e\u0301te\u0301", "été"),
        ("été", "e\u0301te\u0301"),
        ("ガ", "カ\u3099"),
        ('"time\n(s)"', "time (s)"),
        ('"time\r\n(s)"', "time\n(s)"),
        ("time  (s)", "time (s)"),
        ("\u00b5m", "\u03bcm"),
        ("時刻（秒）", "時刻(秒)"),
    ],
)
def test_a_name_is_found_however_it_is_spelt(written, asked, tmp_path):
    np.testing.assert_array_equal(parse(f"{written},y\n1,2\n3,4\n", [asked, "y"], tmp_path), [[1, 2], [3, 4]])


def test_a_name_spelt_the_same_goes_before_one_of_other_forms(tmp_path):
    np.testing.assert_array_equal(parse("x2,x²,y\n1,2,3\n", ["x²", "x2"], tmp_path), [[2, 1]])


REFUSED = {
    "x,y\n1,2\n,4\n5,NA\n": r"row 3, column 'x': the cell is empty; .* 2 values in 2 of 3 rows: --missing drop",
    "x,y\n1,2\n?,n/a\n": r"row 3, column 'x': '\?' is not a finite number; .* 2 values in 1 of 2 rows",
    "x\ty\n1,234\t2\n5,678\t3\n": "row 2, column 'x': '1,234' is not a number; write numbers with one decimal sign",
    "x;y\n1,5;2.5\n": "'1,5' is not a number; write numbers with one decimal sign",
    "x;y\n1.234,5;2\n": "'1.234,5' is not a number; write numbers with one decimal sign",
    "x,y\n1,5,2,5\n": "the row has 4 cells, but the header has 2; .* or separate by ';'",
    "x,y\n1,2\n\nSource: me\n": "row 4, column 'x': the row has 1 cell, but the header has 2; fill it up",
    "x,y\nseconds,cm\n1,2\n": "row 2, column 'x': 'seconds' is not a number; mend it or leave the row out",
    "0.0 1.0\n2.0 3.0\n": "no columns 'x', 'y'; it has '0.0', '1.0'. Give the table a row of column names",
    "x,y\n12%,3\n": "'12%' is not a number",
    '"\n"\n': "the file is empty",
    "\n" * 300 + "x,y\n1,2\n": "no columns 'x', 'y'; it has no name",
    "a;b\n1;2\n": "no columns 'x', 'y'; it has 'a', 'b'",
    "x,y\n1,inf\n": "'inf' is not a finite number",
    b"PK\x03\x04\x00\x00": "no text but a workbook or an archive; save the sheet as CSV",
    b"\x93NUMPY\x01\x00": "no text but an array of NumPy's; write it by np.savetxt",
    b"\x1f\x8b\x08broken": "packed by gzip, and damaged",
    gzip.compress(b"x,y\n1,2\n" * 1000, mtime=0)[:30]: "packed by gzip, and damaged",
    b"\xff\xfex\x00,": "no table of text; save it as CSV in UTF-8",
    bytes(range(256)) * 4: "save it as CSV in UTF-8|no column 'x'",
    "変位,y\n1,2\n".encode("cp932"): "not a CSV file in UTF-8 .save it as such.; read as cp932, row 1: no column 'x'",
}


@pytest.mark.parametrize("content", REFUSED)
def test_what_cannot_be_read_says_what_to_do(content, tmp_path):
    with pytest.raises(TableError, match=REFUSED[content]) as caught:
        parse(content, ["x", "y"], tmp_path)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=60) | st.text(st.sampled_from('xy,;\t| \n\r"#-.0123é'), max_size=60).map(str.encode))
def test_no_file_ends_in_a_traceback(tmp_path_factory, content):
    with pytest.raises(TableError) as caught:
        parse(b"\n" + content, ["no such", "column"], tmp_path_factory.mktemp("table"))
    assert "\n" not in str(caught.value)


def fit(path, *options, **settings):
    arguments = ["fit", str(path), "--x", "x", "--y", "y", "--epochs", "5", *options]
    return CliRunner().invoke(main, arguments, **settings)


GAPS = "x,y\n1,2\n,4\n3,NaN\n4,9\nnull,\n6,7\n"


def test_rows_with_gaps_are_refused_or_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text(GAPS)
    result = fit("table.csv")
    assert result.exit_code == 2
    assert "table.csv, row 3, column 'x': the cell is empty" in result.output
    assert "4 values in 3 of 6 rows: --missing drop" in result.output
    result = fit("table.csv", "--missing", "drop")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[0] == "Note: 3 of 6 rows left out, in which a value is missing."
    written = read_columns(tmp_path / "fit" / "predictions.csv", ["x", "y"])
    np.testing.assert_array_equal(written, [[1, 2], [4, 9], [6, 7]])
    (tmp_path / "table.csv").write_text("x,y\n1,\n,2\n")
    result = fit("table.csv", "--missing", "drop")
    assert result.exit_code == 2
    assert "a value is missing in each of the 2 rows" in result.output


def test_a_table_from_standard_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = fit("-", input=gzip.compress("x;y\n1,5;2\n2,5;3\n".encode("utf-16")))
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(read_columns("fit/predictions.csv", ["x", "y"]), [[1.5, 2], [2.5, 3]])
    result = fit("-", input="x,y\n1,2\n1,3\n")
    assert "standard input: column 'x' has the same value" in result.output
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(TableError, match="standard input is closed"):
        read_columns("-", ["x"])


def test_a_large_table_is_read_in_seconds(tmp_path):
    table = np.random.default_rng(0).normal(size=(50_000, 3))
    text = io.StringIO()
    np.savetxt(text, table, delimiter=";", header="x;y;Größe", comments="")
    read = parse(text.getvalue().encode("cp1252"), ["Größe", "x"], tmp_path)
    np.testing.assert_array_equal(read, table[:, [2, 0]])
