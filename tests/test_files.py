"""Saved towers: what is written comes back, and nothing else is let in."""

import json
import os
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from expansion.errors import InputError
from expansion.towers.branches.layered import AffineBranch, MLPBranch, relu_branch
from expansion.towers.files import FORMAT, SavedTower, load_tower, save_tower
from expansion.towers.scaling import ScalingRule
from expansion.towers.tower import Tower
from proofs_check.strategies import float_towers, relu_towers

GOOD = {"format": FORMAT, "activation": "tanh", "rule": "1/n"}
ONES = np.ones((2, 2))


def told(error: InputError, came: str = "") -> None:
    """One line with what was required, what came and how to mend it."""
    text = str(error)
    assert "\n" not in text
    assert error.required
    assert error.mend
    assert text.startswith(f"{error.required}; got ")
    assert text.endswith(f"; {error.mend}")
    assert came in text


@pytest.fixture
def digits(tmp_path):
    """A file with everything in it: ends, biases, listed scales, inputs and labels."""
    generator = np.random.default_rng(5)
    branches = [
        MLPBranch(
            generator.normal(size=(3, 4)),
            generator.normal(size=(4, 3)),
            generator.normal(size=4),
            generator.normal(size=3),
            "gelu",
        )
        for _ in range(2)
    ]
    encoder = AffineBranch(generator.normal(size=(3, 5)), generator.normal(size=3))
    decoder = AffineBranch(generator.normal(size=(2, 3)))
    tower = Tower(branches, [0.5, 0.25], encoder, decoder)
    saved = SavedTower(tower, generator.normal(size=(6, 5)), np.arange(6), "two blocks, by hand")
    return save_tower(tmp_path / "tower.safetensors", saved), saved


def written(tmp_path, tensors, metadata=GOOD, name="t.safetensors"):
    path = tmp_path / name
    path.write_bytes(save({k: np.ascontiguousarray(v) for k, v in tensors.items()}, metadata))
    return path


class TestRoundTrip:
    def test_everything_comes_back(self, digits):
        path, saved = digits
        loaded = load_tower(path)
        assert loaded.description == "two blocks, by hand"
        assert (loaded.inputs == saved.inputs).all()
        assert loaded.labels.tolist() == list(range(6))
        assert loaded.tower.scales == saved.tower.scales
        assert loaded.tower.branches[0].activation.name == "gelu"
        # The same floats in the same order of operations: not a bit differs.
        assert (loaded.tower(saved.inputs) == saved.tower(saved.inputs)).all()

    @settings(max_examples=25)
    @given(
        tower=float_towers(), rule=st.sampled_from(["1", "1/n", "1/sqrt(n)", "batchnorm", "0.3"])
    )
    def test_rules_are_kept_by_name(self, tmp_path_factory, tower, rule):
        names = {branch.activation.name for branch in tower.branches}
        tower = Tower(tower.branches, rule)
        path = tmp_path_factory.mktemp("saved") / "t.safetensors"
        if len(names) > 1:
            with pytest.raises(InputError, match=r"one activation in all blocks") as caught:
                save_tower(path, SavedTower(tower))
            told(caught.value, ", ".join(sorted(names)))
            assert not path.exists()
            return
        loaded = load_tower(save_tower(path, SavedTower(tower))).tower
        assert loaded.rule == ScalingRule.parse(rule)
        x = np.array([0.1, -0.2, 0.3])
        assert (loaded(x) == tower(x)).all()

    @settings(max_examples=25)
    @given(tower=relu_towers(width=3))
    def test_exact_weights_are_rounded_once(self, tmp_path_factory, tower):
        path = tmp_path_factory.mktemp("saved") / "t.safetensors"
        loaded = load_tower(save_tower(path, SavedTower(tower))).tower
        for ours, theirs in zip(loaded.branches, tower.branches, strict=True):
            assert ours.outer.tolist() == theirs.outer.astype(float).tolist()
            assert ours.inner.tolist() == theirs.inner.astype(float).tolist()
        assert [float(s) for s in loaded.scales] == [float(s) for s in tower.scales]

    def test_scales_of_a_file_are_kept_as_numbers(self, tmp_path):
        listed = tmp_path / "scales.txt"
        listed.write_text("0.5\n0.25\n")
        tower = Tower.tied(relu_branch(ONES), 2, f"@{listed}")
        path = save_tower(tmp_path / "t.safetensors", SavedTower(tower))
        listed.unlink()
        assert [float(s) for s in load_tower(path).tower.scales] == [0.5, 0.25]

    def test_branches_without_an_inner_or_outer_matrix(self, tmp_path):
        for number, branch in enumerate((MLPBranch(outer=ONES), MLPBranch(inner=ONES))):
            path = save_tower(tmp_path / f"{number}", SavedTower(Tower.tied(branch, 2)))
            loaded = load_tower(path).tower
            assert (loaded.branches[0].inner is None) == (branch.inner is None)
            assert (loaded([1.0, 2.0]) == Tower.tied(branch, 2)([1.0, 2.0])).all()

    def test_eleven_blocks_keep_their_order(self, tmp_path):
        # As text, "10" comes before "2".
        tower = Tower([MLPBranch([[0.1 * k]]) for k in range(1, 12)])
        loaded = load_tower(save_tower(tmp_path / "t", SavedTower(tower))).tower
        assert [b.outer[0, 0] for b in loaded.branches] == [0.1 * k for k in range(1, 12)]

    def test_a_rule_is_1_unless_named(self, tmp_path):
        path = written(tmp_path, {"blocks.1.outer.weight": ONES}, {**GOOD, "rule": "1"})
        del_rule = {key: value for key, value in GOOD.items() if key != "rule"}
        same = written(tmp_path, {"blocks.1.outer.weight": ONES}, del_rule, "other")
        assert load_tower(path).tower.scales == load_tower(same).tower.scales == (1,)


