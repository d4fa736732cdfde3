"""From a residual network to the tower that ``expansion`` computes with, and back.

Weights become float64 without rounding, and the scaling rule stays exact, so that what the
tower predicts can be held against the network's own forward pass to rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from expansion.errors import InputError
from expansion.towers.arrays import Array
from expansion.towers.branches.branch import Branch
from expansion.towers.branches.layered import AffineBranch, MLPBranch
from expansion.towers.files import SavedTower
from expansion.towers.scaling import ScalingRule
from expansion.towers.tower import Tower
from torch_bridge.networks.models import ResidualBranch, ResidualNetwork, linear

__all__ = ["from_tower", "to_tower"]


def to_tower(
    network: ResidualNetwork,
    inputs: Tensor | None = None,
    labels: Tensor | None = None,
    description: str = "",
) -> SavedTower:
    """The tower of a network, with inputs to look at it on; save it with ``save_tower``.

    Parameters
    ----------
    network : ResidualNetwork
        With batch normalisation only in evaluation mode: it is then the affine map by its
        running statistics and becomes part of the inner layer.
    inputs : Tensor, shape (samples, inputs), optional
        As the network takes them.
    labels : Tensor of int, shape (samples,), optional
        Their classes.
    description : str
        Where the network comes from, in a sentence.

    Raises
    ------
    InputError
        For normalisation in training mode, whose map depends on the batch, for a rule that
        scales whole blocks, weights that are not finite, or branches of another kind.

    Examples
    --------
    >>> from torch_bridge.networks.architecture import Architecture
    >>> from torch_bridge.networks.models import build
    >>> network = build(Architecture("frei", depth=3, dimension=2))
    >>> tower = to_tower(network).tower
    >>> x = torch.tensor([1.0, -2.0], dtype=torch.float64)
    >>> bool(np.allclose(tower(x.numpy()), network(x).detach().numpy(), rtol=1e-12))
    True
    """
    branches = tuple(_branch(branch) for branch in network.branches)
    ends = {"encoder": _end(network.encoder), "decoder": _end(network.decoder)}
    return SavedTower(
        Tower(branches, _rule(network), **ends),
        None if inputs is None else _array(inputs),
        None if labels is None else labels.detach().cpu().numpy(),
        description,
    )


def from_tower(saved: SavedTower | Tower) -> ResidualNetwork:
    """The network of a tower, in float64: the way back from :func:`to_tower` and from a file.

    Raises
    ------
    InputError
        For branches that are not one-hidden-layer networks, or ends that are not affine.

    Examples
    --------
    >>> from expansion.towers.branches.layered import relu_branch
    >>> network = from_tower(Tower.tied(relu_branch([[1.0]]), depth=3, rule="1/n"))
    >>> network(torch.tensor([27.0], dtype=torch.float64)).tolist()
    [64.0]
    """
    tower = saved.tower if isinstance(saved, SavedTower) else saved
    branches = [_module(branch) for branch in tower.branches]
    encoder, decoder = (_affine_layer(end) for end in (tower.encoder, tower.decoder))
    return ResidualNetwork(branches, tower.rule, encoder=encoder, decoder=decoder)


def _array(tensor: Tensor | nn.Parameter) -> Array:
    return tensor.detach().cpu().double().numpy().copy()


def _layer(layer: nn.Linear | None) -> tuple[Array | None, Array | None]:
    if layer is None:
        return None, None
    return _array(layer.weight), None if layer.bias is None else _array(layer.bias)


def _end(layer: nn.Module | None) -> AffineBranch | None:
    if layer is not None and not isinstance(layer, nn.Linear):
        raise InputError("matrices at both ends", type(layer).__name__, "export these only")
    matrix, bias = _layer(layer)
    return None if matrix is None else AffineBranch(matrix, bias)


def _branch(branch: nn.Module) -> MLPBranch:
    if not isinstance(branch, ResidualBranch):
        raise InputError("branches of one hidden layer", type(branch).__name__, "export these only")
    inner, inner_bias = _layer(branch.inner)
    outer, outer_bias = _layer(branch.outer)
    if branch.normalisation is not None:
        gain, shift = _folded(branch.normalisation)
        matrix = np.eye(len(gain)) if inner is None else inner
        moved = matrix @ shift
        inner_bias = moved if inner_bias is None else inner_bias + moved
        inner = matrix * gain
    return MLPBranch(outer, inner, inner_bias, outer_bias, branch.activation)


def _folded(normalisation: nn.Module) -> tuple[Array, Array]:
    """Gain g and shift s of x ↦ g ⊙ x + s, batch normalisation by its running statistics."""
    if not isinstance(normalisation, nn.BatchNorm1d):
        came = type(normalisation).__name__
        raise InputError("branches that act on each input alone", came, "export these only")
    mean, variance = normalisation.running_mean, normalisation.running_var
    if normalisation.training or mean is None or variance is None:
        came = "batch normalisation by the statistics of each batch"
        raise InputError("branches that act on each input alone", came, "call network.eval() first")
    gain = 1 / np.sqrt(_array(variance) + normalisation.eps)
    shift = -_array(mean) * gain
    if normalisation.affine:
        weight = _array(normalisation.weight)
        gain, shift = gain * weight, shift * weight + _array(normalisation.bias)
    return gain, shift


def _rule(network: ResidualNetwork) -> ScalingRule:
    """The rule itself as long as the scales are its own; the list of scales once changed."""
    named = torch.from_numpy(network.rule.floats(network.depth)).to(network.scales)
    if torch.equal(named, network.scales):
        return network.rule
    if network.rule.block_factor_squared != 1:
        mend = "keep the rule's own scales"
        raise InputError(f"the scales of rule {network.rule}", "others", mend)
    return ScalingRule.of(_array(network.scales).tolist())


def _linear(matrix: Any, bias: Any) -> nn.Linear | None:
    if matrix is None:
        return None
    # A copy: training the network must not move the tower.
    weight = torch.from_numpy(np.array(matrix, dtype=np.float64))
    return linear(
        weight, None if bias is None else torch.from_numpy(np.array(bias, dtype=np.float64))
    )


def _affine_layer(end: Branch | None) -> nn.Linear | None:
    if end is None:
        return None
    if not isinstance(end, AffineBranch):
        raise InputError("an affine encoder or decoder", type(end).__name__, "use AffineBranch")
    return _linear(end.matrix, end.bias)


def _module(branch: Branch) -> ResidualBranch:
    if not isinstance(branch, MLPBranch):
        raise InputError("branches of one hidden layer", type(branch).__name__, "use MLPBranch")
    return ResidualBranch(
        branch.activation.name,
        inner=_linear(branch.inner, branch.inner_bias),
        outer=_linear(branch.outer, branch.outer_bias),
    )
