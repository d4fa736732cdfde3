r"""Which of Frei's quantities are free of the depth: from the shallowest to the deepest networks.

For a width and a rule θ(L), a quantity Q (its mean logarithm over seeds) changes from the least
depth to the largest by the factor Q(L₂)/Q(L₁), as if :math:`Q \propto L^p` with

.. math:: p = \frac{\log Q(L_2) - \log Q(L_1)}{\log L_2 - \log L_1} .

**Criterion**, fixed after single trial runs and before the grids: *depth-free* if p is at most 1/4,
two standard errors (over seeds) included; *grows* if it is above, two standard errors excluded;
*undecided* in between. A quarter is half of the slowest growth in question, √L. Falling with depth
counts as depth-free. At the end of training a quantity of which a run diverged is *diverged*.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from torch_bridge.experiments.frei.cell import Frei
from torch_bridge.experiments.grids.cells import Answer

__all__ = ["LIMIT", "QUANTITIES", "DepthLaw", "Quantity", "broken", "depth_laws"]

LIMIT = 0.25
Run = tuple[Frei, Answer]


@dataclass(frozen=True, slots=True)
class Quantity:
    """What is compared between depths.

    Parameters
    ----------
    name : str
        As an answer has it.
    words : str
        As people read it.
    place : int
        0 at the start, −1 at the end of training.
    """

    name: str
    words: str
    place: int

    @property
    def logarithmic(self) -> bool:
        """Whether an answer has its natural logarithm."""
        return self.name.startswith("log_")


QUANTITIES = (
    Quantity("log_growth", "growth ‖x_L‖/‖x_1‖ at the start", 0),
    Quantity("log_certificate", "certificate exp(θ Σ‖W_l‖) at the start", 0),
    Quantity("log_interlayer", "interlayer norm at the start", 0),
    Quantity("tau", "τ", -1),
    Quantity("complexity_term", "τ√(m/n)", -1),
    Quantity("linearisation_term", "τ^{4/3}√(m log m)", -1),
    Quantity("confidence_term", "√(log(1/δ)/n)", -1),
    Quantity("log_ball_certificate", "certificate on the τ-ball", -1),
    Quantity("log_interlayer", "interlayer norm", -1),
    Quantity("linearisation_error", "linearisation error", -1),
    Quantity("train_surrogate", "E_S", -1),
    Quantity("test_error", "test error", -1),
)


@dataclass(frozen=True, slots=True)
class DepthLaw:
    """How one quantity changes from the least to the largest depth.

    Parameters
    ----------
    width : int
        m.
    rule : str
        θ.
    quantity : Quantity
        Which.
    depths : tuple of int
        The least and the largest L.
    log_ratio : float, optional
        ln Q(L₂)/Q(L₁); None where a run diverged, or the quantity is 0.
    exponent, error : float, optional
        p and its standard error over seeds (nan for one seed).
    verdict : str
        depth-free, grows, undecided, diverged, or – where p does not exist.
    """

    width: int
    rule: str
    quantity: Quantity
    depths: tuple[int, int]
    log_ratio: float | None
    exponent: float | None
    error: float | None
    verdict: str


def depth_laws(cells: Sequence[Frei], answers: Sequence[Answer]) -> list[DepthLaw]:
    """Every quantity of every width and rule that has at least two depths."""
    groups: dict[tuple[int, str], dict[int, list[Answer]]] = {}
    for cell, answer in zip(cells, answers, strict=True):
        by_depth = groups.setdefault((cell.width, cell.rule), {})
        by_depth.setdefault(cell.depth, []).append(answer)
    laws = []
    for (width, rule), by_depth in groups.items():
        least, most = min(by_depth), max(by_depth)
        if least < most:
            parts = by_depth[least], by_depth[most]
            laws += [_law(width, rule, one, (least, most), parts) for one in QUANTITIES]
    return laws


def broken(answers: Sequence[Answer]) -> tuple[int, int, int]:
    """Measurements in all; those that break error ≤ 2E ≤ 2 loss; those above a certificate."""
    count = sandwich = certificate = 0
    for answer in answers:
        for place in range(len(answer["epoch"])):
            count += 1
            sandwich += any(
                not answer[f"{part}_error"][place]
                <= 2 * answer[f"{part}_surrogate"][place]
                <= 2 * _or_infinite(answer[f"{part}_loss"][place]) * (1 + 1e-12)
                for part in ("train", "test")
            )
            bounds = (answer[f"log_{kind}"][place] for kind in ("certificate", "ball_certificate"))
            certificate += min(map(_or_infinite, bounds)) < answer["log_interlayer"][place]
    return count, sandwich, certificate


def _law(
    width: int,
    rule: str,
    quantity: Quantity,
    depths: tuple[int, int],
    parts: tuple[list[Answer], list[Answer]],
) -> DepthLaw:
    unknown = (None, None, None)
    if quantity.place and any(a["outcome"] != "finished" for part in parts for a in part):
        return DepthLaw(width, rule, quantity, depths, *unknown, "diverged")
    values = [[_logarithm(quantity, answer) for answer in part] for part in parts]
    kept = [[value for value in part if value is not None] for part in values]
    if [len(part) for part in kept] != [len(part) for part in values]:
        return DepthLaw(width, rule, quantity, depths, *unknown, "–")
    span = math.log(depths[1] / depths[0])
    log_ratio = statistics.fmean(kept[1]) - statistics.fmean(kept[0])
    exponent, error = log_ratio / span, math.nan
    if min(map(len, kept)) > 1:
        error = math.sqrt(sum(statistics.variance(part) / len(part) for part in kept)) / span
    reach = 0.0 if math.isnan(error) else 2 * error
    verdict = "undecided"
    if exponent + reach <= LIMIT:
        verdict = "depth-free"
    elif exponent - reach > LIMIT:
        verdict = "grows"
    return DepthLaw(width, rule, quantity, depths, log_ratio, exponent, error, verdict)


def _logarithm(quantity: Quantity, answer: Answer) -> float | None:
    value = answer[quantity.name][quantity.place] if answer[quantity.name] else None
    if value is None or quantity.logarithmic:
        return None if value is None else float(value)
    return math.log(value) if value > 0 else None


def _or_infinite(value: float | None) -> float:
    """What overflowed is kept as None."""
    return math.inf if value is None else value
