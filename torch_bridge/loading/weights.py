"""Checkpoints: safetensors, or what ``torch.save`` wrote, read without running anything in it."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from expansion.errors import InputError
from torch_bridge.loading.loaded import describe

__all__ = ["load_weights"]

_REQUIRED = "a checkpoint: safetensors, or a state dict from torch.save"
# Under these names training scripts keep the weights beside an optimiser's state.
_WRAPPERS = ("state_dict", "model_state_dict", "model")


def load_weights(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Fill a model with a checkpoint, completely or not at all.

    Parameters
    ----------
    model : nn.Module
        Is changed in place.
    path : path
        Safetensors, or what ``torch.save`` wrote: a state dict, or a dictionary that holds one
        under ``state_dict``, ``model_state_dict`` or ``model``.

    Raises
    ------
    InputError
        For a file that is missing or of another kind, or whose names or shapes do not fit.

    Examples
    --------
    >>> import tempfile
    >>> model = nn.Linear(1, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save({"weight": torch.ones(1, 1), "bias": torch.ones(1)}, f"{folder}/a.pt")
    ...     load_weights(model, f"{folder}/a.pt")
    >>> model(torch.ones(1)).item()
    2.0
    """
    found = _read(Path(path))
    own = model.state_dict(keep_vars=True)
    missing, unexpected = own.keys() - found.keys(), found.keys() - own.keys()
    # A tied weight is written once, under one of its names.
    given = [own[name] for name in own.keys() & found.keys()]
    missing -= {name for name in missing if any(own[name] is tensor for tensor in given)}
    parts = [
        f"{len(names)} {word} ({_few(names)})"
        for names, word in ((missing, "missing"), (unexpected, "unexpected"))
        if names
    ]
    for name in sorted(own.keys() & found.keys()):
        if own[name].shape != found[name].shape:
            shapes = f"{tuple(found[name].shape)} for {tuple(own[name].shape)}"
            parts.append(f"{name} of shape {shapes}")
            break
    if parts:
        required = f"weights in {path} that fit the model"
        mend = "give the checkpoint of this model"
        if "residual_scales" in unexpected:
            mend = "its scales stand beside the weights: load it into trace(…).rescaled(rule)"
        raise InputError(required, " and ".join(parts), mend)
    with torch.no_grad():
        for name, tensor in found.items():
            own[name].copy_(tensor)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(_REQUIRED, f"{path} (no such file)", "check the path")
    try:
        if path.suffix == ".safetensors":
            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        came = f"a file that is none, or would run code when loaded: {path}"
        raise InputError(_REQUIRED, came, "save model.state_dict() instead") from None
    except (SafetensorError, OSError, ValueError, RuntimeError, EOFError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(_REQUIRED, f"{path} ({reason})", "check the file") from None
    if isinstance(found, dict):
        found = next((found[w] for w in _WRAPPERS if isinstance(found.get(w), dict)), found)
    if not isinstance(found, dict) or not found:
        raise InputError(_REQUIRED, f"{path} with {describe(found)}", "save model.state_dict()")
    for name, value in found.items():
        if not isinstance(value, Tensor):
            came = f"{path}, where {name!r} is {describe(value)}"
            raise InputError(_REQUIRED, came, "save model.state_dict()")
    return found


def _few(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:2]) + (", …" if len(ordered) > 2 else "")
