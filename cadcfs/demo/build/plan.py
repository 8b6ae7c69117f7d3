"""What every group of observations is made with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cadcfs.demo.build.records import Values
from cadcfs.demo.build.store import Store


@dataclass(frozen=True)
class Plan:
    """Where files go, the source of noise, and whether the build is a small one."""

    store: Store
    rng: np.random.Generator
    small: bool

    def side(self, full: int, small: int) -> int:
        """The size of an image."""
        return small if self.small else full


def setup(telescope: str, instrument: str | None, **more: object) -> Values:
    """Columns of an observation that say what took it."""
    return {"telescope_name": telescope, "instrument_name": instrument, **more}
