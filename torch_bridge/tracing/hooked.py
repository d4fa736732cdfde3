r"""A model whose blocks its user has named: the way for whatever cannot be exported.

Every named module is seen as :math:`x \mapsto x + f(x)`, so its branch is what it changes,
f(x) = output − input, and forward hooks turn its output into :math:`x + \lambda f(x)`. x is the
first floating-point tensor among the module's arguments, and its output likewise. A module that is
called several times is a block each time. Blocks are counted in the order in which they end.

The difference output − input costs one rounding, so scales in a tensor give the model to rounding;
a scale that is the number 1 leaves the output as it is.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from expansion.errors import InputError
from torch_bridge.tracing.dataclasses import know_dataclasses
from torch_bridge.tracing.interpreter import Observer
from torch_bridge.tracing.naming import numbered
from torch_bridge.tracing.runner import (
    Block,
    check_devices,
    check_runs,
    float_tensors,
    stacked,
)

__all__ = ["HookedModel"]

_At = Callable[[int, Tensor, Tensor], Tensor]


class HookedModel:
    """A model run with forward hooks on the modules that its user named.

    Parameters
    ----------
    model : nn.Module
        The user's model; hooks are on it only while it runs.
    args, kwargs : tuple and mapping
        Example inputs, on which it is run once.
    names : sequence of str
        Of the modules, as ``model.named_modules()`` has them.

    Raises
    ------
    InputError
        For a name that is unknown, given twice or not used by the forward pass, a module that
        changes the shape of its signal, an output without floating-point tensors, and inputs on
        another device.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2))
    >>> x = torch.ones(1, 2)
    >>> hooked = HookedModel(model, (x,), {}, ["0", "2"])
    >>> bool((hooked.run((x,), {}, scales=[0.0, 0.0]) == torch.tanh(x)).all())
    True
    """

    def __init__(
        self,
        model: nn.Module,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        names: Sequence[str],
    ) -> None:
        self.model = model
        self.example = (tuple(args), dict(kwargs))
        self._names = list(names)
        self._modules = _named(model, self._names)
        check_devices(model, args, kwargs)
        self._changes_input: set[nn.Module] = set()
        self._calls: list[nn.Module] = []
        with torch.no_grad():
            output = self._hooked(args, kwargs, lambda index, x, y: y, probing=True)
        know_dataclasses(output)
        _check_output(output)
        unused = [
            n for n, m in zip(self._names, self._modules, strict=True) if m not in self._calls
        ]
        if unused:
            came = f"{unused[0]}, which the forward pass does not call"
            raise InputError("blocks that are used", came, "name the modules around it")
        found = numbered([self._name(module) for module in self._calls])
        self.blocks = tuple(Block(number, name) for number, name in enumerate(found, 1))

    def run(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        scales: Sequence[float] | Tensor | None = None,
        observe: Observer | None = None,
    ) -> Any:
        """See :class:`~torch_bridge.tracing.runner.Runner`."""
        check_devices(self.model, args, kwargs)

        def at(index: int, x: Tensor, y: Tensor) -> Tensor:
            scale = 1.0 if scales is None else scales[index]
            number = None if isinstance(scale, Tensor) else float(scale)
            if observe is None and number in (0, 1):
                return x if number == 0 else y
            branch = y - x if number == 1 else scale * (y - x)
            total = y if number == 1 else x + branch
            changed = None if observe is None else observe(index, x, branch, total)
            return total if changed is None else changed

        return self._hooked(args, kwargs, at)

    def sweep(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], scales: Tensor) -> Any:
        """See :class:`~torch_bridge.tracing.runner.Runner`; one forward pass after the other."""
        return stacked([self.run(args, kwargs, scales=row) for row in scales])

    def _hooked(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], at: _At, *, probing: bool = False
    ) -> Any:
        """Run the model with ``at(index, x, y)`` in the place of every block's output y."""
        waiting: list[tuple[Tensor, int]] = []
        calls: list[nn.Module] = []

        def before(module: nn.Module, args: Any, kwargs: Any) -> None:
            x = _signal((args, kwargs), module, self._name(module))
            if probing or module in self._changes_input:
                x, version = x.clone(), x._version
                waiting.append((x, version))
            else:
                waiting.append((x, -1))

        def after(module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
            x, version = waiting.pop()
            if probing and _signal((args, kwargs), module, self._name(module))._version != version:
                self._changes_input.add(module)
            leaves, structure = pytree.tree_flatten(output)
            place = _place(leaves, self._name(module))
            if leaves[place].shape != x.shape:
                came = f"{tuple(x.shape)} to {tuple(leaves[place].shape)} in {self._name(module)}"
                mend = "name modules whose output has the shape of their input"
                raise InputError("blocks that keep the shape of their signal", came, mend)
            calls.append(module)
            if not probing and self._calls[: len(calls)] != calls:
                came = f"{self._name(module)} as number {len(calls)}"
                mend = "trace the model with these inputs"
                raise InputError("blocks that are called as in the trace", came, mend)
            leaves[place] = at(len(calls) - 1, x, leaves[place])
            return pytree.tree_unflatten(leaves, structure)

        handles = []
        try:
            for module in self._modules:
                handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
                handles.append(module.register_forward_hook(after, with_kwargs=True))
            output = self.model(*args, **kwargs)
        except RuntimeError:
            check_runs(self.model, args, kwargs)
            raise
        finally:
            for handle in handles:
                handle.remove()
        if probing:
            self._calls = calls
        elif len(calls) != len(self._calls):
            came, mend = f"{len(calls)} of them", "trace the model with these inputs"
            raise InputError(f"all {len(self._calls)} blocks of the trace", came, mend)
        return output

    def _name(self, module: nn.Module) -> str:
        return self._names[self._modules.index(module)]


def _named(model: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """The modules with these names."""
    known = dict(model.named_modules())
    del known[""]
    if not names:
        raise InputError("the names of modules", "none", "give e.g. blocks=['layers.0']")
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=3) or list(known)[:3]
            raise InputError("names of the model's modules", name, f"there are e.g. {near}")
    modules = [known[name] for name in names]
    if len(set(modules)) < len(modules):
        twice = next(name for i, name in enumerate(names) if modules[i] in modules[:i])
        raise InputError("every module once", f"{twice} again", "leave it out")
    return modules


def _signal(value: Any, module: nn.Module, name: str) -> Tensor:
    found = float_tensors(value)
    if not found:
        came = f"none in {name}, a {type(module).__name__}"
        raise InputError("blocks that take a floating-point tensor", came, "name another module")
    return found[0]


def _place(leaves: Sequence[Any], name: str) -> int:
    for place, leaf in enumerate(leaves):
        if isinstance(leaf, Tensor) and leaf.is_floating_point():
            return place
    raise InputError("blocks that give a floating-point tensor", f"none in {name}", "name another")


def _check_output(output: Any) -> None:
    leaves = [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, Tensor)]
    required = "a model whose output is a floating-point tensor"
    if any(leaf.is_complex() for leaf in leaves):
        raise InputError(required, "a complex one", "give back real and imaginary parts")
    if not any(leaf.is_floating_point() for leaf in leaves):
        came = ", ".join(str(leaf.dtype) for leaf in leaves) or "no tensor"
        raise InputError(required, came, "give back the logits or the hidden states")
