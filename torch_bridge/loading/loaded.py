"""A model and one call of it, on one device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from expansion.errors import InputError

__all__ = ["DTYPES", "Loaded", "describe"]

DTYPES = ("float64", "float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A model and one call of it.

    Parameters
    ----------
    model : nn.Module
        The user's model.
    args : tuple
        Positional arguments of its ``forward``; a lone tensor stands for one argument.
    kwargs : mapping
        Named arguments.

    Raises
    ------
    InputError
        When one of them is something else.

    Examples
    --------
    >>> Loaded(nn.Linear(2, 3), (torch.ones(1, 2),))().shape
    torch.Size([1, 3])
    """

    model: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.model, nn.Module):
            came = describe(self.model)
            raise InputError("a torch.nn.Module as the model", came, "return the model first")
        if isinstance(self.args, Tensor):  # `return model, x` can mean one thing only
            object.__setattr__(self, "args", (self.args,))
        if not isinstance(self.args, tuple):
            came, mend = describe(self.args), "write e.g. return model, (x,)"
            raise InputError("args as a tuple", came, mend)
        if not isinstance(self.kwargs, Mapping) or not all(isinstance(k, str) for k in self.kwargs):
            came, mend = describe(self.kwargs), "write e.g. return model, (x,), {'mask': mask}"
            raise InputError("kwargs as a dictionary with names", came, mend)

    def __call__(self) -> Any:
        """The model's output."""
        return self.model(*self.args, **self.kwargs)

    def to(self, device: str | None = None, dtype: str | None = None) -> Loaded:
        """Model and inputs on a device and in a floating-point type; integers stay integers.

        Parameters
        ----------
        device : str, optional
            As PyTorch names it: cpu, cuda, cuda:1, mps.
        dtype : str, optional
            float64, float32, bfloat16 or float16.

        Raises
        ------
        InputError
            For a device that is not here, or another dtype.
        """
        where = None if device is None else _device(device)
        if dtype is not None and dtype not in DTYPES:
            raise InputError(f"a dtype among {', '.join(DTYPES)}", dtype, "choose one of these")
        kind = None if dtype is None else getattr(torch, dtype)

        def move(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            return value.to(where, kind if value.is_floating_point() else None)

        if where is None and kind is None:
            return self
        return replace(
            self,
            model=self.model.to(where, kind),
            args=tree_map(move, self.args),
            kwargs=tree_map(move, dict(self.kwargs)),
        )

    def check_devices(self) -> None:
        """Refuse a model on another device than its inputs.

        Raises
        ------
        InputError
            Naming both devices.
        """
        held = {str(t.device) for t in (*self.model.parameters(), *self.model.buffers())}
        inputs = tree_leaves((self.args, dict(self.kwargs)))
        given = {str(value.device) for value in inputs if isinstance(value, Tensor)}
        if held and given and held != given:
            came = f"the model on {', '.join(sorted(held))}, inputs on {', '.join(sorted(given))}"
            raise InputError("the model and its inputs on one device", came, "give --device")


def describe(value: object) -> str:
    """What a value is, in a few words, for a message.

    Examples
    --------
    >>> describe((1, 2)), describe(None), describe(1.5)
    ('a tuple of 2', 'None', 'an object of type float')
    """
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return "None" if value is None else f"an object of type {type(value).__name__}"


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        came = f"{name} ({str(error).strip().splitlines()[0]})"
        raise InputError("a device that is here", came, "give --device cpu") from None
    return device
