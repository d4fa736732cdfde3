"""Second routes to the orders of a captured model: nested derivatives, and plain runs."""

import math
import warnings

import torch
from bridge_models import traced

from torch_bridge.orders.plan import kept_plan, operation
from torch_bridge.orders.polynomial import Polynomial
from torch_bridge.tracing.interpreter import run
from torch_bridge.tracing.runner import float_tensors


def captured_model(name):
    """A test model's graph and inputs, captured once."""
    tower, _, args, kwargs = traced(name)
    return tower.captured(), args, kwargs


def operations_of(captured):
    """The names of the operations that the output is made of."""
    steps = kept_plan(captured, 1).steps
    return {operation(step.target) for step in steps if step.slots is not None}


def derivatives_at_zero(function, terms):
    """f, f', f''/2, …, of a function of one number, by nesting the forward derivative."""
    one = torch.ones((), dtype=torch.float64)

    def derived(f):
        return lambda z: torch.func.jvp(f, (z,), (one,))[1]

    rows = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.script` is deprecated", DeprecationWarning)
        for k in range(terms):
            rows.append(function(torch.zeros((), dtype=torch.float64)) / math.factorial(k))
            function = derived(function)
    return rows


def _by_hand(x, dims, eps):
    mean = x.mean(dims, keepdim=True)
    gain = ((x - mean) ** 2).mean(dims, keepdim=True).add(eps) ** -0.5
    return (x - mean) * gain, mean, gain


def _affine(x, weight, bias):
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def layer_norm(input, normalized_shape, weight, bias, eps):
    found, mean, gain = _by_hand(input, list(range(-len(normalized_shape), 0)), eps)
    return _affine(found, weight, bias), mean, gain


def group_norm(input, weight, bias, N, C, HxW, group, eps):
    found, mean, gain = _by_hand(input.reshape(N, group, -1), [-1], eps)
    found = _affine(found.reshape(N, C, -1), weight[:, None], bias[:, None])
    return found.reshape(input.shape), mean[..., 0], gain[..., 0]


def batch_norm(input, weight, bias, training, momentum, eps):
    found, mean, gain = _by_hand(input, [0, 2], eps)
    return _affine(found, weight[:, None], bias[:, None]), mean.flatten(), gain.flatten()


def hard_sigmoid(self):
    return (self + 3).clamp(0, 6) / 6


def gated_linear(self, dim):
    first, second = self.chunk(2, dim)
    return first * second.sigmoid()


def copied(self, src):
    return src.expand(self.shape)


# Written out where PyTorch's own derivative of a derivative is missing, or is not one: nested
# forward derivatives of the fused normalisations treat their statistics as constants.
aten = torch.ops.aten
WRITTEN_OUT = {
    aten.native_layer_norm.default: layer_norm,
    aten.native_group_norm.default: group_norm,
    aten._native_batch_norm_legit.no_stats: batch_norm,
    aten.hardsigmoid.default: hard_sigmoid,
    aten.glu.default: gated_linear,
    aten.copy.default: copied,
}


def nested_taylor(target, named, terms):
    """Taylor coefficients of one operation at polynomial arguments; None for whole numbers."""

    def at(value, z):
        if isinstance(value, (list, tuple)):
            return [at(entry, z) for entry in value]
        if isinstance(value, Polynomial):
            total = value.stack[-1]
            for coefficient in value.stack[:-1].flip(0):
                total = total * z + coefficient
            return total
        return value

    def result(z):
        function = WRITTEN_OUT.get(target, target)
        return function(**{name: at(value, z) for name, value in named.items()})

    plain = result(torch.zeros((), dtype=torch.float64))
    if not isinstance(plain, (list, tuple)):
        return [torch.stack(derivatives_at_zero(result, terms))]
    found = []
    for part, value in enumerate(plain):
        real = isinstance(value, torch.Tensor) and value.is_floating_point()
        rows = derivatives_at_zero(lambda z, p=part: result(z)[p], terms) if real else None
        found.append(None if rows is None else torch.stack(rows))
    return found


def nested_orders(captured, args, kwargs, order, scales):
    """P_0..P_K of the whole graph: for every output, by nested derivatives in z."""
    scales = torch.as_tensor(scales, dtype=torch.float64)

    def at(part):
        return lambda z: float_tensors(run(captured, args, kwargs, scales=z * scales))[part]

    with torch.no_grad():
        count = len(float_tensors(run(captured, args, kwargs)))
        return [torch.stack(derivatives_at_zero(at(p), order + 1)) for p in range(count)]


def stacked_orders(orders):
    """Orders as one tensor for every floating-point output."""
    return [torch.stack(part) for part in zip(*map(float_tensors, orders), strict=True)]


def distance(ours, real):
    """The largest error over several tensors, relative to each one's largest entry."""
    pairs = zip(ours, real, strict=True)
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-300)) for a, b in pairs)
