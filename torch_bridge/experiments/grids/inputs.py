"""What a cell trains on, and where: its data under their fingerprint, its device.

A cell names its data by a spec, which may come to mean other data; so a grid writes into every
cell the *fingerprint* of the data that it was made for, and a worker that finds others refuses.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

import torch

from expansion.errors import InputError
from torch_bridge.experiments.grids.datasets import ImageData, load_data

if TYPE_CHECKING:
    from dataclasses import Field

__all__ = ["TrainedCell", "cuda_or_cpu", "images_of", "pinned"]


class TrainedCell(Protocol):
    """A cell that trains a network: a dataclass with at least these settings."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def data(self) -> str:
        """Spec of the data, see :mod:`~torch_bridge.experiments.grids.datasets`."""

    @property
    def samples(self) -> int | None:
        """Train on the first so many alone."""

    @property
    def fingerprint(self) -> str:
        """Of the data; empty for any."""

    @property
    def device(self) -> str:
        """cpu, or cuda where there is one."""


C = TypeVar("C", bound=TrainedCell)


def pinned(cells: Iterable[C]) -> tuple[C, ...]:
    """The same questions about the very data that their specs mean now.

    Raises
    ------
    InputError
        When data cannot be loaded.
    """
    return tuple(
        replace(cell, fingerprint=load_data(cell.data, cell.samples).fingerprint) for cell in cells
    )


def images_of(cell: TrainedCell) -> ImageData:
    """A cell's data on its device, where training shall give the same numbers again.

    Raises
    ------
    InputError
        When the data cannot be loaded or are not those of the cell.
    """
    images = load_data(cell.data, cell.samples)
    if cell.fingerprint not in ("", images.fingerprint):
        came = f"others under {cell.data}"
        raise InputError("the data that the grid was made for", came, "start a new folder")
    if cell.device != "cpu":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or cuBLAS may not repeat
    return images.to(cell.device)


def cuda_or_cpu(device: str) -> str:
    """``auto`` as cuda where there is one, else cpu.

    Raises
    ------
    InputError
        For cuda without a GPU, or another word.
    """
    present = torch.cuda.is_available()
    if device not in ("auto", "cpu", "cuda"):
        raise InputError("a device among auto, cpu, cuda", device, "choose one of these")
    if device == "cuda" and not present:
        raise InputError("a GPU for --device cuda", "none that PyTorch sees", "give cpu")
    return ("cuda" if present else "cpu") if device == "auto" else device
