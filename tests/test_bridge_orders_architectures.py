"""Orders of architectures that differ most from each other: configuration only, random weights."""

import pytest

torch = pytest.importorskip("torch")

from bridge_models import seeded  # noqa: E402
from bridge_orders_helpers import distance, stacked_orders  # noqa: E402

from torch_bridge.orders.frozen import frozen_orders  # noqa: E402
from torch_bridge.orders.plan import kept_plan  # noqa: E402
from torch_bridge.orders.series import has_rule, series_orders  # noqa: E402
from torch_bridge.tracing.capture import capture  # noqa: E402
from torch_bridge.tracing.interpreter import run  # noqa: E402
from torch_bridge.tracing.runner import float_tensors  # noqa: E402

SMALL = {
    "vocab_size": 19,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "initializer_range": 0.2,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 0,
}


def tokens(length=6):
    return torch.randint(2, 19, (2, length))


def t5():
    """Encoder and decoder, relative positions, one shared table of biases."""
    t = pytest.importorskip("transformers")
    config = t.T5Config(
        vocab_size=19,
        d_model=16,
        d_kv=8,
        d_ff=24,
        num_layers=2,
        num_heads=2,
        use_cache=False,
        decoder_start_token_id=0,
        pad_token_id=0,
    )
    inputs = {"input_ids": tokens(), "decoder_input_ids": tokens(4)}
    return t.T5ForConditionalGeneration(config), (), inputs


def swin():
    """Shifted windows: rolled, cut and put together again."""
    t = pytest.importorskip("transformers")
    config = t.SwinConfig(
        image_size=32, embed_dim=8, depths=[2, 2], num_heads=[2, 2], window_size=4, num_labels=5
    )
    return t.SwinForImageClassification(config), (torch.randn(2, 3, 32, 32),), {}


def mamba():
    """A selective state-space model: a recurrence written out."""
    t = pytest.importorskip("transformers")
    config = t.MambaConfig(**SMALL, state_size=4, use_cache=False)
    return t.MambaForCausalLM(config), (tokens(),), {}


def mixtral():
    """A mixture of experts: two of three are chosen for every token."""
    t = pytest.importorskip("transformers")
    config = t.MixtralConfig(
        **SMALL,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=24,
        num_local_experts=3,
        num_experts_per_tok=2,
        use_cache=False,
        experts_implementation="batched_mm",
    )
    return t.MixtralForCausalLM(config), (tokens(),), {}


def fnet():
    """Fourier transforms instead of attention: complex numbers."""
    t = pytest.importorskip("transformers")
    return t.FNetModel(t.FNetConfig(**SMALL, intermediate_size=24)), (tokens(),), {}


def deberta():
    """Disentangled attention: gathered relative positions."""
    t = pytest.importorskip("transformers")
    config = t.DebertaV2Config(
        **SMALL,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=16,
        relative_attention=True,
        pos_att_type=["c2p", "p2c"],
        position_biased_input=False,
        type_vocab_size=0,
    )
    return t.DebertaV2Model(config), (tokens(),), {}


# Those that compute a normalisation or a state in float32, whatever their weights are.
SINGLE = {"mamba", "mixtral", "t5"}
ARCHITECTURES = {f.__name__: f for f in (t5, swin, mamba, mixtral, fnet, deberta)}


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_orders_add_up_to_the_output(name):
    model, args, kwargs = seeded(ARCHITECTURES[name])()
    model.requires_grad_(False)
    captured = capture(model, args, kwargs)
    steps = kept_plan(captured, 1).steps
    assert not {step.name for step in steps if step.slots is not None and not has_rule(step.name)}
    assert len(captured.additions) >= 2
    real = float_tensors(run(captured, args, kwargs))
    frozen = stacked_orders(frozen_orders(captured, args, kwargs).orders)
    rounding = 1e-6 if name in SINGLE else 1e-10
    assert distance([part.sum(0) for part in frozen], real) < rounding
    assert distance([part[:1].sum(0) for part in frozen], real) > 1e-3
    # So small that no kink lies between 0 and there.
    scales = [1e-4 if name in SINGLE else 1e-6] * len(captured.additions)
    series = stacked_orders(series_orders(captured, args, kwargs, 4, scales))
    real = float_tensors(run(captured, args, kwargs, scales=scales))
    assert distance([part.sum(0) for part in series], real) < (1e-6 if name in SINGLE else 1e-13)
    assert distance([part[:1].sum(0) for part in series], real) > 1e-2 * scales[0]
