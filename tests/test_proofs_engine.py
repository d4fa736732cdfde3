"""Wrong engines, injected into expansion itself, are caught by the claims they violate."""

import math
from dataclasses import replace

import pytest

from expansion.growth import (
    fluctuation,
    mean_field,
    moments,
    pairs,
    path_polynomials,
    worst_case,
)
from expansion.series import algebra, flow, gated_paths, indexed, subnetworks
from expansion.series import lazy_terms as theorem
from expansion.towers.activations import Activation
from expansion.towers.scaling import ScalingRule
from expansion.trees import labelled, order_polynomials
from expansion.trees.labelled import LabelledTree
from expansion.trees.tree import Tree
from proofs_check.evidence import Verdict
from proofs_check.runner import run


def symmetry_dropped(patch):
    patch.setattr(labelled, "symmetry_of", lambda children: 1)


def labels_may_repeat(patch):
    right = theorem.labelled_trees

    def wrong(depth, order):
        yield from right(depth, order)
        if order >= 2:
            for block in range(1, depth + 1):
                yield LabelledTree.from_sorted(block, (LabelledTree(block),))

    patch.setattr(theorem, "labelled_trees", wrong)


def last_label_missing(patch):
    right = theorem.labelled_trees
    patch.setattr(theorem, "labelled_trees", lambda depth, order: right(max(depth - 1, 1), order))


def scales_in_reverse(patch):
    right = ScalingRule.scales
    patch.setattr(ScalingRule, "scales", lambda rule, depth: right(rule, depth)[::-1])


def squares_not_squared(patch):
    patch.setattr(ScalingRule, "squares", ScalingRule.scales)


def offsets_everywhere(patch):
    def wrong(frozen, orders):
        return frozen.linear(orders) + frozen.linear(orders[:1])

    patch.setattr(gated_paths, "_apply", wrong)


def order_polynomial_off_by_one(patch):
    right = order_polynomials._sum_below
    patch.setattr(order_polynomials, "_sum_below", lambda p: right(p) + p)


def power_sums_for_elementary(patch):
    def wrong(weights, order):
        return [sum(w**k for w in weights) if k else 1 for k in range(order + 1)]

    patch.setattr("expansion.growth.spectrum.weighted_path_counts", wrong)


def modified_weights_positive(patch):
    patch.setattr(
        flow, "modified_weight", lambda tree: abs(order_polynomials.modified_weight(tree))
    )


def cuts_at_the_root_only(patch):
    def wrong(tree):
        for i, child in enumerate(tree.children):
            yield Tree(tree.children[:i] + tree.children[i + 1 :]), child

    patch.setattr(flow, "_cuts", wrong)


def gates_are_slopes(patch):
    patch.setattr(Activation, "gate", lambda self, a: self.derivative(a, 1))


def moebius_without_signs(patch):
    def wrong(values):
        for step in (1, 2, 4, 8):
            for row in range(len(values)):
                if row & step:
                    values[row] += values[row - step]
        return values

    wrong.py_func = wrong
    patch.setattr(subnetworks, "moebius_transform", wrong)


def composed_without_symmetry(patch):
    patch.setattr(algebra, "_weight", lambda expansion, tree: expansion.get(tree, 0))


def coincident_labels_forgotten(patch):
    right = indexed.patterns

    def wrong(*given, **options):
        return (p for p in right(*given, **options) if len(set(p.labels)) == p.order)

    patch.setattr(indexed, "patterns", wrong)


def nothing_lesioned(patch):
    right = path_polynomials.links_of
    patch.setattr(
        path_polynomials, "links_of", lambda architecture, without: right(architecture, ())
    )


def floats_squared(patch):
    right = ScalingRule.floats
    patch.setattr(ScalingRule, "floats", lambda rule, depth: right(rule, depth) ** 2)


def worst_remainder_halved(patch):
    right = worst_case._beyond_first_order
    patch.setattr(worst_case, "_beyond_first_order", lambda steps: right(steps) / 2)


def means_of_half_the_law(patch):
    right = mean_field.log_moments

    def wrong(branch):
        table = right(branch).copy()
        table[1, :, 0] += math.log(2.0)  # ln of the mean
        return table

    patch.setattr(mean_field, "log_moments", wrong)


def kernels_by_size_alone(patch):
    right = pairs.relative_pair
    patch.setattr(pairs, "relative_pair", lambda code, w, a, h, c: right(code, w, a, h, abs(c)))


def expectations_doubled(patch):
    right = moments.normal_expectation

    def wrong(function, variance):
        found = right(function, variance)
        return replace(found, value=2 * found.value)

    patch.setattr(moments, "normal_expectation", wrong)


@pytest.fixture
def fresh_caches():
    caches = [order_polynomials.order_polynomial, order_polynomials._power_sum]
    caches += [flow.euler_logarithm, flow._derivative_power]
    caches += [moments.moment_table, fluctuation.mode_table]
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.parametrize(
    ("sabotage", "claims"),
    [
        (symmetry_dropped, ["E1", "E2", "C2"]),
        (labels_may_repeat, ["E1", "E4"]),
        (last_label_missing, ["E1", "E5"]),
        (scales_in_reverse, ["E1"]),
        (squares_not_squared, ["G1", "G2"]),
        (offsets_everywhere, ["E7", "E7b", "G2"]),
        (order_polynomial_off_by_one, ["E3", "E6", "C3"]),
        (power_sums_for_elementary, ["G2", "G4"]),
        (modified_weights_positive, ["E6"]),
        (cuts_at_the_root_only, ["E6"]),
        (gates_are_slopes, ["E7b"]),
        (moebius_without_signs, ["E8"]),
        (composed_without_symmetry, ["E4"]),
        (coincident_labels_forgotten, ["E1"]),
        (nothing_lesioned, ["C4"]),
        (floats_squared, ["G3", "G4", "G5", "G8"]),
        (worst_remainder_halved, ["G8"]),
        (means_of_half_the_law, ["G6", "G7"]),
        (kernels_by_size_alone, ["G7"]),
        (expectations_doubled, ["G7"]),
    ],
)
def test_wrong_engines_are_caught(monkeypatch, fresh_caches, sabotage, claims):
    sabotage(monkeypatch)
    report = run(claims)
    refuted = {r.claim for r in report.results if r.evidence.verdict is Verdict.REFUTED}
    assert not report.passed
    assert refuted == set(claims)


def test_the_right_engine_is_not(fresh_caches):
    assert run(["E3", "C3"]).passed
