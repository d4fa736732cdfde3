"""Every rule of the λ-series beside nested forward-mode derivatives of that one operation."""

import math

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from bridge_orders_helpers import captured_model, nested_taylor, operations_of  # noqa: E402

from expansion.errors import InputError  # noqa: E402
from torch_bridge.orders import derivatives, series  # noqa: E402
from torch_bridge.orders.linear import LINEAR  # noqa: E402
from torch_bridge.orders.plan import argument_names, operation  # noqa: E402
from torch_bridge.orders.polynomial import Polynomial  # noqa: E402
from torch_bridge.orders.propagation import Call, NotCoveredError  # noqa: E402

aten = torch.ops.aten
TERMS = 4


class Drawn:
    """Random polynomials and tensors of one example."""

    def __init__(self, seed, sizes, length):
        self.generator = torch.Generator().manual_seed(seed)
        self.sizes, self.length = sizes, length

    def plain(self, *shape):
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)

    def signal(self, *shape, start=None, gap=False):
        """A polynomial of the drawn length; its entries apart from each other for choices."""
        stack = self.plain(self.length, *shape) / 2
        if start is not None:
            stack[0] = start(stack[0])
        if gap:
            order = torch.randperm(math.prod(shape), generator=self.generator)
            stack[0] = order.reshape(shape).double() - math.prod(shape) / 2 + 0.25
        return Polynomial(stack)


def positive(x):
    return x.abs() + 0.5


def inside(x):
    return x.tanh() / 2


def beyond_one(x):
    return x.abs() + 1.5


def unary(target, start=None, gap=False, **rest):
    return lambda d: (target, (d.signal(*d.sizes, start=start, gap=gap),), rest)


def pair(target, start=None, gap=False, **rest):
    """Both arguments depend on z, then either one alone."""

    def whole(d):
        first, second = d.signal(*d.sizes), d.signal(*d.sizes[1:], start=start)
        return target, (first, second), rest

    def left(d):
        return target, (d.signal(*d.sizes), positive(d.plain(*d.sizes[1:]))), rest

    def right(d):
        return target, (d.plain(*d.sizes), d.signal(*d.sizes[1:], start=start)), rest

    return {"both": whole, "left": left, "right": right}


