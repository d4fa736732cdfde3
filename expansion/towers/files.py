"""Towers as safetensors files: weights, scales, and the inputs they are looked at on.

=========================== ==============================================================
tensor                      meaning
=========================== ==============================================================
``blocks.L.outer.weight``   V of block L = 1..n, shape (dimension, width); optional
``blocks.L.outer.bias``     c, shape (dimension,); optional
``blocks.L.inner.weight``   U, shape (width, dimension); optional
``blocks.L.inner.bias``     b, shape (width,); optional
``scales``                  λ_1..λ_n, shape (n,); only where no rule is named
``encoder.weight``, ``.bias``   affine encoder; optional
``decoder.weight``, ``.bias``   affine decoder; optional
``inputs``                  inputs to look at the tower on, shape (samples, inputs); optional
``labels``                  their classes, shape (samples,), whole numbers; optional
=========================== ==============================================================

Metadata: ``format`` = ``residual-expansion tower``, ``activation``, ``rule``, ``description``.
Nothing in such a file is ever executed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from expansion.errors import InputError
from expansion.towers.arrays import Array, as_array
from expansion.towers.branches.branch import Branch
from expansion.towers.branches.layered import AffineBranch, MLPBranch
from expansion.towers.scaling import ScalingRule
from expansion.towers.tower import Tower
from expansion.writing import write_whole

__all__ = ["FORMAT", "SavedTower", "embedded_tower", "load_tower", "save_tower"]

FORMAT = "residual-expansion tower"
_MEND = "export the tower again, with save_tower"
_BLOCK = re.compile(r"blocks\.([1-9]\d{0,6})\.((?:inner|outer)\.(?:weight|bias))")
_PARTS = ("outer.weight", "outer.bias", "inner.weight", "inner.bias")


@dataclass(frozen=True, slots=True, eq=False)
class SavedTower:
    """A tower with the inputs it is looked at on.

    Parameters
    ----------
    tower : Tower
        Of affine or one-hidden-layer branches.
    inputs : array, shape (samples, inputs), optional
        Inputs of the network.
    labels : array of int, shape (samples,), optional
        Their classes.
    description : str
        Where the tower comes from, in a sentence.
    """

    tower: Tower
    inputs: Array | None = None
    labels: Array | None = None
    description: str = ""

    def __post_init__(self) -> None:
        if self.labels is not None:
            labels = np.asarray(self.labels)
            if labels.ndim != 1 or labels.dtype.kind not in "iu":
                came = f"labels of type {labels.dtype} and shape {labels.shape}"
                raise InputError("whole numbers as labels", came, "give one class per input")
            if self.inputs is None:
                raise InputError("labels beside inputs", "labels alone", "give the inputs too")
        if self.inputs is not None:
            self.tower.encode(as_array(self.inputs, "inputs", dimensions=2))
            if self.labels is not None and len(self.labels) != len(self.inputs):
                came = f"{len(self.labels)} labels for {len(self.inputs)} inputs"
                raise InputError("one label per input", came, "make the numbers equal")


def save_tower(path: str | os.PathLike[str], saved: SavedTower) -> Path:
    """Write a tower to a safetensors file, whole or not at all.

    Raises
    ------
    InputError
        For a branch that is not a one-hidden-layer network, or a path that cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> tower = Tower.tied(MLPBranch([[1.0]], activation="sin"), depth=2, rule="1/n")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_tower(Path(folder, "t.safetensors"), SavedTower(tower))
    ...     load_tower(path).tower([0.5]) == tower([0.5])
    array([ True])
    """
    tower = saved.tower
    tensors: dict[str, Array] = {}
    names = set()
    for number, branch in enumerate(tower.branches, 1):
        if not isinstance(branch, MLPBranch):
            kind = type(branch).__name__
            raise InputError("one-hidden-layer branches to save", kind, "use MLPBranch")
        names.add(branch.activation.name)
        values = (branch.outer, branch.outer_bias, branch.inner, branch.inner_bias)
        for part, value in zip(_PARTS, values, strict=True):
            tensors[f"blocks.{number}.{part}"] = value
    if len(names) != 1:
        raise InputError("one activation in all blocks", ", ".join(sorted(names)), "make it one")
    for end, affine in (("encoder", tower.encoder), ("decoder", tower.decoder)):
        if isinstance(affine, AffineBranch):
            tensors[f"{end}.weight"], tensors[f"{end}.bias"] = affine.matrix, affine.bias
        elif affine is not None:
            raise InputError(f"an affine {end} to save", type(affine).__name__, "replace it")
    metadata = {"format": FORMAT, "activation": names.pop(), "description": saved.description}
    if tower.rule.listed is None:
        metadata["rule"] = tower.rule.text
    else:
        tensors["scales"] = np.array([float(scale) for scale in tower.scales])
    if saved.inputs is not None:
        tensors["inputs"] = saved.inputs
    stored = {n: np.ascontiguousarray(t, dtype=float) for n, t in tensors.items() if t is not None}
    if saved.labels is not None:
        stored["labels"] = np.ascontiguousarray(saved.labels, dtype=np.int64)
    return write_whole(path, _with_sorted_metadata(save(stored, metadata)))


def _with_sorted_metadata(content: bytes) -> bytes:
    """The same file, byte for byte the same on every run: the library's metadata order varies."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    padded = text + b" " * (-len(text) % 8)
    return len(padded).to_bytes(8, "little") + padded + content[8 + size :]


