"""Row H: growth and correlation of residual ReLU blocks at initialisation (claims G1, G7)."""

import math

from harness import Row, Side

COSINE = 0.3  # of the two inputs


def start_ours(size):
    """Energy, correlation, gradient and shares of every block, from the general recursion."""
    from expansion.growth.mean_field import mean_field
    from expansion.growth.setting import Setting

    setting, depth = Setting("relu"), size["depth"]

    def job():
        found = mean_field(setting, "1/sqrt(n)", depth, correlation=COSINE)
        return math.exp(found.log_energy), found.correlation

    return job


def start_product(size):
    """The energy alone, from its closed product: NumPy, nothing compiled."""
    from expansion.growth.energy import energy
    from expansion.towers.scaling import ScalingRule

    rule, depth = ScalingRule.parse("1/sqrt(n)"), size["depth"]
    return lambda: (energy(rule, depth), None)


def tangents(size, wrap):
    """The same tower as a neural-tangents kernel function, of two inputs with this cosine."""
    import numpy as np
    from neural_tangents import stax

    depth, width = size["depth"], 16
    scale = depth**-0.5
    branch = stax.serial(
        stax.Dense(width, W_std=math.sqrt(2)), stax.Relu(), stax.Dense(width, W_std=scale)
    )
    block = stax.serial(stax.FanOut(2), stax.parallel(stax.Identity(), branch), stax.FanInSum())
    # A first layer that changes no covariance: the skip must know that its input is normal.
    _, _, kernel = stax.serial(stax.Dense(width), *[block] * depth)
    inputs = np.zeros((2, width), dtype=np.float32)
    inputs[0, 0], inputs[1, :2] = 4.0, (4 * COSINE, 4 * math.sqrt(1 - COSINE**2))  # ‖x‖² = 16
    function = wrap(lambda x: kernel(x, x, "nngp"))

    def job():
        gram = np.asarray(function(inputs))
        return float(gram[0, 0]), float(gram[0, 1] / math.sqrt(gram[0, 0] * gram[1, 1]))

    return job


def start_eager(size):
    """neural-tangents as its users call it."""
    return tangents(size, lambda function: function)


def start_jitted(size):
    """neural-tangents compiled once for these inputs."""
    import jax

    return tangents(size, jax.jit)


def gate(size, ours, theirs):
    """(1 + 1/n)^n, and equal correlations; neural-tangents works in 32-bit floats."""
    known = (1 + 1 / size["depth"]) ** size["depth"]
    for energy, _ in (ours, theirs):
        if not math.isclose(energy, known, rel_tol=1e-4):
            return f"the energy is {energy} instead of {known}"
    if theirs[1] is not None and not math.isclose(ours[1], theirs[1], abs_tol=1e-4):
        return f"the correlations differ: {ours[1]} and {theirs[1]}"
    return None


ROW = Row(
    id="H",
    title="growth and correlation of 256 residual ReLU blocks, rule 1/sqrt(n)",
    sizes={"n=256": {"depth": 256}},
    quick={"n=4": {"depth": 4}},
    sides=(
        Side("ours", start_ours, list),
        Side("ours, closed product", start_product, list),
        Side("neural-tangents", start_eager, list, needs=("neural_tangents",), bar=1000),
        Side("neural-tangents, jitted", start_jitted, list, needs=("neural_tangents", "jax")),
    ),
    gate=gate,
    notes=(
        "ours answers correlation, gradient and shares of every block too; neural-tangents needs "
        "an older jax in an environment of its own (--python) and its jitted form is compiled for "
        "one tower"
    ),
)
