"""Abstract branches: symbols without values."""

import numpy as np
import pytest

from expansion.errors import InputError
from expansion.towers.branches.abstract import AbstractBranch
from expansion.towers.branches.branch import Branch


def test_any_dimension_fits():
    branch = AbstractBranch("g")
    assert isinstance(branch, Branch)
    assert (branch.symbol, branch.inputs, branch.outputs) == ("g", None, None)


@pytest.mark.parametrize(
    "use",
    [
        lambda f: f(np.ones(2)),
        lambda f: f.derivative(np.ones(2), [np.ones(2)]),
        lambda f: f.jet(np.ones((3, 2))),
    ],
    ids=["value", "derivative", "jet"],
)
def test_there_is_nothing_to_evaluate(use):
    with pytest.raises(InputError, match=r"a branch with values; got the abstract branch g; use a"):
        use(AbstractBranch("g"))


def test_there_are_no_gates_to_freeze():
    with pytest.raises(InputError, match=r"gates can be frozen; got AbstractBranch; use jets"):
        AbstractBranch().frozen(np.ones(2))


@pytest.mark.parametrize("symbol", ["", "f g", "1f", "f'"])
def test_symbols_are_names(symbol):
    with pytest.raises(InputError, match=r"a symbol of letters and digits; got .*; use e.g. f"):
        AbstractBranch(symbol)