SMOOTH = {
    **{
        name: unary(getattr(aten, name).default)
        for name in [
            "asinh",
            "cos",
            "cosh",
            "erf",
            "erfc",
            "exp",
            "exp2",
            "expm1",
            "gelu",
            "mish",
            "sigmoid",
            "silu",
            "sin",
            "sinh",
            "softplus",
            "atan",
            "square",
            "tan",
            "tanh",
            "log_sigmoid_forward",
            "neg",
        ]
    },
    **{
        name: unary(getattr(aten, name).default, positive)
        for name in ["log", "log10", "log1p", "log2", "reciprocal", "rsqrt", "sqrt"]
    },
    **{name: unary(getattr(aten, name).default, inside) for name in ["acos", "asin", "atanh"]},
    "acosh": unary(aten.acosh.default, beyond_one),
    "gelu tanh": unary(aten.gelu.default, approximate="tanh"),
    "pow 3": lambda d: (aten.pow.Tensor_Scalar, (d.signal(*d.sizes), 3), {}),
    "pow 0": lambda d: (aten.pow.Tensor_Scalar, (d.signal(*d.sizes), 0), {}),
    "pow -1.5": lambda d: (aten.pow.Tensor_Scalar, (d.signal(*d.sizes, start=positive), -1.5), {}),
    "pow of 2": lambda d: (aten.pow.Scalar, (2.0, d.signal(*d.sizes)), {}),
    "pow both": lambda d: (
        aten.pow.Tensor_Tensor,
        (d.signal(*d.sizes, start=positive), d.signal(*d.sizes)),
        {},
    ),
    "lgamma": unary(aten.lgamma.default, positive),
}
GATED = {
    **{
        name: unary(getattr(aten, name).default, gap=True)
        for name in [
            "abs",
            "relu",
            "leaky_relu",
            "elu",
            "hardtanh",
            "hardsigmoid",
            "hardswish",
            "amax",
            "amin",
            "max",
            "min",
            "sort",
        ]
    },
    "clamp": unary(aten.clamp.default, gap=True, min=-1.5, max=1.5),
    "threshold": lambda d: (aten.threshold.default, (d.signal(*d.sizes, gap=True), 0.5, 2.0), {}),
    "max over one": lambda d: (aten.max.dim, (d.signal(*d.sizes, gap=True), 1, True), {}),
    "amax over two": lambda d: (aten.amax.default, (d.signal(*d.sizes, gap=True), [0, -1]), {}),
    "topk": lambda d: (aten.topk.default, (d.signal(*d.sizes, gap=True), 1, 0), {}),
    "max pool": lambda d: (
        aten.max_pool2d_with_indices.default,
        (d.signal(2, 2, 5, 4, gap=True), [3, 2], [2, 1], [1, 1]),
        {},
    ),
    "max pool, ceiled and dilated": lambda d: (
        aten.max_pool2d_with_indices.default,
        (d.signal(2, 7, 6, gap=True), [2, 2], [2, 2], [0, 1], [2, 1], True),
        {},
    ),
    "max pool 3d": lambda d: (
        aten.max_pool3d_with_indices.default,
        (d.signal(2, 4, 5, 4, gap=True), [2, 3, 2], [2, 1, 2], [1, 1, 0], [1, 2, 1]),
        {},
    ),
    "adaptive max pool": lambda d: (
        aten.adaptive_max_pool2d.default,
        (d.signal(2, 2, 5, 4, gap=True), [3, 2]),
        {},
    ),
    "adaptive max pool 3d": lambda d: (
        aten.adaptive_max_pool3d.default,
        (d.signal(2, 3, 5, 4, gap=True), [2, 3, 3]),
        {},
    ),
    "topk of least": lambda d: (aten.topk.default, (d.signal(4, 3, gap=True), 2, 0, False), {}),
    "sort down": lambda d: (aten.sort.default, (d.signal(4, 3, gap=True), 0, True), {}),
    "prelu": lambda d: (aten.prelu.default, (d.signal(2, 3, 2, gap=True), d.plain(3)), {}),
    **{f"{k} maximum": v for k, v in pair(aten.maximum.default).items()},
    **{f"{k} minimum": v for k, v in pair(aten.minimum.default).items()},
}
LINEARS = {
    "permute": lambda d: (aten.permute.default, (d.signal(*d.sizes), [1, -1, 0]), {}),
    "view": lambda d: (aten.reshape.default, (d.signal(*d.sizes), [-1, d.sizes[2]]), {}),
    "expand": lambda d: (aten.expand.default, (d.signal(1, 3), [2, 4, -1]), {}),
    "unsqueeze": lambda d: (aten.unsqueeze.default, (d.signal(*d.sizes), 1), {}),
    "unsqueeze -1": lambda d: (aten.unsqueeze.default, (d.signal(*d.sizes), -1), {}),
    "squeeze": lambda d: (aten.squeeze.dims, (d.signal(1, 3, 1), [0, -1]), {}),
    "squeeze all": lambda d: (aten.squeeze.default, (d.signal(1, 3, 1),), {}),
    "select": lambda d: (aten.select.int, (d.signal(*d.sizes), 0, -1), {}),
    "slice": lambda d: (aten.slice.Tensor, (d.signal(*d.sizes), 1, 0, 1), {}),
    "slice first": lambda d: (aten.slice.Tensor, (d.signal(*d.sizes),), {"end": 1}),
    "split": lambda d: (aten.split_with_sizes.default, (d.signal(4, 3), [1, 3]), {}),
    "unbind": lambda d: (aten.unbind.int, (d.signal(*d.sizes), 1), {}),
    "flip": lambda d: (aten.flip.default, (d.signal(*d.sizes), [0, 2]), {}),
    "cumsum": lambda d: (aten.cumsum.default, (d.signal(*d.sizes), 0), {}),
    "roll": lambda d: (aten.roll.default, (d.signal(3, 4), [1], [0]), {}),
    "repeat": lambda d: (aten.repeat.default, (d.signal(2, 3), [2, 1, 2]), {}),
    "transpose": lambda d: (aten.transpose.int, (d.signal(*d.sizes), 0, 2), {}),
    "t": lambda d: (aten.t.default, (d.signal(2, 3),), {}),
    "mean": lambda d: (aten.mean.dim, (d.signal(*d.sizes), [0, 2], True), {}),
    "mean of all": lambda d: (aten.mean.default, (d.signal(*d.sizes),), {}),
    "sum": lambda d: (aten.sum.dim_IntList, (d.signal(*d.sizes), [1]), {}),
    "pad": lambda d: (aten.constant_pad_nd.default, (d.signal(2, 3), [1, 0, 0, 2], 4.0), {}),
    "cat": lambda d: (aten.cat.default, ([d.signal(2, 3), d.plain(2, 1)], 1), {}),
    "cat of short": lambda d: (
        aten.cat.default,
        ([d.signal(2, 3), Polynomial(d.plain(1, 1, 3))], 0),
        {},
    ),
    "stack": lambda d: (aten.stack.default, ([d.signal(2), d.plain(2)], 1), {}),
    "where": lambda d: (
        aten.where.self,
        (d.plain(*d.sizes) > 0, d.signal(*d.sizes[1:]), d.plain(*d.sizes)),
        {},
    ),
    "masked_fill": lambda d: (
        aten.masked_fill.Scalar,
        (d.signal(*d.sizes), d.plain(*d.sizes) > 0, 7.0),
        {},
    ),
    "gather": lambda d: (
        aten.gather.default,
        (d.signal(3, 2), 0, torch.tensor([[0, 2], [1, 1]])),
        {},
    ),
    "index": lambda d: (
        aten.index.Tensor,
        (d.signal(3, 2, 4), [torch.tensor([0, 2]), None, torch.tensor([3, 1])]),
        {},
    ),
    "index_put": lambda d: (
        aten.index_put.default,
        (d.signal(3, 2), [torch.tensor([0, 2])], d.signal(2, 2)),
        {},
    ),
    "fill": lambda d: (aten.fill.Tensor, (d.signal(2, 3), d.signal()), {}),
    "scatter": lambda d: (
        aten.scatter.src,
        (d.signal(3, 2), 0, torch.tensor([[0, 2], [2, 1]]), d.signal(2, 2)),
        {},
    ),
    "scatter a number": lambda d: (
        aten.scatter.value,
        (d.signal(3, 2), 0, torch.tensor([[0, 2]]), 5.0),
        {},
    ),
    "scatter_add": lambda d: (
        aten.scatter_add.default,
        (d.plain(3, 2), 0, torch.tensor([[0, 2], [0, 1]]), d.signal(2, 2)),
        {},
    ),
    "index_add": lambda d: (
        aten.index_add.default,
        (d.signal(3, 2), 0, torch.tensor([2, 2]), d.signal(2, 2)),
        {"alpha": 3},
    ),
    "index_fill": lambda d: (
        aten.index_fill.int_Scalar,
        (d.signal(3, 2), 0, torch.tensor([0, 2]), 5.0),
        {},
    ),
    "select_scatter": lambda d: (
        aten.select_scatter.default,
        (d.signal(3, 2), d.plain(3), 1, 0),
        {},
    ),
    "slice_scatter": lambda d: (
        aten.slice_scatter.default,
        (d.plain(3, 2), d.signal(2, 2), 0, 1),
        {},
    ),
    "slice_scatter to the end": lambda d: (
        aten.slice_scatter.default,
        (d.signal(2, 3), d.signal(2, 2), 1, 1, 2**63 - 1),
        {},
    ),
    "diagonal_scatter": lambda d: (
        aten.diagonal_scatter.default,
        (d.signal(3, 3), d.signal(3)),
        {},
    ),
    "embedding": lambda d: (aten.embedding.default, (d.signal(4, 2), torch.tensor([1, 3])), {}),
    "copy to double": lambda d: (
        aten._to_copy.default,
        (d.signal(2, 3),),
        {"dtype": torch.float64, "memory_format": torch.contiguous_format},
    ),
    "average pool": lambda d: (aten.avg_pool2d.default, (d.signal(2, 2, 4, 4), [2, 2]), {}),
    "average pool of one": lambda d: (aten.avg_pool2d.default, (d.signal(2, 4, 4), [2, 2]), {}),
    "adaptive pool": lambda d: (
        aten._adaptive_avg_pool2d.default,
        (d.signal(2, 2, 4, 4), [2, 1]),
        {},
    ),
    "upsample": lambda d: (
        aten.upsample_bilinear2d.default,
        (d.signal(2, 2, 3, 3), [5, 6], False),
        {},
    ),
    "add": lambda d: (aten.add.Tensor, (d.signal(*d.sizes), d.signal(*d.sizes[1:])), {"alpha": 3}),
    "add number": lambda d: (aten.add.Tensor, (d.signal(*d.sizes), 2.0), {}),
    "sub from plain": lambda d: (aten.sub.Tensor, (d.plain(*d.sizes), d.signal(*d.sizes[1:])), {}),
    "rsub": lambda d: (aten.rsub.Scalar, (d.signal(*d.sizes), 2.0, 3.0), {}),
    "mul number": lambda d: (aten.mul.Tensor, (d.signal(*d.sizes), -2.5), {}),
    "batch norm by statistics": lambda d: (
        aten._native_batch_norm_legit_no_training.default,
        (
            d.signal(2, 3, 4),
            d.plain(3),
            d.plain(3),
            d.plain(3),
            positive(d.plain(3)),
            0.1,
            1e-5,
        ),
        {},
    ),
}


