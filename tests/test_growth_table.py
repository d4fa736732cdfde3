"""The growth table: rows, JSON-ready values, and every prediction beside its twin."""

import json
import math

import pytest

from expansion import InputError, growth_table
from expansion.growth.table import DEFAULT_DEPTHS, DEFAULT_RULES


def test_every_default_prediction_is_within_four_standard_errors_of_its_twin():
    table = growth_table(trials=100)
    assert [(row.rule.text, row.depth) for row in table] == [
        (rule, depth) for rule in DEFAULT_RULES for depth in DEFAULT_DEPTHS
    ]
    for row in table:
        error = abs(row.simulated.log_energy - row.log_energy)
        assert error <= 4 * row.simulated.standard_error


def test_a_float_that_overflows_is_null_beside_its_log10():
    (row,) = growth_table([5000], ["1"], trials=2).to_dicts()
    assert row["energy"] is None
    assert row["simulated_energy"] is None
    assert row["log10_energy"] == pytest.approx(5000 * math.log10(2))
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_cells_do_not_share_their_random_numbers():
    one, two = growth_table([1], ["1", "1/n"], trials=50)  # the same tower, n = 1
    assert one.log_energy == two.log_energy
    assert one.simulated != two.simulated


def test_rows_are_reported_as_they_finish():
    seen = []
    table = growth_table([1, 2], ["1"], on_row=seen.append)
    assert tuple(seen) == table.rows


@pytest.mark.parametrize(
    "arguments", [([0], ["1"]), ([1], ["nonsense"]), ([1.5], ["1"]), (["x"], ["1"])]
)
def test_bad_input_is_refused(arguments):
    with pytest.raises(InputError):
        growth_table(*arguments)


def test_a_depth_that_no_array_has_is_refused():
    with pytest.raises(InputError, match=r"depth must be at most 10000000"):
        growth_table([10**30], ["1"])
