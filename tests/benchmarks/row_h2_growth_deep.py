"""Row H2: a million blocks, one rule, one kind of branch after the other; no peers."""

import math

from harness import Row, Side


def starts(branch, correlation=None):
    """Energy and gradient of one activation, with or without the correlation of two inputs."""

    def start(size):
        from expansion.growth.mean_field import mean_field
        from expansion.growth.setting import Setting

        setting = Setting(branch)

        def job():
            found = mean_field(setting, "1", size["depth"], correlation=correlation)
            return [found.log_energy, found.log_gradient]

        return job

    return start


def start_spectrum(size):
    """Orders 0..1000 of normalised branches, whose energies add up to n + 1 with all others."""
    from expansion.growth.spectrum import spectrum

    return lambda: spectrum(size["depth"], "batchnorm", 1000).log_energy


def gate(size, ours, theirs):
    """Finite; ReLU doubles its energy in every block; the spectrum sums to n + 1."""
    if not all(map(math.isfinite, theirs)):
        return "not finite"
    depth = size["depth"]
    if theirs is ours or theirs == ours:
        return None if math.isclose(ours[0], depth * math.log(2), rel_tol=1e-9) else "not 2^n"
    if len(theirs) > 2:
        total = sum(math.exp(value) for value in theirs)
        return None if math.isclose(total, depth + 1, rel_tol=1e-8) else "the sum is not n + 1"
    return None


ROW = Row(
    id="H2",
    title="growth of a million blocks",
    sizes={"n=10^6": {"depth": 10**6}},
    quick={"n=2000": {"depth": 2000}},
    sides=(
        Side("relu", starts("relu"), list),
        Side("relu, two inputs", starts("relu", 0.3), list),
        Side("tanh", starts("tanh"), list),
        Side("gelu", starts("gelu"), list),
        Side("orders 0..1000", start_spectrum, lambda found: [float(value) for value in found]),
    ),
    gate=gate,
    compared=False,
    notes="the bar is a second for each kind of branch",
)
