"""Scaling rules: exact values, floats beside them, reading, writing, and what is refused."""

import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from expansion.errors import InputError
from expansion.towers.scaling import ScalingRule
from proofs_check.strategies import rationals, scaling_rules, scalings

parse = ScalingRule.parse
ROOT = Path(__file__).parent.parent
F = Fraction
sqrt = sympy.sqrt


def as_sympy(value):
    return sympy.Rational(*value.as_integer_ratio()) if isinstance(value, Fraction) else value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", [1, 1, 1]),
        ("0.1", [F(1, 10)] * 3),
        ("1e-1", [F(1, 10)] * 3),
        ("-2/3", [F(-2, 3)] * 3),
        (" 1 / 10 ", [F(1, 10)] * 3),
        (".5", [F(1, 2)] * 3),
        ("1/n", [F(1, 3)] * 3),
        ("2/n", [F(2, 3)] * 3),
        ("0.5/N", [F(1, 6)] * 3),
        ("1/2/n", [F(1, 6)] * 3),
        ("1/l", [1, F(1, 2), F(1, 3)]),
        ("3*l^-2", [3, F(3, 4), F(1, 3)]),
        ("n^-1", [F(1, 3)] * 3),
        ("n**-1", [F(1, 3)] * 3),
        ("n^(-1)", [F(1, 3)] * 3),
        ("2*n^2", [18] * 3),
        ("n^0", [1, 1, 1]),
        ("1/sqrt(n)", [1 / sqrt(3)] * 3),
        ("1/√n", [1 / sqrt(3)] * 3),
        ("n^-1/2", [1 / sqrt(3)] * 3),
        ("n^-0.5", [1 / sqrt(3)] * 3),
        ("n^-0.75", [sympy.Integer(3) ** sympy.Rational(-3, 4)] * 3),
        ("2/sqrt(l)", [2, sqrt(2), 2 / sqrt(3)]),
        ("batchnorm", [1, 1 / sqrt(2), 1 / sqrt(3)]),
        ("BatchNorm", [1, 1 / sqrt(2), 1 / sqrt(3)]),
        ("skipinit", [0, 0, 0]),
        ("half", [1, 1, 1]),
        ("0*n^-0.5", [0, 0, 0]),
    ],
)
def test_text_to_exact_scales(text, expected):
    scales = parse(text).scales(3)
    assert [
        sympy.simplify(as_sympy(s) - sympy.sympify(e))
        for s, e in zip(scales, expected, strict=True)
    ] == ([0, 0, 0])


def test_rational_scales_are_fractions():
    for text in ("1", "0.1", "1/n", "1/l", "skipinit", "n^2"):
        assert {type(scale) for scale in parse(text).scales(4)} == {Fraction}
    # A root that comes out even is rational, too.
    assert parse("1/sqrt(n)").scales(4) == (F(1, 2),) * 4
    assert parse("batchnorm").scales(4)[3] == F(1, 2)


def test_decimals_are_what_their_author_meant():
    assert parse("0.1").coefficient == F(1, 10) != F(0.1)
    assert ScalingRule.of(0.1).coefficient == F(1, 10)
    assert ScalingRule.of([0.1, np.float64(0.3)]).listed == (F(1, 10), F(3, 10))


@given(scaling_rules(), st.integers(1, 40))
def test_floats_round_the_exact_scales(rule, depth):
    exact = [float(scale) for scale in rule.scales(depth)]
    # Two roundings (the exponent's float, the power), each half an ulp, amplified by ln n < 4.
    assert rule.floats(depth) == pytest.approx(exact, rel=1e-15, abs=0)
    assert rule.floats(depth).shape == (depth,)
    assert rule.floats(depth).dtype == np.float64


@given(scaling_rules(), st.integers(1, 12))
def test_squares_are_squares(rule, depth):
    for scale, square in zip(rule.scales(depth), rule.squares(depth), strict=True):
        assert sympy.simplify(as_sympy(scale) ** 2 - as_sympy(square)) == 0


