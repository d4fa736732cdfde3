"""Data that need no download: scikit-learn's handwritten digits, and clusters that it makes.

**Digits**, 1797 real images of 8×8 pixels, ten classes. Source: UCI Machine Learning Repository,
"Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak), test part, as scikit-learn ships
it. A pixel is a count 0..16; divided by 16 it is a number in [0, 1] that a float holds exactly.

**Clusters** (``make_classification``): ten classes of two Gaussian clusters each, at corners of a
cube in 16 dimensions, mixed linearly into 32 entries; 32 more are noise, and one label in a
hundred is drawn anew. The classes overlap, so that no network fits them without error, and there
can be as many samples as a question about large samples needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from expansion.errors import InputError

__all__ = ["Dataset", "load_clusters", "load_digits"]

_SPLIT_SEED = 0
_TEST_SHARE = 0.25
_CLUSTERED, _CLUSTERED_TO_TEST = 60000, 10000


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Inputs and classes to train on, and others to test on.

    Parameters
    ----------
    train_inputs, test_inputs : Tensor, shape (samples, inputs)
        Floating-point inputs.
    train_labels, test_labels : Tensor of int64, shape (samples,)
        Their classes, 0..classes−1.

    Raises
    ------
    InputError
        When a part is empty, shapes do not fit, or a label is negative or not a whole number.
    """

    train_inputs: Tensor
    train_labels: Tensor
    test_inputs: Tensor
    test_labels: Tensor

    def __post_init__(self) -> None:
        for part, x, y in (
            ("train", self.train_inputs, self.train_labels),
            ("test", self.test_inputs, self.test_labels),
        ):
            if x.ndim != 2 or y.ndim != 1 or len(x) != len(y) or not len(x):
                came = f"inputs {tuple(x.shape)} and labels {tuple(y.shape)} in {part}"
                mend = "give (samples, inputs) and (samples,)"
                raise InputError("one label per row of inputs", came, mend)
            if y.dtype != torch.int64 or int(y.min()) < 0:
                came = f"{y.dtype} from {y.min().item()} in {part}"
                raise InputError("labels 0, 1, 2, … of int64", came, "number the classes from 0")
        if self.train_inputs.shape[1] != self.test_inputs.shape[1]:
            came = f"{self.train_inputs.shape[1]} and {self.test_inputs.shape[1]} entries"
            raise InputError("train and test inputs of one size", came, "make them equal")

    @property
    def inputs(self) -> int:
        """Entries of one input."""
        return self.train_inputs.shape[1]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return 1 + int(torch.cat([self.train_labels, self.test_labels]).max())


def load_digits(dtype: torch.dtype = torch.float64) -> Dataset:
    """The digits, pixels in [0, 1], always split the same way: 1347 to train, 450 to test.

    Parameters
    ----------
    dtype : torch.dtype
        Of the inputs.

    Raises
    ------
    InputError
        When scikit-learn is not installed.

    Examples
    --------
    >>> data = load_digits()
    >>> tuple(data.train_inputs.shape), tuple(data.test_inputs.shape), data.classes
    ((1347, 64), (450, 64), 10)
    """
    datasets, selection = _scikit_learn()
    images, classes = datasets.load_digits(return_X_y=True)
    # Stratified: every class has the same share of both parts.
    train, test = selection.train_test_split(
        np.arange(len(classes)),
        test_size=_TEST_SHARE,
        random_state=_SPLIT_SEED,
        stratify=classes,
    )
    x = torch.from_numpy(images / 16).to(dtype)
    y = torch.from_numpy(classes.astype(np.int64))
    return Dataset(x[train], y[train], x[test], y[test])


def load_clusters(dtype: torch.dtype = torch.float64) -> Dataset:
    """The clusters, always the same: 60000 to train, 10000 to test, as many as MNIST has.

    Parameters
    ----------
    dtype : torch.dtype
        Of the inputs.

    Raises
    ------
    InputError
        When scikit-learn is not installed.

    Examples
    --------
    >>> data = load_clusters()
    >>> tuple(data.train_inputs.shape), tuple(data.test_inputs.shape), data.classes
    ((60000, 64), (10000, 64), 10)
    """
    datasets, _ = _scikit_learn()
    points, classes = datasets.make_classification(
        _CLUSTERED + _CLUSTERED_TO_TEST,
        n_features=64,
        n_informative=16,
        n_redundant=16,
        n_classes=10,
        n_clusters_per_class=2,
        class_sep=2.0,
        random_state=_SPLIT_SEED,
    )
    x, y = torch.from_numpy(points).to(dtype), torch.from_numpy(classes.astype(np.int64))
    return Dataset(x[:_CLUSTERED], y[:_CLUSTERED], x[_CLUSTERED:], y[_CLUSTERED:])


def _scikit_learn() -> tuple[Any, Any]:
    try:
        import sklearn.datasets  # optional, and a second to import
        import sklearn.model_selection
    except ImportError:
        mend = "pip install 'residual-expansion[torch]'"
        required = "scikit-learn for its digits and clusters"
        raise InputError(required, "an environment without it", mend) from None
    return sklearn.datasets, sklearn.model_selection
