"""The ``expansion bound`` commands: parse, call, report. No mathematics.

Every answer gives the bound, each of its terms, and whether it is vacuous.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expansion.checking import check_count
from expansion.console import check_format, print_json, progress_bar
from expansion.errors import InputError

if TYPE_CHECKING:
    from expansion.bounds.sharpness import Ratios
    from expansion.towers.files import SavedTower

__all__ = ["app"]

app = typer.Typer(
    help="Bounds that are bounds: each with its terms, and whether it is vacuous.",
    add_completion=False,
    rich_markup_mode=None,
)


Weights = Annotated[
    Path | None, typer.Option(help="A tower with inputs (safetensors); by default digits.")
]
Format = Annotated[str, typer.Option("--format", help="text, json, markdown or latex.")]
_FORMATS = ("text", "json", "markdown", "latex")


@app.callback()
def _group() -> None:
    """Bounds that are bounds: each with its terms, and whether it is vacuous."""


@app.command()
def capacity(
    weights: Weights = None,
    rule: Annotated[
        str | None, typer.Option(help="Scales in place of the network's own: 1/n, ….")
    ] = None,
    radius: Annotated[float, typer.Option(help="Of balls about the inputs.")] = 0.1,
    random: Annotated[
        str | None, typer.Option(metavar="TOWERS", help="Also compare the methods on random ones.")
    ] = None,
    seed: Annotated[str, typer.Option(help="Of the random towers.")] = "0",
    format: Format = "text",
) -> None:
    """Bound the Lipschitz constant and the geometric complexity from the weights (B2)."""
    from expansion.bounds.sharpness import capacity as find
    from expansion.bounds.sharpness import random_families, sharpness_ratios
    from expansion.report.capacity_tables import capacity_grid, ratios_grid, terms_grid
    from expansion.report.grid import print_grids

    check_format(format, _FORMATS)
    trials = (
        None if random is None else check_count(random, "the number of towers", least=1, most=10**6)
    )
    saved, inputs = _network(weights, rule)
    found = find(saved.tower, inputs, radius=radius)
    ratios: tuple[Ratios, ...] = ()
    if trials is not None:
        start = check_count(seed, "seed", least=0)
        ratios = sharpness_ratios(random_families(), trials=trials, seed=start)
    if format == "json":
        depth, shown = saved.tower.depth, saved.tower.rule.text
        answer = {"depth": depth, "rule": shown, **found.to_dict()}
        print_json(answer | ({"random": [one.to_dict() for one in ratios]} if ratios else {}))
        return
    title = f"Capacity, n = {saved.tower.depth}, rule {saved.tower.rule}"
    grids = [terms_grid(found, "Terms of the bounds"), capacity_grid(found, title)]
    if ratios:
        grids.append(ratios_grid(ratios, f"Bound/measured on {trials} random towers of each kind"))
    print_grids(grids, format)


@app.command()
def remainder(
    weights: Weights = None,
    order: Annotated[str, typer.Option(help="Largest order K that is kept.")] = "6",
    accuracy: Annotated[
        float | None, typer.Option(help="Also say how many orders leave at most this.")
    ] = None,
    rule: Annotated[
        str | None, typer.Option(help="Scales in place of the network's own: 1/n, ….")
    ] = None,
    sample: Annotated[str, typer.Option(help="Number of the input to look at, from 1.")] = "1",
    format: Format = "text",
) -> None:
    """Certify every order, what is left out after order K, and the output (B1)."""
    from expansion.bounds.remainder import certified_truncation
    from expansion.report.grid import print_grids
    from expansion.report.remainder_tables import remainder_grid

    check_format(format, _FORMATS)
    largest = check_count(order, "order", least=0, most=1000)
    number = check_count(sample, "sample", least=1)
    saved, inputs = _network(weights, rule)
    if number > len(inputs):
        came = f"{number} of {len(inputs)}"
        raise InputError("the number of one of the inputs", came, "choose a smaller one")
    found = certified_truncation(saved.tower, inputs[number - 1], largest)
    tower = saved.tower
    if accuracy is not None:
        found.orders_needed(accuracy)  # refuses what is no accuracy before anything is printed
    if format == "json":
        told = {"depth": tower.depth, "rule": tower.rule.text, "sample": number}
        print_json(told | found.to_dict(accuracy))
        return
    title = (
        f"Truncation after order {largest}, n = {tower.depth}, rule {tower.rule}, input {sample}"
    )
    print_grids([remainder_grid(found, title, accuracy)], format)


@app.command("neural-ode")
def neural_ode(
    samples: Annotated[list[str], typer.Option(help="Sizes n of the sample, several allowed.")],
    radius: Annotated[
        list[float] | None, typer.Option(help="R, the largest sum of |W| in a block, or several.")
    ] = None,
    slope: Annotated[
        list[float] | None, typer.Option(help="K, L times the largest change of an entry.")
    ] = None,
    dimension: Annotated[str | None, typer.Option(help="Of the signal, d.")] = None,
    depth: Annotated[
        list[str] | None, typer.Option(help="Depths L; by default one bound that serves each.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="A tower V σ(x) with inputs, to read R, K, M, R_X from.")
    ] = None,
    activation_bound: Annotated[
        float | None, typer.Option(help="M, the largest |σ(x_j)|; 1 by default.")
    ] = None,
    activation_slope: Annotated[float | None, typer.Option(help="K_σ; 1 by default.")] = None,
    input_radius: Annotated[
        float | None, typer.Option(help="R_X, the largest ‖x‖; 1 by default.")
    ] = None,
    target_radius: Annotated[float, typer.Option(help="R_Y, the largest ‖y‖.")] = 1.0,
    loss_slope: Annotated[float, typer.Option(help="K_ℓ.")] = 1.0,
    loss_at_target: Annotated[float, typer.Option(help="Largest loss at the target.")] = 0.0,
    loss_bound: Annotated[float | None, typer.Option(help="A bound of the loss itself.")] = None,
    delta: Annotated[float, typer.Option(help="Probability that the bound fails.")] = 0.05,
    simulate: Annotated[
        str | None, typer.Option(metavar="TOWERS", help="Also try random towers against it.")
    ] = None,
    seed: Annotated[str, typer.Option(help="Of the random towers.")] = "0",
    format: Format = "text",
) -> None:
    """Bound the generalisation gap of towers near a neural ODE, at any depth (B3)."""
    from dataclasses import replace

    from expansion.bounds.neural_ode import neural_ode_bound, published_terms
    from expansion.bounds.neural_ode_class import TowerClass, class_of_tower
    from expansion.bounds.neural_ode_trials import neural_ode_trials
    from expansion.report import generalization_tables as tables
    from expansion.report.grid import print_grids

    check_format(format, _FORMATS)
    sizes = [check_count(one, "samples", least=1) for one in samples]
    depths: list[int | None] = [check_count(one, "depth", least=1) for one in depth or []]
    loss = (loss_slope, loss_at_target, loss_bound)
    if weights is not None:
        given = (radius, slope, depth, dimension, activation_bound, activation_slope, input_radius)
        if any(one is not None for one in given):
            required = "either --weights or R, K, d, L, M, K_σ and R_X"
            raise InputError(required, "both", "leave out one of them")
        saved, inputs = _network(weights, None)
        slope_of, at_target, limit = loss
        read = class_of_tower(saved.tower, inputs)
        read = replace(read, loss_slope=slope_of, loss_at_target=at_target, loss_bound=limit)
        classes = [replace(read, target_radius=target_radius)]
    else:
        if not radius or dimension is None:
            raise InputError("--radius and --dimension, or --weights", "neither", "give these")
        entries = check_count(dimension, "dimension", least=1)
        largest, inside, steepest = (
            1.0 if one is None else one
            for one in (activation_bound, input_radius, activation_slope)
        )
        base = (largest, inside, target_radius, steepest)
        classes = [
            TowerClass(entries, one, other, *base, *loss, layers)
            for layers in depths or [None]
            for one in radius
            for other in slope or [0.0]
        ]
    trials = None
    if simulate is not None:
        number = check_count(simulate, "the number of towers", least=1, most=10**7)
        trials = neural_ode_trials(number, check_count(seed, "seed", least=0))
    measured = weights is not None
    pairs = [(one, size) for one in classes for size in sizes]
    bounds = [neural_ode_bound(one, size, delta, measured=measured) for one, size in pairs]
    shapes = [
        published_terms(bound.towers, bound.samples, delta)
        if bound.towers.radius * bound.towers.dimension * bound.samples > 1
        else None
        for bound in bounds
    ]
    if format == "json":
        pairs_of = zip(bounds, shapes, strict=True)
        rows = [tables.neural_ode_row(bound, shape) for bound, shape in pairs_of]
        more = {} if trials is None else {"random": tables.trials_ratios(trials)}
        print_json({"rows": rows, "measured": measured, **more})
        return
    grids = [tables.neural_ode_grid(bounds)]
    told = [(bound, shape) for bound, shape in zip(bounds, shapes, strict=True) if shape]
    if told:
        grids.append(tables.published_grid([b for b, _ in told], [s for _, s in told]))
    if trials is not None:
        grids.append(tables.trials_grid(trials))
    print_grids(grids, format)
    if format == "text":
        print(tables.verdict(bounds))


@app.command()
def overparameterized(
    depth: Annotated[list[str] | None, typer.Option(help="Depths L to sweep.")] = None,
    rule: Annotated[list[str] | None, typer.Option(help="θ, with n for the depth.")] = None,
    width: Annotated[list[str] | None, typer.Option(help="m, even.")] = None,
    dimension: Annotated[str, typer.Option(help="Of the inputs, d.")] = "8",
    distance: Annotated[
        list[float] | None, typer.Option(help="τ, the largest ‖W − W(0)‖; more for the gap terms.")
    ] = None,
    samples: Annotated[list[str] | None, typer.Option(help="Sizes n of the sample.")] = None,
    delta: Annotated[float, typer.Option(help="Probability that a bound may fail.")] = 0.05,
    margin: Annotated[
        bool, typer.Option("--margin", help="Estimate the margin of a data set as well.")
    ] = False,
    weights: Weights = None,
    positive: Annotated[
        str | None, typer.Option(help="The class that counts as +1 in the margin; 0 by default.")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(help="Random features of the margin, by commas; 100,400,1600 by default."),
    ] = None,
    seed: Annotated[str, typer.Option(help="Of weights and features.")] = "0",
    format: Format = "text",
) -> None:
    """Look at over-parameterised residual networks near their start (B4)."""
    from dataclasses import asdict

    from expansion.bounds.linearisation import laws_at_start
    from expansion.bounds.margin import margin_estimate, one_against_rest
    from expansion.bounds.overparameterized import gap_terms
    from expansion.bounds.overparameterized_sweep import depth_exponents, depth_sweep
    from expansion.report import generalization_tables as tables
    from expansion.report.grid import print_grids

    check_format(format, _FORMATS)
    if not margin and any(one is not None for one in (weights, positive, features)):
        came = "--weights, --positive or --features alone"
        raise InputError("--margin, for a data set to look at", came, "give --margin too")
    depths = [check_count(one, "depth", least=2, most=4096) for one in depth or ["8", "32", "128"]]
    start = check_count(seed, "seed", least=0)
    if width is not None and len(width) > 1:
        raise InputError("one width", " ".join(width), "ask once for each")
    units = check_count((width or ["64"])[0], "width", least=2, most=4096)
    entries = check_count(dimension, "dimension", least=1, most=4096)
    taus = distance or [0.1]
    sizes = [check_count(one, "samples", least=1) for one in samples or ["1000"]]
    terms = [(tau, n, gap_terms(tau, units, n, delta)) for tau in taus for n in sizes]
    rules = rule or ["1/n", "1/sqrt(n)", "1"]
    rows = depth_sweep(depths, rules, width=units, dimension=entries, tau=taus[0], seed=start)
    exponents = depth_exponents(rows) if len(set(depths)) > 1 else {}
    laws = laws_at_start(units, depths[0], dimension=entries, seed=start)
    margins = []
    chosen = check_count("0" if positive is None else positive, "the positive class", least=0)
    if margin:
        saved, inputs = _network(weights, None)
        if saved.labels is None:
            raise InputError("a file with labels", weights, "save the tower with labels")
        sample, others = one_against_rest(inputs, saved.labels, chosen)
        listed = ("100,400,1600" if features is None else features).split(",")
        numbers = [check_count(one, "features", least=1, most=10**5) for one in listed]
        margins = [
            margin_estimate(*sample, features=number, held_out=others, seed=start)
            for number in numbers
        ]
    if format == "json":
        answer = {
            "width": units,
            "gap_terms_without_their_constants": [
                {"distance": tau, "samples": n, **asdict(one)} for tau, n, one in terms
            ],
            "depths": [asdict(row) for row in rows],
            "exponents": exponents,
            "linearisation": [asdict(law) for law in laws],
        }
        print_json(answer | ({"margins": [asdict(one) for one in margins]} if margins else {}))
        return
    grids = [tables.gap_terms_grid(terms, units), tables.depth_grid(rows, units, taus[0])]
    if exponents:
        grids.append(tables.exponents_grid(exponents))
    grids.append(tables.laws_grid(laws))
    if margins:
        told = f"Class {chosen} against the rest, {len(sample[0])} inputs with ‖x‖ = 1."
        grids.append(tables.margins_grid(margins, told))
    print_grids(grids, format)


@app.command()
def exponents(
    rule: Annotated[list[str] | None, typer.Option(help="Scaling rules, several allowed.")] = None,
    format: Format = "text",
) -> None:
    """Name the scale that each bound asks for: the synthesis of the four papers."""
    from expansion.report.grid import print_grids
    from expansion.report.synthesis_tables import demands_grid, growth_laws_grid
    from expansion.synthesis.exponents import DEFAULT_RULES, synthesis_table
    from expansion.synthesis.quantities import QUANTITIES
    from expansion.towers.scaling import ScalingRule

    check_format(format, _FORMATS)
    rules = [ScalingRule.parse(one) for one in rule or DEFAULT_RULES]
    with progress_bar("exponents", len(QUANTITIES)) as advance:
        table = synthesis_table(rules, on_quantity=lambda _: advance())
    if format == "json":
        print_json(table.to_dict())
        return
    print_grids([demands_grid(table.to_dict()), growth_laws_grid(table.to_dict())], format)
    if format == "text":
        print(textwrap.fill(table.sentence, 100))


def _network(weights: Path | None, rule: str | None) -> tuple[SavedTower, Any]:
    """The tower to look at, under another rule if there is one, and its inputs."""
    from dataclasses import replace

    from expansion.towers.files import embedded_tower, load_tower
    from expansion.towers.scaling import ScalingRule
    from expansion.towers.tower import Tower

    saved = embedded_tower() if weights is None else load_tower(weights)
    if saved.inputs is None:
        mend = "save the tower with inputs"
        raise InputError("a tower with inputs to look at it on", str(weights), mend)
    if rule is not None:
        own, ends = saved.tower, {"encoder": saved.tower.encoder, "decoder": saved.tower.decoder}
        saved = replace(saved, tower=Tower(own.branches, ScalingRule.parse(rule), **ends))
    return saved, saved.inputs