class TestWhatCannotBeSaved:
    @pytest.mark.parametrize(
        ("tower", "message"),
        [
            (
                Tower.tied(AffineBranch(ONES), 2),
                "one-hidden-layer branches to save; got AffineBranch",
            ),
            (Tower.abstract(2), "one-hidden-layer branches to save; got AbstractBranch"),
            (
                Tower.tied(MLPBranch(ONES), 2, decoder=MLPBranch(ONES)),
                "an affine decoder to save; got MLPBranch",
            ),
            (
                Tower.tied(MLPBranch(ONES), 2, encoder=MLPBranch(ONES)),
                "an affine encoder to save; got MLPBranch",
            ),
        ],
    )
    def test_other_parts(self, tmp_path, tower, message):
        with pytest.raises(InputError, match=message) as caught:
            save_tower(tmp_path / "t", SavedTower(tower))
        told(caught.value)
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize(
        ("inputs", "labels", "message"),
        [
            (np.ones((3, 4)), None, "an input of dimension 2; got shape"),
            (np.ones(2), None, "inputs must be a matrix"),
            (np.array([[np.nan, 1.0]]), None, "inputs must hold finite numbers"),
            (np.ones((3, 2)), np.arange(2), "one label per input; got 2 labels for 3 inputs"),
        ],
    )
    def test_inputs_that_do_not_fit(self, inputs, labels, message):
        with pytest.raises(InputError, match=message) as caught:
            SavedTower(Tower.tied(MLPBranch(ONES), 2), inputs, labels)
        told(caught.value)

    def test_labels_that_are_no_whole_numbers(self, tmp_path):
        # Cut to whole numbers without a word, 0.5 would become class 0.
        with pytest.raises(InputError, match=r"whole numbers"):
            save_tower(
                tmp_path / "t",
                SavedTower(Tower.tied(MLPBranch(ONES), 2), np.ones((2, 2)), np.array([0.5, 1.7])),
            )

    def test_labels_alone(self):
        with pytest.raises(InputError, match=r"label"):
            SavedTower(Tower.tied(MLPBranch(ONES), 2), None, np.arange(2))

    def test_a_folder_that_is_missing(self, tmp_path):
        with pytest.raises(InputError, match=r"a file that can be written") as caught:
            save_tower(tmp_path / "no" / "t", SavedTower(Tower.tied(MLPBranch(ONES), 2)))
        told(caught.value, "No such file or directory")
        assert not (tmp_path / "no").exists()


