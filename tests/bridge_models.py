"""Small models of the families that people use, each with the number of its residual blocks.

All are float64, in evaluation mode and seeded; batch statistics, biases and gains are drawn too,
for a zero or a one would hide mistakes. ``MODELS["gpt2"].build()`` gives ``(model, args, kwargs)``.
Models of ``transformers`` are built from a configuration, so nothing is downloaded; without the
package their tests are skipped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from torch_bridge.networks.architecture import Architecture  # noqa: E402
from torch_bridge.networks.models import build as build_network  # noqa: E402
from torch_bridge.tower import trace  # noqa: E402

BATCH = 3


@dataclass(frozen=True)
class Case:
    """A model and its inputs, its residual additions, and the branches of each of them."""

    build: Callable
    blocks: int
    branches: int = 1


def seeded(make, seed=0):
    """Build without touching the global generator; draw statistics, gains and biases too."""

    def build():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model, args, kwargs = make()
            for module in model.modules():
                if getattr(module, "running_var", None) is not None:
                    module.running_mean.normal_(0, 0.3)
                    module.running_var.uniform_(0.5, 2)
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    if parameter.ndim == 1 and name.endswith("bias"):
                        parameter.normal_(0, 0.1)
                    elif parameter.ndim == 1:
                        parameter.uniform_(0.5, 1.5)
            model = model.double().eval()
            double = [a.double() if a.is_floating_point() else a for a in args]
        return model, tuple(double), kwargs

    return build


def images(channels=3, size=16):
    return torch.randn(BATCH, channels, size, size)


def tokens(length=6, vocabulary=19):
    return torch.randint(1, vocabulary, (BATCH, length))


# ---- transformers: configuration only ---------------------------------------------------------


def gpt2():
    t = pytest.importorskip("transformers")
    config = t.GPT2Config(
        vocab_size=19,
        n_positions=12,
        n_embd=16,
        n_layer=2,
        n_head=2,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
    )
    return t.GPT2LMHeadModel(config), (tokens(),), {}


def llama():
    t = pytest.importorskip("transformers")
    config = t.LlamaConfig(
        vocab_size=19,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=12,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
    )
    return t.LlamaForCausalLM(config), (tokens(),), {}


def bert():
    t = pytest.importorskip("transformers")
    config = t.BertConfig(
        vocab_size=19,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=12,
        initializer_range=0.2,
    )
    return t.BertModel(config), (tokens(),), {}


def vit():
    t = pytest.importorskip("transformers")
    config = t.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        image_size=16,
        patch_size=8,
        initializer_range=0.2,
        num_labels=5,
    )
    return t.ViTForImageClassification(config), (images(),), {}


def resnet():
    t = pytest.importorskip("transformers")
    config = t.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 12], depths=[1, 2], layer_type="basic", num_labels=5
    )
    return t.ResNetForImageClassification(config), (images(),), {}


def resnet_bottleneck():
    t = pytest.importorskip("transformers")
    config = t.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[2, 1], layer_type="bottleneck", num_labels=5
    )
    return t.ResNetForImageClassification(config), (images(),), {}


def convnext():
    t = pytest.importorskip("transformers")
    config = t.ConvNextConfig(
        hidden_sizes=[8, 12],
        depths=[1, 2],
        num_stages=2,
        patch_size=4,
        layer_scale_init_value=0.5,
        initializer_range=0.2,
        num_labels=5,
    )
    return t.ConvNextForImageClassification(config), (images(size=32),), {}


# ---- written here -----------------------------------------------------------------------------


def digits():
    """The architecture of the shipped network, at a smaller depth."""
    architecture = Architecture("mlp", 4, 16, 16, "tanh", inputs=64, classes=10)
    return build_network(architecture, seed=1), (torch.rand(BATCH, 64),), {}


def relu_network():
    """Unnormalised ReLU branches: the paths of claim E7."""
    architecture = Architecture("mlp", 3, 8, 8, "relu", inputs=5, classes=4)
    return build_network(architecture, seed=2), (torch.randn(BATCH, 5),), {}


class ConvBlock(nn.Module):
    """The basic block of a ResNet, with additions in place."""

    def __init__(self, channels, out, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = None
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x):
        skip = x if self.shortcut is None else self.shortcut(x)
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        y += skip
        return functional.relu(y, inplace=True)


def resnet_in_place():
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        ConvBlock(6, 6),
        ConvBlock(6, 8, 2),
        ConvBlock(8, 8),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )
    return model, (images(),), {}


class UNet(nn.Module):
    """Residual blocks on every level; skips between levels by concatenation or by addition."""

    def __init__(self, additive):
        super().__init__()
        self.additive = additive
        wide = 6 if additive else 12
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.down = ConvBlock(6, 6)
        self.pool = nn.Conv2d(6, 8, 2, 2)
        self.bottom = ConvBlock(8, 8)
        self.up = nn.ConvTranspose2d(8, 6, 2, 2)
        self.merge = ConvBlock(wide, 6)
        self.head = nn.Conv2d(6, 2, 1)

    def forward(self, x):
        high = self.down(self.stem(x))
        low = self.up(self.bottom(self.pool(high)))
        joined = high + low if self.additive else torch.cat([high, low], dim=1)
        return self.head(self.merge(joined))


def unet():
    return UNet(additive=False), (images(size=8),), {}


def unet_additive():
    return UNet(additive=True), (images(size=8),), {}


class PlainUNet(nn.Module):
    """A U-Net as first published: concatenations only, so it is no tower."""

    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU())
        self.bottom = nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU())
        self.merge = nn.Sequential(nn.Conv2d(14, 6, 3, padding=1), nn.ReLU())
        self.head = nn.Conv2d(6, 2, 1)

    def forward(self, x):
        high = self.down(x)
        low = functional.interpolate(
            self.bottom(functional.max_pool2d(high, 2)), scale_factor=2, mode="nearest"
        )
        return self.head(self.merge(torch.cat([high, low], 1)))


def unet_plain():
    return PlainUNet(), (images(size=8),), {}


class DenseNet(nn.Module):
    """Dense blocks: every layer's output is concatenated, never added."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.norms = nn.ModuleList([nn.BatchNorm2d(4 + 3 * i) for i in range(3)])
        self.layers = nn.ModuleList([nn.Conv2d(4 + 3 * i, 3, 3, padding=1) for i in range(3)])
        self.head = nn.Linear(13, 4)

    def forward(self, x):
        x = self.stem(x)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = torch.cat([x, layer(functional.relu(norm(x)))], 1)
        return self.head(x.mean((2, 3)))


