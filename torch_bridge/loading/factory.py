"""The user's factory: ``package.module:callable`` or ``path/to/file.py:callable``.

It takes no arguments and returns ``(model, args)`` or ``(model, args, kwargs)``: an ``nn.Module``
and what its ``forward`` takes. The named Python file is run, as ``python file.py`` would run it;
nothing else that a user types is executed. What the user's code prints goes to stderr, so that
results on stdout stay clean.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from expansion.errors import InputError
from torch_bridge.loading.loaded import Loaded, describe

__all__ = ["load_batches", "load_callable", "load_factory"]

_NAMED = "package.module:callable or path/to/file.py:callable"
_RETURNS = "(model, args) or (model, args, kwargs) from the factory"


def load_factory(spec: str, *, seed: int | None = None) -> Loaded:
    """Call the factory that a user names.

    Parameters
    ----------
    spec : str
        ``package.module:callable`` or ``path/to/file.py:callable``.
    seed : int, optional
        Of torch's global generator before the file is run, so that random weights are the same
        every time.

    Raises
    ------
    InputError
        One line for everything that can go wrong: an unknown file, an import that fails (with
        the exception and its line), a name that is missing or not callable, a factory that wants
        arguments, raises, or returns something else.
    """
    if seed is not None:
        torch.manual_seed(seed)
    returned = _call(load_callable(spec), spec)
    if isinstance(returned, nn.Module):
        raise InputError(_RETURNS, "the model alone", "return what to call it with, too")
    if not isinstance(returned, tuple) or len(returned) not in (2, 3):
        raise InputError(_RETURNS, describe(returned), "write e.g. return model, (x,)")
    return Loaded(*returned)


def load_batches(spec: str) -> Any:
    """Call the factory of a user's batches: it returns an iterable such as a DataLoader.

    Raises
    ------
    InputError
        As for :func:`load_factory`; and for what cannot be iterated over.
    """
    batches = _call(load_callable(spec), spec)
    if isinstance(batches, Tensor) or not hasattr(batches, "__iter__"):
        mend = "return e.g. a DataLoader or a list of inputs"
        raise InputError(f"an iterable of batches from {spec}", describe(batches), mend)
    return batches


def load_callable(spec: str) -> Callable[[], Any]:
    """Import what a user names, without calling it.

    Raises
    ------
    InputError
        As for :func:`load_factory`.

    Examples
    --------
    >>> load_callable("builtins:dict")()
    {}
    >>> load_callable("nowhere")
    Traceback (most recent call last):
    expansion.errors.InputError: a factory as package.module:callable or \
path/to/file.py:callable; got nowhere; name both, with a colon between
    """
    place, _, name = spec.rpartition(":")
    if not place or not name:
        raise InputError(f"a factory as {_NAMED}", spec, "name both, with a colon between")
    is_file = place.endswith(".py") or "/" in place or os.sep in place
    module = _run_file(Path(place)) if is_file else _import(place)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            there = _callables(module)
            mend = f"it has {', '.join(there)}" if there else "define it there"
            raise InputError(f"a callable {name!r} in {place}", "no such name", mend)
        found = getattr(found, part)
    if not callable(found):
        raise InputError(f"{name} in {place} to be callable", describe(found), "name a function")
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # some built-ins have none
        return found
    try:
        signature.bind()
    except TypeError as error:
        came, mend = f"{name}{signature} ({error})", "give defaults, or wrap it in a function"
        raise InputError("a factory without arguments", came, mend) from None
    return found


def _import(name: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path:  # as `python -m` has it; a console script has not
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    mend = "check the name, or name its file: path/to/file.py:callable"
    with _user_code(f"a module {name} that can be imported", mend):
        return importlib.import_module(name)


def _run_file(path: Path) -> ModuleType:
    required = "a Python file with the factory"
    if not path.is_file():
        came = f"{path} ({'a folder' if path.is_dir() else 'no such file'})"
        raise InputError(required, came, "check the path")
    folder = str(path.resolve().parent)
    if folder not in sys.path:  # the file imports its neighbours
        sys.path.insert(0, folder)
    name = path.stem
    while name in sys.modules:  # another module's name is not taken over
        if getattr(sys.modules[name], "__file__", None) == str(path.resolve()):
            return sys.modules[name]  # run once, also when batches come from the same file
        name += "_"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise InputError(required, path, "give a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles of the file look for it there
    try:
        with _user_code(f"{path} to run", "mend the file", path):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _call(factory: Callable[[], Any], spec: str) -> Any:
    try:
        path = Path(inspect.getfile(inspect.unwrap(factory)))
    except TypeError:  # a built-in has no file
        path = None
    with _user_code(f"{spec} to return without an error", "mend the factory", path):
        return factory()


@contextmanager
def _user_code(required: str, mend: str, path: Path | None = None) -> Iterator[None]:
    """Whatever the user's code raises becomes one line with the exception and its place."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit as well: a script without a main guard
        lines = str(error).strip().splitlines() or [""]
        came = f"{type(error).__name__}{_place(error, path)}: {lines[0]}".rstrip(": ")
        raise InputError(required, came, mend) from None


def _place(error: BaseException, path: Path | None) -> str:
    """Where it happened: the innermost frame in the user's file or folder, if there is one."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" on line {error.lineno} of {Path(error.filename).name}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and "importlib" not in frame.filename
    ]
    files = [Path(frame.filename).resolve() for frame in frames]
    here = Path.cwd()
    own = [
        frame
        for frame, file in zip(frames, files, strict=True)
        if (file.is_relative_to(here) if path is None else file == path.resolve())
    ]
    frames = own or frames
    return f" on line {frames[-1].lineno} of {Path(frames[-1].filename).name}" if frames else ""


def _callables(module: ModuleType) -> list[str]:
    own = [
        name
        for name, value in vars(module).items()
        if callable(value)
        and not name.startswith("_")
        and getattr(value, "__module__", "") == module.__name__
    ]
    return own[:5]
