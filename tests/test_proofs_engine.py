"""Wrong engines, injected into expansion itself, are caught by the claims they violate."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from flint import arb

from expansion.bounds import capacity, deviation, slopes
from expansion.bounds.neural_ode_class import TowerClass
from expansion.bounds.overparameterized import ResidualClassifier
from expansion.bounds.tower_majorant import TowerMajorant
from expansion.growth import (
    correlated,
    energy,
    fluctuation,
    mean_field,
    moments,
    pairs,
    path_lesions,
    path_polynomials,
    spectrum,
    worst_case,
)
from expansion.series import algebra, fast_jets, flow, gated_paths, indexed, subnetworks
from expansion.series import lazy_terms as theorem
from expansion.towers.activations import Activation
from expansion.towers.scaling import ScalingRule
from expansion.trees import counting, labelled, labelled_bulk, order_polynomials, weights
from expansion.trees.labelled import LabelledTree
from expansion.trees.tree import Tree
from proofs_check.evidence import Verdict
from proofs_check.runner import run
from proofs_check.series import tables


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


def multisets_told_apart(patch):
    patch.setattr(counting, "_multiset_exponent", lambda added: added)


def grafted_the_wrong_way(patch):
    right = weights._by_order

    def wrong(table):
        for order, here, rest, largest in right(table):
            yield order, here, largest, rest

    patch.setattr(weights, "_by_order", wrong)


def arrays_without_symmetry(patch):
    patch.setattr(labelled_bulk.LabelledTable, "symmetries", lambda table: np.ones(len(table), int))


def corrections_in_reverse(patch):
    right = flow.depth_corrections
    patch.setattr(flow, "depth_corrections", lambda tree: right(tree)[::-1])


def halves_joined_in_reverse(patch):
    right = algebra._joined
    patch.setattr(algebra, "_joined", lambda lower, upper, *, tied: right(upper, lower, tied=tied))


def compiled_scales_positive(patch):
    right = fast_jets._through_blas

    def wrong(kernels, plan, scales, series, batch):
        right(kernels, plan, abs(scales), series, batch)

    patch.setattr(fast_jets, "_through_blas", wrong)


def lengths_in_edges(patch):
    right = path_lesions._moments

    def wrong(architecture, without):
        total, first = right(architecture, without)
        return total, first + total

    patch.setattr(path_lesions, "_moments", wrong)


def scales_not_squared(patch):
    patch.setattr(energy, "_squared", lambda rule, depth: rule.floats(depth))


def spectrum_of_scales(patch):
    right = spectrum.log_elementary_symmetric
    patch.setattr(spectrum, "log_elementary_symmetric", lambda logs, order: right(logs / 2, order))


def covariances_on_the_diagonal(patch):
    right = correlated._corner
    patch.setattr(correlated, "_corner", lambda rho, scale: right(rho * np.eye(len(rho)), scale))


def nothing_beyond_what_is_bounded(patch):
    patch.setattr(TowerMajorant, "_rests", lambda majorant: ((arb(1), arb(0)),))


def decoders_as_identities(patch):
    right = TowerMajorant._orders

    def wrong(majorant):
        return right(SimpleNamespace(**{**parts(majorant), "decoder": None}))

    def parts(majorant):
        return {name: getattr(majorant, name) for name in ("scales", "branches", "order")}

    patch.setattr(TowerMajorant, "_orders", wrong)


def slopes_without_turns(patch):
    patch.setattr(slopes, "_TURNS", {})


def last_segment_alone(patch):
    right = capacity.chain_bounds
    patch.setattr(capacity, "chain_bounds", lambda factors: right(factors[-32:]))


def one_entry_for_all(patch):
    right = deviation.lipschitz_entropy
    patch.setattr(
        deviation, "lipschitz_entropy", lambda d, *sizes: np.asarray(right(d, *sizes)) / d**2
    )


def losses_without_slope(patch):
    right = TowerClass.log_loss
    patch.setattr(
        TowerClass,
        "log_loss",
        lambda towers, excess=0.0: (
            right(replace(towers, loss_slope=1.0), excess)
            if towers.loss_slope != 1.0
            else right(towers, excess)
        ),
    )


def gradients_at_scale_one(patch):
    right = ResidualClassifier.gradients

    def wrong(network, inputs):
        return right(ResidualClassifier(network.weights, 1.0, network.readout), inputs)

    patch.setattr(ResidualClassifier, "gradients", wrong)


@pytest.fixture
def fresh_caches():
    caches = [order_polynomials.order_polynomial, order_polynomials._power_sum]
    caches += [flow.euler_logarithm, flow._derivative_power]
    caches += [moments.moment_table, fluctuation.mode_table]
    caches += [tables._polynomials, tables._weights, tables._all_sizes]
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
        (multisets_told_apart, ["C2"]),
        (grafted_the_wrong_way, ["E3", "E6"]),
        (arrays_without_symmetry, ["E1"]),
        (corrections_in_reverse, ["E6"]),
        (halves_joined_in_reverse, ["E4"]),
        (compiled_scales_positive, ["E5"]),
        (lengths_in_edges, ["C4"]),
        (scales_not_squared, ["G1", "G4", "G5"]),
        (spectrum_of_scales, ["G2"]),
        (covariances_on_the_diagonal, ["G3"]),
        (nothing_beyond_what_is_bounded, ["B1"]),
        (decoders_as_identities, ["B1"]),
        (slopes_without_turns, ["B2"]),
        (last_segment_alone, ["B2"]),
        (one_entry_for_all, ["B3"]),
        (losses_without_slope, ["B3"]),
        (gradients_at_scale_one, ["B4"]),
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
