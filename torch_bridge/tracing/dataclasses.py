"""The dataclasses that a user's model takes or gives, made known to PyTorch's trees."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from torch.utils import _pytree as pytree

__all__ = ["know_dataclasses"]


def know_dataclasses(value: Any) -> None:
    """Let PyTorch look into the dataclasses in a value, as it does into tuples.

    Parameters
    ----------
    value : Any
        Inputs or an output of a model. A dataclass that cannot be made from its fields alone stays
        unknown.

    Examples
    --------
    >>> from dataclasses import make_dataclass
    >>> Output = make_dataclass("Output", ["logits", "state"])
    >>> know_dataclasses((Output(1, Output(2, 3)),))
    >>> pytree.tree_leaves(Output(1, Output(2, 3)))
    [1, 2, 3]
    """
    for leaf in pytree.tree_leaves(value):
        kind = type(leaf)
        if is_dataclass(kind) and all(field.init for field in fields(kind)):
            pytree.register_dataclass(kind)
            know_dataclasses(leaf)
