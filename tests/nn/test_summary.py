"""`summary`: a row for each layer, every parameter counted once."""

import numpy as np
import pytest

import microgradnp as mg
from microgradnp import nn


class Residual(nn.Layer):
    def __init__(self):
        self.scale = mg.Tensor(np.ones(4), requires_grad=True)
        self.inner = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        self.unused = nn.Linear(9, 9)

    def forward(self, x):
        return x + self.scale * self.inner(x)


def rows_of_summary(capsys, model, *args):
    model.summary(*args)
    cells = [line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines() if "│" in line]
    return [tuple(cell.strip() for cell in line) for line in cells]


def test_summary_counts_every_parameter_once(capsys):
    model = nn.Sequential(nn.Linear(4, 4), Residual(), nn.Linear(4, 1))
    rows = rows_of_summary(capsys, model)
    assert rows == [
        ("0: Linear(4, 4)", "(N, 4)", "20"),
        ("1.inner.0: Linear(4, 4)", "(N, 4)", "20"),
        ("1.inner.1: Tanh()", "(N, 4)", "0"),
        ("1: Residual(...)", "(N, 4)", "4"),
        ("2: Linear(4, 1)", "(N, 1)", "5"),
        ("1.unused: Linear(9, 9)", "-", "90"),
        ("Sequential", "", "139"),
    ]
    assert "forward" not in vars(model[0])


def test_summary_of_a_layer_used_twice(capsys):
    shared = nn.Linear(2, 2)
    rows = rows_of_summary(capsys, nn.Sequential(shared, nn.Tanh(), shared))
    assert rows == [("0: Linear(2, 2)", "(N, 2)", "6"), ("1: Tanh()", "(N, 2)", "0"), ("Sequential", "", "6")]


def test_summary_of_a_given_shape(capsys):
    assert rows_of_summary(capsys, nn.ReLU(), (2, 3))[0] == ("ReLU()", "(N, 2, 3)", "0")
    with pytest.raises(ValueError, match="input_shape"):
        nn.ReLU().summary()


class Columns(nn.Layer):
    """A layer that is no `Linear` and knows the shape of its inputs."""

    def __init__(self, shape):
        self.shape = shape

    def default_input_shape(self):
        return self.shape

    def forward(self, x):
        assert x.shape[1:] == self.shape
        return x.sum(axis=-1)


def test_any_layer_may_know_the_shape_of_its_inputs(capsys):
    model = nn.Sequential(nn.Tanh(), Columns((5, 3)), nn.Linear(5, 2))
    assert [row[1] for row in rows_of_summary(capsys, model)] == ["(N, 5, 3)", "(N, 5)", "(N, 2)", ""]
