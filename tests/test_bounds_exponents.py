"""What scale does which bound ask for: closed forms, and fits that do not know them."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion import InputError, ScalingRule
from expansion.growth.energy import log_coherent_amplitude, log_energy
from expansion.synthesis.exponents import (
    DEFAULT_RULES,
    allowed_scale,
    measured_law,
    synthesis_table,
)
from expansion.synthesis.laws import Law, fitted_law, product_law, sum_law
from expansion.synthesis.quantities import QUANTITIES

DEPTHS = (1024, 2048, 4096)


@pytest.fixture(scope="module")
def table():
    return synthesis_table()


@given(st.floats(0.15, 2), st.floats(0.01, 3), st.floats(-5, 5))
def test_exponential_laws_are_read_off_values(power, coefficient, constant):
    found = fitted_law(DEPTHS, [coefficient * n**power + constant for n in DEPTHS])
    assert found.kind == "exponential"
    # The constant drops out of the differences.
    assert found.power == pytest.approx(power, abs=1e-6)
    assert found.coefficient == pytest.approx(coefficient, rel=1e-4)


@given(st.floats(0.2, 3), st.floats(0.1, 10))
def test_power_laws_are_read_off_values(power, coefficient):
    found = fitted_law(DEPTHS, [math.log(coefficient * n**power) for n in DEPTHS])
    assert found.kind == "power"
    assert found.power == pytest.approx(power, abs=1e-6)
    assert found.coefficient == pytest.approx(coefficient, rel=1e-4)


@given(st.floats(0.2, 2), st.floats(0.1, 20), st.floats(-1, 1))
def test_limits_are_read_off_values(speed, limit, part):
    found = fitted_law(DEPTHS, [math.log(limit) - part * n**-speed for n in DEPTHS])
    assert found.kind == "bounded"
    assert found.coefficient == pytest.approx(limit, rel=1e-5)


def test_quantities_that_vanish_are_bounded():
    assert fitted_law(DEPTHS, [-0.5 * math.log(n) for n in DEPTHS]).coefficient == 0
    assert str(fitted_law(DEPTHS, [3.0] * 3)) == f"→ {math.exp(3):.4g}"


@given(
    st.sampled_from(["1", "0.3", "2/sqrt(n)", "1/n", "3/n", "n^-0.75", "n^-1.5"]),
    st.sampled_from([1, 2]),
)
def test_closed_forms_of_products_hold_at_great_depth(rule, m):
    chosen, depth = ScalingRule.parse(rule), 10**6
    law = product_law(chosen, m=m)
    log = log_energy(chosen, depth) if m == 2 else log_coherent_amplitude(chosen, depth)
    if law.kind == "bounded":
        assert math.exp(log) == pytest.approx(law.coefficient, rel=3e-3)
    else:
        # The next term of ln(1 + λ) is λ/2 of the first: at most 1e-3 here, none for scale 1.
        assert log == pytest.approx(law.coefficient * depth**law.power, rel=2e-3)


@pytest.mark.parametrize(("scale", "true"), [("1/l", 1), ("1/sqrt(l)", 1), ("2/l", 2)])
def test_block_rules_at_the_edge_are_powers(scale, true):
    # Π(1 + a/l) is n^a/Γ(1 + a) up to 1/n.
    rule, depth = ScalingRule.parse(scale), 10**5
    m = 2 if "sqrt" in scale else 1
    law = product_law(rule, m=m)
    log = log_energy(rule, depth) if m == 2 else log_coherent_amplitude(rule, depth)
    assert law.kind == "power"
    assert law.power == pytest.approx(true)
    assert law.coefficient * depth**law.power == pytest.approx(math.exp(log), rel=1e-3)


def test_measured_and_closed_laws_agree(table):
    for demand in table:
        for rule, closed, measured in zip(table.rules, demand.closed, demand.measured, strict=True):
            told = f"{demand.quantity.name}, {rule}: {closed}, measured {measured}"
            assert closed.kind == measured.kind, told
            # Lower-order terms at these depths: the majorant's are largest.
            assert closed.power == pytest.approx(measured.power, abs=0.04), told
            if closed.kind == "bounded" and closed.coefficient is not None:
                assert measured.coefficient == pytest.approx(closed.coefficient, rel=0.01), told


def test_signals_ask_for_the_root_and_everything_else_for_the_depth(table):
    asked = {demand.quantity.name: demand for demand in table}
    assert [name for name, d in asked.items() if d.quantity.critical == 0.5] == [
        "energy of independent branches"
    ]
    for demand in asked.values():
        assert demand.critical == pytest.approx(demand.quantity.critical, abs=0.025)
        # Bounded under a rule n^−β exactly from the critical exponent on, as measured.
        for rule, law in zip(table.rules, demand.measured, strict=True):
            if rule.base == "depth":
                bounded = -float(rule.exponent) >= demand.quantity.critical
                assert (law.kind == "bounded") == bounded
    assert {d.quantity.claim for d in table} == {"G1", "G3", "G6", "G8", "B1", "B2", "B3", "B4"}


@pytest.mark.parametrize("quantity", QUANTITIES, ids=lambda q: q.name)
def test_a_wrong_exponent_is_noticed(quantity):
    # The control: a little less than the critical exponent grows, as the code itself finds.
    less = ScalingRule.parse(f"n^-{quantity.critical - 0.25}")
    assert measured_law(quantity, less).kind != "bounded"
    enough = ScalingRule.parse(f"n^-{quantity.critical}")
    assert measured_law(quantity, enough).kind == "bounded"


def test_the_allowed_scale_brings_the_quantity_to_its_level():
    for quantity in QUANTITIES[:4]:
        scale = allowed_scale(quantity, 64 * 32)
        rule = ScalingRule.of(scale)
        start = quantity.measure(ScalingRule.parse("0"), 2048)
        level = start + 1 if start > -math.inf else 0
        assert quantity.measure(rule, 2048) == pytest.approx(level, abs=1e-4)


def test_the_table_says_it_in_words_and_in_json(table):
    assert table.sentence.startswith("Signals ask for 1/√n, capacity for 1/n.")
    answer = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert answer["summary"] == table.sentence
    assert len(answer["quantities"]) == len(QUANTITIES)
    for row in answer["quantities"]:
        assert [cell["rule"] for cell in row["growth"]] == list(DEFAULT_RULES)
        assert row["largest_scale"] in ("1/√n", "1/n")


@pytest.mark.parametrize("start", [1, 5, 7, 10])  # not all have exact binary logarithms
def test_any_depths_that_double_will_do(start):
    depths = [start, 2 * start, 4 * start]
    assert fitted_law(depths, [0.5 * n for n in depths]).power == pytest.approx(1)


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda: synthesis_table([]), "at least one rule"),
        (lambda: synthesis_table(["half"], QUANTITIES[:1]), "a rule such as"),
        (lambda: synthesis_table([[1, 2]], QUANTITIES[:1]), "a rule such as"),
        (lambda: synthesis_table(["nonsense"]), "scaling rule"),
        (lambda: product_law(ScalingRule.parse("n^0.5")), "do not grow"),
        (lambda: sum_law(ScalingRule.parse("1/l")), "logarithm"),
        (lambda: fitted_law([1, 2], [0.0, 1.0]), "three or more"),
        (lambda: fitted_law([1, 2, 3], [0.0, 1.0, 2.0]), "depths that double"),
        (lambda: fitted_law([1, 2, 4], [0.0, 1.0, math.inf]), "finite logarithms"),
        (lambda: Law("bounded", 1.0, None), "fits bounded"),
        (lambda: Law("other", 0.0, None), "bounded, power or exponential"),
    ],
)
def test_bad_input_is_refused(ask, told):
    with pytest.raises(InputError, match=told):
        ask()
