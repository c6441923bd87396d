"""What every network of the tables gets: the same crops, the same time, the same examination."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from models.errors import ModelError

# Changed whenever cells of an earlier program would no longer be comparable.
VERSION = 3


@dataclass(frozen=True, slots=True)
class Budget:
    """The same for every cell.

    Attributes
    ----------
    minutes : float
        Of training, in each cell; data are drawn before. Processor time, shared by the threads:
        what it is by the clock when nothing else runs, and the same work when something does.
        The paper's tables ask for an order, not for the last point: in half of three minutes on
        small crops in bfloat16 a network takes more steps than in all of them on large ones.
    steps : int
        A training ends with the first of both.
    batch, crop_px : int
    pool : int
        Crops that all cells train on, mirrored at random.
    exam_scenes : int
        Scenes of profile 'exam' that all cells are scored on, half in phase contrast.
    seeds : int
        Trainings of SFCNet and of the best baseline; one of every other.
    film_frames : int
        Of each film that motility is measured on.
    """

    minutes: float = 1.5
    steps: int = 20_000
    batch: int = 8
    crop_px: int = 160
    pool: int = 1600
    exam_scenes: int = 24
    seeds: int = 3
    film_frames: int = 60

    def __post_init__(self) -> None:
        if self.batch < 2 or self.crop_px < 64 or self.crop_px % 32:
            raise ModelError(
                f"tables: a batch of {self.batch} crops of {self.crop_px} px; at least 2 of a "
                "multiple of 32 px from 64 on are needed"
            )
        if min(self.pool, self.exam_scenes, self.seeds, self.steps) < 1 or not self.minutes > 0:
            raise ModelError("tables: pool, scenes, seeds, steps and minutes must be above 0")

    @property
    def digest(self) -> str:
        """Eight digits that tell budgets, and versions of the program, apart.

        How many seeds are run changes no cell.
        """
        content = {**asdict(self), "seeds": None, "version": VERSION}
        packed = json.dumps(content, sort_keys=True).encode()
        return hashlib.sha256(packed).hexdigest()[:8]
