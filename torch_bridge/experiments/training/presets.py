"""Whole grids by name, so that one command repeats one table.

======== ============================================================================
preset   what it is for
======== ============================================================================
tiny     a look at everything in under a minute; half of its networks are too shallow to tell
small    the results page: two cores, some ten minutes; depths to 1000
gpu      wider, deeper, longer, for a GPU and the user's data; it has not been run
======== ============================================================================

The sweep of rates reaches down to 0.0008 so that it holds a rate below the predicted largest stable
one wherever the signal stays small: without normalisation at depth 10 that is 0.001.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from expansion.errors import InputError
from torch_bridge.experiments.grids.presets import combinations
from torch_bridge.experiments.training.schemes import DE_SMITH
from torch_bridge.experiments.training.trial import Trial

__all__ = ["PRESETS", "Part", "Preset"]

_SCALES = ("1", "half", "1/sqrt(n)", "1/n", "skipinit")
_DHERIN_MUNN = ("0.01", "0.03", "0.1", "0.3", "1/sqrt(n)", "1/n", "batchnorm")


@dataclass(frozen=True, slots=True)
class Part:
    """One network of a grid.

    Parameters
    ----------
    network : str
        Which.
    width : int
        Coordinates or channels.
    depths : tuple of int
        n.
    schemes : tuple of str
        As :mod:`~torch_bridge.experiments.training.schemes` names them.
    seeds : int, optional
        How many; those of the preset by default.
    """

    network: str
    width: int
    depths: tuple[int, ...]
    schemes: tuple[str, ...]
    seeds: int | None = None


@dataclass(frozen=True, slots=True)
class Preset:
    """A grid: its parts, and how all of them are trained.

    Parameters
    ----------
    parts : tuple of Part
        The networks.
    rates : tuple of float
        The sweep of learning rates, for every network the same.
    seeds, epochs, batch, patch, samples
        As for :class:`~torch_bridge.experiments.training.trial.Trial`; ``seeds`` is how many.
    """

    parts: tuple[Part, ...]
    rates: tuple[float, ...] = (0.1, 0.02, 0.004, 0.0008)
    seeds: int = 2
    epochs: int = 4
    batch: int = 64
    patch: int = 2
    samples: int | None = None

    def trials(self, *, data: str, device: str) -> tuple[Trial, ...]:
        """Every run of the grid."""
        found: list[Trial] = []
        for part in self.parts:
            like = Trial(
                part.network,
                part.schemes[0],
                1,
                width=part.width,
                epochs=self.epochs,
                batch=self.batch,
                patch=self.patch,
                data=data,
                samples=self.samples,
                device=device,
            )
            found += combinations(
                like,
                scheme=part.schemes,
                depth=part.depths,
                rate=self.rates,
                seed=range(part.seeds or self.seeds),
            )
        return tuple(dict.fromkeys(found))

    def only(
        self,
        *,
        networks: Iterable[str] | None = None,
        depths: Iterable[int] | None = None,
        schemes: Iterable[str] | None = None,
        rates: Iterable[float] | None = None,
        seeds: int | None = None,
        epochs: int | None = None,
    ) -> Preset:
        """The same grid with what the user asked for in place of its own.

        Examples
        --------
        >>> small = PRESETS["small"].only(networks=["mlp"], depths=[10], schemes=["1"])
        >>> [(part.network, part.depths, part.schemes) for part in small.parts]
        [('mlp', (10,), ('1',))]
        """
        known = {part.network: part for part in self.parts}
        chosen = list(known) if networks is None else list(networks)
        parts = []
        for network in chosen:
            if network not in known:
                had = ", ".join(known)
                raise InputError(f"a network of this preset: {had}", network, "choose one of these")
            part = known[network]
            part = replace(part, seeds=part.seeds if seeds is None else seeds)
            part = part if depths is None else replace(part, depths=tuple(depths))
            part = part if schemes is None else replace(part, schemes=tuple(schemes))
            parts.append(part)
        return replace(
            self,
            parts=tuple(dict.fromkeys(parts)),
            rates=self.rates if rates is None else tuple(rates),
            epochs=self.epochs if epochs is None else epochs,
        )


PRESETS = {
    "tiny": Preset(
        (
            Part("dense", 8, (4, 40), ("batchnorm", "1", "1/sqrt(n)", "half")),
            Part("conv", 4, (3,), ("1/sqrt(n)",)),
            Part("mlp", 8, (4,), ("1/n", "fixup")),
            Part("transformer", 8, (2,), ("1",)),
        ),
        rates=(0.1, 0.01),
        seeds=2,
        epochs=3,
        batch=32,
        samples=512,
    ),
    "small": Preset(
        (
            Part("dense", 16, (10, 100, 1000), DE_SMITH),
            Part("mlp", 16, (10, 100), tuple(dict.fromkeys((*_SCALES, *_DHERIN_MUNN)))),
            Part("conv", 8, (10, 30), DE_SMITH, seeds=1),
            Part("transformer", 16, (4, 12), ("1", "1/sqrt(n)", "1/n", "skipinit"), seeds=1),
        ),
    ),
    "gpu": Preset(
        (
            Part("dense", 128, (10, 100, 1000), DE_SMITH),
            Part("mlp", 128, (10, 100, 1000), tuple(dict.fromkeys((*_SCALES, *_DHERIN_MUNN)))),
            Part("conv", 64, (10, 100, 1000), DE_SMITH),
            Part("transformer", 128, (12, 48), ("1", "1/sqrt(n)", "1/n", "skipinit")),
        ),
        rates=(0.5, 0.1, 0.02, 0.004, 0.0008),
        seeds=5,
        epochs=60,
        batch=128,
        patch=4,
    ),
}
