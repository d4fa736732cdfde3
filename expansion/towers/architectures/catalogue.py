"""Builders by the names that the command line knows, their parameters read from text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from expansion.errors import InputError
from expansion.towers.architectures.architecture import Architecture
from expansion.towers.architectures.dense import densenet
from expansion.towers.architectures.gated import highway, stochastic_depth
from expansion.towers.architectures.residual import (
    layered_tower,
    parallel_tower,
    residual_tower,
    staged_resnet,
)
from expansion.towers.architectures.transformer import transformer
from expansion.towers.architectures.unet import unet

__all__ = ["BUILDERS", "build", "read_parameters"]

BUILDERS: dict[str, Callable[..., Architecture]] = {
    "residual": residual_tower,
    "layered": layered_tower,
    "parallel": parallel_tower,
    "resnet": staged_resnet,
    "transformer": transformer,
    "densenet": densenet,
    "unet": unet,
    "highway": highway,
    "stochastic-depth": stochastic_depth,
}


def build(name: str, parameters: Mapping[str, Any], depth: Any = None) -> Architecture:
    """The architecture of that name.

    Parameters
    ----------
    name : str
        A key of :data:`BUILDERS`.
    parameters : mapping
        The builder's parameters, also as text. They are read as numbers and words, never run.
    depth : optional
        The builder's first parameter, whatever its own name: stages, layers, levels.

    Raises
    ------
    InputError
        For an unknown name or parameter, a missing or a wrong one.

    Examples
    --------
    >>> build("layered", {"layers": "3"}, depth="2")
    Architecture(7 nodes, 8 edges, 6 blocks)
    """
    if name not in BUILDERS:
        raise InputError("an architecture", name, f"choose among {', '.join(BUILDERS)}")
    known = inspect.signature(BUILDERS[name]).parameters
    first = next(iter(known))
    given = dict(parameters)
    if depth is not None:
        if first in given:
            raise InputError(f"one value for {first}", "two", f"leave out --depth or {first}=")
        given[first] = depth
    for parameter in given.keys() - known.keys():
        mend = f"choose among {', '.join(known)}"
        raise InputError(f"a parameter of {name}", parameter, mend)
    if first not in given and known[first].default is inspect.Parameter.empty:
        raise InputError(f"a value for {first}", "none", f"give --depth, or {first}=12")
    return BUILDERS[name](**given)


def read_parameters(words: Sequence[str]) -> dict[str, str]:
    """Parameters from words like ``layers=2``.

    Raises
    ------
    InputError
        For a word that is not ``key=value``, and for a key given twice.

    Examples
    --------
    >>> read_parameters(["stages=3,4,6,3", "shortcuts=no"])
    {'stages': '3,4,6,3', 'shortcuts': 'no'}
    """
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = (part.strip() for part in word.partition("="))
        if not (key and equals and value):
            raise InputError("parameters like layers=2", word, "write key=value")
        if key in found:
            raise InputError(f"one value for {key}", "two", "leave one out")
        found[key] = value
    return found