def matrices(target, *shapes, sums=None, **rest):
    """A product with both factors, or one of the two, depending on z."""

    def made(first, second):
        def build(d):
            kinds = [d.signal if kind else d.plain for kind in (first, second)]
            factors = [kind(*shape) for kind, shape in zip(kinds, shapes, strict=True)]
            before = () if sums is None else (d.signal(*sums) if second else d.plain(*sums),)
            return target, (*before, *factors), rest

        return build

    return {"both": made(1, 1), "left": made(1, 0), "right": made(0, 1)}


PRODUCTS = {
    f"{which} {name}": build
    for name, cases in {
        "mul": pair(aten.mul.Tensor),
        "div": pair(aten.div.Tensor, positive),
        "mm": matrices(aten.mm.default, (2, 3), (3, 4)),
        "bmm": matrices(aten.bmm.default, (2, 2, 3), (2, 3, 4)),
        "mv": matrices(aten.mv.default, (2, 3), (3,)),
        "dot": matrices(aten.dot.default, (3,), (3,)),
        "matmul": matrices(aten.matmul.default, (2, 2, 3), (3,)),
        "matmul of batches": matrices(aten.matmul.default, (2, 3), (2, 3, 2)),
        "vector matmul": matrices(aten.matmul.default, (3,), (2, 3, 2)),
        "addmm": matrices(aten.addmm.default, (2, 3), (3, 4), sums=(4,), beta=2, alpha=3),
        "baddbmm": matrices(aten.baddbmm.default, (2, 2, 3), (2, 3, 4), sums=(2, 2, 4)),
        "linear": matrices(aten.linear.default, (2, 3), (4, 3)),
    }.items()
    for which, build in cases.items()
}
CONVOLUTIONS = {
    f"{which} convolution, {name}": build
    for name, rest in {
        "plain": ((3, 2, 2, 2), False, 1),
        "transposed": ((2, 3, 2, 2), True, 1),
        "grouped": ((4, 1, 2, 2), False, 2),
    }.items()
    for which, build in {
        which: (
            lambda d, rest=rest, kinds=kinds: (
                aten.convolution.default,
                (
                    (d.signal if kinds[0] else d.plain)(2, 2, 4, 3),
                    (d.signal if kinds[1] else d.plain)(*rest[0]),
                    d.plain(rest[0][0] if not rest[1] else rest[0][1]),
                    [1, 2],
                    [1, 0],
                    [1, 1],
                    rest[1],
                    [0, 0],
                    rest[2],
                ),
                {},
            )
        )
        for which, kinds in {"left": (1, 0), "right": (0, 1), "both": (1, 1)}.items()
    }.items()
}
NORMS = {
    "softmax": lambda d: (aten._softmax.default, (d.signal(*d.sizes), 1, False), {}),
    "log_softmax": lambda d: (aten._log_softmax.default, (d.signal(*d.sizes), -1, False), {}),
    "logsumexp": lambda d: (aten.logsumexp.default, (d.signal(*d.sizes), [0], True), {}),
    "layer norm": lambda d: (
        aten.native_layer_norm.default,
        (d.signal(2, 3, 4), [3, 4], d.plain(3, 4), d.plain(3, 4), 1e-3),
        {},
    ),
    "bare layer norm": lambda d: (
        aten.native_layer_norm.default,
        (d.signal(2, 4), [4], None, None, 1e-3),
        {},
    ),
    "group norm": lambda d: (
        aten.native_group_norm.default,
        (d.signal(2, 4, 3), d.plain(4), d.plain(4), 2, 4, 3, 2, 1e-3),
        {},
    ),
    "batch norm": lambda d: (
        aten._native_batch_norm_legit.no_stats,
        (d.signal(3, 2, 4), d.plain(2), d.plain(2), True, 0.1, 1e-3),
        {},
    ),
    "layer norm with a gain that moves": lambda d: (
        aten.native_layer_norm.default,
        (d.signal(2, 3, 4), [4], d.signal(4), d.signal(4), 1e-3),
        {},
    ),
    "var": lambda d: (aten.var.correction, (d.signal(3, 4), [1]), {"correction": 1}),
    "std": lambda d: (aten.std.correction, (d.signal(3, 4), [0]), {"keepdim": True}),
    "var_mean": lambda d: (aten.var_mean.correction, (d.signal(3, 4), [0, 1]), {"correction": 0}),
    "norm": lambda d: (aten.linalg_vector_norm.default, (d.signal(3, 4), 2, [1]), {}),
    "glu": lambda d: (aten.glu.default, (d.signal(3, 4), 1), {}),
}
BOARD, VOLUME = (2, 2, 4, 6), (2, 2, 3, 4, 5)
GRID = torch.randn(2, 3, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(8))
# Linear operations done to one coefficient after the other: target, shape, other arguments.
HOMOGENEOUS = {
    name: (getattr(getattr(aten, name), overload), shape, rest)
    for name, overload, shape, rest in [
        ("_adaptive_avg_pool3d", "default", VOLUME, ([2, 3, 2],)),
        ("_fft_c2c", "default", (2, 3), ([1], 0, True)),
        ("_fft_c2r", "default", (2, 3), ([0, 1], 0, 4)),
        ("_fft_r2c", "default", (2, 3, 4), ([0, 2], 0, True)),
        ("_to_copy", "default", (2, 3), ()),
        ("_unsafe_view", "default", (2, 3), ([3, 2],)),
        ("_upsample_bicubic2d_aa", "default", BOARD, ([3, 4], False)),
        ("_upsample_bilinear2d_aa", "default", BOARD, ([3, 4], False)),
        ("_upsample_nearest_exact1d", "default", (2, 2, 4), ([7],)),
        ("_upsample_nearest_exact2d", "default", BOARD, ([7, 5],)),
        ("_upsample_nearest_exact3d", "default", VOLUME, ([4, 7, 5],)),
        ("adaptive_avg_pool1d", "default", (2, 2, 5), ([2],)),
        ("alias", "default", (2, 3), ()),
        ("as_strided", "default", (4, 3), ([2, 3], [3, 1], 3)),
        ("avg_pool1d", "default", (2, 2, 5), ([2], [1])),
        ("avg_pool3d", "default", VOLUME, ([2, 2, 2],)),
        ("clone", "default", (2, 3), ()),
        ("col2im", "default", (2, 8, 6), ([3, 4], [2, 2], [1, 1], [0, 0], [1, 1])),
        ("contiguous", "default", (2, 3), ()),
        ("detach", "default", (2, 3), ()),
        ("diag_embed", "default", (2, 3), (0, 0, 1)),
        ("diagonal", "default", (3, 4, 2), (1, 0, 1)),
        ("grid_sampler_2d", "default", BOARD, (GRID, 0, 0, True)),
        ("im2col", "default", BOARD, ([2, 2], [1, 1], [1, 0], [1, 2])),
        ("index_select", "default", (3, 4), (1, torch.tensor([3, 0, 3]))),
        ("lift", "default", (2, 3), ()),
        ("lift_fresh_copy", "default", (2, 3), ()),
        ("narrow", "default", (3, 4), (1, 1, 2)),
        ("pixel_shuffle", "default", (2, 4, 3, 2), (2,)),
        ("pixel_unshuffle", "default", (2, 2, 4, 6), (2,)),
        ("positive", "default", (2, 3), ()),
        ("reflection_pad1d", "default", (2, 2, 4), ([1, 2],)),
        ("reflection_pad2d", "default", BOARD, ([1, 2, 0, 1],)),
        ("reflection_pad3d", "default", VOLUME, ([1, 2, 0, 1, 1, 0],)),
        ("replication_pad1d", "default", (2, 4), ([1, 2],)),
        ("replication_pad2d", "default", BOARD, ([1, 2, 0, 1],)),
        ("replication_pad3d", "default", VOLUME, ([1, 2, 0, 1, 1, 0],)),
        ("split", "Tensor", (5, 3), (2,)),
        ("to", "dtype", (2, 3), (torch.float32,)),
        ("tril", "default", (3, 3), ()),
        ("triu", "default", (2, 3, 3), (1,)),
        ("unfold", "default", (5, 2), (0, 2, 1)),
        ("upsample_bicubic2d", "default", BOARD, ([7, 5], True)),
        ("upsample_linear1d", "default", (2, 2, 4), ([7], False)),
        ("upsample_nearest1d", "default", (2, 2, 4), ([7],)),
        ("upsample_nearest2d", "default", BOARD, ([7, 5],)),
        ("upsample_nearest3d", "default", VOLUME, ([4, 7, 5],)),
        ("upsample_trilinear3d", "default", VOLUME, ([4, 7, 5], False)),
        ("view", "default", (2, 3), ([3, 2],)),
        ("view_as_complex", "default", (3, 2), ()),
        ("view_as_real", "default", (2, 3), ()),
    ]
}
OF_COMPLEX = {"_fft_c2c", "_fft_c2r", "view_as_real"}
CASES = SMOOTH | GATED | LINEARS | PRODUCTS | CONVOLUTIONS | NORMS
# Operations that take nested derivatives whole because no rule says better.
FALL_BACK = {"lgamma", "pow both", *(f"both convolution, {n}" for n in ("plain", "transposed"))}
FALL_BACK |= {"both convolution, grouped"}


