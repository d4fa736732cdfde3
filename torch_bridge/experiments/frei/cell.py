r"""One cell of the experiment on Frei, Cao & Gu's network: a width, a depth, a scale θ, a seed.

Full-batch gradient descent on the logistic loss, with the step η = rate/m, the same for every depth
and θ: what explodes is a result. At epochs 0, 1, 2, 4, 8, … and the last one, :func:`measure` tells

* the three means over the sample, error/2 ≤ E_S ≤ loss (:mod:`expansion.bounds.surrogate`);
* τ, the largest Frobenius distance of a matrix from its start, and the three gap terms, which lack
  their constants (:mod:`expansion.bounds.overparameterized`);
* the interlayer certificate exp(θ Σ‖W_l‖) at the weights as they are, the one on the whole τ-ball
  about the start, and the largest interlayer norm at the patterns of a few inputs, all as natural
  logarithms;
* the linearisation error: how far f_W is from its first-order expansion about the start;
* the growth ‖x_L‖/‖x_1‖ (claim G6 predicts it at the start).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from expansion.bounds.overparameterized import (
    distance_from_start,
    draw_classifier,
    gap_terms,
    interlayer_certificate,
)
from expansion.bounds.surrogate import classification_errors
from expansion.checking import check_count, check_finite
from expansion.errors import InputError
from expansion.growth.mean_field import mean_field
from expansion.growth.setting import Setting
from expansion.towers.scaling import ScalingRule
from torch_bridge.experiments.frei.network import (
    FreiNetwork,
    linearisation_error,
    log_growth,
    log_interlayer_norm,
)
from torch_bridge.experiments.frei.task import SignedData, signed_data
from torch_bridge.experiments.grids.cells import Answer, check_network, seed_of
from torch_bridge.experiments.grids.inputs import images_of
from torch_bridge.networks.training import deterministic

__all__ = [
    "MEASURED",
    "Frei",
    "answer",
    "checkpoints",
    "gradient_descent",
    "measure",
    "predicted_log_growth",
]

MEASURED = (
    "train_error", "train_surrogate", "train_loss", "test_error", "test_surrogate", "test_loss",
    "tau", "complexity_term", "linearisation_term", "confidence_term", "log_certificate",
    "log_ball_certificate", "log_interlayer", "linearisation_error", "log_growth",
)  # fmt: skip
_LARGEST_OUTPUT, _LARGEST_WEIGHT = 1e300, 1e100
_PROBES = 4  # test inputs at whose patterns the interlayer norm is measured


@dataclass(frozen=True, slots=True)
class Frei:
    """Everything that one run depends on.

    Parameters
    ----------
    depth, width : int
        L ≥ 2 and m, even.
    rule : str
        θ as a function of n = L; one scale for all blocks.
    seed : int
        Of the weights, which are the same for every θ.
    epochs : int
        Steps of full-batch gradient descent.
    rate : float
        η·m > 0.
    task : str
        Which two classes, see :func:`~torch_bridge.experiments.frei.task.signed_data`.
    data : str
        Spec of the data.
    samples : int, optional
        Train on the first so many alone.
    fingerprint : str
        Of the data.
    device : str
        cpu, or cuda where there is one.

    Raises
    ------
    InputError
        For a number out of its range, or a rule with several scales.
    """

    depth: int
    width: int
    rule: str = "1/n"
    seed: int = 0
    epochs: int = 64
    rate: float = 2.0
    task: str = "parity"
    data: str = "digits"
    samples: int | None = 256
    fingerprint: str = ""
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_count(self.depth, "depth", least=2)
        check_count(self.epochs, "epochs", least=1)
        check_count(self.seed, "seed", least=0)
        if check_count(self.width, "width", least=2) % 2:
            raise InputError("an even width, for a balanced readout", self.width, "give an even m")
        check_network(self.depth, self.width)
        if check_finite(self.rate, "rate") <= 0:
            raise InputError("a rate above 0", self.rate, "give e.g. 2")
        rule = ScalingRule.of(self.rule)
        scales = rule.floats(self.depth)
        if rule.block_factor_squared != 1 or scales.min() != scales.max() or scales[0] < 0:
            raise InputError("one scale of at least 0 for all blocks", rule, "give e.g. 1/n")
        object.__setattr__(self, "rule", rule.text)

    @property
    def theta(self) -> float:
        """θ."""
        return float(ScalingRule.of(self.rule).floats(self.depth)[0])


def checkpoints(epochs: int) -> tuple[int, ...]:
    """The epochs at which a run is measured.

    Examples
    --------
    >>> checkpoints(10)
    (0, 1, 2, 4, 8, 10)
    """
    powers = [2**place for place in range(epochs.bit_length())]
    return tuple(sorted({0, *powers, epochs}))


def predicted_log_growth(cell: Frei) -> float:
    """Claim G6: ln of ‖x_L‖/‖x_1‖ at the start, infinite width."""
    rule = ScalingRule.of([cell.theta] * (cell.depth - 1))
    # x_1 = σ(normal): its mean over its root mean square is 1/√π.
    setting = Setting("relu", "post-activation", overlap=1 / math.sqrt(math.pi))
    return mean_field(setting, rule, cell.depth - 1).log_energy / 2


def gradient_descent(
    network: FreiNetwork,
    data: SignedData,
    *,
    step: float,
    epochs: int,
    on_epoch: Callable[[int], None],
) -> int:
    """Train in place; the last epoch at which the network had not diverged, −1 for none.

    It has diverged when an output on either part reaches 10^300, or a weight 10^100: beyond, what
    is measured would overflow.

    Parameters
    ----------
    network : FreiNetwork
        Where to start.
    data : SignedData
        All of its training part at every step.
    step : float
        η.
    epochs : int
        Steps; it stops where the network has diverged.
    on_epoch : callable
        Called with 0, 1, 2, …, as long as it has not.
    """
    optimizer = torch.optim.SGD(network.parameters(), lr=step)
    for epoch in range(epochs + 1):
        optimizer.zero_grad()
        outputs = network(data.train_inputs)
        if _diverged(network, outputs, data.test_inputs):
            return epoch - 1
        on_epoch(epoch)
        if epoch < epochs:
            loss = nn.functional.softplus(-data.train_signs * outputs).mean()
            torch.autograd.backward(loss)
            optimizer.step()
    return epochs


@torch.no_grad()
def _diverged(network: FreiNetwork, outputs: Tensor, others: Tensor) -> bool:
    """Whether an output, of the training part or for ``others``, or a weight is too large."""
    reached = [outputs, network(others)]
    sizes = ((_LARGEST_OUTPUT, reached), (_LARGEST_WEIGHT, network.parameters()))
    # Not "at least": a comparison with nan is false.
    return not all(bool((part.abs() < most).all()) for most, parts in sizes for part in parts)


def measure(network: FreiNetwork, start: FreiNetwork, data: SignedData) -> dict[str, float]:
    """Everything told at the top of this module, by the names of :data:`MEASURED`.

    What overflows on the way is not finite; a grid keeps it as null.
    """
    now, before = network.classifier(), start.classifier()
    with torch.no_grad():
        outputs = [network(part).cpu().numpy() for part in (data.train_inputs, data.test_inputs)]
    signs = data.train_signs.cpu().numpy(), data.test_signs.cpu().numpy()
    train, test = (classification_errors(f, y) for f, y in zip(outputs, signs, strict=True))
    tau = distance_from_start(now.weights, before.weights)
    terms = gap_terms(tau, network.last.shape[0], len(signs[0]))
    theta = network.theta
    certificate = interlayer_certificate(now.residual_weights, theta, certified=False)
    ball = interlayer_certificate(before.residual_weights, theta, tau, certified=False)
    return {
        "train_error": train.error,
        "train_surrogate": train.surrogate,
        "train_loss": train.loss,
        "test_error": test.error,
        "test_surrogate": test.surrogate,
        "test_loss": test.loss,
        "tau": tau,
        "complexity_term": terms.complexity,
        "linearisation_term": terms.linearisation,
        "confidence_term": terms.confidence,
        "log_certificate": certificate.log_exponential,
        "log_ball_certificate": ball.log_exponential,
        "log_interlayer": log_interlayer_norm(network, data.test_inputs[:_PROBES]),
        "linearisation_error": linearisation_error(start, network, data.train_inputs),
        "log_growth": log_growth(network, data.train_inputs),
    }


def answer(cell: Frei) -> Answer:
    """Train, and measure along the way: a divergence is an answer like any other.

    Raises
    ------
    InputError
        When the data cannot be loaded or are not those of the cell.
    """
    data = signed_data(images_of(cell).data, cell.task)
    seed = seed_of("frei", cell.width, cell.depth, cell.seed) % 2**32
    drawn = draw_classifier(data.train_inputs.shape[1], cell.width, cell.depth, cell.theta, seed)
    start, network = (FreiNetwork(drawn).to(cell.device) for _ in range(2))
    told, measured = checkpoints(cell.epochs), []

    def on_epoch(epoch: int) -> None:
        if epoch in told:
            measured.append({"epoch": epoch} | measure(network, start, data))

    with deterministic():
        reached = gradient_descent(
            network, data, step=cell.rate / cell.width, epochs=cell.epochs, on_epoch=on_epoch
        )
    names = ("epoch", *MEASURED)
    return {
        "outcome": "finished" if reached == cell.epochs else "diverged",
        "epochs_finite": reached,
        "samples_used": len(data.train_signs),
        "predicted_log_growth": predicted_log_growth(cell),
        **{name: [one[name] for one in measured] for name in names},
    }
