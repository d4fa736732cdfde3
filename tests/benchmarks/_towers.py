"""The tanh towers of rows D and E, and the peers that expand them: x ← x + V tanh(U x)/n."""

from harness import untimed


def weights(size):
    """U, V of shape (n, d, d) and the input, entries of variance 1/d; made outside the clock."""
    import numpy as np

    with untimed():
        depth, width = size["depth"], size["width"]
        generator = np.random.default_rng(0)
        spread = (12 / width) ** 0.5
        inner, outer = ((generator.random((depth, width, width)) - 0.5) * spread for _ in range(2))
        shape = (size["batch"], width) if "batch" in size else (width,)
        return inner, outer, generator.random(shape)


def start_ours(size):
    """The compiled route, its kernels loaded beforehand as a jitted function would be."""
    from expansion.series.fast_jets import load_kernels

    load_kernels()
    return start_ours_first(size)


def start_ours_first(size):
    """As a user's first call in a process."""
    from expansion.series.jets import jet_orders

    tower, x = _tower(size)
    return lambda: jet_orders(tower, x, size["order"])


def start_plain(size):
    """The reference in NumPy."""
    from expansion.series.jets import plain_series

    tower, x = _tower(size)
    return lambda: plain_series(tower, x, size["order"])


def _tower(size):
    from expansion.towers.branches.layered import MLPBranch
    from expansion.towers.tower import Tower

    inner, outer, x = weights(size)
    return Tower([MLPBranch(v, u) for u, v in zip(inner, outer, strict=True)], "1/n"), x


def start_jax_scan(size):
    """jax's jet inside lax.scan: one block compiled for all."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from jax.experimental.jet import jet

    inner, outer, x = weights(size)
    depth, order = size["depth"], size["order"]

    def branch(u, v, h):
        # A batch is multiplied from the left, one vector from the right: what jax does best.
        return jnp.tanh(h @ u.T) @ v.T if "batch" in size else v @ jnp.tanh(u @ h)

    def block(series, matrices):
        u, v = matrices
        start, *derivatives = series
        if order > 1:
            inputs = (tuple(derivatives[:-1]),)
            value, moved = jet(lambda h: branch(u, v, h), (start,), inputs)
        else:
            value, moved = branch(u, v, start), []
        # jet's coefficients are derivatives: that of order k of z f(h) is k f^(k-1).
        steps = [(k + 1) * f / depth for k, f in enumerate([value, *moved])]
        return (start, *(h + step for h, step in zip(derivatives, steps, strict=True))), None

    @jax.jit
    def orders(inner, outer, x):
        series = (x, *[jnp.zeros_like(x)] * order)
        series, _ = jax.lax.scan(block, series, (inner, outer))
        factorial, rows = 1.0, [series[0]]
        for k in range(1, order + 1):
            factorial *= k
            rows.append(series[k] / factorial)
        return jnp.stack(rows)

    with untimed():
        inner, outer, x = (jax.device_put(array) for array in (inner, outer, x))
    return lambda: orders(inner, outer, x).block_until_ready()


def start_jet_array(size):
    """jet-array in lax.scan: all orders of the series in one array."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from jet_array import jet

    inner, outer, x = weights(size)
    depth, order = size["depth"], size["order"]

    def block(carry, matrices):
        u, v = matrices
        start, series = carry
        value, moved = jet(lambda h: jnp.tanh(h @ u.T) @ v.T, (start,), (series,))
        step = jnp.concatenate([value[None], moved[:-1]])
        return (start, series + step / depth), None

    @jax.jit
    def orders(inner, outer, x):
        series = jnp.zeros((order, *x.shape))
        (start, series), _ = jax.lax.scan(block, (x, series), (inner, outer))
        return jnp.concatenate([start[None], series])

    with untimed():
        inner, outer, x = (jax.device_put(array) for array in (inner, outer, x))
    return lambda: orders(inner, outer, x).block_until_ready()


def start_read(size):
    """Reading every weight once: a sum."""
    inner, outer, _ = weights(size)
    return lambda: (inner.sum(), outer.sum())


def summary(orders):
    """The orders' coordinates as numbers."""
    return [[float(value) for value in row.ravel()] for row in orders]


def gate(size, ours, theirs):
    """Every order within 1e-12 of its size; order 0 is not zero."""
    if theirs is None:  # reading the weights has no answer
        return None
    if len(ours) != size["order"] + 1 or len(theirs) != len(ours):
        return "the number of orders is wrong"
    for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        scale = max(map(abs, b))
        error = max(abs(p - q) for p, q in zip(a, b, strict=True))
        if not scale > 0 or not error <= 1e-12 * scale:
            return f"order {k} differs by {error / (scale or 1):.1e} of its size"
    return None