def parts(result):
    """The coefficients of every part of a result that depends on z."""
    found = result if isinstance(result, (list, tuple)) else [result]
    return [part.stack if isinstance(part, Polynomial) else None for part in found]


def differences(case, drawn):
    """The largest error of every part, relative to its largest coefficient, or 1."""
    target, args, rest = case(drawn)
    named = dict(zip(argument_names(target), args, strict=False)) | rest
    ours = parts(series._apply(Call(target, operation(target), named, TERMS)))
    real = nested_taylor(target, named, TERMS)
    assert len(ours) == len(real)
    errors = []
    for mine, theirs in zip(ours, real, strict=True):
        scratch = target is aten.log_sigmoid_forward.default and mine is None
        if theirs is None or not theirs.numel() or scratch:
            continue
        assert mine is not None
        assert mine.shape[1:] == theirs.shape[1:]
        assert len(mine) <= TERMS
        short = torch.cat([mine, mine.new_zeros(TERMS - len(mine), *mine.shape[1:])])
        scale = max(float(theirs.abs().max()), 1.0)
        errors.append(float((short - theirs).abs().max()) / scale)
    assert errors
    return errors


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=3, phases=[Phase.generate])  # shrinking derivatives takes minutes
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.tuples(*[st.integers(1, 3)] * 3),
    length=st.integers(1, TERMS),
)
def test_a_rule_is_the_derivative(name, seed, sizes, length):
    # K! ≤ 6 roundings of nested derivatives, each amplified by at most the next coefficient.
    assert max(differences(CASES[name], Drawn(seed, sizes, length))) < 1e-10


