"""The data and the training loop."""

import math
import sys

import pytest

torch = pytest.importorskip("torch")

from expansion import InputError  # noqa: E402
from torch_bridge.networks.architecture import Architecture  # noqa: E402
from torch_bridge.networks.data import Dataset, load_digits  # noqa: E402
from torch_bridge.networks.models import build  # noqa: E402
from torch_bridge.networks.training import TrainingPlan, deterministic, evaluate, train  # noqa: E402

torch.set_num_threads(1)


def small_data(dtype=torch.float64):
    """Two classes on either side of a plane."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((120, 3), generator=generator, dtype=dtype)
    y = (x.sum(dim=1) > 0).long()
    return Dataset(x[:80], y[:80], x[80:], y[80:])


def small_network(seed=0, **changed):
    fields = {"depth": 2, "dimension": 4, "inputs": 3, "classes": 2, **changed}
    return build(Architecture("mlp", **fields), seed=seed)


def test_the_split_is_disjoint_stratified_and_whole():
    from sklearn.datasets import load_digits as images

    pixels, classes = images(return_X_y=True)
    data = load_digits()
    parts = [
        [(tuple(x.tolist()), int(y)) for x, y in zip(inputs, labels, strict=True)]
        for inputs, labels in (
            (data.train_inputs, data.train_labels),
            (data.test_inputs, data.test_labels),
        )
    ]
    # The 1797 images are all different, so that images identify samples.
    whole = {(tuple(x / 16), int(y)) for x, y in zip(pixels, classes, strict=True)}
    assert len(whole) == len(classes) == len(parts[0]) + len(parts[1])
    assert not set(parts[0]) & set(parts[1])
    assert set(parts[0]) | set(parts[1]) == whole
    shares = [
        torch.bincount(y, minlength=10) / len(y) for y in (data.train_labels, data.test_labels)
    ]
    assert (shares[0] - shares[1]).abs().max() < 1 / len(data.test_labels)
    again = load_digits(torch.float32)
    assert torch.equal(again.test_labels, data.test_labels)
    assert again.train_inputs.dtype == torch.float32
    assert torch.equal(again.train_inputs.double(), data.train_inputs)  # sixteenths are exact


def test_without_scikit_learn_one_line_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(InputError, match=r"pip install 'residual-expansion\[torch\]'"):
        load_digits()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), "one label per row"),
        (torch.zeros(3, 2), torch.zeros(2, dtype=torch.int64), "one label per row"),
        (torch.zeros(3, 2), torch.zeros(3), "int64"),
        (torch.zeros(3, 2), torch.tensor([0, -1, 0]), "int64"),
    ],
)
def test_bad_data_is_refused(x, y, message):
    with pytest.raises(InputError, match=message):
        Dataset(x, y, x, y)


def test_training_learns_and_repeats_bit_for_bit():
    data, plan, results, weights = small_data(), TrainingPlan(epochs=60, batch=16), [], []
    for _ in range(2):
        network = small_network()
        seen = []
        results.append(train(network, data, plan, lambda *step, seen=seen: seen.append(step)))
        weights.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
        assert seen == list(enumerate(results[-1].losses, 1))
    assert results[0] == results[1]
    assert torch.equal(*weights)
    assert results[0].losses[-1] < 0.5 * results[0].losses[0]
    assert results[0].test.accuracy > 0.9
    assert len(results[0].losses) == 60
    assert not results[0].diverged


def test_the_result_is_what_an_evaluation_finds():
    data, network = small_data(), small_network()
    result = train(network, data, TrainingPlan(epochs=2))
    assert result.test == evaluate(network, data.test_inputs, data.test_labels)
    with torch.no_grad():
        logits = network(data.test_inputs)
    log_likelihood = logits.log_softmax(1)[torch.arange(40), data.test_labels]
    assert result.test.loss == pytest.approx(-log_likelihood.mean().item())
    right = sum(
        int(row.argmax()) == int(y) for row, y in zip(logits, data.test_labels, strict=True)
    )
    assert result.test.accuracy == pytest.approx(right / 40)


def test_a_diverged_run_is_a_result():
    """At λ = 1 the energy doubles in every block: at depth 600 single precision overflows (G1)."""
    explosive = Architecture(depth=600, dimension=16, rule="1", inputs=3, classes=2)
    data, plan = small_data(torch.float32), TrainingPlan(epochs=3)
    result = train(build(explosive, dtype=torch.float32), data, plan)
    assert result.diverged
    assert result.losses == ()
    assert not math.isfinite(result.test.loss)
    assert result.test.accuracy == 0
    tamed = Architecture(depth=600, dimension=16, rule="1/sqrt(n)", inputs=3, classes=2)
    assert not train(build(tamed, dtype=torch.float32), data, plan).diverged


def test_weight_decay_acts_where_it_is_told_to():
    """With a learning rate too small to learn, only the decay moves the weights."""
    data = small_data()
    plan = TrainingPlan(epochs=1, batch=80, learning_rate=1e-12, weight_decay=1e11)
    network, fresh = small_network(), small_network()
    train(network, data, plan, decayed=network.branches.parameters())
    kept = [
        torch.allclose(p, q)
        for p, q in zip(network.encoder.parameters(), fresh.encoder.parameters(), strict=True)
    ]
    assert all(kept)
    for p, q in zip(network.branches.parameters(), fresh.branches.parameters(), strict=True):
        torch.testing.assert_close(p, 0.9 * q, rtol=1e-6, atol=1e-11)
    train(fresh, data, plan)
    assert not torch.allclose(fresh.encoder.weight, network.encoder.weight)


def test_normalisation_trains_on_batches_and_is_evaluated_on_running_statistics():
    network = small_network(normalised=True)
    train(network, small_data(), TrainingPlan(epochs=2, batch=20))
    assert network.training
    assert network.branches[0].normalisation.num_batches_tracked == 8


def test_deterministic_puts_everything_back():
    threads = torch.get_num_threads()
    with deterministic():
        assert torch.get_num_threads() == 1
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    "fields",
    [
        {"epochs": 0},
        {"batch": 0},
        {"seed": -1},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"weight_decay": -0.1},
        {"weight_decay": math.inf},
    ],
)
def test_bad_plans_are_refused(fields):
    with pytest.raises(InputError):
        TrainingPlan(**fields)
