"""Real residual networks in PyTorch, held against what their expansion predicts.

Build one (``Architecture``, ``build``), train it (``load_digits``, ``train``), export its tower
(``to_tower``), and compare predictions with forward passes (``check_tower``, ``check_growth``).
Read on in ``networks`` and ``checks``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch_bridge.checks.check import check_growth, check_tower, load_saved
    from torch_bridge.checks.comparison import Comparison
    from torch_bridge.measuring.checkpoint import (
        RescaledWeights,
        fixup_weights,
        rescaled_weights,
        save_rescaled,
    )
    from torch_bridge.measuring.coherence import Coherence
    from torch_bridge.measuring.fixup import fixup
    from torch_bridge.measuring.measure import BlockMeasurement, Measurement, measure
    from torch_bridge.measuring.normalisation import BareBlocks
    from torch_bridge.measuring.prediction import BlockPrediction, Prediction, parting, predict
    from torch_bridge.measuring.recommend import Recommendation, recommend
    from torch_bridge.measuring.rescale import RescaledModel, rescaled
    from torch_bridge.networks.architecture import Architecture
    from torch_bridge.networks.data import Dataset, load_digits
    from torch_bridge.networks.export import from_tower, to_tower
    from torch_bridge.networks.models import ResidualBranch, ResidualNetwork, build
    from torch_bridge.networks.training import TrainingPlan, TrainingResult, train
    from torch_bridge.tower import TracedTower, trace

# The house of every public name, imported on first use: PyTorch takes seconds.
_HOMES = {
    "networks.architecture": ("Architecture",),
    "checks.check": ("check_growth", "check_tower", "load_saved"),
    "checks.comparison": ("Comparison",),
    "measuring.checkpoint": (
        "RescaledWeights",
        "fixup_weights",
        "rescaled_weights",
        "save_rescaled",
    ),
    "measuring.coherence": ("Coherence",),
    "measuring.fixup": ("fixup",),
    "measuring.measure": ("BlockMeasurement", "Measurement", "measure"),
    "measuring.normalisation": ("BareBlocks",),
    "measuring.prediction": ("BlockPrediction", "Prediction", "parting", "predict"),
    "measuring.recommend": ("Recommendation", "recommend"),
    "measuring.rescale": ("RescaledModel", "rescaled"),
    "networks.data": ("Dataset", "load_digits"),
    "networks.export": ("from_tower", "to_tower"),
    "networks.models": ("ResidualBranch", "ResidualNetwork", "build"),
    "networks.training": ("TrainingPlan", "TrainingResult", "train"),
    "tower": ("TracedTower", "trace"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