@pytest.mark.parametrize("name", HOMOGENEOUS)
def test_a_linear_operation_acts_on_every_coefficient(name):
    target, shape, rest = HOMOGENEOUS[name]
    kind = torch.complex128 if name in OF_COMPLEX else torch.float64
    stack = torch.randn(3, *shape, dtype=kind, generator=torch.Generator().manual_seed(7))
    names = argument_names(target)
    named = dict(zip(names, (Polynomial(stack), *rest), strict=False))
    ours = parts(series._apply(Call(target, name, named, 3)))
    singly = [target(row.clone(), *rest) for row in stack]
    singly = [row if isinstance(row, (list, tuple)) else [row] for row in singly]
    assert len(ours) == len(singly[0])
    for mine, theirs in zip(ours, zip(*singly, strict=True), strict=True):
        assert mine.dtype == theirs[0].dtype
        assert torch.allclose(mine, torch.stack(theirs), rtol=1e-12, atol=1e-13)
        assert not torch.allclose(mine, torch.stack(theirs[::-1]))


def wrong_tanh(u, terms, out=None):
    """The recurrence without the convolution's mirror terms: 1 − y_0 y_k instead of 1 − y²."""
    y, slope = [u[0].tanh()], [1 - u[0].tanh() ** 2]
    for k in range(1, terms):
        total = sum(
            (j / k * u[j] * slope[k - j] for j in range(1, min(k, len(u) - 1) + 1)), 0 * u[0]
        )
        y.append(total)
        slope.append(-y[0] * y[k])
    for row, value in zip(out or [], y, strict=False):
        row.copy_(value)
    return y