def densenet():
    return DenseNet(), (images(size=8),), {}


class SkipInitBlock(nn.Module):
    """x + α f(x) with one trained α, as SkipInit has it, or one for every channel, layer scale."""

    def __init__(self, dimension, per_channel):
        super().__init__()
        self.inner = nn.Linear(dimension, dimension)
        self.outer = nn.Linear(dimension, dimension)
        self.alpha = nn.Parameter(torch.full((dimension,) if per_channel else (), 0.4))

    def forward(self, x):
        return x + self.alpha * self.outer(functional.relu(self.inner(x)))


def skipinit():
    blocks = [SkipInitBlock(8, per_channel=False) for _ in range(3)]
    return nn.Sequential(nn.Linear(5, 8), *blocks, nn.Linear(8, 4)), (torch.randn(BATCH, 5),), {}


def layer_scale():
    blocks = [SkipInitBlock(8, per_channel=True) for _ in range(3)]
    return nn.Sequential(nn.Linear(5, 8), *blocks, nn.Linear(8, 4)), (torch.randn(BATCH, 5),), {}


class Attention(nn.Module):
    def __init__(self, dimension, heads=2):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dimension, 3 * dimension)
        self.out = nn.Linear(dimension, dimension)

    def forward(self, x):
        batch, length, dimension = x.shape
        shape = (batch, length, self.heads, dimension // self.heads)
        q, k, v = (t.reshape(shape).transpose(1, 2) for t in self.qkv(x).chunk(3, -1))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(x.shape))


class ParallelBlock(nn.Module):
    """x + attention(LN x) + mlp(LN x): one addition of three terms."""

    def __init__(self, dimension):
        super().__init__()
        self.norm = nn.LayerNorm(dimension)
        self.attention = Attention(dimension)
        self.mlp = nn.Sequential(
            nn.Linear(dimension, 24), nn.GELU(approximate="tanh"), nn.Linear(24, dimension)
        )

    def forward(self, x):
        y = self.norm(x)
        return x + self.attention(y) + self.mlp(y)


