"""trace() and what a tower answers: sub-networks, orders by every route, and what it refuses."""

from itertools import chain, combinations

import pytest

torch = pytest.importorskip("torch")

from bridge_models import MODELS, TOWERS, distance, floats, traced  # noqa: E402
from torch import nn  # noqa: E402

import torch_bridge  # noqa: E402
from expansion import InputError, ScalingRule, gated_orders, save_tower  # noqa: E402, F401
from torch_bridge.measuring.measure import measure  # noqa: E402
from torch_bridge.networks.export import to_tower  # noqa: E402
from torch_bridge.orders.radius import estimate_radius, order_sizes  # noqa: E402
from torch_bridge.tower import trace  # noqa: E402
from torch_bridge.tracing.nested import nested_orders  # noqa: E402
from torch_bridge.tracing.runner import Block, check_scales  # noqa: E402

torch.set_num_threads(1)


def total(orders):
    return [sum(parts) for parts in zip(*(floats(order) for order in orders), strict=True)]


def subsets(names):
    return chain.from_iterable(combinations(names, k) for k in range(len(names) + 1))


# ---- Calling ------------------------------------------------------------------------------------


def test_the_facade_has_it():
    assert torch_bridge.trace is trace


def test_a_lone_tensor_stands_for_one_argument_and_the_example_is_kept():
    tower, model, (x,), _ = traced("skipinit")
    assert torch.equal(tower(), model(x))
    assert torch.equal(trace(model, x)(), model(x))
    assert tower.example == ((x,), {})


def test_named_inputs():
    class Scaled(nn.Linear):
        def forward(self, x, *, gain, shift=None):
            y = x + gain * super().forward(x)
            return y if shift is None else y + shift

    model, x = Scaled(3, 3), torch.randn(2, 3)
    tower = trace(model, (x,), {"gain": torch.tensor(2.0), "shift": torch.ones(3)})
    for order in ({"shift": torch.ones(3), "gain": torch.tensor(5.0)}, {"gain": torch.tensor(3.0)}):
        assert torch.allclose(tower(x, **order), model(x, **order))
    assert tower.depth == 1
    with torch.no_grad():
        assert torch.equal(tower(x, gain=torch.tensor(2.0), scales=[0]), x)


@pytest.mark.parametrize(
    ("scales", "row"),
    [
        ("1/n", [1 / 3] * 3),
        ("0.5", [0.5] * 3),
        (2, [2.0] * 3),
        (ScalingRule.parse("batchnorm"), [1, 2**-0.5, 3**-0.5]),
        ((1, 0, 1), [1, 0, 1]),
        (torch.tensor([1, 0, 2]), [1, 0, 2]),
    ],
)
def test_scales_are_written_in_many_ways(scales, row):
    tower = traced("skipinit")[0]
    with torch.no_grad():
        assert distance(tower(scales=scales), tower(scales=row)) <= 1e-14
    found = check_scales(scales, 3)
    assert [float(s) for s in found] == pytest.approx(row)


@pytest.mark.parametrize(
    ("scales", "told"),
    [
        ([1.0, 1.0], "one scale for each of the 3 blocks; got 2 scales"),
        (torch.ones(4), r"one scale for each of the 3 blocks; got a tensor of shape \(4,\)"),
        (torch.ones(2, 2, 3), r"got a tensor of shape \(2, 2, 3\)"),
        (torch.ones(3) * 1j, "real scales; got a tensor of torch.complex64"),
        ([1.0, float("nan"), 1.0], r"finite scales; got \[1.0, nan, 1.0\]"),
        (torch.ones(0, 3), r"got a tensor of shape \(0, 3\)"),
        ([1.0, "x", 1.0], "a list of numbers, a rule or a tensor; got list"),
        ({"1": 0.5, "2": 0.5, "3": 0.5}, "a list of numbers, a rule or a tensor; got dict"),
        ("half", "a rule that scales branches only; got half"),
        ("1/m", "scaling rule"),
    ],
)
def test_bad_scales(scales, told):
    with pytest.raises(InputError, match=told):
        traced("skipinit")[0](scales=scales)


def test_one_row_of_scales_to_watch():
    with pytest.raises(InputError, match="one scale per block; got many"):
        traced("skipinit")[0].run(*traced("skipinit")[0].example, scales=torch.ones(2, 3))


def test_what_is_no_module():
    with pytest.raises(InputError, match=r"torch\.nn\.Module; got function"):
        trace(lambda x: x, torch.ones(1))


def test_inputs_that_are_no_inputs():
    with pytest.raises(InputError, match="example inputs in a tuple; got NoneType"):
        trace(nn.Linear(1, 1), None)
    with pytest.raises(InputError, match="named inputs in a dictionary; got list"):
        trace(nn.Linear(1, 1), torch.ones(1), [1])


def test_inputs_on_another_device_than_at_the_trace():
    tower, _, (x,), _ = traced("skipinit")
    with pytest.raises(InputError, match="inputs on the model's device, cpu; got one on meta"):
        tower(x.to("meta"))