@given(st.integers(1, 5).flatmap(scalings))
def test_listed_scales(rule):
    depth = len(rule.listed)
    assert rule.scales(depth) == rule.listed
    assert rule.squares(depth) == tuple(s * s for s in rule.listed)
    assert rule.floats(depth).tolist() == [float(s) for s in rule.listed]
    with pytest.raises(InputError, match=f"one listed scale per block; got {depth} scales for"):
        rule.scales(depth + 1)


@given(scaling_rules())
def test_text_is_read_back(rule):
    assert parse(str(rule)) == rule
    assert ScalingRule.of(rule) is rule
    assert ScalingRule.of(str(rule)) == rule


@given(rationals())
def test_numbers_are_rules(number):
    assert ScalingRule.of(number).scales(2) == (number, number)
    assert ScalingRule.of(str(number)).scales(1) == (number,)


@pytest.mark.parametrize("number", [np.int64(2), np.float32(2), np.float64(2), sympy.Integer(2)])
def test_numbers_of_other_kinds_are_rules(number):
    assert ScalingRule.of(number).scales(2) == (2, 2)


def test_sums_of_squares_tell_the_rules_apart():
    # What G1 rests on: Σλ² is n for 1, 1 for 1/√n, 1/n for 1/n, and H_n for batchnorm.
    totals = [sum(parse(t).squares(50)) for t in ("1", "1/sqrt(n)", "1/n", "batchnorm")]
    assert totals == [50, 1, F(1, 50), sum(F(1, l) for l in range(1, 51))]  # noqa: E741


def test_half_divides_the_whole_block():
    half = parse("half")
    assert half.block_factor_squared == F(1, 2)
    assert half.log_block_factor == pytest.approx(math.log(1 / math.sqrt(2)), rel=1e-15)
    assert parse("1").log_block_factor == 0
    assert parse("batchnorm").normalised
    assert not parse("1/sqrt(l)").normalised


def test_rules_are_values():
    assert parse("1/n") == parse("1/n")
    assert parse("1/n") != parse("2/n")
    assert len({parse("1/n"), parse("1/n"), parse("half")}) == 2
    with pytest.raises(AttributeError):
        parse("1").coefficient = F(2)


@pytest.mark.parametrize(
    "text",
    ["banana", "", "n", "1/m", "n^", "n^x", "2n", "1/sqrt(2)", "sqrt(n)/2", "1//2", "1/n/n", "--1"],
)
def test_unknown_rules_are_refused(text):
    check_unknown(text)


@pytest.mark.parametrize("text", ["__import__('os')", "1;2", "1, 2", "1 2", "half/2", "1e9999"])
def test_text_that_is_not_one_rule_is_refused(text):
    check_unknown(text)


def check_unknown(text):
    with pytest.raises(InputError, match=r"a scaling rule: 1, 0\.1, 1/n, .*; write one of these"):
        parse(text)


@pytest.mark.parametrize(
    "value",
    [
        *("nan", "inf", "-inf", "+Infinity", "NaN", "1/0", "1/0/n"),
        *(float("nan"), float("inf"), np.float64("-inf")),
        *([1, float("nan")], [1, "inf"], [None], [1j]),
    ],
)
def test_scales_that_are_not_finite_are_refused(value):
    with pytest.raises(
        InputError, match=r"a?.*scale must be a finite number; got .*; (give|divide)"
    ):
        ScalingRule.of(value)


@pytest.mark.parametrize("value", [None, object(), 1j, True])
def test_what_is_not_a_rule_is_refused(value):
    with pytest.raises(InputError):
        ScalingRule.of(value)


@pytest.mark.parametrize("text", ["1e301", "1e999", "-1e301*n^2"])
def test_scales_beyond_floats_are_refused(text):
    with pytest.raises(InputError, match=r"a scale that a float can hold"):
        parse(text)


