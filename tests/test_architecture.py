"""The layering of the house: who may import whom, read from the source and never executed."""

import ast
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parent.parent

# The rooms of `expansion` and their floors. A room imports only from floors below its own: rooms
# on one floor do not know each other. The ground floor is one room and may lean on itself.
FLOORS = {
    "errors": 0,
    "checking": 0,
    "writing": 0,
    "console": 0,
    "compiling": 0,
    "parallel": 0,
    "trees": 1,
    "towers": 2,
    "series": 3,
    "growth": 3,
    "bounds": 3,
    "synthesis": 4,
    "report": 4,
    "main_job": 5,
    "commands": 6,
    "cli": 7,
    "__main__": 8,
}
GROUND = {room for room, floor in FLOORS.items() if floor == 0}
# The same for the bridge.
BRIDGE_FLOORS = {
    "loading": 0,
    "networks": 1,
    "tracing": 1,
    "orders": 2,
    "measuring": 2,
    "checks": 2,
    "tower": 3,
    "experiments": 4,
    "report": 5,
    "commands": 6,
    "cli": 7,
    "__main__": 8,
}
# The rooms inside one room of the bridge: three experiments, and what they share.
EXPERIMENT_FLOORS = {
    "grids": 0,
    "training": 1,
    "marion": 1,
    "frei": 1,
}
PROOF_FLOORS = {
    "claims": 0,
    "pasteable": 0,
    "interpolation": 0,
    "mistakes": 0,
    "strategies": 0,
    "evidence": 1,
    "check": 2,
    "balls": 2,
    "formula": 2,
    "results": 3,
    "sampling": 3,
    "state": 4,
    "report": 4,
    "counting": 4,
    "series": 5,
    "growth": 5,
    "bounds": 5,
    "runner": 6,
    "cli": 7,
    "__main__": 8,
}
# By the dotted name of what the rooms are in.
HOUSES = {
    "expansion": FLOORS,
    "proofs_check": PROOF_FLOORS,
    "torch_bridge": BRIDGE_FLOORS,
    "torch_bridge.experiments": EXPERIMENT_FLOORS,
}
# The terminal is for those who talk to people.
MAY_TALK = {"report", "main_job", "commands", "cli", "__main__"}
# What each package may import of the other two and of torch; everything not listed is forbidden.
FOREIGN = {"expansion", "proofs_check", "torch_bridge", "torch"}
ALLOWED = {
    "expansion": set(),
    "proofs_check": {"expansion"},
    "torch_bridge": {"expansion", "torch"},
}


