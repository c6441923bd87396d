"""What the window needs of the loop, and what it must be told of the rig."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from app.core.injection_values import Outlook
from app.core.messages import Command, Event, Snapshot
from calibration.transform import ImageToStage
from models.measure.profile import CriteriaProfile, named_profile


class Loop(Protocol):
    """The running loop as the window sees it. No call may block."""

    def submit(self, command: Command) -> None:
        """Hand a command over; Stop overtakes everything that waits."""

    def latest(self) -> Snapshot | None:
        """Newest snapshot, the same object until there is a newer one; None before the first."""

    def events(self) -> Sequence[Event]:
        """Events since the last call, oldest first."""

    def sequence(self) -> Outlook | None:
        """Return the injection sequence as of now; None where nothing steers the pipette."""

    def overlay_drawn(self, snapshot: Snapshot, time_s: float) -> None:
        """Take note that this snapshot's picture and marks were drawn at this monotonic time."""


@dataclass(frozen=True, slots=True)
class RigView:
    """What a person is told of the rig, and what turns pixels into micrometres.

    Attributes
    ----------
    name : str
        As in the rig file, e.g. 'simulated rig'.
    objective : str
        What the operator confirms when arming, e.g. '20x'.
    image_to_stage : ImageToStage
        What the tracks were computed with.
    calibrated : bool
        Whether it was measured or is known. If not, there is no scale bar, and lengths are given in
        pixels: better none than a wrong one.
    has_stage : bool
        Whether anything can move.
    criteria : CriteriaProfile
        What the verdicts rest on.
    has_pipette : bool
    no_sequence : str
        Why the pipette cannot be steered; empty where it can.
    """

    name: str
    objective: str
    image_to_stage: ImageToStage
    calibrated: bool
    has_stage: bool
    criteria: CriteriaProfile = field(default_factory=named_profile)
    has_pipette: bool = False
    no_sequence: str = ""

    @property
    def speed_unit(self) -> str:
        """Unit of the velocities that are shown."""
        return "µm/s" if self.calibrated else "px/s"

    @property
    def speed_factor(self) -> float:
        """What turns um/s into that unit."""
        return 1.0 if self.calibrated else 1.0 / self.image_to_stage.um_per_px
