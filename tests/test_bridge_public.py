"""What the bridge shows is what it has, documented; its examples run, those of the README too."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch_bridge

HERE = Path(torch_bridge.__file__).parent
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(torch_bridge.__path__, "torch_bridge.")
    if not module.name.endswith("__main__")
)
PAIRS = [(home, name) for home, names in torch_bridge._HOMES.items() for name in names]
PAGES = [HERE / "README.md", HERE.parent / "README.md", HERE.parent / "docs/results/README.md"]


def test_all_is_what_can_be_imported_and_type_checkers_see_the_same():
    assert torch_bridge.__all__ == sorted(name for _, name in PAIRS) == dir(torch_bridge)
    tree = ast.parse(Path(torch_bridge.__file__).read_text(encoding="utf-8"))
    seen = {
        (str(node.module).removeprefix("torch_bridge."), alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("torch_bridge.")
        for alias in node.names
    }
    assert seen == set(PAIRS)


@pytest.mark.parametrize(("home", "name"), PAIRS)
def test_public_names_are_documented(home, name):
    public = getattr(torch_bridge, name)
    assert public.__module__ == f"torch_bridge.{home}"
    assert name in importlib.import_module(public.__module__).__all__
    text = inspect.getdoc(public) or ""
    assert re.search(r"^(Examples|Parameters|Attributes)\n-{8,}$", text, re.MULTILINE)


def test_names_that_pages_import_are_public():
    found = set()
    for page in PAGES:
        for line in re.findall(r"from torch_bridge import (.+)", page.read_text("utf-8")):
            found |= {name.strip() for name in line.split(",")}
    assert {"trace", "predict"} <= found <= set(torch_bridge.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        torch_bridge.nonsense  # noqa: B018


@pytest.mark.parametrize("name", MODULES)
def test_public_names_of_every_module_are_listed_and_documented(name):
    module = importlib.import_module(name)
    assert module.__doc__
    for listed in getattr(module, "__all__", ()):
        value = getattr(module, listed)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), listed


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_the_examples_of_the_page_run():
    found = doctest.testfile(str(HERE / "README.md"), module_relative=False)
    assert found.failed == 0
    assert found.attempted > 5
