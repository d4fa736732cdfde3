"""The task of two classes, +1 and −1, out of any data: even against odd, or A against B."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from expansion.errors import InputError
from torch_bridge.networks.data import Dataset

__all__ = ["SignedData", "signed_data"]


@dataclass(frozen=True, slots=True, eq=False)
class SignedData:
    """Two classes, +1 and −1, inputs of norm 1.

    Parameters
    ----------
    train_inputs, test_inputs : Tensor of float64, shape (samples, inputs)
        ‖x‖ = 1.
    train_signs, test_signs : Tensor of float64, shape (samples,)
        ±1.
    """

    train_inputs: Tensor
    train_signs: Tensor
    test_inputs: Tensor
    test_signs: Tensor


def signed_data(data: Dataset, task: str = "parity") -> SignedData:
    """The task of two classes out of data of several.

    Parameters
    ----------
    data : Dataset
        Any; its inputs are divided by their norms.
    task : str
        ``parity``: even class numbers against odd ones; or ``A/B``: class A against class B.

    Raises
    ------
    InputError
        For another task, a class that a part lacks, or an input that is zero.

    Examples
    --------
    >>> x = torch.tensor([[3.0, 4.0], [0.0, 2.0], [1.0, 0.0]])
    >>> found = signed_data(Dataset(x, torch.tensor([7, 1, 2]), x, torch.tensor([7, 1, 2])), "7/1")
    >>> found.train_inputs.tolist(), found.test_signs.tolist()
    ([[0.6, 0.8], [0.0, 1.0]], [1.0, -1.0])
    """
    pair = _pair(task)
    parts: list[Tensor] = []
    for inputs, labels in (
        (data.train_inputs, data.train_labels),
        (data.test_inputs, data.test_labels),
    ):
        chosen = torch.ones_like(labels, dtype=torch.bool)
        positive = labels % 2 == 0
        if pair is not None:
            positive = labels == pair[0]
            chosen = positive | (labels == pair[1])
        signs = torch.where(positive, 1.0, -1.0).double()[chosen]
        if not len(signs) or bool((signs == signs[0]).all()):
            came = f"{task}, one of which a part of the data lacks"
            raise InputError("two classes that both parts have", came, "choose others")
        points = inputs[chosen].double()
        sizes = points.norm(dim=1, keepdim=True)
        if not bool((sizes > 0).all()):
            raise InputError("inputs that are not zero", "one that is", "remove it")
        parts += [points / sizes, signs]
    return SignedData(*parts)


def _pair(task: str) -> Sequence[int] | None:
    if task == "parity":
        return None
    names = task.split("/")
    if len(names) != 2 or not all(name.isdecimal() for name in names) or names[0] == names[1]:
        raise InputError("the task parity, or two classes A/B", task, "give e.g. 3/8")
    return [int(name) for name in names]
