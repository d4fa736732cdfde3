"""What a traced model can do, however its blocks were found: the protocol, and shared checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from expansion.errors import InputError
from expansion.towers.scaling import ScalingRule
from torch_bridge.tracing.interpreter import Observer

__all__ = [
    "Block",
    "Runner",
    "check_devices",
    "check_runs",
    "check_scales",
    "float_tensors",
    "some_tensor",
    "stacked",
]


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a traced model, ``skip + λ Σ branches``.

    Parameters
    ----------
    number : int
        l = 1..n in the order of execution.
    name : str
        The module that it comes from, made unique.
    shortcut : {"identity", "moved", "parametrised"}
        What the skip is; see :class:`~torch_bridge.tracing.captured.Addition`.
    branches : int
        How many terms λ scales together: 2 for attention and MLP in parallel.
    """

    number: int
    name: str
    shortcut: Literal["identity", "moved", "parametrised"] = "identity"
    branches: int = 1


class Runner(Protocol):
    """A model with a scale on every block."""

    @property
    def model(self) -> nn.Module:
        """The user's model."""

    @property
    def example(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The inputs that it was traced with."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """In the order of execution."""

    def run(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        scales: Sequence[float] | Tensor | None = None,
        observe: Observer | None = None,
    ) -> Any:
        """The output at n scales; ``observe`` as in the interpreter's ``run``."""

    def sweep(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], scales: Tensor) -> Any:
        """The outputs at many scales, shape (S, n), each tensor with a first dimension of S."""


def check_scales(
    scales: ScalingRule | str | float | Sequence[float] | Tensor | None,
    depth: int,
    like: Tensor | None = None,
) -> list[float] | Tensor | None:
    """Scales as numbers, or as a tensor on the model's device.

    Parameters
    ----------
    scales : ScalingRule, str, number, sequence or Tensor of shape (n,) or (S, n), optional
        Whatever users write; None stands for 1.
    depth : int
        n.
    like : Tensor, optional
        Has the device that the model runs on.

    Raises
    ------
    InputError
        For another number of scales than blocks; for scales that are not real, or, as
        numbers, not finite.

    Examples
    --------
    >>> check_scales("1/n", 2), check_scales([1, 0], 2)
    ([0.5, 0.5], [1.0, 0.0])
    """
    if scales is None:
        return None
    required = f"one scale for each of the {depth} blocks"
    if isinstance(scales, Tensor):
        rows = scales.shape[:-1]
        if scales.ndim not in (1, 2) or scales.shape[-1] != depth or 0 in rows:
            came = f"a tensor of shape {tuple(scales.shape)}"
            raise InputError(
                required, came, f"give shape ({depth},), or (S, {depth}) for S at once"
            )
        if scales.is_complex():
            raise InputError("real scales", f"a tensor of {scales.dtype}", "give its real part")
        real = scales if scales.is_floating_point() else scales.to(torch.get_default_dtype())
        return real if like is None else real.to(like.device)
    if isinstance(scales, ScalingRule | str | int | float):
        rule = ScalingRule.of(scales)
        if rule.log_block_factor:
            mend = "use rescaled(rule), which makes a new model"
            raise InputError("a rule that scales branches only", rule.text, mend)
        return rule.floats(depth).tolist() if depth else []
    try:
        if isinstance(scales, Mapping | Set):  # of which only the keys would be read
            raise TypeError
        numbers = [float(scale) for scale in scales]
    except (TypeError, ValueError):
        came = f"{type(scales).__name__}"
        raise InputError("a list of numbers, a rule or a tensor", came, "give [1.0, …]") from None
    if len(numbers) != depth:
        raise InputError(required, f"{len(numbers)} scales", f"give {depth}")
    if not torch.isfinite(torch.tensor(numbers, dtype=torch.float64)).all():
        raise InputError("finite scales", numbers, "give a number such as 0.1")
    return numbers


def check_devices(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse inputs on a device that the model has no tensor on.

    Raises
    ------
    InputError
        Naming both devices.
    """
    homes = {str(t.device) for t in [*model.parameters(), *model.buffers()]}
    for value in pytree.tree_leaves((args, dict(kwargs))):
        if isinstance(value, Tensor) and homes and str(value.device) not in homes:
            required = f"inputs on the model's device, {' or '.join(sorted(homes))}"
            raise InputError(required, f"one on {value.device}", "move the one to the other")


def check_runs(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse a model that fails on these inputs by itself; it is run once, its buffers spared.

    Raises
    ------
    InputError
        With what the model raised.

    Examples
    --------
    >>> check_runs(nn.Linear(2, 1), (torch.ones(1, 2),), {})
    """
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    devices = sorted({t.device.index or 0 for t in model.parameters() if t.is_cuda})
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            torch.func.functional_call(model, buffers, args, dict(kwargs))
    except Exception as problem:  # whatever the model's own code raises
        lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
        came = ": ".join([type(problem).__name__, *lines[:1]])
        mend = "give it inputs that fit, or mend its forward"
        raise InputError("a model that runs on its inputs", came, mend) from problem


def float_tensors(output: Any) -> list[Tensor]:
    """The floating-point tensors of an output, in order.

    Examples
    --------
    >>> float_tensors({"logits": torch.ones(2), "ids": torch.ones(2, dtype=torch.long)})
    [tensor([1., 1.])]
    """
    leaves = pytree.tree_leaves(output)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def some_tensor(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """A floating-point tensor of a model or of its inputs: it tells the device and the type.

    Examples
    --------
    >>> some_tensor(nn.Flatten(), (torch.ones(2).double(),), {}).dtype
    torch.float64
    """
    state = [*model.parameters(), *model.buffers()]
    return next(iter(float_tensors([state, args, dict(kwargs)])), torch.zeros(()))


def stacked(outputs: Sequence[Any]) -> Any:
    """Outputs of one structure as one, each tensor with a new first dimension.

    Examples
    --------
    >>> stacked([(torch.ones(2), None), (torch.zeros(2), None)])[0].shape
    torch.Size([2, 2])
    """
    flat = [pytree.tree_flatten(output)[0] for output in outputs]
    structure = pytree.tree_structure(outputs[0])
    columns = [
        torch.stack(column) if isinstance(column[0], Tensor) else column[0]
        for column in zip(*flat, strict=True)
    ]
    return pytree.tree_unflatten(columns, structure)
