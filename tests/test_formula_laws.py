"""Laws of growth: proved for every n, refuted at a small one, or neither."""

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion import InputError, ScalingRule
from expansion.growth.energy import exact_energy
from proofs_check.evidence import Verdict
from proofs_check.formula.arithmetic import parse_arithmetic
from proofs_check.formula.candidate import candidate_of
from proofs_check.formula.sequences import N, NoFormError, normal_form, same_sequence
from proofs_check.formula.verdict import judge


def judged(rule, **laws):
    tower = {} if rule is None else {"rule": rule}
    evidence = judge(candidate_of({"tower": tower, "growth": laws})).evidence
    return {name: one.verdict.name for name, one in evidence.items()}


def test_what_is_not_real_is_refuted():
    assert judged(None, energy="sqrt(-1)") == {"energy": "REFUTED"}


@pytest.mark.parametrize(
    ("rule", "laws"),
    [
        (None, {"energy": "(1+λ^2)^n", "mean_order": "n λ²/(1+λ²)", "spectrum": "C(n,k) λ^(2k)"}),
        (None, {"amplitude": "(1 + λ L)^n"}),
        (None, {"energy": "(1 + 2λ² + λ^4)^(n) / (1+λ²)^n"}),
        ("1", {"energy": "2^n", "limit": "infinity"}),
        ("1/sqrt(n)", {"energy": "(1+1/n)^n", "limit": "exp(1)", "mean_order": "n/(n+1)"}),
        ("2/sqrt(n)", {"energy": "((n+4)/n)^n", "limit": "exp(4)"}),
        ("1/n", {"energy": "(1+1/n^2)^n", "limit": "1"}),
        ("1/n", {"amplitude": "(1+L/n)^n", "limit": "exp(L)"}),
        ("1/sqrt(n)", {"amplitude": "(1+L/sqrt(n))^n", "limit": "infinity"}),
        ("batchnorm", {"energy": "n+1", "limit": "infinity"}),
        ("half", {"energy": "1", "mean_order": "n/2", "limit": "1"}),
        ("skipinit", {"energy": "1", "limit": "1", "mean_order": "0"}),
    ],
)
def test_true_laws_are_proved(rule, laws):
    assert set(judged(rule, **laws).values()) == {"PROVED"}


@pytest.mark.parametrize(
    ("rule", "laws"),
    [
        (None, {"energy": "(1+λ)^(2n)"}),
        (None, {"energy": "1 + n λ²"}),
        (None, {"energy": "exp(n λ²)"}),
        (None, {"spectrum": "C(n,k) λ^k"}),
        (None, {"amplitude": "(1 + λ² L²)^n"}),
        ("1/sqrt(n)", {"energy": "exp(1)"}),
        ("1/sqrt(n)", {"limit": "1"}),
        ("1/sqrt(n)", {"limit": "infinity"}),
        ("1/n", {"amplitude": "(1+L/n)^n", "limit": "exp(2 L)"}),
        ("1/n", {"amplitude": "(1+L/n)^n", "limit": "exp(1)"}),  # right at L = 1 only
        ("batchnorm", {"energy": "n"}),
        ("batchnorm", {"energy": "n+1", "mean_order": "n/2"}),
        ("half", {"energy": "2^n"}),
        # right at the first eight depths
        ("1", {"energy": "2^n + (n-1)(n-2)(n-3)(n-4)(n-5)(n-6)(n-7)(n-8)"}),
    ],
)
def test_false_laws_are_refuted(rule, laws):
    assert "REFUTED" in judged(rule, **laws).values()


def test_counterexamples_hold():
    table = {"tower": {"rule": "batchnorm"}, "growth": {"energy": "2^n"}}
    (evidence,) = judge(candidate_of(table)).evidence.values()
    names = {}
    exec(compile(evidence.counterexample, "counterexample", "exec"), names)
    rule = ScalingRule.of(names["rule"])
    assert exact_energy(rule, names["depth"]) == names["true"] != names["claimed"]
    assert names["depth"] == 2  # at depth 1 both are 2