@pytest.mark.parametrize(
    ("case", "table", "key", "wrong"),
    [
        ("tanh", "FUNCTIONS", "tanh", wrong_tanh),
        ("exp", "FUNCTIONS", "exp", lambda u, terms, out=None: [u[0].exp()] * terms),
        (
            "cat",
            "RULES",
            "cat",
            lambda call: LINEAR["cat"](
                Call(
                    call.target,
                    call.name,
                    call.arguments | {"tensors": [call["tensors"][0], call["tensors"][1] * 2]},
                    call.terms,
                )
            ),
        ),
        (
            "both mul",
            "FACTORS",
            "mul",
            None,
        ),
    ],
)
def test_a_wrong_rule_is_caught(monkeypatch, case, table, key, wrong):
    drawn = {"seed": 5, "sizes": (2, 2, 3), "length": 4}
    assert max(differences(CASES[case], Drawn(**drawn))) < 1e-10
    if wrong is None:  # the product without its mixed terms
        monkeypatch.setattr(
            series,
            "product",
            lambda a, b, terms: Polynomial(a.stack[:terms] * b.stack[:terms, None]),
        )
    else:
        monkeypatch.setattr(series, table, {**getattr(series, table), key: wrong})
    assert max(differences(CASES[case], Drawn(**drawn))) > 1e-3


