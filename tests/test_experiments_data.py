"""Data for the experiments: digits, arrays on disk, CIFAR-10's binary files, a user's factory."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.numpy import save_file  # noqa: E402
from sklearn.neighbors import NearestCentroid  # noqa: E402

from expansion import InputError  # noqa: E402
from torch_bridge.experiments.grids.datasets import load_data  # noqa: E402


def arrays(seed=0, shape=(2, 4, 4)):
    draw = np.random.default_rng(seed)
    return {
        "train_inputs": draw.normal(3.0, 2.0, (12, *shape)),
        "train_labels": np.arange(12) % 3,
        "test_inputs": draw.normal(3.0, 2.0, (6, *shape)),
        "test_labels": np.arange(6) % 3,
    }


def test_digits_are_standardised_by_the_training_part():
    data = load_data()
    assert (data.shape, data.data.classes) == ((1, 8, 8), 10)
    x = data.data.train_inputs
    assert x.dtype == torch.float32
    assert float(x.mean(0).abs().max()) < 1e-6
    assert abs(float(x.square().mean()) - 1) < 1e-5
    assert abs(float(data.data.test_inputs.square().mean()) - 1) > 1e-4  # not by its own


def test_clusters_overlap_and_are_always_the_same():
    data = load_data("clusters", 500)
    assert (data.shape, data.data.classes, len(data.data.test_labels)) == ((1, 8, 8), 10, 10000)
    assert data.fingerprint == load_data("clusters", 500).fingerprint != load_data().fingerprint
    x, y = data.data.test_inputs.numpy(), data.data.test_labels.numpy()
    nearest = NearestCentroid().fit(x[:5000], y[:5000])
    assert 0.15 < nearest.score(x[5000:], y[5000:]) < 0.9  # above chance, far from all


def test_arrays_in_npy_and_in_safetensors_are_the_same_data(tmp_path):
    one, other = tmp_path / "npy", tmp_path / "box"
    one.mkdir()
    other.mkdir()
    for name, array in arrays().items():
        np.save(one / f"{name}.npy", array)
    save_file(arrays(), other / "data.safetensors")
    first, second = load_data(str(one)), load_data(str(other))
    assert first.shape == (2, 4, 4)
    assert first.fingerprint == second.fingerprint
    assert first.data.train_inputs.shape == (12, 32)
    assert load_data(str(one), 5).fingerprint != first.fingerprint
    raw = arrays()["train_inputs"].reshape(12, -1)
    mean, deviation = raw.mean(0), np.sqrt(((raw - raw.mean(0)) ** 2).mean())
    assert np.allclose(first.data.train_inputs.numpy(), (raw - mean) / deviation, atol=1e-6)


def test_cifar_s_binary_version_is_read_byte_by_byte(tmp_path):
    draw = np.random.default_rng(1)
    images = draw.integers(0, 256, (8, 3, 32, 32), dtype=np.uint8)
    labels = draw.integers(0, 10, 8, dtype=np.uint8)
    rows = np.concatenate([labels[:, None], images.reshape(8, -1)], axis=1)
    rows[:3].tofile(tmp_path / "data_batch_1.bin")
    rows[3:6].tofile(tmp_path / "data_batch_2.bin")
    rows[6:].tofile(tmp_path / "test_batch.bin")
    data = load_data(str(tmp_path))
    assert data.shape == (3, 32, 32)
    assert data.data.train_labels.tolist() == labels[:6].tolist()
    raw = images[:6].reshape(6, -1).astype(float)
    deviation = np.sqrt(((raw - raw.mean(0)) ** 2).mean())
    assert np.allclose(data.data.train_inputs.numpy(), (raw - raw.mean(0)) / deviation, atol=1e-5)
    rows[6:].tofile(tmp_path / "test_batch.bin")
    with (tmp_path / "test_batch.bin").open("ab") as file:
        file.write(b"x")
    load_data.cache_clear()
    with pytest.raises(InputError, match="3073 bytes"):
        load_data(str(tmp_path))


def test_cifar_s_pickles_are_refused_unread(tmp_path):
    (tmp_path / "batches.meta").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(InputError, match="binary version"):
        load_data(str(tmp_path))


FACTORY = """
import numpy as np, torch
from PIL import Image
draw = np.random.default_rng(0)
pixels = draw.integers(0, 256, (10, 4, 6, 3), dtype=np.uint8)
labels = [i % 2 for i in range(10)]

def vision():
    whole = [(torch.from_numpy(p).permute(2, 0, 1) / 255, y) for p, y in zip(pixels, labels)]
    return whole[:6], whole[6:]

def faces():
    whole = [{"image": Image.fromarray(p), "label": y} for p, y in zip(pixels, labels)]
    return whole[:6], whole[6:]

def nameless():
    return [{"picture": 1, "label": 0}], []

def broken():
    raise RuntimeError("no disk")

def one():
    return 3
"""


def test_a_user_s_datasets_of_both_styles_are_the_same_data(tmp_path):
    pytest.importorskip("PIL")
    file = tmp_path / "mydata.py"
    file.write_text(FACTORY)
    vision, faces = load_data(f"{file}:vision"), load_data(f"{file}:faces")
    assert vision.shape == faces.shape == (3, 4, 6)
    assert torch.allclose(vision.data.train_inputs, faces.data.train_inputs, atol=1e-5)
    assert vision.data.test_labels.tolist() == [0, 1, 0, 1]
    for name, told in (
        ("nameless", "pixel_values"),
        ("broken", "no disk"),
        ("one", "two datasets"),
    ):
        with pytest.raises(InputError, match=told):
            load_data(f"{file}:{name}")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"train_labels": np.arange(12) / 2}, "give an integer"),
        ({"train_labels": np.arange(11) % 3}, "for 12 samples"),
        ({"train_labels": np.array(1)}, "for 12 samples"),
        ({"train_labels": 10**9 * (np.arange(12) % 2)}, "labels below 100000"),
        ({"train_labels": np.arange(12) - 1}, "labels 0, 1, 2"),
        ({"train_inputs": np.full((12, 4), np.nan)}, "finite inputs"),
        ({"train_inputs": np.ones((12, 4)), "test_inputs": np.ones((6, 4))}, "inputs that differ"),
        ({"train_inputs": np.ones(12)}, "real inputs of shape"),
        (
            {"train_inputs": np.ones((12, 0)), "test_inputs": np.ones((6, 0))},
            "real inputs of shape",
        ),
        ({"train_inputs": np.full((12, 4), "1")}, "real inputs of shape"),
        ({"train_inputs": np.ones((12, 4)) * 1j}, "real inputs of shape"),
        ({"train_inputs": 1e200 * np.eye(12, 4)}, "finite inputs"),
        ({"train_inputs": np.eye(12, 4).reshape(12, 1, 1, 2, 2)}, "inputs alike"),
        ({"test_inputs": np.ones((6, 5))}, "inputs alike"),
        ({"test_inputs": np.ones((0, 4))}, "real inputs of shape"),
        ({"test_labels": None}, "as .npy files"),
        ({"train_inputs": np.array([{}] * 12)}, "as .npy files"),  # a pickle inside
    ],
)
def test_bad_arrays_are_told_in_one_line(tmp_path, change, told):
    for name, array in (arrays(shape=(4,)) | change).items():
        if array is not None:
            np.save(tmp_path / f"{name}.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=told) as caught:
        load_data(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spec", ["nowhere", "", "mnist"])
def test_an_unknown_spec_is_told(spec):
    with pytest.raises(InputError, match="digits, clusters"):
        load_data(spec)
