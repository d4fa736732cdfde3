"""The mathematics of the Residual Expansion Theorem.

A deep residual network ``H_n = (1 + λ_n f_n) ∘ … ∘ (1 + λ_1 f_1)`` expands in λ into a hierarchy
of terms: labelled rooted trees, 2^n computation paths when branches are linear. Read on in
``trees``, ``towers``, ``series`` (the theorem), ``growth`` (why scaling is needed), ``report``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from expansion.bounds.capacity import CapacityBound, capacity_bounds
    from expansion.bounds.geometric_complexity import complexity_orders, geometric_complexity
    from expansion.bounds.local_capacity import local_lipschitz
    from expansion.bounds.margin import MarginEstimate, margin_estimate
    from expansion.bounds.neural_ode import NeuralODEBound, neural_ode_bound
    from expansion.bounds.neural_ode_class import TowerClass, class_of_tower, class_of_weights
    from expansion.bounds.norms import certified_spectral_norm
    from expansion.bounds.overparameterized import (
        ResidualClassifier,
        distance_from_start,
        draw_classifier,
        gap_terms,
        interlayer_certificate,
    )
    from expansion.bounds.remainder import CertifiedTruncation, certified_truncation
    from expansion.bounds.sharpness import Capacity, capacity
    from expansion.bounds.surrogate import classification_errors
    from expansion.errors import InputError, TooManyTermsError
    from expansion.growth.advice import Advice, advise
    from expansion.growth.mean_field import MeanField, mean_field
    from expansion.growth.path_lesions import lesion_shares
    from expansion.growth.path_polynomials import PathPolynomial, path_polynomial
    from expansion.growth.setting import Setting
    from expansion.growth.spectrum import Spectrum, spectrum
    from expansion.growth.table import GrowthTable, growth_table
    from expansion.series.algebra import compose, substituted
    from expansion.series.composition import cauchy_orders, composed_orders
    from expansion.series.expansion import Expansion, expand
    from expansion.series.flow import ModifiedField, modified_field
    from expansion.series.gated_paths import gated_orders
    from expansion.series.indexed import IndexedExpansion, expand_indexed
    from expansion.series.jets import jet_orders
    from expansion.series.scalar import ScalarExpansion, one_dimensional
    from expansion.series.subnetworks import SubnetworkEnsemble, subnetwork_orders
    from expansion.series.tree_values import TreeValues, tree_values
    from expansion.synthesis.exponents import SynthesisTable, synthesis_table
    from expansion.towers.architectures.architecture import Architecture
    from expansion.towers.branches.abstract import AbstractBranch
    from expansion.towers.branches.layered import (
        AffineBranch,
        MLPBranch,
        relu_branch,
        sigmoid_branch,
    )
    from expansion.towers.branches.symbolic import SymbolicBranch
    from expansion.towers.files import SavedTower, load_tower, save_tower
    from expansion.towers.scaling import ScalingRule
    from expansion.towers.tower import Tower
    from expansion.trees.labelled import Forest, LabelledTree
    from expansion.trees.tree import Tree

__version__ = "0.1.0"

# The house of every public name. Names are imported on first use, so that `expansion --help`
# does not wait for sympy and numba.
_HOMES = {
    "bounds.capacity": ("CapacityBound", "capacity_bounds"),
    "bounds.geometric_complexity": ("complexity_orders", "geometric_complexity"),
    "bounds.local_capacity": ("local_lipschitz",),
    "bounds.margin": ("MarginEstimate", "margin_estimate"),
    "bounds.neural_ode": ("NeuralODEBound", "neural_ode_bound"),
    "bounds.neural_ode_class": ("TowerClass", "class_of_tower", "class_of_weights"),
    "bounds.norms": ("certified_spectral_norm",),
    "bounds.overparameterized": (
        "ResidualClassifier",
        "distance_from_start",
        "draw_classifier",
        "gap_terms",
        "interlayer_certificate",
    ),
    "bounds.remainder": ("CertifiedTruncation", "certified_truncation"),
    "bounds.sharpness": ("Capacity", "capacity"),
    "bounds.surrogate": ("classification_errors",),
    "errors": ("InputError", "TooManyTermsError"),
    "growth.advice": ("Advice", "advise"),
    "growth.mean_field": ("MeanField", "mean_field"),
    "growth.path_lesions": ("lesion_shares",),
    "growth.path_polynomials": ("PathPolynomial", "path_polynomial"),
    "growth.setting": ("Setting",),
    "growth.spectrum": ("Spectrum", "spectrum"),
    "growth.table": ("GrowthTable", "growth_table"),
    "series.algebra": ("compose", "substituted"),
    "series.composition": ("cauchy_orders", "composed_orders"),
    "series.expansion": ("Expansion", "expand"),
    "series.flow": ("ModifiedField", "modified_field"),
    "series.gated_paths": ("gated_orders",),
    "series.indexed": ("IndexedExpansion", "expand_indexed"),
    "series.jets": ("jet_orders",),
    "series.scalar": ("ScalarExpansion", "one_dimensional"),
    "series.subnetworks": ("SubnetworkEnsemble", "subnetwork_orders"),
    "series.tree_values": ("TreeValues", "tree_values"),
    "synthesis.exponents": ("SynthesisTable", "synthesis_table"),
    "towers.architectures.architecture": ("Architecture",),
    "towers.branches.abstract": ("AbstractBranch",),
    "towers.branches.layered": ("AffineBranch", "MLPBranch", "relu_branch", "sigmoid_branch"),
    "towers.branches.symbolic": ("SymbolicBranch",),
    "towers.files": ("SavedTower", "load_tower", "save_tower"),
    "towers.scaling": ("ScalingRule",),
    "towers.tower": ("Tower",),
    "trees.labelled": ("Forest", "LabelledTree"),
    "trees.tree": ("Tree",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
