"""``torch-bridge spectrum``: which orders a model's output is made of."""

from __future__ import annotations

import re
import sys
import textwrap
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expansion.checking import check_count
from expansion.console import check_format, print_json
from expansion.errors import InputError
from torch_bridge.commands.options import (
    BatchStatistics,
    Block,
    Device,
    Dtype,
    Factory,
    Format,
    Seed,
    Weights,
    open_model,
)

if TYPE_CHECKING:
    from torch_bridge.tower import TracedTower

__all__ = ["METHODS", "spectrum"]

METHODS = ("frozen", "series", "subnetworks")
_MOST = 1000  # orders beyond the depth: the λ-series goes on
_SHOWN = 12  # orders shown unless asked for more
_FOR_RADIUS = 10  # orders of the series that its radius is estimated from, at least
_BY_NESTING = 4  # the same where the series comes from nested derivatives, which cost 2^K
_MISSED = 0.01  # of the output's size, beyond what a convergent series leaves at these orders
_WIDTH = 100
_NOTES = {
    "frozen": "paths through k branches, with every gate, normalisation and attention pattern "
    "held at this forward pass; all orders together are the output",
    "series": "coefficient of order k of the power series in the scales",
    "subnetworks": "what k branches give together beyond any fewer, by inclusion and exclusion; "
    "all orders together are the output",
}


def spectrum(
    factory: Factory,
    order: Annotated[str | None, typer.Option(help="Largest order K.")] = None,
    method: Annotated[str, typer.Option(help="frozen, series or subnetworks.")] = "frozen",
    pade: Annotated[
        bool, typer.Option("--pade", help="Also resum the λ-series, with its measured error.")
    ] = False,
    samples: Annotated[
        str | None, typer.Option(help="Sets for each order of too many sub-networks.")
    ] = None,
    weights: Weights = None,
    block: Block = None,
    device: Device = None,
    dtype: Dtype = None,
    seed: Seed = "0",
    batch_statistics: BatchStatistics = False,
    format: Format = "text",
) -> None:
    """Show which orders a model's output is made of, and how far its λ-series converges."""
    check_format(format, ("text", "json"))
    if method not in METHODS:
        raise InputError(f"a method among {', '.join(METHODS)}", method, "choose one of these")
    most = None if order is None else check_count(order, "order", least=0)
    drawn = None if samples is None else check_count(samples, "samples", least=2)
    tower = open_model(
        factory,
        weights=weights,
        device=device,
        dtype=dtype,
        seed=seed,
        blocks=block,
        batch_statistics=batch_statistics,
    )
    largest = min(tower.depth, _SHOWN) if most is None else most
    if largest > max(_MOST, tower.depth):
        mend = f"ask for fewer: the output is made of orders 0..{tower.depth}"
        raise InputError(f"an order of at most {max(_MOST, tower.depth)}", largest, mend)
    with redirect_stdout(sys.stderr):  # what the model's own code prints
        answer = _answer(tower, method, largest, drawn, int(seed), pade)
    if format == "json":
        print_json(answer)
        return
    from expansion.report.grid import print_table
    from torch_bridge.report import counted, orders_grid

    name = type(tower.model).__name__
    title = f"{name}: orders of the output, {counted(tower.depth, 'block')}, method {method}"
    note = (
        f"energy: mean ‖·‖² of a sample; order k: {_NOTES[method]}; error of the sum of all "
        "orders so far, relative to the output."
    )
    print_table(orders_grid(title, answer["energy"], answer["partial_sum_error"], note))
    lines = [answer["sentence"]]
    if answer.get("frozen"):
        kinds = sorted({re.sub(r"_\d+\b", "", kind) for kind in answer["frozen"].values()})
        lines.append(f"Frozen: {', '.join(kinds)}.")
    if answer.get("sampled"):
        found = zip(answer["sampled"], answer["sampled_half_width"], strict=True)
        named = ", ".join(f"order {k} (± {unsure or 0:.0%} of its size)" for k, unsure in found)
        lines.append(f"Estimated from a sample of sub-networks, 95 % intervals: {named}.")
    if pade and "pade" in answer:
        found = answer["pade"]
        degrees = "/".join(map(str, found["degrees"]))
        lines.append(
            f"Padé [{degrees}] of the λ-series: relative error {found['error']:.2g}, against "
            f"{found['series_error']:.2g} of the plain sum."
        )
    print("\n".join(textwrap.fill(line, _WIDTH) for line in lines))


