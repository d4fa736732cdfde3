"""Which sums are residual additions (M1): right for every family, and for sums made to deceive."""

import pytest

torch = pytest.importorskip("torch")

from bridge_models import MODELS, traced  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from torch_bridge.tracing.capture import capture  # noqa: E402
from torch_bridge.tracing.dependence import Dependence, Work  # noqa: E402

torch.set_num_threads(1)
D = 6


@pytest.mark.parametrize("name", MODELS)
def test_the_number_of_blocks_is_what_its_author_wrote(name):
    tower = traced(name)[0]
    assert tower.depth == MODELS[name].blocks
    assert {block.branches for block in tower.blocks} <= {MODELS[name].branches}
    assert [block.number for block in tower.blocks] == list(range(1, tower.depth + 1))
    assert len(set(tower.names)) == tower.depth


def sums_of_two_signals(captured):
    """The naive rule: every sum of two floating-point values that depend on the inputs."""
    state = {n for n in captured.graph.find_nodes(op="placeholder") if n.name in captured.state}
    reader = Dependence(captured.graph, state, set())
    adds = captured.graph.find_nodes(op="call_function", target=torch.ops.aten.add.Tensor)
    return [node for node in adds if len(reader.sources(node)) == 2]


@pytest.mark.parametrize(
    ("name", "deceivers"),
    # GELU's inner sum in every MLP and the embeddings; two rotary sums in every attention; the
    # inner sum of attention and MLP in parallel.
    [("gpt2", 2 + 1), ("llama", 2 * 2), ("parallel", 2 + 2), ("resnet", 0)],
)
def test_the_models_hold_sums_that_are_no_blocks(name, deceivers):
    tower = traced(name)[0]
    extra = len(sums_of_two_signals(tower.captured())) - tower.depth
    # Embeddings are both computed from integers; GPT-2's positions do not depend on them at all.
    assert extra == deceivers - (name == "gpt2") - (2 if name == "parallel" else 0)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("gpt2", [f"transformer.h.{i}.{part}" for i in (0, 1) for part in ("attn", "mlp")]),
        ("llama", [f"model.layers.{i}.{part}" for i in (0, 1) for part in ("self_attn", "mlp")]),
        ("digits", [f"branches.{i}" for i in range(4)]),
        ("resnet_in_place", ["4", "5", "6"]),
        ("unet_additive", ["down", "bottom", "up", "merge"]),
        ("post_norm", ["1.attention", "1.mlp", "2.attention", "2.mlp"]),
        ("nested", ["1.inside", "1", "2.inside", "2"]),
    ],
)
def test_blocks_are_named_after_their_modules(name, names):
    assert list(traced(name)[0].names) == names


def test_equal_names_are_told_apart_by_deeper_modules():
    class Mixer(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(
                nn.ModuleDict({name: nn.Sequential(nn.Linear(3, 3)) for name in ("one", "two")})
                for _ in range(2)
            )
            self.norms = nn.ModuleList(nn.LayerNorm(3) for _ in range(2))

        def forward(self, x):
            for layer, norm in zip(self.layers, self.norms, strict=True):
                x = x + layer["one"](norm(x))
                x = x + layer["two"](norm(x))
            return x

    names = [addition.name for addition in capture(Mixer(), (torch.ones(1, 3),)).additions]
    assert names == [f"layers.{i}.{part}" for i in range(2) for part in ("one", "two")]


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("resnet", ["identity", "parametrised", "identity"]),
        ("resnet_bottleneck", ["identity", "identity", "parametrised"]),
        ("unet", ["identity", "identity", "parametrised"]),
        ("bert", ["identity"] * 4),
    ],
)
def test_shortcuts(name, kinds):
    assert [block.shortcut for block in traced(name)[0].blocks] == kinds


# ---- One sum at a time --------------------------------------------------------------------------