class TestDamagedFiles:
    def test_cut_at_any_place(self, digits):
        path, _ = digits
        whole = path.read_bytes()
        header = 8 + struct.unpack("<Q", whole[:8])[0]
        cuts = {0, 1, 7, 8, 9, 100, header - 1, header, header + 1, header + 8}
        cuts |= {len(whole) // 2, len(whole) - 8, len(whole) - 1}
        cuts |= set(range(0, len(whole), 97))
        for cut in sorted(cuts):
            path.write_bytes(whole[:cut])
            with pytest.raises(InputError, match=r"a safetensors file with a tower") as caught:
                load_tower(path)
            told(caught.value, path.name)
        # The control: uncut, the same bytes are a tower.
        path.write_bytes(whole)
        assert load_tower(path).tower.depth == 2

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"not safetensors at all, but long enough to look at",
            b"\xff" * 64,
            struct.pack("<Q", 2**62) + b"{}",
            struct.pack("<Q", 2) + b"[]",
            struct.pack("<Q", 2) + b"{}",
            struct.pack("<Q", 4) + b"nope",
            b"PK\x03\x04" + b"\0" * 60,
            b"\x80\x04\x95" + b"\0" * 60,
            json.dumps({"format": FORMAT}).encode(),
        ],
    )
    def test_other_content(self, tmp_path, content):
        path = tmp_path / "other.safetensors"
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            load_tower(path)
        told(caught.value, path.name)

    def test_bytes_after_the_end(self, digits):
        path, _ = digits
        path.write_bytes(path.read_bytes() + b"more")
        with pytest.raises(InputError, match=r"a safetensors file with a tower") as caught:
            load_tower(path)
        told(caught.value, path.name)

    @settings(max_examples=60)
    @given(position=st.integers(0, 10**6), value=st.integers(0, 255))
    def test_a_changed_byte_is_refused_or_read_as_finite_numbers(
        self, tmp_path_factory, position, value
    ):
        whole = bytearray(save({"blocks.1.outer.weight": ONES, "scales": np.ones(1)}, GOOD))
        whole[position % len(whole)] = value
        path = tmp_path_factory.mktemp("changed") / "t.safetensors"
        path.write_bytes(bytes(whole))
        try:
            tower = load_tower(path).tower
        except InputError as error:
            told(error)
        else:
            assert tower.depth == 1
            assert np.isfinite(tower.branches[0].outer).all()

    def test_missing(self, tmp_path):
        with pytest.raises(InputError, match=r"a safetensors file with a tower") as caught:
            load_tower(tmp_path / "missing.safetensors")
        told(caught.value, "missing.safetensors")
        assert caught.value.mend == "check the path"

    def test_a_folder(self, tmp_path):
        with pytest.raises(InputError) as caught:
            load_tower(tmp_path)
        told(caught.value, str(tmp_path)[:60])


