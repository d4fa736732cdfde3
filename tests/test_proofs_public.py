"""What proofs_check shows is documented, and its examples run, those of the README too."""

import ast
import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import proofs_check
from expansion import LabelledTree, ScalingRule, Tower, Tree
from expansion.towers.architectures.architecture import Architecture
from proofs_check import strategies

HERE = Path(proofs_check.__file__).parent
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(proofs_check.__path__, "proofs_check.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_public_names_are_listed_and_documented(name):
    module = importlib.import_module(name)
    assert module.__doc__
    if hasattr(module, "__path__"):
        return
    kinds = (ast.FunctionDef, ast.ClassDef)
    body = ast.parse(Path(module.__file__).read_text("utf-8")).body
    listed = set(module.__all__)
    for node in body:
        if isinstance(node, kinds) and node.name in listed:
            assert ast.get_docstring(node), node.name
    for public in listed:
        value = getattr(module, public)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert inspect.getdoc(value), public


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_the_readme_runs_and_names_every_file():
    page = HERE / "README.md"
    found = doctest.testfile(str(page), module_relative=False)
    assert found.failed == 0
    assert found.attempted > 5
    text = page.read_text("utf-8")
    files = set(HERE.rglob("*.py")) - set((HERE / "formula").glob("*.py"))
    own = {path.stem for path in files} - {"__init__", "__main__"}
    assert [name for name in sorted(own) if f"`{name}`" not in text] == []
    assert [name for name in strategies.__all__ if f"`{name}`" not in text] == []


DRAWN = {
    "trees": (strategies.trees(), Tree),
    "labelled_trees": (strategies.labelled_trees(), LabelledTree),
    "scalings": (strategies.scalings(3), ScalingRule),
    "scaling_rules": (strategies.scaling_rules(), ScalingRule),
    "polynomial_towers": (strategies.polynomial_towers(), Tower),
    "affine_towers": (strategies.affine_towers(), Tower),
    "relu_towers": (strategies.relu_towers(), Tower),
    "layered_towers": (strategies.layered_towers(ends=True), Tower),
    "float_towers": (strategies.float_towers(), Tower),
    "architectures": (strategies.architectures(), Architecture),
}


@settings(max_examples=10)
@given(st.data())
@pytest.mark.parametrize("name", DRAWN)
def test_strategies_draw_what_they_promise(name, data):
    strategy, kind = DRAWN[name]
    assert isinstance(data.draw(strategy), kind)