def parallel():
    blocks = [ParallelBlock(8) for _ in range(2)]
    return nn.Sequential(nn.Linear(5, 8), *blocks, nn.Linear(8, 4)), (torch.randn(BATCH, 6, 5),), {}


class PostNormBlock(nn.Module):
    """LN(x + attention(x)), then LN(x + mlp(x))."""

    def __init__(self, dimension):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dimension), nn.LayerNorm(dimension)
        self.attention = Attention(dimension)
        self.mlp = nn.Sequential(nn.Linear(dimension, 24), nn.GELU(), nn.Linear(24, dimension))

    def forward(self, x):
        x = self.norm1(x + self.attention(x))
        return self.norm2(x + self.mlp(x))


def post_norm():
    blocks = [PostNormBlock(8) for _ in range(2)]
    return nn.Sequential(nn.Linear(5, 8), *blocks, nn.Linear(8, 4)), (torch.randn(BATCH, 6, 5),), {}


def torch_encoder():
    """PyTorch's own layer, pre-norm."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, norm_first=True, batch_first=True)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    return nn.Sequential(nn.Linear(5, 8), model, nn.Linear(8, 4)), (torch.randn(BATCH, 6, 5),), {}


class Nested(nn.Module):
    """A residual block inside the branch of another."""

    def __init__(self, dimension):
        super().__init__()
        self.before = nn.Linear(dimension, dimension)
        self.inside = SkipInitBlock(dimension, per_channel=False)
        self.after = nn.Linear(dimension, dimension)

    def forward(self, x):
        return x + self.after(torch.tanh(self.inside(self.before(x))))


def nested():
    blocks = [Nested(6) for _ in range(2)]
    return nn.Sequential(nn.Linear(5, 6), *blocks, nn.Linear(6, 4)), (torch.randn(BATCH, 5),), {}


MODELS = {
    "gpt2": Case(seeded(gpt2), 4),
    "llama": Case(seeded(llama), 4),
    "bert": Case(seeded(bert), 4),
    "vit": Case(seeded(vit), 4),
    "resnet": Case(seeded(resnet), 3),
    "resnet_bottleneck": Case(seeded(resnet_bottleneck), 3),
    "convnext": Case(seeded(convnext), 3),
    "digits": Case(seeded(digits), 4),
    "relu_network": Case(seeded(relu_network), 3),
    "resnet_in_place": Case(seeded(resnet_in_place), 3),
    "unet": Case(seeded(unet), 3),
    "unet_additive": Case(seeded(unet_additive), 4),
    "unet_plain": Case(seeded(unet_plain), 0),
    "densenet": Case(seeded(densenet), 0),
    "skipinit": Case(seeded(skipinit), 3),
    "layer_scale": Case(seeded(layer_scale), 3),
    "parallel": Case(seeded(parallel), 2, branches=2),
    "post_norm": Case(seeded(post_norm), 4),
    "torch_encoder": Case(seeded(torch_encoder), 4),
    "nested": Case(seeded(nested), 4),
}
TOWERS = [name for name, case in MODELS.items() if case.blocks]


@cache
def traced(name):
    """Tower, model, args and kwargs, traced once per process: leave the model as it is."""
    model, args, kwargs = MODELS[name].build()
    return trace(model, args, kwargs), model, args, kwargs


def floats(output):
    """The floating-point tensors of a model's output."""
    leaves = torch.utils._pytree.tree_leaves(output)
    return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.is_floating_point()]


def distance(ours, theirs):
    """Largest difference of two outputs, relative to the largest number of the second."""
    pairs = list(zip(floats(ours), floats(theirs), strict=True))
    assert pairs
    assert all(a.shape == b.shape and a.dtype == b.dtype for a, b in pairs)
    assert all(bool(b.isfinite().all()) for _, b in pairs)
    sizes = [(float((a - b).detach().abs().max()), float(b.detach().abs().max())) for a, b in pairs]
    return max(error / size if size else error for error, size in sizes)