class Net(nn.Module):
    """A forward function with layers to use: ``f``, ``g``, ``h`` from D to D, and others."""

    def __init__(self, forward, **modules):
        super().__init__()
        for name in "fgh":
            setattr(self, name, nn.Linear(D, D))
        self.norm = nn.LayerNorm(D)
        self.conv3, self.conv1 = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.down3, self.down1 = nn.Conv2d(4, 8, 3, 2, 1), nn.Conv2d(4, 8, 1, 2)
        self.bn, self.bn2 = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.words, self.places = nn.Embedding(20, D), nn.Embedding(20, D)
        self.factor = nn.Parameter(torch.full((D,), 0.3))
        self.angles = nn.Parameter(torch.rand(D // 2))
        self.register_buffer("frequencies", torch.rand(D // 2))
        self.mask = torch.triu(torch.full((5, 5), -torch.inf), 1)
        self.compute = forward

    def forward(self, x):
        return self.compute(self, x)


def vectors():
    return torch.randn(3, 5, D)


def images():
    return torch.randn(2, 4, 8, 8)


def tokens():
    return torch.randint(2, 20, (3, 5))


def additions(forward, x):
    torch.manual_seed(0)
    return capture(Net(forward).eval(), (x,)).additions


def in_place(m, x):
    y = torch.relu(m.f(x))
    y += x
    return y


def option_a(m, x):
    skip = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
    return skip + m.down3(torch.relu(x))


def swin(m, x):
    y = m.f(m.norm(x).reshape(15, D)).reshape(3, 5, D)
    return x.reshape(15, D) + y.reshape(15, D)


def shared(m, x):
    for _ in range(3):
        x = x + torch.tanh(m.f(x))
    return x


def densely_used(m, x):
    """The sum a + b is one by the definition, too: a feeds b through g."""
    a = x + torch.relu(m.f(x))
    b = a + torch.relu(m.g(a))
    return b + torch.relu(m.h(a + b))


def step(x, weight):
    return torch.relu(x @ weight)


RESIDUAL = {
    "plain": (lambda m, x: x + m.f(x), vectors, [("f", 1, "identity")]),
    "turned": (lambda m, x: m.f(x) + x, vectors, [("f", 1, "identity")]),
    "in place": (in_place, vectors, [("f", 1, "identity")]),
    "alpha": (lambda m, x: torch.add(x, m.f(x), alpha=0.5), vectors, [("f", 1, "identity")]),
    "difference": (lambda m, x: x - m.f(x), vectors, [("f", 1, "identity")]),
    "post-norm": (lambda m, x: m.norm(x + m.f(x)), vectors, [("f", 1, "identity")]),
    "skip normalised": (
        lambda m, x: m.norm(x) + torch.relu(m.f(x)),
        vectors,
        [("f", 1, "parametrised")],
    ),
    "scaled skip": (
        lambda m, x: 0.5 * x + m.factor * torch.relu(m.f(x)),
        vectors,
        [("f", 1, "moved")],
    ),
    "constant factor": (lambda m, x: x + 0.1 * m.f(x), vectors, [("f", 1, "identity")]),
    "two branches": (
        lambda m, x: x + torch.relu(m.f(x)) + torch.relu(m.g(x)),
        vectors,
        [("g", 2, "identity")],
    ),
    "skip last": (
        lambda m, x: torch.relu(m.f(x)) + torch.relu(m.g(x)) + x,
        vectors,
        [("g", 2, "identity")],
    ),
    "skip between": (
        lambda m, x: torch.relu(m.f(x)) + (x + torch.relu(m.g(x))),
        vectors,
        [("g", 2, "identity")],
    ),
    "three branches": (
        lambda m, x: x + m.f(x) + (torch.relu(m.g(x)) + m.h(x)),
        vectors,
        [("h", 3, "identity")],
    ),
    "branch on a branch": (
        lambda m, x: (a := torch.relu(m.f(x))) + x + torch.relu(m.g(a)),
        vectors,
        [("g", 2, "identity")],
    ),
    "nested at the end": (
        lambda m, x: x + ((h := torch.relu(m.f(x))) + torch.relu(m.g(h))),
        vectors,
        [("g", 1, "identity"), ("g:2", 1, "identity")],
    ),
    "two in a row": (
        lambda m, x: (y := x + m.f(x)) + m.g(y),
        vectors,
        [("f", 1, "identity"), ("g", 1, "identity")],
    ),
    "used again": (
        densely_used,
        vectors,
        [(name, 1, "identity") for name in ("f", "g", "g:2", "h")],
    ),
    "shared": (
        shared,
        vectors,
        [("f", 1, "identity"), ("f:2", 1, "identity"), ("f:3", 1, "identity")],
    ),
    "reshaped": (swin, vectors, [("f", 1, "moved")]),
    "convolved shortcut": (
        lambda m, x: m.down1(x) + m.down3(torch.relu(x)),
        images,
        [("down3", 1, "parametrised")],
    ),
    "pooled shortcut": (
        lambda m, x: functional.avg_pool2d(x, 2) + functional.avg_pool2d(torch.relu(m.conv3(x)), 2),
        images,
        [("conv3", 1, "moved")],
    ),
    "pooled and convolved": (
        lambda m, x: (
            m.conv1(functional.max_pool2d(x, 2)) + functional.max_pool2d(torch.relu(m.conv3(x)), 2)
        ),
        images,
        [("conv3", 1, "parametrised")],
    ),
    "cropped and padded": (option_a, images, [("down3", 1, "moved")]),
    "normalised shortcut": (
        lambda m, x: m.bn(x) + m.bn2(m.conv3(x)),
        images,
        [("bn2", 1, "parametrised")],
    ),
    "own matrices": (
        lambda m, x: x + torch.relu(x @ m.f.weight),
        vectors,
        [("block", 1, "identity")],
    ),
    "learned factor alone": (
        lambda m, x: x + m.factor * torch.tanh(x),
        vectors,
        [("block", 1, "identity")],
    ),
    "interpolated": (
        lambda m, x: torch.lerp(x, torch.relu(m.f(x)), 0.3),
        vectors,
        [("f", 1, "identity")],
    ),
}


@pytest.mark.parametrize("case", RESIDUAL)
def test_residual(case):
    forward, make, expected = RESIDUAL[case]
    found = additions(forward, make())
    assert [(a.name, len(a.branches), a.shortcut) for a in found] == expected


def gelu(m, x):
    y = m.f(x)
    return 0.5 * y * (1 + torch.tanh(0.8 * (y + 0.044715 * y**3)))


def rotary(angles):
    def forward(m, x):
        q = m.f(x)
        turned = torch.cat([-q[..., D // 2 :], q[..., : D // 2]], -1)
        phase = torch.outer(torch.arange(5.0), getattr(m, angles)).repeat(1, 2)
        return q * torch.cos(phase) + turned * torch.sin(phase)

    return forward


def attention(m, x):
    q, k, v = m.f(x), m.g(x), m.h(x)
    return (q @ k.transpose(-1, -2) + m.mask).softmax(-1) @ v


def relative_attention(m, x):
    """Content and position scores, as DeBERTa and Transformer-XL add them."""
    q, k = m.f(x), m.g(x)
    content = q @ k.transpose(-1, -2)
    return (content + q @ m.places.weight[:5].T).softmax(-1) @ m.h(x)


def unrolled(m, x):
    state = torch.zeros_like(x[:, 0])
    for t in range(x.shape[1]):
        state = torch.tanh(m.f(x[:, t]) + m.g(state))
    return state


def gated(m, x):
    state = torch.zeros_like(x[:, 0])
    for t in range(x.shape[1]):
        gate = torch.sigmoid(m.f(x[:, t]) + m.g(state))
        state = gate * state + (1 - gate) * torch.tanh(m.h(x[:, t]))
    return state


def gated_difference(m, x):
    """A GRU as PyTorch computes it."""
    state = torch.zeros_like(x[:, 0])
    for t in range(x.shape[1]):
        gate = torch.sigmoid(m.f(x[:, t]) + m.g(state))
        new = torch.tanh(m.h(x[:, t]) + m.g(state))
        state = (state - new) * gate + new
    return state


def modulated(m, x):
    scale, shift = m.f(x[:, :1]), m.g(x[:, :1])
    return m.norm(x) * (1 + scale) + shift


def normalised_by_hand(m, x):
    y = m.f(x)
    centred = y - y.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * m.factor + m.factor


def embeddings(m, ids):
    positions = (ids > 1).long().cumsum(1)  # RoBERTa computes positions from the tokens
    return m.norm(m.words(ids) + m.places(positions))


NOT_RESIDUAL = {
    "a bias": (lambda m, x: x @ m.f.weight + m.factor, vectors),
    "a position": (lambda m, x: m.f(x + m.places.weight[:5]), vectors),
    "embeddings": (embeddings, tokens),
    "GELU": (gelu, vectors),
    "a square": (lambda m, x: (y := m.f(x)) + y * y, vectors),
    "rotation": (rotary("frequencies"), vectors),
    "learned rotation": (rotary("angles"), vectors),
    "a mask": (attention, vectors),
    "relative positions": (relative_attention, vectors),
    "a recurrent net": (unrolled, vectors),
    "a gated recurrent net": (gated, vectors),
    "a gated difference": (gated_difference, vectors),
    "modulation": (modulated, vectors),
    "a norm by hand": (normalised_by_hand, vectors),
    "a low-rank addition": (lambda m, x: m.f(x) + 0.5 * m.h(m.g(x)), vectors),
    "two kernels": (lambda m, x: m.bn(m.conv3(x)) + m.bn2(m.conv1(x)), images),
    "two experts": (lambda m, x: torch.relu(m.f(x)) + torch.relu(m.g(x)), vectors),
    "a gate": (lambda m, x: x * torch.sigmoid(m.f(x)), vectors),
    "concatenation": (lambda m, x: torch.cat([x, torch.relu(m.f(x))], -1), vectors),
    "twice the same": (lambda m, x: (y := m.f(x)) + y, vectors),
    "channels of another part": (lambda m, x: x[..., :3] + m.f(x)[..., 3:] * 0, vectors),
}


@pytest.mark.parametrize("make", [vectors, images, tokens])
def test_not_residual(make):
    forwards = [forward for forward, inputs in NOT_RESIDUAL.values() if inputs is make]
    torch.manual_seed(0)
    captured = capture(Net(lambda m, x: tuple(f(m, x) for f in forwards)).eval(), (make(),))
    assert captured.additions == ()
    assert sums_of_two_signals(captured)  # there is something to be deceived by


def test_what_is_not_residual_is_looked_at():
    forward, _ = NOT_RESIDUAL["GELU"]
    both = additions(lambda m, x: (forward(m, x), x + m.f(x)), vectors())
    assert len(both) == 1


def test_a_difference_becomes_a_sum():
    net = Net(lambda m, x: x - m.f(x))
    x = vectors()
    captured = capture(net, (x,))
    (addition,) = captured.additions
    assert addition.sum.target is torch.ops.aten.add.Tensor
    assert set(addition.sum.all_input_nodes) == {addition.skip, *addition.branches}
    assert captured.graph.find_nodes(op="call_function", target=torch.ops.aten.sub.Tensor) == []


def test_work_is_told_by_the_strongest_operation_on_the_way():
    captured = capture(Net(lambda m, x: m.factor * torch.tanh(m.norm(x)) + m.f(x)), (vectors(),))
    places = list(captured.graph.find_nodes(op="placeholder"))
    state = {n for n in places if n.name in captured.state}
    learned = {n for n in state if isinstance(captured.state[n.name], nn.Parameter)}
    reader = Dependence(captured.graph, state, learned)
    (x,) = (n for n in places if n not in state)
    (gain,) = captured.graph.find_nodes(op="call_function", target=torch.ops.aten.mul.Tensor)
    (tanh,) = captured.graph.find_nodes(op="call_function", target=torch.ops.aten.tanh.default)
    assert reader.upstream(gain, x)[x] is Work.NORMALISES
    assert reader.upstream(gain, x)[tanh] is Work.SCALES
    assert reader.upstream(gain, tanh) == {tanh: Work.SCALES}
    assert reader.upstream(tanh, x)[x] is Work.NORMALISES
    (total,) = sums_of_two_signals(captured)
    assert reader.upstream(total, x)[x] is Work.MIXES
    assert gain in reader.between(x, total)
    assert x not in reader.between(x, total)
