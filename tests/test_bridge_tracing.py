"""Running a traced model at any scales, against the model itself and against ablations by hook."""

import logging
import weakref
from dataclasses import dataclass
from itertools import product

import pytest

torch = pytest.importorskip("torch")

from bridge_models import MODELS, TOWERS, distance, floats, traced  # noqa: E402
from torch import nn  # noqa: E402

from expansion import InputError  # noqa: E402
from torch_bridge.tower import trace  # noqa: E402
from torch_bridge.tracing.attention import attention  # noqa: E402
from torch_bridge.tracing.capture import capture  # noqa: E402
from torch_bridge.tracing.finite import check_finite_signal, first_nonfinite  # noqa: E402
from torch_bridge.tracing.graphed import GraphedModel  # noqa: E402
from torch_bridge.tracing.interpreter import run  # noqa: E402
from torch_bridge.tracing.nested import nested_orders  # noqa: E402

torch.set_num_threads(1)

# Some hundred roundings of 1e-16, in another order where attention is written out.
ROUNDING = 1e-13
# Models that use the fused kernel; all others run the very operations that they run by themselves.
FUSED = {"gpt2", "bert", "vit", "llama", "parallel", "post_norm", "torch_encoder"}

# Modules whose output is all that a block's branches add: with zeros there, the block is its skip.
LAST = {
    "gpt2": [f"transformer.h.{i}.{part}.c_proj" for i in (0, 1) for part in ("attn", "mlp")],
    "llama": [
        f"model.layers.{i}.{part}" for i in (0, 1) for part in ("self_attn.o_proj", "mlp.down_proj")
    ],
    "bert": [
        f"encoder.layer.{i}.{part}.dense" for i in (0, 1) for part in ("attention.output", "output")
    ],
    "vit": [f"vit.layers.{i}.{part}" for i in (0, 1) for part in ("attention", "mlp")],
    "resnet": [
        f"resnet.encoder.stages.{stage}.layers.{i}.layer" for stage, i in ((0, 0), (1, 0), (1, 1))
    ],
    "digits": [f"branches.{i}" for i in range(4)],
    "relu_network": [f"branches.{i}" for i in range(3)],
    "resnet_in_place": [f"{i}.bn2" for i in (4, 5, 6)],
    "unet": ["down.bn2", "bottom.bn2", "merge.bn2"],
    "unet_additive": ["down.bn2", "bottom.bn2", "up", "merge.bn2"],
    "skipinit": [f"{i}.outer" for i in (1, 2, 3)],
    "layer_scale": [f"{i}.outer" for i in (1, 2, 3)],
    "parallel": [(f"{i}.attention", f"{i}.mlp") for i in (1, 2)],
    "post_norm": [f"{i}.{part}" for i in (1, 2) for part in ("attention", "mlp")],
    "nested": [f"{i}.{part}" for i in (1, 2) for part in ("inside.outer", "after")],
}


def ablated(model, args, kwargs, modules):
    """The model's output with zeros in the place of these modules' outputs."""

    def zeroed(module, args, output):
        return torch.utils._pytree.tree_map_only(torch.Tensor, torch.zeros_like, output)

    handles = [model.get_submodule(name).register_forward_hook(zeroed) for name in modules]
    try:
        return model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("name", MODELS)
def test_scales_of_one_are_the_model(name):
    tower, model, args, kwargs = traced(name)
    n = tower.depth
    with torch.no_grad():
        theirs = model(*args, **kwargs)
        outputs = [
            tower(*args, **kwargs),
            tower(*args, **kwargs, scales=[1.0] * n),
            tower(*args, **kwargs, scales=torch.ones(n, dtype=torch.float64)),
        ]
    for ours in outputs:
        assert type(ours) is type(theirs)
        assert distance(ours, theirs) <= (ROUNDING if name in FUSED else 0)


@pytest.mark.parametrize("name", TOWERS)
def test_other_scales_are_not_the_model(name):
    tower, model, args, kwargs = traced(name)
    with torch.no_grad():
        theirs = model(*args, **kwargs)
        for block in range(tower.depth):
            scales = [1.0] * tower.depth
            scales[block] = 0.9
            assert distance(tower(*args, **kwargs, scales=scales), theirs) > 1e-5


