"""A rescaled model as a file: weights for the user's own model wherever that is possible.

Where every branch ends in a linear layer that is used once, λ goes into that layer's weight and
bias (:mod:`~torch_bridge.measuring.folding`); the file then fits the user's own model, which a
forward pass confirms before anything is written. Elsewhere, and for scales of 0, which would erase
the weights, the file holds the original weights and ``residual_scales`` beside them.
"""

from __future__ import annotations

import copy
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from expansion.towers.scaling import ScalingRule
from expansion.writing import write_whole
from torch_bridge.measuring.fixup import fixup
from torch_bridge.measuring.folding import final_parameters
from torch_bridge.measuring.measure import scales_of
from torch_bridge.measuring.rescale import SCALES, Source, placeholder_names
from torch_bridge.tracing.runner import float_tensors

__all__ = ["RescaledWeights", "fixup_weights", "rescaled_weights", "save_rescaled"]


@dataclass(frozen=True, slots=True, eq=False)
class RescaledWeights:
    """What a file of a rescaled model holds.

    Parameters
    ----------
    tensors : dict from name to Tensor
        The weights under the model's own names.
    folded : bool
        Whether the scales are in the weights, so that they fit the user's own model.
    reason : str
        Why not, in a clause; empty where they are.
    metadata : dict from str to str
        The rule, the blocks' names, and whether the scales are folded.
    """

    tensors: dict[str, Tensor]
    folded: bool
    reason: str
    metadata: dict[str, str]


def rescaled_weights(tower: Source, rule: ScalingRule | str | float) -> RescaledWeights:
    """The weights of a rescaled model.

    Parameters
    ----------
    tower : Source
        The traced model.
    rule : ScalingRule, str or number
        λ_1..λ_n.

    Raises
    ------
    InputError
        For a model without blocks, or a list of scales of another length.

    Examples
    --------
    >>> from torch_bridge.networks.architecture import Architecture
    >>> from torch_bridge.networks.models import build
    >>> from torch_bridge.tower import trace
    >>> model = build(Architecture("mlp", depth=4, dimension=3, rule="1"))
    >>> tower = trace(model, torch.ones(1, 3, dtype=torch.float64))
    >>> found = rescaled_weights(tower, "1/n")
    >>> outer = "branches.0.outer.weight"
    >>> found.folded, bool(torch.equal(found.tensors[outer], model.state_dict()[outer] / 4))
    (True, True)
    """
    chosen = ScalingRule.of(rule)
    scales, factor = scales_of(chosen, tower)
    own = tower.model.state_dict(keep_vars=True)
    found, reason = _factors(tower, scales, factor)
    tensors = {
        name: (tensor.detach() * found.get(id(tensor), 1.0)).to(tensor.dtype)
        if id(tensor) in found
        else tensor.detach().clone()
        for name, tensor in own.items()
    }
    if not reason and not _agrees(tower, tensors, scales):
        reason = "the weights with the scales in them gave another output"
    if reason:
        tensors = {name: tensor.detach().clone() for name, tensor in own.items()}
        tensors[SCALES] = torch.tensor(scales, dtype=torch.float64)
    metadata = {
        "format": "pt",
        "rule": chosen.text,
        "blocks": json.dumps(list(tower.names)),
        SCALES: "beside the weights" if reason else "in the weights",
    }
    return RescaledWeights(tensors, not reason, reason, metadata)


def fixup_weights(tower: Source) -> RescaledWeights:
    """The weights that :func:`~torch_bridge.measuring.fixup.fixup` starts from.

    Raises
    ------
    InputError
        As :func:`~torch_bridge.measuring.fixup.fixup`.

    Examples
    --------
    >>> from torch_bridge.networks.architecture import Architecture
    >>> from torch_bridge.networks.models import build
    >>> from torch_bridge.tower import trace
    >>> model = build(Architecture("mlp", depth=4, dimension=3, rule="1"))
    >>> tower = trace(model, torch.ones(1, 3, dtype=torch.float64))
    >>> fixup_weights(tower).tensors["branches.0.outer.weight"].abs().max().item()
    0.0
    """
    state = fixup(tower).state_dict()
    tensors = {name: tensor.detach().clone() for name, tensor in state.items()}
    metadata = {"format": "pt", "rule": "fixup", "blocks": json.dumps(list(tower.names))}
    return RescaledWeights(tensors, True, "", metadata)


def save_rescaled(weights: RescaledWeights, path: str | os.PathLike[str]) -> Path:
    """Write them as safetensors, whole or not at all.

    Raises
    ------
    InputError
        When the file cannot be written.

    Examples
    --------
    >>> from torch_bridge.networks.architecture import Architecture
    >>> from torch_bridge.networks.models import build
    >>> from torch_bridge.tower import trace
    >>> model = build(Architecture("mlp", depth=4, dimension=3, rule="1"))
    >>> tower = trace(model, torch.ones(1, 3, dtype=torch.float64))
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_rescaled(rescaled_weights(tower, "1/n"), f"{folder}/a.safetensors").name
    'a.safetensors'
    """
    # Tied weights share memory, which the format does not have: each name gets its own copy.
    tensors = {name: t.cpu().contiguous().clone() for name, t in weights.tensors.items()}
    return write_whole(path, save(tensors, weights.metadata))


def _factors(tower: Source, scales: list[float], factor: float) -> tuple[dict[int, float], str]:
    """By which number each parameter is multiplied, by identity; or why it cannot be done."""
    if factor != 1:
        return {}, "the rule scales whole blocks, skips included"
    if 0 in scales:
        return {}, "a scale of 0 in the weights would erase them"
    if not tower.has_graph:
        return {}, "no graph tells where a branch that was named by hand ends"
    captured = tower.captured()
    names = placeholder_names(tower.model, captured)
    own = tower.model.state_dict(keep_vars=True)
    found: dict[int, float] = {}
    for addition, scale in zip(captured.additions, scales, strict=True):
        if scale == 1:
            continue
        ends = final_parameters(captured, addition, positive=scale > 0)
        if ends is None or not ends <= names.keys():
            return {}, f"the branch of {addition.name} does not end in a linear layer of its own"
        for end in ends:
            if names[end] not in own:
                return {}, f"{names[end]} is not part of the model's state"
            key = id(own[names[end]])
            found[key] = found.get(key, 1.0) * scale
    return found, ""


def _agrees(tower: Source, tensors: dict[str, Tensor], scales: list[float]) -> bool:
    """Whether the user's own model with these weights gives what the scaled tower gives."""
    model = copy.deepcopy(tower.model)
    model.load_state_dict(tensors)
    args, kwargs = tower.example
    # A compiled model would be compiled for this one pass, which takes half a minute.
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        ours = float_tensors(model(*args, **kwargs))
        expected = float_tensors(tower.run(args, kwargs, scales=scales, observe=None))
    return len(ours) == len(expected) and all(map(_close, ours, expected))


def _close(ours: Tensor, expected: Tensor) -> bool:
    largest = float(expected.abs().max()) if expected.numel() else 0.0
    apart: Any = (ours - expected).abs().max() if expected.numel() else 0.0
    # Roundings of a deep network add up: half of a type's digits are asked for.
    return float(apart) <= torch.finfo(expected.dtype).eps ** 0.5 * max(largest, 1e-30)
