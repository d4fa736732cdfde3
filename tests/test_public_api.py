"""What the package shows is what it has, documented, and quick to import."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import expansion

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(expansion.__path__, "expansion.")
    if not module.name.endswith("__main__")
)
# Of CONTRACT: scripts rely on these names.
PROMISED = {"Tree", "LabelledTree", "Tower", "ScalingRule", "expand", "growth_table", "spectrum"}


def test_all_is_what_can_be_imported():
    homes = {name for names in expansion._HOMES.values() for name in names}
    assert set(expansion.__all__) - {"__version__"} == homes
    assert sorted(expansion.__all__) == list(expansion.__all__)
    assert sum(map(len, expansion._HOMES.values())) == len(homes)  # no name has two homes
    assert set(dir(expansion)) == set(expansion.__all__)
    assert homes >= PROMISED


def test_type_checkers_see_the_same_names():
    # The names under TYPE_CHECKING are a second list; it must not drift from the first.
    tree = ast.parse(Path(expansion.__file__).read_text(encoding="utf-8"))
    seen = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("expansion.")
        for alias in node.names
    }
    homes = {n: f"expansion.{home}" for home, names in expansion._HOMES.items() for n in names}
    assert seen == homes


@pytest.mark.parametrize(
    ("home", "name"), [(home, name) for home, names in expansion._HOMES.items() for name in names]
)
def test_public_names(home, name):
    public = getattr(expansion, name)
    module = importlib.import_module(f"expansion.{home}")
    assert getattr(module, name) is public
    assert public.__module__ == module.__name__
    assert name in module.__all__
    text = inspect.getdoc(public)
    assert text
    assert re.search(r"^(Examples|Parameters)\n-{8,}$", text, re.MULTILINE)


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match=r"has no attribute 'nonsense'"):
        expansion.nonsense  # noqa: B018
    with pytest.raises(ImportError):
        exec("from expansion import nonsense")


def defined(module) -> dict[str, ast.AST]:
    """Functions and classes that a module defines at its top, without a leading underscore."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {
        node.name: node
        for node in tree.body
        if isinstance(node, kinds) and not node.name.startswith("_") and not is_command(node)
    }


def is_command(node: ast.AST) -> bool:
    """Whether a function is handed to the command line by a decorator ``@app.command()``."""
    calls = [d.func for d in getattr(node, "decorator_list", []) if isinstance(d, ast.Call)]
    return any(isinstance(call, ast.Attribute) and call.attr == "command" for call in calls)


@pytest.mark.parametrize("name", MODULES)
def test_public_names_of_every_module_are_listed(name):
    module = importlib.import_module(name)
    assert module.__doc__
    public = defined(module)
    listed = set(getattr(module, "__all__", ()))
    if not hasattr(module, "__path__"):
        assert set(public) - listed == set(), "public, but not in __all__"
    for listed_name in listed:
        assert hasattr(module, listed_name)
        value = getattr(module, listed_name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), listed_name


@pytest.mark.parametrize("name", MODULES)
def test_methods_have_docstrings(name):
    module = importlib.import_module(name)
    for node in defined(module).values():
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    assert ast.get_docstring(method), f"{node.name}.{method.name}"


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    found = [
        t for name in MODULES for t in finder.find(importlib.import_module(name)) if t.examples
    ]
    assert len(found) > 40


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import expansion", ["sympy", "numba", "matplotlib", "torch", "scipy", "numpy"]),
        ("import expansion; dir(expansion)", ["sympy", "numba", "matplotlib", "torch"]),
        ("import expansion.cli", ["sympy", "numba", "matplotlib", "torch", "scipy"]),
        ("from expansion import LabelledTree, Tree", ["sympy", "numba", "matplotlib", "torch"]),
        (
            "from expansion.towers.scaling import ScalingRule; ScalingRule.parse('1/n').scales(9)",
            ["sympy", "numba", "matplotlib", "torch"],
        ),
    ],
)
def test_slow_packages_are_imported_when_they_are_used(statement, forbidden):
    program = f"{statement}\nimport sys\nprint(*(set({forbidden!r}) & set(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert ran.stdout.strip() == ""


def test_the_import_check_notices():
    program = "import numpy, sys; print(*({'numpy'} & set(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "numpy"