# ---- Sub-networks -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("gpt2", ("attn.c_proj", "mlp.c_proj")),
        ("post_norm", ("attention", "mlp")),
    ],
)
def test_a_subnetwork_is_the_model_with_the_others_ablated(name, ends):
    tower, model, args, kwargs = traced(name)

    def zero(module, args, output):
        return torch.zeros_like(output)

    for kept in subsets(tower.names):
        handles = []
        for block in tower.names:
            if block not in kept:
                home, _, part = block.rpartition(".")
                (end,) = (end for end in ends if end.startswith(part))
                module = model.get_submodule(f"{home}.{end}")
                handles.append(module.register_forward_hook(zero))
        with torch.no_grad():
            theirs = model(*args, **kwargs)
        for handle in handles:
            handle.remove()
        with torch.no_grad():
            assert distance(tower.subnetwork(kept)(*args, **kwargs), theirs) <= 1e-13


def test_a_subnetwork_is_a_module_of_the_same_parameters():
    tower, model, (x,), _ = traced("skipinit")
    network = tower.subnetwork({1, "3"})
    assert network.kept == {1, 3}
    assert {id(p) for p in network.parameters()} == {id(p) for p in model.parameters()}
    with torch.no_grad():
        first = model[1](model[0](x))
        assert torch.equal(network(x), model[4](model[3](first)))
        assert torch.equal(tower.subnetwork(tower.names)(x), model(x))


@pytest.mark.parametrize(
    ("keep", "told"),
    [
        ({"4"}, r"names of blocks, or numbers 1\.\.3; got '4'"),
        ({0}, r"numbers 1\.\.3; got 0"),
        ({4}, r"got 4"),
        ({True}, r"got True"),
        ("1", r"a set of blocks; got '1' alone; write \{'1'\}"),
        (1, r"a set of blocks; got 1 alone; write \{1\}"),
    ],
)
def test_blocks_that_do_not_exist(keep, told):
    with pytest.raises(InputError, match=told):
        traced("skipinit")[0].subnetwork(keep)


def test_blocks():
    assert traced("parallel")[0].blocks == (
        Block(1, "1", "identity", 2),
        Block(2, "2", "identity", 2),
    )
    assert repr(traced("digits")[0]) == (
        "TracedTower(ResidualNetwork, depth=4, "
        "blocks: branches.0, branches.1, branches.2, branches.3)"
    )


# ---- Orders -------------------------------------------------------------------------------------

SMALL = 1e-3  # scales so small that four orders are the output


@pytest.mark.parametrize("name", ["digits", "resnet_in_place", "parallel", "vit"])
def test_orders_by_every_route(name):
    tower, model, args, kwargs = traced(name)
    n = tower.depth
    with torch.no_grad():
        output = floats(model(*args, **kwargs))
        for method in ("frozen", "subnetworks"):
            orders = tower.orders(n, method)
            assert len(orders) == n + 1
            assert type(orders[1]) is type(model(*args, **kwargs))
            assert distance(total(orders), output) <= 1e-11
        small = [SMALL] * n
        near = floats(tower(*args, **kwargs, scales=small))
        series = tower.orders(3, scales=small)
        assert distance(total(series), near) <= 1e-8
        assert distance(total(series[:2]), near) > 1e-9  # orders 2 and 3 are there
        if name == "resnet_in_place":  # rectified zeros: derivatives from the right, or none
            return
        for ours, theirs in zip(
            series, nested_orders(tower._runner, args, kwargs, 3, small), strict=True
        ):
            assert distance(ours, theirs) <= 1e-9


def test_orders_of_a_tower_that_the_theory_package_knows():
    tower, model, (x,), _ = traced("relu_network")
    saved = to_tower(model, x)
    wanted = gated_orders(saved.tower, saved.inputs)
    found = torch.stack(tower.orders(3, "frozen")).detach().numpy()
    branches = [f"branches.{i}" for i in range(3)]
    assert list(tower.names) == branches
    # Biases are zero at initialisation but drawn here, so only the sums are compared.
    assert found.shape == wanted.shape
    assert abs(found.sum(0) - wanted.sum(0)).max() <= 1e-12 * abs(wanted.sum(0)).max()


def test_orders_beyond_the_depth_are_zero():
    tower = traced("skipinit")[0]
    for method in ("frozen", "subnetworks"):
        orders = tower.orders(5, method)
        assert len(orders) == 6
        assert not orders[4].any()
        assert orders[3].any()


def test_orders_at_other_inputs():
    tower, model, (x,), _ = traced("digits")
    with torch.no_grad():
        orders = tower.orders(4, "frozen", args=(x[:1] * 2,))
        assert distance(sum(orders), model(x[:1] * 2)) <= 1e-12


