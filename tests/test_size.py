"""Requests too large or wrong are refused, and sizes are known beforehand."""

import subprocess
import sys
from pathlib import Path

import pytest

from expansion.errors import InputError, TooManyTermsError
from expansion.series.expansion import expand
from expansion.series.size import DEFAULT_BUDGET, term_count
from expansion.towers.branches.abstract import AbstractBranch
from expansion.towers.tower import Tower

ROOT = Path(__file__).parent.parent


class TestRefused:
    @pytest.mark.parametrize("depth", [0, -1, 1.5, "x", None, "", "1e3", float("nan")])
    def test_depths(self, depth):
        with pytest.raises(InputError, match=r"depth must be a whole number of at least 1; got"):
            expand(depth, 2)

    @pytest.mark.parametrize("order", [-1, 1.5, "x", None, float("inf")])
    def test_orders(self, order):
        with pytest.raises(InputError, match=r"order must be a whole number of at least 0; got"):
            expand(2, order)
        with pytest.raises(InputError, match=r"order must be"):
            expand(2, 1).order(order)

    def test_text_numbers_are_understood(self):
        assert dict(expand("3", "2")) == dict(expand(3, 2))

    def test_symbolic_depth_needs_tied_branches(self):
        with pytest.raises(
            InputError, match=r"a number as the depth of an untied tower; got n; add"
        ):
            expand("n", 2)

    def test_tied_needs_one_branch(self):
        with pytest.raises(InputError, match=r"one branch shared by all blocks"):
            expand(Tower.abstract(3), 2, tied=True)

    def test_symbolic_depth_has_no_values(self):
        with pytest.raises(InputError, match=r"an expansion of a definite depth"):
            expand("n", 2, tied=True).orders([1])

    def test_abstract_branches_have_no_values(self):
        with pytest.raises(InputError, match=r"a branch with values"):
            expand(2, 2).orders([1])
        with pytest.raises(InputError, match=r"a branch with values"):
            expand(Tower([AbstractBranch()]), 1).remainder([1])

    @pytest.mark.parametrize(("tied", "decoder"), [(False, False), (False, True), (True, True)])
    def test_too_many_terms_are_refused_at_once(self, tied, decoder):
        # Enumerating would take longer than the sun shines; the answer is a number.
        with pytest.raises(TooManyTermsError, match=r"at most 1,000,000 terms; got about") as e:
            expand(50, 50, tied=tied, decoder=decoder)
        assert e.value.terms == term_count(50, 50, tied=tied, decoder=decoder) > 10**15
        assert e.value.budget == DEFAULT_BUDGET
        assert "jet_orders" in str(e.value)
        assert "\n" not in str(e.value)

    def test_enormous_requests_are_refused_at_once_too(self):
        # In a process of its own, for an exact count of all these terms takes minutes.
        program = (
            "import resource; resource.setrlimit(resource.RLIMIT_CPU, (10, 10))\n"
            "from expansion import TooManyTermsError, expand\n"
            "try:\n    expand(1000, 1000)\n"
            "except TooManyTermsError as error:\n    print('refused')"
        )
        command = [sys.executable, "-c", program]
        ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
        assert ran.stdout == "refused\n"

    def test_the_budget_is_sharp(self):
        number = term_count(4, 4, tied=False, decoder=False)
        assert len(expand(4, 4, budget=number)) == number
        with pytest.raises(TooManyTermsError):
            expand(4, 4, budget=number - 1)


@pytest.mark.parametrize("decoder", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_the_number_of_terms_is_known_beforehand(tied, decoder):
    for depth in range(1, 5):
        for order in range(5):
            expansion = expand(Tower.abstract(depth, tied=tied), order, tied=tied, decoder=decoder)
            assert len(expansion) == term_count(depth, order, tied=tied, decoder=decoder)