def test_which_cases_have_no_rule():
    without = set()
    for name, case in CASES.items():
        target, args, rest = case(Drawn(1, (2, 2, 2), 2))
        named = dict(zip(argument_names(target), args, strict=False)) | rest
        call = Call(target, operation(target), named, 2)
        rule = series.rule_for(call)
        if rule is None:
            without.add(name)
            continue
        try:
            rule(call)
        except NotCoveredError:
            without.add(name)
    assert without == FALL_BACK


def test_every_rule_has_a_case():
    tried = {operation(case(Drawn(1, (2, 2, 2), 2))[0]) for case in CASES.values()}
    tried |= set(HOMOGENEOUS)
    same = {  # another name of an operation that is tried, or the same rule
        "_native_batch_norm_legit_functional": "_native_batch_norm_legit",
        "_prelu_kernel": "prelu",
        "clamp_max": "clamp",
        "clamp_min": "clamp",
        "fmax": "maximum",
        "fmin": "minimum",
        "group_norm": "native_group_norm",
        "layer_norm": "native_layer_norm",
        "log_softmax": "_log_softmax",
        "norm": "linalg_vector_norm",
        "softmax": "_softmax",
    }
    assert set(same.values()) <= tried
    left = set(series.RULES) - tried - set(same)
    assert left == {  # which have tests of their own
        *("argmax", "argmin", "eq", "ge", "gt", "le", "lt", "ne", "sign"),
        *("_grouped_mm", "grouped_mm_fallback", "native_dropout"),
    }


MODELS_WITHOUT_A_RULE = set()


@pytest.mark.slow
def test_operations_of_all_test_models_have_rules():
    from bridge_models import MODELS

    met = set()
    for name in MODELS:
        try:
            met |= operations_of(captured_model(name)[0])
        except pytest.skip.Exception:
            continue
    assert {"tanh", "addmm", "convolution", "native_layer_norm", "_softmax"} <= met | {"_softmax"}
    assert {name for name in met if not series.has_rule(name)} == MODELS_WITHOUT_A_RULE


def leads(name, stack, other=0.0):
    target = getattr(aten, name).Scalar
    named = {"self": Polynomial(torch.tensor(stack, dtype=torch.float64)), "other": other}
    return series._apply(Call(target, name, named, 3)).tolist()


def test_comparisons_look_at_what_moves_first():
    stack = [[0.0, 0.0, 0.0, 1.0], [1.0, -1.0, 0.0, -5.0], [0.0, 9.0, 0.0, 0.0]]
    assert leads("gt", stack) == [True, False, False, True]
    assert leads("ge", stack) == [True, False, True, True]
    assert leads("lt", stack) == [False, True, False, False]
    assert leads("le", stack) == [False, True, True, False]
    assert leads("eq", stack) == [False, False, True, False]
    assert leads("ne", stack) == [True, True, False, True]
    # A masked score is minus infinity whatever is added to it.
    assert leads("eq", [[-math.inf], [3.0]], -math.inf) == [True]


def test_whole_numbers_look_at_what_moves_first():
    stack = torch.tensor([[0.0, 0.0, -1.0], [1.0, 2.0, 9.0], [0.0, 0.0, 0.0]], dtype=torch.float64)

    def found(target, *rest):
        named = dict(zip(argument_names(target), (Polynomial(stack), *rest), strict=False))
        return series._apply(Call(target, operation(target), named, 3))

    assert int(found(aten.argmax.default)) == 1
    assert int(found(aten.argmin.default)) == 2
    assert found(aten.sign.default).tolist() == [1, 1, -1]
    assert found(aten.argsort.default).tolist() == stack[0].argsort().tolist()
    for sort, rest in [(aten.sort.default, (0, True)), (aten.topk.default, (3,))]:
        values, places = found(sort, *rest)
        assert places.tolist() == [1, 0, 2]
        assert values.stack[1].tolist() == [2, 1, 9]
    z = 1e-3
    moved = (stack[0] + z * stack[1]).argsort(descending=True)
    assert moved.tolist() == [1, 0, 2]


