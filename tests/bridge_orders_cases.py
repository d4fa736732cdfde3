"""A call of every operation that has a rule, at drawn polynomials."""

import math

import torch

from torch_bridge.orders.polynomial import Polynomial

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