@pytest.mark.parametrize("name", ["skipinit", "parallel"])
def test_orders_of_blocks_named_by_hand(name):
    tower, model, args, kwargs = traced(name)
    hooked = trace(model, args, kwargs, blocks=tower.names)
    for method, K in (("series", 3), ("subnetworks", tower.depth)):
        for ours, theirs in zip(hooked.orders(K, method), tower.orders(K, method), strict=True):
            scale = float(theirs.abs().max())
            assert float((ours - theirs).abs().max()) <= 1e-11 * max(1, scale)
    with pytest.raises(InputError, match="traced through its graph; got blocks named by hand"):
        hooked.orders(2, "frozen")


def test_nested_orders_of_a_linear_tower_are_its_paths():
    torch.manual_seed(5)
    branches = torch.randn(3, 4, 4, dtype=torch.float64)

    class Linear(nn.Module):
        def forward(self, x):
            for i in range(3):
                x = x + x @ self.weights[i]
            return x

    model = Linear()
    model.weights = nn.Parameter(branches)
    x = torch.randn(2, 4, dtype=torch.float64)
    tower = trace(model, x)
    A, B, C = branches
    scales = [0.5, 2.0, 3.0]
    paths = [
        x,
        x @ (0.5 * A + 2 * B + 3 * C),
        x @ (A @ B + 1.5 * A @ C + 6 * B @ C),
        3 * x @ A @ B @ C,
        0 * x,
    ]
    for orders in (
        tower.orders(4, scales=scales),
        tower.orders(4, "frozen", scales=scales),
        tower.orders(4, "subnetworks", scales=scales),
        nested_orders(tower._runner, (x,), {}, 4, scales),
    ):
        for ours, theirs in zip(orders, paths, strict=True):
            assert float((ours - theirs).detach().abs().max()) <= 1e-12


def test_the_radius_is_estimated_from_the_orders():
    tower = traced("digits")[0]
    found = tower.radius(6)
    assert found == estimate_radius(order_sizes(tower.orders(6)))
    assert 0 < found.low <= found.high


@pytest.mark.parametrize("method", ["series", "frozen", "subnetworks"])
def test_orders_of_a_signal_that_is_not_finite(method):
    model, (x,), _ = MODELS["skipinit"].build()
    tower = trace(model, x)
    with torch.no_grad():
        model[2].outer.weight[0, 0] = torch.nan
    with pytest.raises(InputError, match=r"finite signal in every block; got .* of block 2 \(2\)"):
        tower.orders(2, method)


@pytest.mark.parametrize("method", ["frozen", "subnetworks"])
def test_orders_beyond_the_depth_are_zero_and_cost_nothing(method):
    tower, _, _, _ = traced("skipinit")
    orders = tower.orders(10**6, method)
    assert len(orders) == 10**6 + 1
    assert orders[-1] is orders[tower.depth + 1]
    assert not orders[-1].any()
    assert orders[tower.depth].any()


def test_unknown_method():
    with pytest.raises(InputError, match="a method among frozen, series, subnetworks; got 'jet'"):
        traced("skipinit")[0].orders(2, "jet")


@pytest.mark.parametrize("name", ["densenet", "unet_plain"])
def test_a_model_without_blocks_says_so(name):
    tower, model, args, _ = traced(name)
    assert tower.depth == 0
    assert distance(tower(*args, scales=[]), model(*args)) == 0
    for ask in (
        lambda: tower.orders(2),
        lambda: tower.radius(),
        lambda: tower.measure(),
        lambda: tower.rescaled("1/n"),
        lambda: tower.recommend(),
    ):
        with pytest.raises(InputError, match=r"residual additions; got .*none; .*blocks=\["):
            ask()


# ---- Measuring and rescaling --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["parallel", "resnet_in_place"])
def test_measuring_is_asked_of_the_tower(name):
    tower = traced(name)[0]
    found = tower.measure(gradients=False)
    assert [block.name for block in found.blocks] == list(tower.names)
    assert found.growth == measure(tower, gradients=False).growth
    sums = []
    with torch.no_grad():
        tower.run(*tower.example, observe=lambda i, s, b, total: sums.append(total))
    for block, value in zip(found.blocks, sums, strict=True):
        energy = float(value.square().sum() / len(value))
        assert block.sum_energy == pytest.approx(energy, rel=1e-12)


@pytest.mark.parametrize("name", ["parallel", "resnet_in_place", "gpt2"])
def test_a_rescaled_model_is_the_tower_at_these_scales(name):
    tower, model, args, kwargs = traced(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    rescaled = tower.rescaled("1/n")
    with torch.no_grad():
        assert distance(rescaled(*args, **kwargs), tower(*args, **kwargs, scales="1/n")) <= 1e-13
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_a_recommendation_is_a_rule():
    found = traced("relu_network")[0].recommend()
    assert ScalingRule.parse(found.rule)
    assert found.reason


@pytest.mark.slow
@pytest.mark.parametrize("name", TOWERS)
def test_frozen_orders_add_up_for_every_model(name):
    tower, model, args, kwargs = traced(name)
    with torch.no_grad():
        # Llama's norms round to float32.
        close = 1e-5 if name == "llama" else 1e-10
        output = floats(model(*args, **kwargs))
        assert distance(total(tower.orders(tower.depth, "frozen")), output) <= close
