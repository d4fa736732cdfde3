"""What measuring needs of a traced model: to run it and to be asked at every residual addition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from expansion.errors import InputError
from torch_bridge.tracing.interpreter import Observer

__all__ = ["Batch", "Blocks", "as_batches"]

Batch = tuple[tuple[Any, ...], Mapping[str, Any]]


class Blocks(Protocol):
    """A model whose residual additions can be watched and changed: a traced tower."""

    @property
    def names(self) -> Sequence[str]:
        """The blocks' names, in the order of execution."""

    @property
    def example(self) -> Batch:
        """The inputs that the model was traced with."""

    def run(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        scales: Sequence[float],
        observe: Observer,
    ) -> Any:
        """The model's output; see :func:`torch_bridge.tracing.interpreter.run`."""


def as_batches(batches: Iterable[Any] | None, blocks: Blocks) -> Iterator[Batch]:
    """Batches as arguments of the model.

    Parameters
    ----------
    batches : iterable, optional
        One tensor, which is the only batch; or tensors, tuples or lists whose first items are the
        model's positional arguments (what follows, such as labels, is left out), or mappings to
        its named arguments. By default the example that the model was traced with, once. Tensors
        are brought to the device and the floating-point type of the example's.
    blocks : Blocks
        The traced model; its example tells how many positional arguments there are.

    Raises
    ------
    InputError
        For a batch that is something else or has too few items; when there is no batch.
    """
    args, kwargs = blocks.example
    if batches is None:
        yield args, kwargs
        return
    if isinstance(batches, Tensor):  # its rows are no batches
        batches = [batches]
    number = 0
    for number, batch in enumerate(batches, 1):
        if isinstance(batch, Mapping):
            yield (), {name: _like(value, kwargs.get(name)) for name, value in batch.items()}
        elif isinstance(batch, Tensor):
            yield (_like(batch, args[0] if args else None),), kwargs
        elif isinstance(batch, Sequence) and not isinstance(batch, str) and len(batch) >= len(args):
            yield tuple(map(_like, batch[: len(args)], args)), kwargs
        else:
            kind = type(batch).__name__
            came = f"batch {number} of type {kind}" + (
                f" with {len(batch)} items" if isinstance(batch, (tuple, list)) else ""
            )
            mend = "give tensors, tuples or mappings as a DataLoader does"
            raise InputError(
                f"batches that hold the model's {len(args)} positional inputs", came, mend
            )
    if not number:
        raise InputError("at least one batch", "none", "check that the iterable is not used up")


def _like(value: Any, example: Any) -> Any:
    """A tensor on the device, and of the floating-point type, of another."""
    if not (isinstance(value, Tensor) and isinstance(example, Tensor)):
        return value
    both = value.is_floating_point() and example.is_floating_point()
    return value.to(example.device, example.dtype if both else None)