def modules_of(package: Path) -> dict[str, Path]:
    """Dotted name to file, for every module of a package."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported_names(module: str, path: Path) -> set[str]:
    """Every dotted name that a module imports anywhere: at the top, in functions, for types.

    ``from a import b`` counts as ``a.b``, for b may be a module. Relative imports are resolved,
    and so are ``import_module("a.b")`` and ``__import__("a.b")`` of a written name.
    """
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                parts = parts[: len(parts) - node.level + 1]
                base = ".".join([*parts, base] if base else parts)
            names |= {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                names.add(node.args[0].value)
    return names


def import_graph(package: Path) -> nx.DiGraph:
    """Edges from module to imported module, inside one package.

    The package's own name stands for its facade; its version is data, not an import of rooms.
    """
    modules = modules_of(package)
    graph = nx.DiGraph()
    graph.add_nodes_from(modules)
    for module, path in modules.items():
        for name in imported_names(module, path):
            if name == f"{package.name}.__version__":
                continue
            target = name
            while target and target not in modules:
                target = target.rpartition(".")[0]
            if target and target != module:
                graph.add_edge(module, target)
    return graph


def room(module: str, house: str) -> str:
    """The room of a house that a module inside it is in."""
    inside = module.removeprefix(house).lstrip(".")
    return inside.split(".")[0] or "the facade"


def violations(root: Path, house: str) -> list[str]:
    """What breaks the layering of a house, a package with floors or a room of one, under ``root``.

    Imports from or of what is outside the house are its package's affair.
    """
    floors = HOUSES[house]
    graph = import_graph(root / house.split(".")[0])
    graph = graph.subgraph(m for m in graph if f"{m}.".startswith(f"{house}."))
    broken = []
    for importer, imported in sorted(graph.edges):
        above, below = room(importer, house), room(imported, house)
        if above == below or above == "the facade":
            continue
        if below == "the facade":
            broken.append(f"{importer} imports the facade")
        elif not {above, below} <= floors.keys():
            unknown = ({above, below} - floors.keys()).pop()
            broken.append(f"{unknown} has no floor")
        elif below == "console" and above not in MAY_TALK | GROUND:
            broken.append(f"{importer} talks to the terminal")
        elif floors[above] <= floors[below] and not {above, below} <= GROUND:
            broken.append(f"{importer} imports {imported}")
    inside = graph.subgraph(m for m in graph if room(m, house) != "the facade")
    broken += [" → ".join(cycle) for cycle in nx.simple_cycles(inside)]
    return broken


def foreigners(package: Path) -> list[str]:
    """Imports of the other packages, or of torch, that are not allowed."""
    forbidden = FOREIGN - ALLOWED[package.name] - {package.name}
    return [
        f"{module} imports {name}"
        for module, path in modules_of(package).items()
        for name in sorted(imported_names(module, path))
        if name.split(".")[0] in forbidden
    ]


@pytest.mark.parametrize("house", HOUSES)
def test_rooms_import_only_from_floors_below(house):
    assert violations(ROOT, house) == []


def rooms_of(house: str) -> set[str]:
    modules = modules_of(ROOT / house.split(".")[0])
    return {room(m, house) for m in modules if m.startswith(f"{house}.")}


def test_every_room_has_a_floor():
    rooms = rooms_of("expansion")
    assert rooms <= FLOORS.keys()
    assert rooms_of("torch_bridge.experiments") == EXPERIMENT_FLOORS.keys()
    # The rooms that the theory needs are there, so that the rule above is about something.
    assert {"trees", "towers", "series", "growth", "errors", "checking"} <= rooms
    assert import_graph(ROOT / "expansion").number_of_edges() > 30


@pytest.mark.parametrize("package", ["expansion", "proofs_check", "torch_bridge"])
def test_packages_keep_apart(package):
    assert foreigners(ROOT / package) == []
    if package != "expansion" and (ROOT / package / "cli.py").exists():
        used = set().union(*(imported_names(m, p) for m, p in modules_of(ROOT / package).items()))
        assert any(name.split(".")[0] == "expansion" for name in used)


def test_the_checks_have_no_cycles():
    graph = import_graph(ROOT / "proofs_check")
    inside = graph.subgraph(module for module in graph if module != "proofs_check")
    assert list(nx.simple_cycles(inside)) == []


# ---- The test of the test --------------------------------------------------------------------


def build(folder: Path, files: dict[str, str], name: str = "expansion") -> Path:
    package = folder / name
    for path, text in {"__init__.py": "", **files}.items():
        target = package / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        if not (target.parent / "__init__.py").exists():
            (target.parent / "__init__.py").write_text("")
    return package


GOOD = {
    "__init__.py": "from expansion.series.theorem import expand\n__version__ = '1'\n",
    "errors.py": "",
    "checking.py": "from expansion.errors import InputError\n",
    "console.py": "from expansion.errors import InputError\n",
    "trees/tree.py": "import math\nfrom expansion.checking import check\n",
    "trees/labelled.py": "from expansion.trees.tree import Tree\n",
    "towers/tower.py": "from ..trees import tree\n",
    "series/theorem.py": "from expansion.towers.tower import Tower\n",
    "growth/table.py": "def f():\n    from expansion.towers import tower\n",
    "report/text.py": "from expansion.series.theorem import expand\n",
    "main_job.py": "from expansion import __version__\nimport expansion.report.text\n",
    "cli.py": "from expansion import console, main_job\n",
    "__main__.py": "from expansion.cli import main\n",
}


def test_a_good_house_passes(tmp_path):
    package = build(tmp_path, GOOD)
    assert violations(tmp_path, "expansion") == []
    assert foreigners(package) == []


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        (
            "trees/bad.py",
            "from expansion.towers.tower import Tower\n",
            "expansion.trees.bad imports",
        ),
        ("trees/bad.py", "from ..towers import tower\n", "expansion.trees.bad imports"),
        ("trees/bad.py", "import expansion.towers.tower as t\n", "expansion.trees.bad imports"),
        ("trees/bad.py", "def f():\n    from expansion.series import theorem\n", "imports"),
        ("trees/bad.py", "if TYPE_CHECKING:\n    from expansion.cli import main\n", "imports"),
        ("trees/bad.py", "import importlib\nimportlib.import_module('expansion.cli')\n", "imports"),
        ("growth/bad.py", "from expansion.series.theorem import expand\n", "expansion.growth.bad"),
        ("series/bad.py", "from expansion.growth import table\n", "expansion.series.bad imports"),
        ("errors.py", "from expansion.trees.tree import Tree\n", "expansion.errors imports"),
        ("series/bad.py", "from expansion import expand\n", "imports the facade"),
        ("series/bad.py", "import expansion\n", "imports the facade"),
        ("series/bad.py", "from expansion.console import run\n", "talks to the terminal"),
        ("attic/bad.py", "from expansion.errors import InputError\n", "attic has no floor"),
        ("trees/tree.py", "from expansion.trees.labelled import L\n", "→"),
    ],
)
def test_a_violation_is_caught(tmp_path, path, text, told):
    build(tmp_path, {**GOOD, path: text})
    broken = violations(tmp_path, "expansion")
    assert broken
    assert any(told in line for line in broken)


GOOD_EXPERIMENTS = {
    "tower.py": "",
    "experiments/__init__.py": "",
    "experiments/grids/cells.py": "from expansion.errors import InputError\n",
    "experiments/grids/grid.py": "from torch_bridge.experiments.grids import cells\n",
    "experiments/training/trial.py": "from torch_bridge.experiments.grids.cells import Answer\n",
    "experiments/marion/cell.py": "from torch_bridge import tower\nfrom ..grids import grid\n",
    "experiments/frei/cell.py": "def f():\n    from torch_bridge.experiments.grids import cells\n",
    "commands/marion.py": "from torch_bridge.experiments.marion.cell import answer\n",
}


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        (None, "", None),
        ("marion/bad.py", "from torch_bridge.experiments.frei.cell import f\n", "frei.cell"),
        ("frei/bad.py", "def f():\n    from ..training import trial\n", "training.trial"),
        ("grids/bad.py", "from torch_bridge.experiments.marion import cell\n", "marion.cell"),
        ("marion/bad.py", "from torch_bridge.experiments import nothing\n", "the facade"),
        ("stray.py", "from torch_bridge.experiments.grids import cells\n", "stray has no floor"),
        ("grids/cells.py", "from torch_bridge.experiments.grids import grid\n", "→"),
    ],
)
def test_experiments_that_know_each_other_are_caught(tmp_path, path, text, told):
    added = {} if path is None else {f"experiments/{path}": text}
    build(tmp_path, {**GOOD_EXPERIMENTS, **added}, "torch_bridge")
    broken = violations(tmp_path, "torch_bridge.experiments")
    assert bool(broken) == (path is not None)
    assert path is None or any(told in line for line in broken)
    # The house around it sees one room, and nothing wrong but cycles.
    around = violations(tmp_path, "torch_bridge")
    assert all("→" in line for line in around)


@pytest.mark.parametrize(
    ("package", "text", "allowed"),
    [
        ("expansion", "import torch\n", False),
        ("expansion", "def f():\n    import torch.nn as nn\n", False),
        ("expansion", "from proofs_check.runner import run\n", False),
        ("expansion", "__import__('torch_bridge')\n", False),
        ("proofs_check", "import torch\n", False),
        ("proofs_check", "from torch_bridge import trace\n", False),
        ("proofs_check", "from expansion import expand\n", True),
        ("torch_bridge", "from proofs_check import strategies\n", False),
        ("torch_bridge", "import torch\nfrom expansion import Tower\n", True),
        ("expansion", "import torchlike\n", True),
    ],
)
def test_a_foreigner_is_caught(tmp_path, package, text, allowed):
    found = foreigners(build(tmp_path, {"deep/module.py": text}, package))
    assert (found == []) == allowed
