"""The oracle files are what their generator makes, and the trees in them are ours."""

import json
import math
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from expansion.trees.counting import rooted_tree_counts
from expansion.trees.generate import rooted_trees
from expansion.trees.tree import Tree

ORACLES = Path(__file__).with_name("oracles")
GENERATOR = runpy.run_path(str(ORACLES / "generate.py"))
ROOTED = json.loads((ORACLES / "rooted_trees.json").read_text(encoding="utf-8"))


def test_every_file_has_its_generator():
    files = {path.stem for path in ORACLES.glob("*.json")}
    assert files == set(GENERATOR["ORACLES"])


@pytest.mark.parametrize("name", ["rooted_trees", "activations", "power_series"])
def test_files_are_what_their_generator_makes(name):
    made = GENERATOR["ORACLES"][name]()
    assert json.loads((ORACLES / f"{name}.json").read_text(encoding="utf-8")) == made


@pytest.mark.slow
def test_the_command_checks_all_files():
    command = [sys.executable, str(ORACLES / "generate.py"), "--check"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_a_difference_is_noticed(tmp_path):
    # A copy with one digit changed must not pass.
    (tmp_path / "generate.py").write_text((ORACLES / "generate.py").read_text(encoding="utf-8"))
    text = (ORACLES / "rooted_trees.json").read_text(encoding="utf-8")
    (tmp_path / "rooted_trees.json").write_text(
        text.replace('"automorphisms": 720', '"automorphisms": 719')
    )
    command = [sys.executable, str(tmp_path / "generate.py"), "--check", "rooted_trees"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stdout == "rooted_trees.json is not what its generator makes\n"


def test_rooted_trees_are_networkxs():
    assert ROOTED["counts"] == rooted_tree_counts(len(ROOTED["counts"]) - 1)
    theirs = {Tree.parse(text): numbers for text, numbers in ROOTED["trees"].items()}
    largest = len(ROOTED["counts"]) - 1
    assert set(theirs) == {t for order in range(1, largest + 1) for t in rooted_trees(order)}
    assert len(theirs) == len(ROOTED["trees"])
    for tree, numbers in theirs.items():
        assert tree.order == numbers["order"]
        assert tree.symmetry == numbers["automorphisms"]
        assert math.factorial(tree.order) == tree.factorial * numbers["increasing_numberings"]