@pytest.mark.parametrize("text", ["n^400", "1e300*n^9", "n^1e5"])
def test_scales_that_overflow_at_a_depth_are_refused(text):
    with pytest.raises(InputError):
        parse(text).floats(1000)
    with pytest.raises(InputError):
        parse(text).scales(1000)


def test_an_enormous_exponent_is_refused_before_it_fills_the_memory():
    # In a process of its own with little memory and time: a big-number power cannot be interrupted.
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_CPU, (5, 5));"
        "from expansion.errors import InputError\n"
        "from expansion.towers.scaling import ScalingRule\n"
        "try:\n    ScalingRule.parse('n^1e10').scales(3)\n"
        "except InputError:\n    print('refused')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert ran.stdout == "refused\n"


@pytest.mark.parametrize("depth", [0, -1, 2.5, "x", None])
def test_bad_depths_are_refused(depth):
    for method in ("scales", "squares", "floats"):
        with pytest.raises(InputError, match=r"depth must be a whole number of at least 1"):
            getattr(parse("1/n"), method)(depth)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"base": "width"}, "base must be 'depth' or 'block'"),
        ({"coefficient": float("inf")}, "coefficient must be a finite number"),
        ({"exponent": "x"}, "exponent must be a finite number"),
        ({"block_factor_squared": 0}, "a block factor above zero"),
        ({"listed": [float("nan")]}, "scale must be a finite number"),
    ],
)
def test_bad_fields_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        ScalingRule("mine", **fields)


class TestFile:
    def test_one_scale_per_line(self, tmp_path):
        path = tmp_path / "scales.txt"
        path.write_text("# mine\n1\n\n 0.5 # half\n1/3\n-2e-1\n")
        rule = parse(f"@{path}")
        assert rule.scales(4) == (1, F(1, 2), F(1, 3), F(-1, 5))
        assert str(rule) == f"@{path}"
        assert parse(str(rule)) == rule

    @pytest.mark.parametrize("word", ["x", "nan", "inf", "1 2", "1,2", "1/n", "__import__('os')"])
    def test_a_bad_line_is_named(self, tmp_path, word):
        path = tmp_path / "scales.txt"
        path.write_text(f"1\n# a comment\n{word}\n")
        with pytest.raises(
            InputError, match=r"a scale on line 3 of .*; write one finite number"
        ) as e:
            parse(f"@{path}")
        assert repr(word) in str(e.value)

    def test_division_by_zero_is_refused(self, tmp_path):
        path = tmp_path / "scales.txt"
        path.write_text("1/0\n")
        with pytest.raises(InputError, match=r"a scale must be a finite number; got 1/0"):
            parse(f"@{path}")

    def test_files_that_cannot_be_read(self, tmp_path):
        empty, binary = tmp_path / "empty.txt", tmp_path / "binary.txt"
        empty.write_text("# nothing\n\n")
        binary.write_bytes(b"\xff\xfe\x00\x81")
        for path, came in (
            (empty, "without any"),
            (binary, "not a text file"),
            (tmp_path / "missing.txt", "No such file or directory"),
            (tmp_path, "Is a directory"),
        ):
            with pytest.raises(InputError, match=came) as caught:
                parse(f"@{path}")
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scale", [10**400, Fraction(1, 10**400), Fraction(3**2000, 2)])
def test_numbers_that_no_float_holds_are_refused(scale):
    for method in ("scales", "squares", "floats"):
        with pytest.raises(InputError, match=r"scales (that a float can hold|of at most 1e75)"):
            getattr(ScalingRule.of(scale), method)(2)


def test_listed_numbers_that_no_float_holds():
    with pytest.raises(InputError, match=r"scales of at most 1e75"):
        ScalingRule.of([1, 10**400]).floats(2)
    assert ScalingRule.of([1, 10**400]).scales(2)[1] == 10**400
    assert ScalingRule.of([Fraction(1, 10**400)]).floats(1).tolist() == [0.0]
