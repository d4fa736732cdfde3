"""Numbers from other systems, for the tests to answer to.

    python tests/oracles/generate.py                 write every oracle file
    python tests/oracles/generate.py --check         make them again; exit 1 where one differs
    python tests/oracles/generate.py --check NAME…   the same for some

Nothing of this project is imported here: networkx counts trees, mpmath differentiates in 50
digits, sympy expands a composed tower by itself.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import networkx as nx
import sympy
from networkx.algorithms.isomorphism import GraphMatcher, categorical_node_match

HERE = Path(__file__).parent
DIGITS = 25
LARGEST_TREE = 7


def rooted_trees() -> dict[str, Any]:
    """Rooted trees as free trees with a root chosen, up to networkx's isomorphism.

    Their number is the number of vertex orbits of all free trees; the automorphisms that keep the
    root are the symmetry; the topological sorts are the numberings with parents first.
    """
    same_root = categorical_node_match("root", False)
    trees: dict[str, dict[str, int]] = {}
    counts = [0, 1]
    trees["[]"] = {"order": 1, "automorphisms": 1, "increasing_numberings": 1}
    for order in range(2, LARGEST_TREE + 1):
        orbits = 0
        for free in nx.nonisomorphic_trees(order):
            classes: list[nx.Graph] = []
            for root in free:
                rooted = free.copy()
                rooted.nodes[root]["root"] = True
                if any(GraphMatcher(rooted, c, same_root).is_isomorphic() for c in classes):
                    continue
                classes.append(rooted)
                matcher = GraphMatcher(rooted, rooted, same_root)
                directed = nx.bfs_tree(free, root)
                trees[_brackets(directed, root)] = {
                    "order": order,
                    "automorphisms": sum(1 for _ in matcher.isomorphisms_iter()),
                    "increasing_numberings": sum(1 for _ in nx.all_topological_sorts(directed)),
                }
            orbits += len(classes)
        counts.append(orbits)
    return {
        "source": "networkx nonisomorphic_trees, GraphMatcher",
        "counts": counts,
        "trees": trees,
    }


def _brackets(graph: nx.DiGraph, vertex: int) -> str:
    return "[" + ",".join(sorted(_brackets(graph, c) for c in graph.successors(vertex))) + "]"


_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "gelu": lambda a: a * mpmath.ncdf(a),
    "tanh": mpmath.tanh,
    "erf": mpmath.erf,
    "sin": mpmath.sin,
}


def activations() -> dict[str, Any]:
    """Value and derivatives 1..6 of each activation at points, to 25 digits."""
    cases = []
    with mpmath.workdps(60):
        for name, function in _ACTIVATIONS.items():
            for at in ("-2.5", "-0.75", "0", "0.125", "1", "3"):
                derivatives = [mpmath.diff(function, mpmath.mpf(at), m) for m in range(7)]
                cases.append({"name": name, "at": at, "derivatives": _written(derivatives)})
    return {"source": "mpmath.diff at 60 digits", "cases": cases}


def power_series() -> dict[str, Any]:
    """Taylor coefficients of f(u(z)) for polynomials u whose constant term is not zero."""
    arguments = {
        "exp": ["0.5", "1", "-0.25", "0.75", "2", "-1", "0.5"],
        "sin": ["1.25", "-1", "0.5", "0.25", "-0.75", "1", "0"],
        "cos": ["-0.5", "1", "0.5", "-0.25", "0.75", "-1", "2"],
        "tanh": ["0.75", "-1", "0.5", "1", "-0.25", "0", "0.5"],
        "erf": ["-0.25", "1", "0.5", "-0.5", "0.25", "1", "-1"],
        "log": ["1.5", "0.5", "-0.25", "1", "0.125", "-0.5", "0.25"],
    }
    cases = []
    with mpmath.workdps(60):
        for name, argument in arguments.items():
            u = [mpmath.mpf(value) for value in argument]

            def composed(z: Any, name: str = name, u: list[Any] = u) -> Any:
                return getattr(mpmath, name)(mpmath.polyval(u[::-1], z))

            coefficients = mpmath.taylor(composed, 0, len(u) - 1)
            cases.append(
                {"name": name, "argument": argument, "coefficients": _written(coefficients)}
            )
    return {"source": "mpmath.taylor at 60 digits", "cases": cases}


def composed_tower() -> dict[str, Any]:
    """Orders 0..4 of a tower of three formulas, by sympy's own derivatives of the composition.

    The formulas are read by the test from here: each branch is a list of coordinates in x, y.
    """
    branches = [["sin(x + y)", "x*exp(y)"], ["x*y", "cos(x)"], ["tanh(y) - x**2", "x/2 + y*y*x"]]
    scales = ["1/2", "-1", "2/3"]
    point = ["1/3", "-1/4"]
    z, x, y = sympy.symbols("z x y")
    state = [sympy.Rational(value) for value in point]
    for formulas, scale in zip(branches, scales, strict=True):
        at = {x: state[0], y: state[1]}
        moved = [
            sympy.sympify(text, {"x": x, "y": y}).subs(at, simultaneous=True) for text in formulas
        ]
        state = [h + z * sympy.Rational(scale) * f for h, f in zip(state, moved, strict=True)]
    orders = [
        [str(sympy.N((sympy.diff(h, z, k) / sympy.factorial(k)).subs(z, 0), DIGITS)) for h in state]
        for k in range(5)
    ]
    return {
        "source": "sympy.diff of the composed formula",
        "branches": branches,
        "scales": scales,
        "point": point,
        "orders": orders,
    }


def _written(values: list[Any]) -> list[str]:
    # Zeros of odd or even functions come out as rounding noise of the numerical derivative.
    return [mpmath.nstr(mpmath.mpf(0) if abs(v) < 1e-30 else v, DIGITS) for v in values]


ORACLES: dict[str, Callable[[], dict[str, Any]]] = {
    "rooted_trees": rooted_trees,
    "activations": activations,
    "power_series": power_series,
    "composed_tower": composed_tower,
}


def text_of(name: str) -> str:
    """The file's text, made now."""
    return json.dumps(ORACLES[name](), indent=1) + "\n"


def differing(names: list[str]) -> list[str]:
    """The oracles whose file is not what its generator makes."""
    return [n for n in names if (HERE / f"{n}.json").read_text(encoding="utf-8") != text_of(n)]


def main(arguments: list[str]) -> int:
    """Write or check the oracle files; return the exit code."""
    parser = argparse.ArgumentParser(description="Numbers from other systems.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ORACLES))
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args(arguments)
    names = options.names or list(ORACLES)
    if unknown := set(names) - set(ORACLES):
        parser.error(f"oracles among {', '.join(ORACLES)}; got {', '.join(sorted(unknown))}")
    if options.check:
        wrong = differing(names)
        for name in wrong:
            print(f"{name}.json is not what its generator makes")
        return 1 if wrong else 0
    for name in names:
        (HERE / f"{name}.json").write_text(text_of(name), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