def load_tower(path: str | os.PathLike[str]) -> SavedTower:
    """Read a tower from a safetensors file; see the table at the top of this module.

    Parameters
    ----------
    path : path
        The file.

    Raises
    ------
    InputError
        When the file is missing, truncated, not safetensors, not a tower, or when its shapes do
        not fit or an entry is not finite.

    Examples
    --------
    >>> from importlib.resources import files
    >>> load_tower(files("expansion") / "data" / "digits.safetensors").tower.depth
    8
    """
    tensors, metadata = _read(Path(path))
    if metadata.get("format") != FORMAT:
        came = f"{path} with format {metadata.get('format', 'unnamed')!r}"
        raise InputError(f"a file of format {FORMAT!r}", came, _MEND)
    for name, tensor in tensors.items():
        if name != "labels" and tensor.dtype.kind != "f":
            came = f"{name} of type {tensor.dtype} in {path}"
            raise InputError("floating-point weights", came, _MEND)
    inputs, labels = tensors.pop("inputs", None), tensors.pop("labels", None)
    scales = tensors.pop("scales", None)
    ends = {end: _affine(tensors, end) for end in ("encoder", "decoder")}
    blocks = _blocks(tensors, path)
    branches = [_branch(parts, metadata.get("activation", "")) for parts in blocks]
    if scales is not None and scales.ndim != 1:
        raise InputError("scales as a vector", f"shape {scales.shape}", _MEND)
    rule = metadata.get("rule", "1")
    if rule.lstrip().startswith("@"):
        raise InputError("a rule that needs no other file", rule, _MEND)
    chosen = ScalingRule.of(rule if scales is None else scales.tolist())
    tower = Tower(tuple(branches), chosen, **ends)
    return SavedTower(tower, inputs, labels, metadata.get("description", ""))


def embedded_tower() -> SavedTower:
    """The trained network that ships with the package, with its digits.

    Examples
    --------
    >>> embedded_tower().inputs.shape
    (64, 64)
    """
    with as_file(files("expansion") / "data" / "digits.safetensors") as path:
        return load_tower(path)


def _read(path: Path) -> tuple[dict[str, Array], Mapping[str, str]]:
    required = "a safetensors file with a tower"
    try:
        with safe_open(path, framework="np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except OSError as error:
        came = f"{path} ({error.strerror or 'no such file'})"
        raise InputError(required, came, "check the path") from None
    except (SafetensorError, TypeError, ValueError) as error:
        came = f"{path} ({str(error).splitlines()[0]})"
        raise InputError(required, came, "check that the file is whole and of that kind") from None


def _affine(tensors: dict[str, Array], name: str) -> Branch | None:
    matrix, bias = tensors.pop(f"{name}.weight", None), tensors.pop(f"{name}.bias", None)
    if matrix is None:
        if bias is not None:
            raise InputError(f"{name}.weight beside {name}.bias", "the bias alone", _MEND)
        return None
    return AffineBranch(matrix, bias)


def _blocks(tensors: dict[str, Array], path: object) -> list[dict[str, Array]]:
    blocks: dict[int, dict[str, Array]] = {}
    for name, tensor in tensors.items():
        found = _BLOCK.fullmatch(name)
        if not found:
            raise InputError("only the tensors of a tower", f"{name!r} in {path}", _MEND)
        blocks.setdefault(int(found[1]), {})[found[2]] = tensor
    if sorted(blocks) != list(range(1, len(blocks) + 1)) or not blocks:
        came = f"blocks {', '.join(map(str, sorted(blocks))) or 'none'} in {path}"
        raise InputError("blocks 1..n without a gap", came, _MEND)
    return [blocks[number] for number in range(1, len(blocks) + 1)]


def _branch(parts: Mapping[str, Array], activation: str) -> MLPBranch:
    outer, outer_bias, inner, inner_bias = (parts.get(part) for part in _PARTS)
    return MLPBranch(outer, inner, inner_bias, outer_bias, activation)
