"""Errors: one line that says what was required, what came, and how to mend it."""

import copy
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion.checking import check_count, check_finite
from expansion.errors import InputError, TooManyTermsError


class TestInputError:
    def test_its_three_parts(self):
        error = InputError("depth must be positive", 0, "give 1 or more")
        assert error.required == "depth must be positive"
        assert (error.came, error.mend) == (0, "give 1 or more")
        assert str(error) == "depth must be positive; got 0; give 1 or more"
        assert isinstance(error, ValueError)

    @given(st.text())
    def test_one_line_whatever_came(self, came):
        text = str(InputError("a number", came, "mend it"))
        assert len(text.splitlines()) == 1
        assert text.startswith("a number; got ")
        assert text.endswith("; mend it")

    @given(st.text(), st.text())
    def test_one_line_whatever_was_required(self, required, mend):
        # A path with a line break can be part of either.
        assert len(f"x{InputError(required, 0, mend)}".splitlines()) == 1

    def test_nothing_is_called_nothing(self):
        assert str(InputError("a rule", " \n", "write one")) == "a rule; got nothing; write one"

    def test_long_input_is_shortened(self):
        text = str(InputError("a rule", "x" * 10_000, "write one"))
        assert "xxx...; write one" in text
        assert len(text) < 200
        short = "y" * 120
        assert f"got {short};" in str(InputError("a rule", short, "write one"))

    @pytest.mark.parametrize("copied", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))])
    def test_copies(self, copied):
        # Errors cross processes where work is spread over them.
        error = copied(InputError("a", 1, "b"))
        assert (error.required, error.came, error.mend) == ("a", 1, "b")
        many = copied(TooManyTermsError(10**20, 5, "count"))
        assert (many.terms, many.budget) == (10**20, 5)
        assert str(many) == str(TooManyTermsError(10**20, 5, "count"))


class TestTooManyTerms:
    def test_small_numbers_are_written_out(self):
        error = TooManyTermsError(1234567, 1000, "use count")
        assert "1,234,567 terms" in str(error)
        assert "1,000 terms" in str(error)
        assert str(error).endswith("; use count")
        assert isinstance(error, InputError)

    @pytest.mark.parametrize("exponent", [15, 16, 82, 456])
    def test_large_numbers_come_with_their_size(self, exponent):
        for number in (10**exponent, 9 * 10**exponent):
            assert f"about 10^{exponent} " in str(TooManyTermsError(number, 1000, "use count"))

    def test_numbers_too_long_to_print_come_with_their_size(self):
        # Python refuses to write integers beyond 4300 digits.
        text = str(TooManyTermsError(10**5000, 1000, "use count"))
        assert "about 10^5000" in text
        assert len(text.splitlines()) == 1


class TestCheckCount:
    @pytest.mark.parametrize(
        "value", [3, "3", " 3 ", np.int64(3), np.uint8(3), "03"], ids=lambda v: repr(v)
    )
    def test_whole_numbers(self, value):
        number = check_count(value, "depth", least=1)
        assert number == 3
        assert type(number) is int

    @given(st.integers(), st.integers(-5, 5))
    def test_least(self, value, least):
        if value >= least:
            assert check_count(value, "depth", least=least) == value
        else:
            with pytest.raises(
                InputError, match=f"depth .* at least {least}; got .*{least} or more"
            ):
                check_count(value, "depth", least=least)

    @pytest.mark.parametrize(
        "value",
        [None, True, np.True_, 1.0, [1], math.nan, math.inf, Fraction(3), 3 + 0j, b"3"],
        ids=repr,
    )
    def test_other_kinds_are_refused(self, value):
        self.check_refused(value)

    @pytest.mark.parametrize(
        "text",
        ["", " ", "x", "1.0", "1e3", "+3", "--3", "²", "٣", "1_000", "9" * 4001, "0x3", "3 3"],
    )
    def test_other_text_is_refused(self, text):
        self.check_refused(text)

    def check_refused(self, value):
        with pytest.raises(
            InputError, match=r"order must be a whole number of at least 0; got"
        ) as e:
            check_count(value, "order", least=0)
        assert e.value.mend == "give 0 or more"

    @pytest.mark.parametrize(("value", "most"), [("9" * 19, None), ("11", 10), (11, 10)])
    def test_largest(self, value, most):
        with pytest.raises(InputError, match=r"order must be at most \d+; got \d+; lower it"):
            check_count(value, "order", least=0, most=most)
        assert check_count(10, "order", least=0, most=10) == 10

    def test_minus_is_understood_before_it_is_refused(self):
        assert check_count("-2", "shift", least=-5) == -2


class TestCheckFinite:
    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_finite(self, value):
        assert check_finite(value, "scale") == value

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan")])
    def test_not_finite(self, value):
        with pytest.raises(
            InputError, match=r"scale must be a finite number; got .*; give a number"
        ):
            check_finite(value, "scale")