def _answer(
    tower: TracedTower,
    method: str,
    largest: int,
    samples: int | None,
    seed: int,
    pade: bool,
) -> dict[str, Any]:
    import torch
    from torch.utils._pytree import tree_map_only

    from torch_bridge.orders.pade import relative_error, resummed
    from torch_bridge.orders.radius import order_sizes
    from torch_bridge.tracing.finite import check_finite_signal
    from torch_bridge.tracing.runner import float_tensors

    args, kwargs = tower.example
    with torch.no_grad():
        output = tower(*args, **kwargs)
    if not all(bool(tensor.isfinite().all()) for tensor in float_tensors(output)):
        check_finite_signal(tower.runner, args, kwargs)
    first = float_tensors(output)[0]
    if not first.numel():
        came = f"one of shape {tuple(first.shape)}"
        raise InputError("an output with at least one number", came, "give it a sample")
    series, radius = _series(tower, output, largest, needed=pade or method == "series")
    more: dict[str, Any] = {}
    if method == "series" and series is not None:
        found = series[: largest + 1]
    else:
        found, more = _orders(tower, method, min(largest, tower.depth), samples, seed)
        nothing = tree_map_only(torch.Tensor, torch.zeros_like, found[0])
        found += [nothing] * (largest - tower.depth)
    batch = first.shape[0] if first.ndim else 1
    sizes = order_sizes(found)
    if not all(size < float("inf") for size in sizes):
        mend = "use --dtype float64, or fewer orders"
        raise InputError("orders that a float can hold", "infinity or nan", mend)
    answer: dict[str, Any] = {
        "model": type(tower.model).__name__,
        "depth": tower.depth,
        "blocks": list(tower.names),
        "method": method,
        "energy": [size**2 / batch for size in sizes],
        "partial_sum_error": _errors(found, output, relative_error),
        **more,
        **radius,
    }
    if pade and series is not None:
        summed = resummed(series[: largest + 1], output)
        answer["pade"] = {
            "degrees": list(summed.degrees),
            "error": summed.error,
            "series_error": summed.series_error,
        }
    return answer


def _orders(
    tower: TracedTower, method: str, largest: int, samples: int | None, seed: int
) -> tuple[list[Any], dict[str, Any]]:
    """The orders by one of the three methods, and what else there is to say of them."""
    import torch

    from torch_bridge.orders.frozen import frozen_orders
    from torch_bridge.orders.radius import order_sizes
    from torch_bridge.orders.subnetworks import subnetwork_orders

    args, kwargs = tower.example
    if method == "frozen":
        frozen = frozen_orders(tower.captured(), args, kwargs, largest)
        return frozen.orders, {"frozen": dict(frozen.frozen)}

    def sweep(rows: torch.Tensor) -> Any:
        with torch.no_grad():
            return tower(*args, scales=rows, **kwargs)

    whole = subnetwork_orders(sweep, tower.depth, largest, samples=samples, seed=seed)
    sampled = sorted(whole.half_widths)
    spreads = order_sizes([whole.half_widths[k] for k in sampled])
    sizes = order_sizes([whole.orders[k] for k in sampled])
    unsure = [spread / size if size else None for spread, size in zip(spreads, sizes, strict=True)]
    more = {"evaluations": whole.evaluations, "sampled": sampled}
    return whole.orders, {**more, "sampled_half_width": unsure}


def _series(
    tower: TracedTower, output: Any, largest: int, *, needed: bool
) -> tuple[list[Any] | None, dict[str, Any]]:
    """The λ-series and its radius of convergence; or why there is none, where it may be missing."""
    from torch_bridge.orders.pade import relative_error
    from torch_bridge.orders.radius import estimate_radius, order_sizes
    from torch_bridge.report import json_float

    try:
        order = max(largest if needed else 0, _FOR_RADIUS if tower.has_graph else _BY_NESTING)
        series = tower.orders(order, "series")
        radius = estimate_radius(order_sizes(series))
    except InputError as error:
        if needed:
            raise
        return None, {
            "radius": None,
            "radius_low": None,
            "radius_high": None,
            "sentence": f"The λ-series has no estimate of its radius here: {error}.",
        }
    missed = _errors(series, output, relative_error)[-1]
    told = radius.sentence()
    if (radius.stops or radius.low > 1) and missed > _MISSED:
        # Piecewise linear operations have the gates of λ = 0 in the series.
        told = (
            f"The λ-series converges at λ = 1 as far as can be seen, yet its sum to order {order} "
            f"misses the output by {missed:.2g} of its size: gates that change between λ = 0 and "
            "λ = 1 are not in it. The frozen-gate and the sub-network orders add up to the output."
        )
    return series, {
        "radius": json_float(radius.estimate),
        "radius_low": json_float(radius.low),
        "radius_high": json_float(radius.high),
        "series_order": order,
        "series_error": json_float(missed),
        "sentence": told,
    }


def _errors(orders: list[Any], output: Any, distance: Any) -> list[float]:
    """The relative error of every partial sum."""
    from torch import Tensor
    from torch.utils import _pytree as pytree

    def add(total: Any, part: Any) -> Any:
        return total + part if isinstance(total, Tensor) and total.is_floating_point() else total

    total, errors = None, []
    for part in orders:
        total = part if total is None else pytree.tree_map(add, total, part)
        errors.append(distance(total, output))
    return errors