@pytest.mark.parametrize("name", LAST)
def test_scales_of_zero_drop_branches(name):
    tower, model, args, kwargs = traced(name)
    assert len(LAST[name]) == tower.depth
    with torch.no_grad():
        for kept in product((0.0, 1.0), repeat=tower.depth):
            dropped = []
            for last, scale in zip(LAST[name], kept, strict=True):
                if not scale:
                    dropped += [last] if isinstance(last, str) else last
            theirs = ablated(model, args, kwargs, dropped)
            assert distance(tower(*args, **kwargs, scales=kept), theirs) <= ROUNDING
            scales = torch.tensor(kept, dtype=torch.float64)  # multiplied in, not left out
            assert distance(tower(*args, **kwargs, scales=scales), theirs) <= ROUNDING


# ---- Derivatives --------------------------------------------------------------------------------


def probe(output):
    """One smooth number of all outputs."""
    return sum(value.sin().sum() for value in floats(output))


@pytest.mark.parametrize("name", TOWERS)
def test_derivatives_in_the_scales_are_the_limits_of_differences(name):
    tower, _, args, kwargs = traced(name)
    scales = torch.linspace(0.7, 1.1, tower.depth, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(probe(tower(*args, **kwargs, scales=scales)), scales)
    # Llama's norms round to float32, whatever the model's type.
    step, tolerance = (1e-3, 1e-2) if name == "llama" else (1e-6, 1e-6)
    with torch.no_grad():
        moved = torch.eye(tower.depth, dtype=torch.float64) * step
        ahead = [probe(tower(*args, **kwargs, scales=scales + row)) for row in moved]
        behind = [probe(tower(*args, **kwargs, scales=scales - row)) for row in moved]
    differences = (torch.stack(ahead) - torch.stack(behind)) / (2 * step)
    # Truncation step² times a third derivative, rounding 1e-16 of some hundred terms over step.
    assert float((slope - differences).abs().max()) <= tolerance * max(1, float(slope.abs().max()))
    assert float(slope.abs().min()) > 1e-4


@pytest.mark.parametrize("name", ["gpt2", "resnet_in_place", "parallel", "unet_additive"])
def test_derivatives_in_parameters_and_inputs_are_the_model_s(name):
    tower, model, args, kwargs = traced(name)
    args = tuple(a.clone().requires_grad_() if a.is_floating_point() else a for a in args)
    wanted = [*model.parameters(), *(a for a in args if a.requires_grad)]
    theirs = torch.autograd.grad(probe(model(*args, **kwargs)), wanted, allow_unused=True)
    ours = torch.autograd.grad(probe(tower(*args, **kwargs)), wanted, allow_unused=True)
    for one, other in zip(ours, theirs, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            scale = max(1, float(other.abs().max()))
            assert float((one - other).abs().max()) <= 1e-11 * scale  # sums of many roundings


@pytest.mark.parametrize("name", ["vit", "resnet_in_place", "parallel", "digits"])
def test_many_scales_at_once(name):
    tower, _, args, kwargs = traced(name)
    scales = torch.rand(5, tower.depth, dtype=torch.float64, generator=torch.manual_seed(3))
    together = tower(*args, **kwargs, scales=scales.requires_grad_())
    (slopes,) = torch.autograd.grad(probe(together), scales)
    for row in range(5):
        alone = scales[row].detach().requires_grad_()
        output = tower(*args, **kwargs, scales=alone)
        assert type(output) is type(together)
        (slope,) = torch.autograd.grad(probe(output), alone)
        rows = [value[row] for value in floats(together)]
        assert distance(rows, output) <= ROUNDING
        assert float((slope - slopes[row]).abs().max()) <= 1e-11 * float(slope.abs().max())


def test_what_cannot_be_batched_is_run_row_by_row():
    @torch.library.custom_op("bridge::joined", mutates_args=())
    def joined(parts: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack(parts)

    @joined.register_fake
    def _(parts):
        return torch.stack(parts)

    class Net(nn.Linear):
        def forward(self, x):
            return x + super().forward(x), joined([x + super().forward(x), x])

    x = torch.ones(2, 3)
    tower = trace(Net(3, 3), x)
    scales = torch.rand(3, tower.depth)
    with pytest.raises(RuntimeError, match=r"vmap|Batching rule|functorch"), torch.no_grad():
        torch.vmap(lambda row: tower.run((x,), {}, scales=row))(scales)
    with torch.no_grad():
        together = tower(x, scales=scales)
        for row in range(3):
            one = tower(x, scales=scales[row])
            assert distance([value[row] for value in together], one) <= 1e-5


# ---- Other inputs, types and states -------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpt2", "resnet_in_place"])
def test_inputs_of_other_shapes_are_captured_when_they_come(name):
    tower, model, (x, *_), _ = traced(name)
    for other in (x[:1], x[:, :4] if name == "gpt2" else x.repeat(2, 1, 1, 1)):
        with torch.no_grad():
            assert distance(tower(other), model(other)) <= ROUNDING


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_types(dtype):
    model, (x,), _ = MODELS["post_norm"].build()
    tower = trace(model, x)
    model.to(dtype)
    x = x.to(dtype)
    ours, theirs = tower(x), model(x)
    assert ours.dtype == dtype
    # A few dozen roundings of the type, in another order.
    assert distance(ours, theirs) <= 50 * torch.finfo(dtype).eps
    scales = torch.ones(tower.depth, dtype=torch.float64, requires_grad=True)
    weighted = tower(x, scales=scales)
    assert weighted.dtype == dtype
    assert float(torch.autograd.grad(weighted.sum(), scales)[0].abs().min()) > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("name", TOWERS)
def test_on_a_gpu(name):
    model, args, kwargs = MODELS[name].build()
    tower = trace(model, args, kwargs)
    half = [0.5] * tower.depth
    with torch.no_grad():
        here = tower(*args, **kwargs, scales=half)
        model.cuda()
        there = tower(*(a.cuda() for a in args), **kwargs, scales=half)
    assert {value.device.type for value in floats(there)} == {"cuda"}
    assert distance([value.cpu() for value in floats(there)], here) <= 1e-10


def test_the_model_stays_live():
    model, (x,), _ = MODELS["skipinit"].build()
    tower = trace(model, x)
    before = tower(x)
    with torch.no_grad():
        model[1].alpha.mul_(2)
    model[2].outer.weight = nn.Parameter(torch.zeros_like(model[2].outer.weight))
    assert distance(tower(x), model(x)) == 0
    assert distance(tower(x), before) > 1e-3


def test_training_mode_changes_no_statistics():
    model, (x,), _ = MODELS["resnet_in_place"].build()
    tower = trace(model.train(), x)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    ours = tower(x)
    assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())
    assert distance(ours, model(x)) <= ROUNDING  # and this forward pass does change them
    assert not all(torch.equal(kept[name], value) for name, value in model.state_dict().items())
    assert distance(tower(x), tower.model.eval()(x)) > 1e-3
    assert tower.depth == MODELS["resnet_in_place"].blocks


def test_the_inputs_stay_as_they_are():
    class Net(nn.Linear):
        def forward(self, x):
            return x.add_(super().forward(x))

    x = torch.ones(2, 3)
    tower = trace(Net(3, 3), x.clone())
    tower(x, scales=[3.0])
    assert torch.equal(x, torch.ones(2, 3))


def test_values_are_freed_after_their_last_use():
    model = nn.Sequential(*(traced("skipinit")[1][1:4] * 4))
    x = torch.ones(2, 8, dtype=torch.float64)
    tower = trace(model, x)
    seen = []
    alive = []

    def observe(index, skip, branch, total):
        alive.append(sum(one() is not None for one in seen))
        seen.append(weakref.ref(total))

    with torch.no_grad():
        tower.run((x,), {}, observe=observe)
    assert tower.depth == 12
    assert alive == [0] + [1] * 11  # the block's own skip


def test_every_addition_can_be_watched_and_replaced():
    tower, model, (x,), _ = traced("layer_scale")
    seen = []

    def observe(index, skip, branch, total):
        seen.append((index, skip, branch, total))
        return total * 0 if index == 2 else None

    with torch.no_grad():
        replaced = tower.run((x,), {}, scales=[1, 0.5, 0], observe=observe)
    assert [index for index, *_ in seen] == [0, 1, 2]
    with torch.no_grad():
        first = model[0](x)
        branch = model[1](first) - first
        assert distance(seen[0][1:], (first, branch, first + branch)) <= ROUNDING
        assert distance(seen[1][2], 0.5 * (model[2](seen[1][1]) - seen[1][1])) <= ROUNDING
        assert not seen[2][2].any()
        assert distance(replaced, model[4](torch.zeros_like(first))) == 0


# ---- Attention ----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["plain", "causal", "boolean", "float", "grouped", "scaled"])
def test_attention_is_the_kernel_s(case):
    torch.manual_seed(1)
    q = torch.randn(2, 4, 5, 3, dtype=torch.float64)
    k, v = torch.randn(2, 2, 4, 7, 3, dtype=torch.float64).unbind()
    options = {
        "plain": {},
        "causal": {"is_causal": True},
        "boolean": {"attn_mask": torch.rand(5, 7) < 0.5},
        "float": {"attn_mask": torch.randn(5, 7, dtype=torch.float64)},
        "grouped": {"enable_gqa": True},
        "scaled": {"scale": 0.3},
    }[case]
    if case == "boolean":
        options["attn_mask"][2] = False  # a query that may look at nothing
    if case == "grouped":
        k, v = k[:, :2], v[:, :2]
    q.requires_grad_()
    ours = attention(q, k, v, **options)
    theirs = nn.functional.scaled_dot_product_attention(q, k, v, **options)
    assert distance(ours, theirs) <= ROUNDING
    (slope,) = torch.autograd.grad(ours.sin().sum(), q)
    assert bool(slope.isfinite().all())
    if case != "boolean":  # the kernel's own derivative of a masked row may be nan
        assert distance(slope, torch.autograd.grad(theirs.sin().sum(), q)[0]) <= 1e-11


# ---- Blocks named by hand -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("skipinit", ["1", "2", "3"]),
        ("layer_scale", ["1", "2", "3"]),
        ("parallel", ["1", "2"]),
    ],
)
def test_hooks_and_graph_are_two_routes_to_one_tower(name, blocks):
    tower, model, args, kwargs = traced(name)
    hooked = trace(model, args, kwargs, blocks=blocks)
    assert hooked.names == tower.names
    kept = [0.0, *[0.6] * (tower.depth - 1)]
    scales = torch.linspace(0.4, 1.3, tower.depth, dtype=torch.float64, requires_grad=True)
    for choice in (kept, scales):
        ours, theirs = (t(*args, **kwargs, scales=choice) for t in (hooked, tower))
        assert distance(ours, theirs) <= ROUNDING
    slopes = [torch.autograd.grad(probe(out), scales)[0] for out in (ours, theirs)]
    assert float((slopes[0] - slopes[1]).abs().max()) <= 1e-11 * float(slopes[1].abs().max())
    rows = torch.stack([scales, scales / 2])
    assert distance(hooked(scales=rows), tower(scales=rows)) <= ROUNDING
    with torch.no_grad():
        assert distance(hooked(*args, **kwargs), model(*args, **kwargs)) == 0
    assert not any(module._forward_hooks for module in model.modules())
    orders = [nested_orders(t._runner, args, kwargs, 2, scales) for t in (hooked, tower)]
    for ours, theirs in zip(*orders, strict=True):
        assert distance(ours, theirs) <= 1e-12  # derivatives of differences


