"""Complex ranges and majorants of single functions, against values and derivatives elsewhere."""

import math

import mpmath
import pytest
from bounds_towers import MP, as_mp
from flint import acb, arb
from hypothesis import given
from hypothesis import strategies as st

from expansion.bounds.balls import ball
from expansion.bounds.complex_range import FUNCTIONS, majorant, range_bound

VALUES = {
    "linear": lambda w: w,
    "tanh": lambda w: w.tanh(),
    "sin": lambda w: w.sin(),
    "cos": lambda w: w.cos(),
    "erf": lambda w: w.erf(),
    "gelu": lambda w: w * (1 + (w / arb(2).sqrt()).erf()) / 2,
    "sigmoid": lambda w: 1 / (1 + (-w).exp()),
    "exp": lambda w: w.exp(),
    "log": lambda w: w.log(),
    "inverse": lambda w: 1 / w,
}
CENTRES = st.floats(-4, 4)


@pytest.mark.parametrize("name", FUNCTIONS)
@given(centre=CENTRES, radius=st.floats(0, 4), share=st.floats(0, 1), angle=st.floats(0, 7))
def test_ranges_hold_every_value(name, centre, radius, share, angle):
    a, t = ball(abs(centre) if name == "log" else centre), ball(radius)
    bound = range_bound(name, a, t)
    if not bound.is_finite():
        return
    reach = t * ball(share)
    value = VALUES[name](acb(a + reach * ball(angle).cos(), reach * ball(angle).sin()))
    assert not bound < abs(value)


@pytest.mark.parametrize(("name", "pole"), [("tanh", arb.pi() / 2), ("sigmoid", arb.pi())])
def test_poles_are_seen(name, pole):
    assert not range_bound(name, arb(0), pole).is_finite()
    assert range_bound(name, arb(0), pole * 0.99).is_finite()
    assert range_bound(name, arb(9), pole * 1.5).is_finite()  # no pole near there
    real = (pole * 0.99).tanh()
    assert range_bound(name, arb(0), pole * 0.99) > 5 * real  # what a real ball would say


@pytest.mark.parametrize("name", FUNCTIONS)
@given(centre=CENTRES, share=st.floats(0, 0.9))
def test_majorants_are_above_their_functions(name, centre, share):
    a = ball(abs(centre) + 0.1 if name in ("log", "inverse") else centre)
    found = majorant(name, a, 12)
    t = ball(share) * (1 / found.rate if name != "linear" else 1)
    rest = VALUES[name](acb(a, t)) if name != "log" else acb(a, t).log()
    assert not found(t) < abs(rest)
    # Against derivatives at higher precision, as a second route to the coefficients.
    with mpmath.workdps(40):
        function = {**MP, "cos": mpmath.cos, "exp": mpmath.exp, "log": mpmath.log}.get(name)
        if function is not None:
            true = mpmath.taylor(function, as_mp(a), 4)
            for c, coefficient in zip(true, found.coefficients, strict=False):
                assert abs(abs(c) - as_mp(coefficient)) <= 1e-12 * (1 + abs(c))


def test_majorants_beyond_their_terms():
    # tan t is the majorant of tanh at 0; few terms and the certified rest stay above it.
    for terms in (2, 5, 20):
        found = majorant("tanh", arb(0), terms)
        for t in (0.1, 0.7, 1.2, 1.4):
            assert found(ball(t)) > math.tan(t) * (1 - 1e-15)
    assert not majorant("tanh", arb(0), 5)(arb(2)).is_finite()