@pytest.mark.parametrize(
    ("rule", "law"),
    [
        ("1", "2^n + sin(n)^2 + cos(n)^2 - 1"),
        ("batchnorm", "(n+1) (sin(n)^2 + cos(n)^2)"),
    ],
)
def test_what_is_true_but_beyond_the_prover_is_not_called_proved(rule, law):
    assert judged(rule, energy=law) == {"energy": "INCONCLUSIVE"}


def test_a_start_that_is_nearly_right_is_no_induction():
    assert judged("batchnorm", energy="(n+1) (1 + sqrt(2)/10^30)") == {"energy": "INCONCLUSIVE"}


@pytest.mark.parametrize("rule", [None, "1", "batchnorm"])
def test_a_gain_is_no_part_of_an_energy(rule):
    with pytest.raises(InputError, match="energy: names among n, lambda; got L"):
        judged(rule, energy="(n+1) (1+L)")


def test_a_limit_that_depends_on_the_gain_is_not_claimed_for_all():
    laws = judged("half", amplitude="(sqrt(1/2) (1+L))^n", limit="infinity")
    assert laws == {"amplitude": "PROVED", "limit": "INCONCLUSIVE"}


@pytest.mark.parametrize("rule", ["-1/n", "-0.5"])
def test_aligned_branches_have_scales_of_at_least_0(rule):
    with pytest.raises(InputError, match="scales of at least 0"):
        judged(rule, amplitude="(1+L/n)^n")


def test_a_convergent_product_has_no_limit_here():
    assert judged("1/l", limit="3") == {"limit": "INCONCLUSIVE"}


def test_definite_depths():
    for law, name in (("(1+λ^2)^5", "PROVED"), ("1+5λ²", "REFUTED")):
        (one,) = judge(
            candidate_of({"tower": {"depth": 5}, "growth": {"energy": law}})
        ).evidence.values()
        assert one.verdict is Verdict[name]


# --- the normal form --------------------------------------------------------------------------

s = sympy.Symbol("lambda")
FORMULAS = st.recursive(
    st.sampled_from([N, s, sympy.Integer(2), 1 + s**2, (1 + s) ** N, 2**N, (1 + 1 / N) ** N]),
    lambda inner: st.tuples(inner, inner).flatmap(
        lambda two: st.sampled_from([two[0] + two[1], two[0] * two[1], two[0] - 2 * two[1]])
    ),
    max_leaves=4,
)


@settings(max_examples=25)
@given(FORMULAS, FORMULAS)
def test_equal_forms_are_equal_numbers(left, right):
    values = {N: 3, s: sympy.Rational(2, 7)}
    form = normal_form(left)
    again = sum((c * b**N for b, c in form.items()), sympy.Integer(0))
    root = sympy.Symbol("r", positive=True)
    assert again.subs(root, N).subs(values) == left.subs(values)
    if same_sequence(left, right):
        assert left.subs(values) == right.subs(values)
    assert same_sequence(left * right + left, left * (right + 1))


def test_no_form():
    for formula in (sympy.sin(N), sympy.exp(N), 2 ** (N**2), sympy.factorial(N)):
        with pytest.raises(NoFormError):
            normal_form(formula)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 n^2/3", 2 * N**2 / 3),
        ("-n^2", -(N**2)),
        ("2^-n", 2**-N),
        ("1/2 n", N / 2),
        ("½n²", N**2 / 2),
        ("(1+λ²)^n", (1 + s**2) ** N),
        ("2^{n+1}", 2 ** (N + 1)),
        ("C(n,2)", N * (N - 1) / 2),
        ("sqrt(n) √(n)", N),
        ("2·3**2", 18),
        ("1 − n", 1 - N),
        ("0.25", sympy.Rational(1, 4)),
    ],
)
def test_arithmetic(text, value):
    assert sympy.expand(parse_arithmetic(text, {"n": N, "lambda": s}, "t") - value) == 0