class Undecided(nn.Module):
    """Cannot be exported: the path depends on the values."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(2)])
        self.spare = nn.Linear(4, 4)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x) if x.sum() > -1e9 else x
        return {"x": x, "count": 2}


def test_what_cannot_be_exported_says_so_and_works_by_hooks():
    model, x = Undecided(), torch.randn(3, 4)
    with pytest.raises(InputError, match=r"torch\.export can read; got .*blocks=\[") as told:
        trace(model, x)
    assert "\n" not in str(told.value)
    tower = trace(model, x, blocks=["layers.0", "layers.1"])
    assert tower.depth == 2
    assert torch.equal(tower(x, scales=[0, 0])["x"], x)
    only = tower.subnetwork({"layers.1"})(x)
    assert torch.equal(only["x"], model.layers[1](x))
    assert only["count"] == 2


def test_a_module_called_again_is_a_block_again():
    class Loop(nn.Linear):
        def forward(self, x):
            return self.step(self.step(x))

    model = Loop(3, 3)
    model.step = nn.Linear(3, 3)
    x = torch.randn(2, 3)
    tower = trace(model, x, blocks=["step"])
    assert tower.names == ("step", "step:2")
    with torch.no_grad():
        once = model.step(x)
        assert torch.equal(tower(x, scales=[1, 0]), once)
        assert torch.equal(tower(x, scales=[0, 1]), once)


def test_a_block_that_overwrites_its_input():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True), nn.Linear(3, 3))
    x = torch.randn(5, 3)
    tower = trace(model, x, blocks=["1"])
    with torch.no_grad():
        y = model[0](x)
        half = model[2](y + 0.5 * (torch.relu(y) - y))
        assert distance(tower(x, scales=[0.5]), half) <= 1e-6
        assert distance(tower(x, scales=[0.0]), model[2](y)) == 0


@pytest.mark.parametrize(
    ("blocks", "told"),
    [
        (
            ["layers.7"],
            r"names of the model's modules; got layers\.7; there are e\.g\. .*layers\.0",
        ),
        (["layers.0", "layers.0"], r"every module once; got layers\.0 again"),
        (["spare"], r"blocks that are used; got spare"),
        ([], r"the names of modules; got none"),
    ],
)
def test_bad_names_of_blocks(blocks, told):
    with pytest.raises(InputError, match=told):
        trace(Undecided(), torch.randn(3, 4), blocks=blocks)


def test_a_block_must_keep_the_shape():
    model = nn.Sequential(nn.Linear(4, 2))
    with pytest.raises(InputError, match=r"keep the shape.*got \(3, 4\) to \(3, 2\) in 0"):
        trace(model, torch.randn(3, 4), blocks=["0"])


# ---- Bad input ----------------------------------------------------------------------------------


class Gives(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.value = value

    def forward(self, x):
        return self.value(x + self.layer(x))


@pytest.mark.parametrize("blocks", [None, ["layer"]])
@pytest.mark.parametrize(
    ("value", "told"),
    [
        (lambda y: y.argmax(-1), r"floating-point tensor; got torch\.int64"),
        (lambda y: torch.complex(y, y), r"floating-point tensor; got a complex one"),
        (lambda y: None, r"floating-point tensor; got no tensor"),
        (lambda y: object(), r"floating-point tensor; got no tensor"),
    ],
)
def test_outputs_that_have_no_orders(value, told, blocks):
    with pytest.raises(InputError, match=told):
        trace(Gives(value), torch.ones(1, 2), blocks=blocks)


def test_outputs_of_many_kinds_keep_their_places():
    model = Gives(lambda y: {"ids": y.argmax(-1), "nothing": None, "y": (y, 3)})
    x = torch.randn(2, 2)
    ours, theirs = trace(model, x)(x), model(x)
    assert torch.equal(ours["ids"], theirs["ids"])
    assert (ours["nothing"], ours["y"][1]) == (None, 3)
    assert distance(ours, theirs) == 0


def test_objects_in_the_output_become_none():
    class Cache:
        """As a model gives back its keys and values."""

    model = Gives(lambda y: {"y": y, "cache": Cache()})
    x = torch.randn(2, 2)
    ours, theirs = trace(model, x)(x), model(x)
    assert isinstance(theirs["cache"], Cache)  # the model is as it was
    assert ours["cache"] is None
    assert torch.equal(ours["y"], theirs["y"])


@dataclass
class Answer:
    logits: torch.Tensor
    states: tuple
    loss: torch.Tensor | None = None


@pytest.mark.parametrize("blocks", [None, ["layer"]])
def test_dataclasses_are_looked_into(blocks):
    @dataclass
    class Inner:
        y: torch.Tensor

    model = Gives(lambda y: Answer(2 * y, (y, Inner(y))))
    x = torch.randn(2, 2)
    ours, theirs = trace(model, x, blocks=blocks)(x, scales=[1.0]), model(x)
    assert isinstance(ours, Answer)
    assert torch.equal(ours.logits, theirs.logits)
    assert torch.equal(ours.states[1].y, theirs.states[1].y)
    assert ours.loss is None


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_scripted_model_is_refused():
    with pytest.raises(InputError, match="a model in Python; got a scripted one"):
        trace(torch.jit.script(nn.Linear(2, 2)), torch.ones(1, 2))


def test_inputs_on_another_device():
    with pytest.raises(InputError, match="inputs on the model's device, meta; got one on cpu"):
        trace(nn.Linear(2, 2, device="meta"), torch.ones(1, 2))
    with pytest.raises(InputError, match="inputs on the model's device, meta; got one on cpu"):
        trace(nn.Sequential(nn.Linear(2, 2, device="meta")), torch.ones(1, 2), blocks=["0"])


def test_inputs_that_the_model_cannot_take():
    running = nn.BatchNorm1d(3)
    model, x = nn.Sequential(running, nn.Linear(2, 2)), torch.ones(4, 3)
    for blocks in (None, ["1"]):
        with pytest.raises(
            InputError, match=r"that runs on its inputs; got RuntimeError: "
        ) as told:
            trace(model, x, blocks=blocks)
        assert "\n" not in str(told.value)
    assert running.num_batches_tracked == 1  # the hooked run's own: looking for the cause adds none
    tower = trace(nn.Linear(2, 2).double(), torch.ones(1, 2))  # the exporter does not look at that
    with pytest.raises(InputError, match=r"that runs on its inputs; got RuntimeError: .*dtype"):
        tower()


def test_the_exporter_keeps_its_tracebacks_to_itself(caplog):
    for name in ("export", "_subclasses.fake_tensor"):
        logging.getLogger(f"torch.{name}").addHandler(caplog.handler)
    try:
        with pytest.raises(InputError, match="that runs on its inputs"):
            trace(nn.Linear(2, 2), torch.ones(1, 3))
    finally:
        for name in ("export", "_subclasses.fake_tensor"):
            logging.getLogger(f"torch.{name}").removeHandler(caplog.handler)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_model_that_cannot_be_exported_says_so_quietly(capfd):
    class Asks(nn.Linear):
        def forward(self, x):
            return x + super().forward(x) if x.norm() > 0 else x

    model, x = nn.Sequential(Asks(2, 2)), torch.ones(1, 2)
    with pytest.raises(InputError, match=r"export can read; got GuardOn.*--block") as told:
        trace(model, x)
    assert "\n" not in str(told.value)
    assert capfd.readouterr() == ("", "")
    assert trace(model, x, blocks=["0"]).depth == 1


def test_a_graph_holds_for_its_shapes():
    captured = capture(nn.Linear(2, 2), (torch.ones(3, 2),))
    with pytest.raises(
        InputError, match=r"torch\.float32 of shape \(3, 2\) on cpu; got .*\(1, 2\)"
    ):
        run(captured, (torch.ones(1, 2),))
    with pytest.raises(InputError, match="1 inputs arranged as in the capture; got 2 inputs"):
        run(captured, (torch.ones(3, 2), torch.ones(3, 2)))


def test_blocks_must_be_the_same_for_all_inputs():
    class Fickle(nn.Linear):
        def forward(self, x):
            return super().forward(x) if len(x) == 1 else x + super().forward(x)

    graphed = GraphedModel(Fickle(2, 2), (torch.ones(3, 2),))
    with pytest.raises(InputError, match="the 1 blocks of the trace; got 0 other blocks"):
        graphed.run((torch.ones(1, 2),), {})


@pytest.mark.parametrize("blocks", [None, ["1", "2", "3"]])
def test_the_first_nan_is_found(blocks):
    model, (x,), _ = MODELS["skipinit"].build()
    tower = trace(model, x, blocks=blocks)
    assert first_nonfinite(tower._runner, (x,), {}) is None
    for spoilt, place in [
        (model[4].weight, "after the last block"),
        (model[3].outer.weight, "in the branch of block 3 (3)"),
        (model[2].inner.bias, "in the branch of block 2 (2)"),
        (model[0].weight, "before block 1 (1)"),
    ]:
        with torch.no_grad():
            spoilt.view(-1)[0] = torch.inf
        assert first_nonfinite(tower._runner, (x,), {}) == place
    with pytest.raises(InputError, match=r"got nan or infinity before block 1 \(1\)"):
        check_finite_signal(tower._runner, (x,), {})


def test_a_signal_that_overflows_in_the_sum():
    class Large(nn.Linear):
        def forward(self, x):
            return x + super().forward(x)

    model = Large(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    x = torch.full((1, 1), 3e38)
    graphed = GraphedModel(model, (x,))
    assert first_nonfinite(graphed, (x,), {}) == "in the sum of block 1 (block)"


# ---- Derivatives of higher order ----------------------------------------------------------------


def coefficients(function, points=21, reach=0.12):
    """Taylor coefficients 0..3 at 0 of a function of one number, from its values."""
    z = torch.linspace(-reach, reach, points, dtype=torch.float64)
    values = torch.stack([function(one).detach().reshape(-1) for one in z])
    powers = (z / reach)[:, None] ** torch.arange(13)
    fitted = torch.linalg.lstsq(powers, values).solution
    return [fitted[k] / reach**k for k in range(4)]


HIGHER = {
    "layer_norm": lambda x: nn.functional.layer_norm(x, (6,)),
    "batch_norm": lambda x: nn.functional.batch_norm(x, None, None, training=True),
    "instance_norm": nn.functional.instance_norm,
    "silu": nn.functional.silu,
    "mish": nn.functional.mish,
    "glu": nn.functional.glu,
    "attention": lambda x: nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True),
}


class Higher(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.layer = nn.Linear(6, 6)
        self.function = function

    def forward(self, x):
        return self.function(self.layer(x))


@pytest.mark.parametrize("case", HIGHER)
def test_nested_derivatives_are_those_of_the_values(case):
    torch.manual_seed(4)
    model, x = Higher(HIGHER[case]).double(), torch.randn(3, 4, 6, dtype=torch.float64)
    hooked = trace(model, x, blocks=["layer"])
    wanted = coefficients(lambda z: hooked(x, scales=z[None]))
    for ours, theirs in zip(nested_orders(hooked._runner, (x,), {}, 3), wanted, strict=True):
        # What 21 values tell of a third derivative, at rounding 1e-16 over 0.12³.
        assert float((ours.reshape(-1) - theirs).abs().max()) <= 1e-6 * float(theirs.abs().max())


def test_why_layer_norm_is_composed():
    """PyTorch's own second derivative; when it is right one day, the composition can go."""
    torch.manual_seed(4)
    x, v = torch.randn(2, 3, 6, dtype=torch.float64)

    def path(z):
        return nn.functional.layer_norm(x + z * v, (6,))

    def derivative(function):
        return lambda z: torch.func.jvp(function, (z,), (torch.ones_like(z),))[1]

    zero = torch.zeros((), dtype=torch.float64)
    first, second = (derivative(path)(zero), derivative(derivative(path))(zero) / 2)
    wanted = coefficients(path)
    assert float((first.reshape(-1) - wanted[1]).abs().max()) <= 1e-6
    assert float((second.reshape(-1) - wanted[2]).abs().max()) > 1e-2