def test_one_draw_of_dropout_for_all_coefficients():
    stack = torch.ones(3, 400, dtype=torch.float64) * torch.tensor([[1.0], [2.0], [3.0]])
    named = {"input": Polynomial(stack), "p": 0.25, "train": True}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        moved, kept = series._apply(Call(aten.native_dropout.default, "native_dropout", named, 3))
    assert torch.equal(moved.stack, stack * kept / 0.75)
    assert 250 < int(kept.sum()) < 350  # 300 expected, 5.8 standard errors
    named = named | {"train": False}
    moved, _ = series._apply(Call(aten.native_dropout.default, "native_dropout", named, 3))
    assert torch.equal(moved.stack, stack)


@pytest.mark.parametrize("name", ["layer norm", "group norm", "batch norm"])
def test_fused_normalisations_are_never_differentiated(name, monkeypatch):
    target, args, rest = NORMS[name](Drawn(1, (2, 2, 2), 3))
    named = dict(zip(argument_names(target), args, strict=False)) | rest
    call = Call(target, operation(target), named, 3)
    right = parts(series._apply(call))[0]
    with pytest.raises(TypeError, match="nested derivative of it is wrong"):
        derivatives.by_derivatives(call)
    monkeypatch.setattr(series, "RULES", {})
    with pytest.raises(InputError, match=r"norm.*derivative of it is wrong"):
        series._apply(call)
    if name != "group norm":  # why: the second derivative would be wrong, and nothing said
        nested = derivatives.taylor_coefficients(
            lambda z: target(**derivatives._at(named, z))[0], 3, right
        )
        assert torch.allclose(nested[:2], right[:2])
        assert float((nested[2] - right[2]).abs().max()) > 0.01


@torch.library.custom_op("residual_expansion_tests::cube", mutates_args=())
def cube(x: torch.Tensor) -> torch.Tensor:
    """An operation with a backward derivative, as libraries register them."""
    return x**3


@torch.library.custom_op("residual_expansion_tests::square", mutates_args=())
def square(x: torch.Tensor) -> torch.Tensor:
    return x**2


torch.library.register_autograd(
    "residual_expansion_tests::cube",
    lambda ctx, slope: slope * 3 * ctx.saved_tensors[0] ** 2,
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
)


def test_operations_of_others_are_not_taken_for_constants():
    stack = torch.ones(3, 2, dtype=torch.float64)
    for operator, why in [(cube, "forward and backward derivatives differ"), (square, "")]:
        call = Call(operator._opoverload, "x", {"x": Polynomial(stack)}, 3)
        with pytest.raises(InputError, match=f"operations that PyTorch.*{why}"):
            series._apply(call)


def test_rows_times_the_matrix_of_their_group():
    generator = torch.Generator().manual_seed(2)
    stack = torch.randn(3, 5, 4, generator=generator)
    weight, ends = torch.randn(2, 4, 8, generator=generator), torch.tensor([2, 5])
    named = {"self": Polynomial(stack), "mat2": weight, "offs": ends.int()}
    found = series._apply(Call(aten._grouped_mm.default, "_grouped_mm", named, 3)).stack
    real = torch.cat([stack[:, :2] @ weight[0], stack[:, 2:] @ weight[1]], 1)
    assert torch.allclose(found, real, atol=1e-5)
    assert not torch.allclose(found, stack @ weight[0], atol=1e-1)


def test_complex_results_are_not_differentiated_by_mistake():
    named = {"real": Polynomial(torch.ones(2, 3)), "imag": torch.ones(3)}
    with pytest.raises(InputError, match="complex"):
        series._apply(Call(aten.complex.default, "complex", named, 3))


def test_on_a_kink_small_positive_scales_decide():
    stack = torch.tensor([[0.0, 0.0, 0.0], [1.0, -1.0, 0.0], [5.0, 5.0, 2.0]], dtype=torch.float64)
    call = Call(aten.relu.default, "relu", {"self": Polynomial(stack)}, 3)
    found = series._apply(call).stack
    assert found.tolist() == [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [5.0, 0.0, 2.0]]
    z = 1e-3
    moved = stack[0] + z * stack[1] + z * z * stack[2]
    assert torch.allclose(found[0] + z * found[1] + z * z * found[2], moved.relu(), atol=1e-15)
    pool = aten.max_pool2d_with_indices.default
    board = torch.zeros(2, 1, 1, 2, 2, dtype=torch.float64)
    board[1, 0, 0] = torch.tensor([[1.0, 4.0], [2.0, 3.0]])
    named = {"self": Polynomial(board), "kernel_size": [2, 2]}
    values, where = series._apply(Call(pool, "max_pool2d_with_indices", named, 2))
    assert values.stack.flatten().tolist() == [0.0, 4.0]
    assert where.item() == 1
