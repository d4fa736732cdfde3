"""Data to train on: what needs no download, or the user's own, as they have it on disk.

=========================== =====================================================================
spec                        what is read
=========================== =====================================================================
``digits``                  scikit-learn's 8×8 digits, 1347 to train and 450 to test
``clusters``                scikit-learn's overlapping clusters, 60000 to train and 10000 to test
a folder of arrays          ``train_inputs``, ``train_labels``, ``test_inputs``, ``test_labels``:
                            four ``.npy`` files, or one ``.safetensors`` file with these names
a CIFAR-10 folder           the *binary* version: ``data_batch_1.bin`` … and ``test_batch.bin``
``FILE.py:callable``        a factory of two map-style datasets, training and test: torchvision's
                            (image, label) or Hugging Face's {"image": …, "label": …}
=========================== =====================================================================

CIFAR-10's "python version" consists of pickles, and reading a pickle runs whatever code is in it;
so its binary version is read instead: per image one byte of class and 3·32·32 bytes of pixels.
Arrays are read without pickles, too.

Inputs are standardised: every entry's mean over the training part is subtracted, and one common
number divides all, so that an entry's mean square is 1: the input energy that predictions assume.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import Tensor

from expansion.errors import InputError
from torch_bridge.loading.factory import load_callable
from torch_bridge.networks.data import Dataset, load_clusters, load_digits

__all__ = ["ImageData", "load_data"]

_PARTS = ("train_inputs", "train_labels", "test_inputs", "test_labels")
_SHIPPED = {"digits": load_digits, "clusters": load_clusters}
_IMAGE_KEYS = ("image", "img", "pixel_values")
_LABEL_KEYS = ("label", "labels", "fine_label")
_CIFAR_SHAPE = (3, 32, 32)
_LARGEST_INPUT = 1e15
_MOST_CLASSES = 100_000

_Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class ImageData:
    """Standardised inputs, as rows, and the shape of an image that a row holds.

    Parameters
    ----------
    data : Dataset
        float32 rows.
    shape : tuple of int
        (channels, height, width), their product the length of a row.
    spec : str
        Where it was loaded from.
    fingerprint : str
        A digest of all inputs and labels: the data's own identity.
    """

    data: Dataset
    shape: tuple[int, int, int]
    spec: str
    fingerprint: str

    def to(self, device: str) -> ImageData:
        """The same on a device."""
        parts = (getattr(self.data, name).to(device) for name in _PARTS)
        train_x, train_y, test_x, test_y = parts
        return replace(self, data=Dataset(train_x, train_y, test_x, test_y))


@lru_cache(maxsize=4)
def load_data(spec: str = "digits", samples: int | None = None) -> ImageData:
    """Load, standardise and fingerprint.

    Parameters
    ----------
    spec : str
        See the table at the top of this module.
    samples : int, optional
        Train on the first so many alone.

    Raises
    ------
    InputError
        For a spec that is none of these, files that are missing or damaged, or labels that are
        not 0, 1, 2, ….

    Examples
    --------
    >>> data = load_data("digits", 256)
    >>> data.shape, len(data.data.train_labels), data.data.classes
    ((1, 8, 8), 256, 10)
    >>> round(float(data.data.train_inputs.square().mean()), 3)
    1.0
    """
    if spec in _SHIPPED:
        shipped = _SHIPPED[spec](torch.float32)
        parts = [getattr(shipped, name).numpy() for name in _PARTS]
    elif spec and Path(spec).is_dir():
        parts = list(_read_folder(Path(spec)))
    elif ":" in spec:
        parts = list(_from_factory(spec))
    else:
        required = "digits, clusters, a folder of arrays, a CIFAR-10 folder, or FILE.py:callable"
        raise InputError(required, spec, "check the path")
    train_x, train_y, test_x, test_y = (np.asarray(part) for part in parts)
    train, test = _inputs(train_x, spec), _inputs(test_x, spec)
    if train_x.shape[1:] != test_x.shape[1:]:
        came = f"shapes {train_x.shape} and {test_x.shape}"
        raise InputError(f"training and test inputs alike in {spec}", came, "check the data")
    labels = _classes(train_y, len(train), spec)[:samples]
    train, shape = train[:samples], _shape(train_x, spec)
    mean = train.mean(axis=0)
    deviation = math.sqrt(float(((train - mean) ** 2).mean()))
    if deviation == 0:
        raise InputError(f"inputs that differ in {spec}", "equal ones", "check the data")
    tensors = (
        _rows((train - mean) / deviation),
        labels,
        _rows((test - mean) / deviation),
        _classes(test_y, len(test), spec),
    )
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(repr(tuple(tensor.shape)).encode() + tensor.numpy().tobytes())
    return ImageData(Dataset(*tensors), shape, spec, digest.hexdigest()[:16])


def _rows(x: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))


def _inputs(x: NDArray[Any], spec: str) -> NDArray[np.float64]:
    """Rows of float64; sizes are limited so that squares and float32 hold them."""
    if x.dtype.kind not in "fiub" or x.ndim < 2 or 0 in x.shape:
        came = f"{x.dtype} of shape {x.shape}"
        raise InputError(f"real inputs of shape (samples, …) in {spec}", came, "check the data")
    rows = x.reshape(len(x), -1).astype(np.float64)
    if not (abs(rows) <= _LARGEST_INPUT).all():  # NaN is not
        required = f"finite inputs in {spec}, up to {_LARGEST_INPUT:g}"
        raise InputError(required, "some that are not", "check the data")
    return rows


def _classes(y: NDArray[Any], samples: int, spec: str) -> Tensor:
    if y.dtype.kind not in "iu" or y.shape != (samples,):
        came = f"{y.dtype} numbers of shape {y.shape} for {samples} samples"
        raise InputError(f"labels 0, 1, 2, … in {spec}", came, "give an integer for each sample")
    if int(y.max()) >= _MOST_CLASSES:
        required = f"labels below {_MOST_CLASSES} in {spec}"
        raise InputError(required, int(y.max()), "number the classes 0, 1, 2, …")
    return torch.from_numpy(np.ascontiguousarray(y, dtype=np.int64))


def _shape(x: NDArray[Any], spec: str) -> tuple[int, int, int]:
    """(channels, height, width): rows of a square length are taken as square images."""
    sizes = x.shape[1:]
    if len(sizes) == 3:
        return (int(sizes[0]), int(sizes[1]), int(sizes[2]))
    if len(sizes) == 2:
        return (1, int(sizes[0]), int(sizes[1]))
    if len(sizes) == 1:
        side = math.isqrt(sizes[0])
        return (1, side, side) if side * side == sizes[0] else (1, 1, int(sizes[0]))
    came = f"shape {tuple(x.shape)}"
    mend = "give (samples, entries) or (samples, channels, height, width)"
    raise InputError(f"rows or images in {spec}", came, mend)


def _read_folder(folder: Path) -> _Arrays:
    if (folder / "test_batch.bin").is_file():
        return _read_cifar(folder)
    if (folder / "batches.meta").is_file() or (folder / "data_batch_1").is_file():
        came = f"{folder}, the python version: pickles, which run code when read"
        mend = "get the binary version, data_batch_1.bin and so on"
        raise InputError("CIFAR-10 without pickles", came, mend)
    boxes = sorted(folder.glob("*.safetensors"))
    try:
        if len(boxes) == 1:
            found: Mapping[str, NDArray[Any]] = load_file(boxes[0])
        else:
            files = [folder / f"{name}.npy" for name in _PARTS]
            found = {file.stem: np.load(file, allow_pickle=False) for file in files}
        train_x, train_y, test_x, test_y = (found[name] for name in _PARTS)
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        SafetensorError,
        TypeError,  # numpy has no bfloat16,
        AttributeError,  # and no float8
    ) as error:
        required = f"{', '.join(_PARTS)} as .npy files or in one .safetensors file"
        came = f"{folder} ({type(error).__name__}: {error})"
        raise InputError(required, came, "write these arrays") from None
    return train_x, train_y, test_x, test_y


def _read_cifar(folder: Path) -> _Arrays:
    batches = sorted(folder.glob("data_batch_*.bin"))
    if not batches:
        raise InputError("data_batch_1.bin and so on", folder, "unpack the binary version there")
    train = [_read_batch(file) for file in batches]
    test_x, test_y = _read_batch(folder / "test_batch.bin")
    train_x, train_y = (np.concatenate(parts) for parts in zip(*train, strict=True))
    return train_x, train_y, test_x, test_y


def _read_batch(file: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    row = 1 + math.prod(_CIFAR_SHAPE)
    content = np.fromfile(file, dtype=np.uint8)
    if not content.size or content.size % row:
        came = f"{file} of {content.size} bytes"
        raise InputError(f"records of {row} bytes", came, "download the file again")
    records = content.reshape(-1, row)
    return records[:, 1:].reshape(-1, *_CIFAR_SHAPE), records[:, 0].astype(np.int64)


def _from_factory(spec: str) -> _Arrays:
    factory = load_callable(spec)
    try:
        train, test = factory()
        (train_x, train_y), (test_x, test_y) = _read_samples(train), _read_samples(test)
    except InputError:
        raise
    except Exception as error:  # the user's code may raise anything
        came = f"{type(error).__name__}: {error}"
        mend = "return (train, test), each with (image, label) at every index"
        raise InputError(f"two datasets from {spec}", came, mend) from None
    return train_x, train_y, test_x, test_y


def _read_samples(dataset: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Every sample of a map-style dataset: tensors and arrays as they are, pictures as pixels."""
    samples = [dataset[index] for index in range(len(dataset))]
    if isinstance(samples[0], Mapping):
        image, label = (_key(samples[0], keys) for keys in (_IMAGE_KEYS, _LABEL_KEYS))
        samples = [(sample[image], sample[label]) for sample in samples]
    labels = np.array([int(label) for _, label in samples], dtype=np.int64)
    return np.stack([_pixels(image) for image, _ in samples]), labels


def _key(sample: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    for key in keys:
        if key in sample:
            return key
    came = f"samples with {', '.join(map(str, sample))}"
    raise InputError(f"samples with one of {', '.join(keys)}", came, "rename a column")


def _pixels(image: Any) -> NDArray[Any]:
    """Channels first; what is no tensor and has them last (a picture) is turned."""
    if isinstance(image, Tensor):
        return image.detach().cpu().numpy()
    array = np.asarray(image)
    picture = not isinstance(image, np.ndarray) and array.ndim == 3
    return np.moveaxis(array, -1, 0) if picture else array