class TestWrongTowers:
    @pytest.mark.parametrize(
        ("tensors", "metadata", "message"),
        [
            ({"blocks.1.outer.weight": ONES}, None, "a file of format .*'unnamed'"),
            ({"blocks.1.outer.weight": ONES}, {"format": "pt"}, "a file of format .*'pt'"),
            ({}, GOOD, r"blocks 1\.\.n without a gap; got blocks none"),
            ({"scales": np.ones(2)}, GOOD, r"blocks 1\.\.n without a gap; got blocks none"),
            ({"blocks.2.outer.weight": ONES}, GOOD, "without a gap; got blocks 2"),
            (
                {"blocks.1.outer.weight": ONES, "blocks.3.outer.weight": ONES},
                GOOD,
                "without a gap; got blocks 1, 3",
            ),
            ({"blocks.0.outer.weight": ONES}, GOOD, "only the tensors of a tower; got 'blocks.0"),
            ({"blocks.01.outer.weight": ONES}, GOOD, "only the tensors of a tower; got 'blocks.01"),
            (
                {"blocks.1.middle.weight": ONES},
                GOOD,
                "only the tensors of a tower; got 'blocks.1.m",
            ),
            ({"layer.weight": ONES}, GOOD, "only the tensors of a tower; got 'layer.weight'"),
            (
                {"blocks.1.outer.weight": ONES.astype(np.int64)},
                GOOD,
                "floating-point weights; got blocks.1.outer.weight of type int64",
            ),
            (
                {"blocks.1.outer.weight": ONES > 0},
                GOOD,
                "floating-point weights; got .* of type bool",
            ),
            ({"blocks.1.outer.weight": ONES * np.nan}, GOOD, "outer matrix must hold finite"),
            ({"blocks.1.outer.weight": ONES * np.inf}, GOOD, "outer matrix must hold finite"),
            ({"blocks.1.outer.weight": np.ones(2)}, GOOD, "outer matrix must be a matrix"),
            (
                {"blocks.1.outer.weight": np.ones((2, 3))},
                GOOD,
                "a space to itself; got 3 to 2 in block 1",
            ),
            (
                {"blocks.1.outer.weight": ONES, "blocks.2.outer.weight": np.eye(3)},
                GOOD,
                "branches of one dimension; got dimension 3 in block 2 after dimension 2",
            ),
            (
                {"blocks.1.outer.weight": ONES, "blocks.1.inner.weight": np.ones((3, 2))},
                GOOD,
                "widths fit; got 3 hidden units into 2",
            ),
            (
                {"blocks.1.outer.weight": ONES, "blocks.1.outer.bias": np.ones(3)},
                GOOD,
                "the outer bias must fit its matrix",
            ),
            ({"blocks.1.outer.bias": np.ones(2)}, GOOD, "an inner or an outer matrix; got neither"),
            (
                {"blocks.1.outer.weight": ONES, "encoder.weight": np.ones((3, 4))},
                GOOD,
                "got dimension 2 in block 1 after dimension 3",
            ),
            (
                {"blocks.1.outer.weight": ONES, "decoder.weight": np.ones((3, 4))},
                GOOD,
                "a decoder that fits the blocks",
            ),
            (
                {"blocks.1.outer.weight": ONES, "encoder.bias": np.ones(2)},
                GOOD,
                "encoder.weight beside encoder.bias; got the bias alone",
            ),
            (
                {"blocks.1.outer.weight": ONES, "scales": np.ones(2)},
                GOOD,
                "one listed scale per block; got 2 scales for depth 1",
            ),
            (
                {"blocks.1.outer.weight": ONES, "scales": ONES},
                GOOD,
                "scales as a vector; got shape",
            ),
            (
                {"blocks.1.outer.weight": ONES, "scales": np.array([np.nan])},
                GOOD,
                "scale must be a finite number; got nan",
            ),
            ({"blocks.1.outer.weight": ONES}, {**GOOD, "rule": "inf"}, "a finite number; got inf"),
            (
                {"blocks.1.outer.weight": ONES},
                {**GOOD, "rule": "banana"},
                "a scaling rule: .*banana",
            ),
            ({"blocks.1.outer.weight": ONES}, {**GOOD, "rule": "half"}, "leaves the skip alone"),
            (
                {"blocks.1.outer.weight": ONES},
                {**GOOD, "activation": "swish"},
                "an activation among",
            ),
            (
                {"blocks.1.outer.weight": ONES},
                {"format": FORMAT},
                "an activation among .*; got nothing",
            ),
            (
                {"blocks.1.outer.weight": ONES, "inputs": np.ones((3, 5))},
                GOOD,
                "an input of dimension 2; got shape",
            ),
            (
                {"blocks.1.outer.weight": ONES, "inputs": np.ones(2)},
                GOOD,
                "inputs must be a matrix",
            ),
            (
                {"blocks.1.outer.weight": ONES, "inputs": ONES * np.nan},
                GOOD,
                "inputs must hold finite numbers",
            ),
            (
                {"blocks.1.outer.weight": ONES, "inputs": ONES, "labels": np.arange(3)},
                GOOD,
                "one label per input; got 3 labels for 2 inputs",
            ),
            (
                {"blocks.1.outer.weight": ONES, "inputs": ONES, "labels": np.ones(2)},
                GOOD,
                "whole numbers as labels; got labels of type float64",
            ),
            (
                {"blocks.1.outer.weight": ONES, "inputs": ONES, "labels": np.ones((2, 1), int)},
                GOOD,
                r"whole numbers as labels; got .*\(2, 1\)",
            ),
        ],
    )
    def test_refused_with_what_came(self, tmp_path, tensors, metadata, message):
        path = written(tmp_path, tensors, metadata)
        with pytest.raises(InputError, match=message) as caught:
            load_tower(path)
        told(caught.value)

    def test_biases_without_their_matrix_must_fit(self, tmp_path):
        tensors = {"blocks.1.outer.weight": ONES, "blocks.1.inner.bias": np.ones(3)}
        with pytest.raises(InputError, match=r"bias"):
            load_tower(written(tmp_path, tensors))

    def test_another_file_is_refused(self, tmp_path):
        (tmp_path / "scales.txt").write_text("0.5\n")
        rule = f"@{tmp_path / 'scales.txt'}"
        path = written(tmp_path, {"blocks.1.outer.weight": ONES}, {**GOOD, "rule": rule})
        with pytest.raises(InputError, match=r"a rule that needs no other file"):
            load_tower(path)

    def test_another_file_is_refused_unread(self, tmp_path, monkeypatch):
        # A file from elsewhere must not make this one read a path of its choosing.
        secret = tmp_path / "secret.txt"
        secret.write_text("not a scale\n")
        path = written(tmp_path, {"blocks.1.outer.weight": ONES}, {**GOOD, "rule": f"@{secret}"})
        with pytest.raises(InputError, match=r"a rule that needs no other file"):
            load_tower(path)

    def test_half_precision_is_read(self, tmp_path):
        for dtype in (np.float16, np.float32):
            path = written(tmp_path, {"blocks.1.outer.weight": ONES.astype(dtype)})
            assert load_tower(path).tower.branches[0].outer.dtype == np.float64
