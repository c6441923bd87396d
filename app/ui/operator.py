"""Does by itself what the operator of a run without a person would do: arm, choose, follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from app.core.messages import (
    Arm,
    Command,
    Follow,
    FollowBest,
    Mode,
    Release,
    Resume,
    Snapshot,
)
from app.ui.loop import Loop
from models.types import TrackState

RETRY_S: Final = 1.0
"""Between two tries of the same thing."""
GIVE_UP_S: Final = 3.0
"""On hold for so long: the sperm is gone, another one is followed."""
BEST: Final = "best"
NONE: Final = "none"


def parse_follow(text: str) -> int | str:
    """Read 'best', 'none' or a track's number.

    Raises
    ------
    ValueError
        Anything else.
    """
    if text in (BEST, NONE):
        return text
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise ValueError(f"--follow {text}: 'best', 'none' or the number of a track is wanted")


class Operator:
    """Looks at each snapshot and submits the next command. It never moves what is not armed.

    Parameters
    ----------
    loop : Loop
    follow : int or str
        'best', 'none', or a track's number.
    arm : callable or None
        Called to arm. None leaves that to a person, and with it everything after the first choice.
    """

    def __init__(self, loop: Loop, follow: int | str, arm: Callable[[], None] | None) -> None:
        self._loop = loop
        self._follow = follow
        self._arm = arm
        self._tried_s = -float("inf")
        self._held_s: float | None = None
        self._chosen = False

    def look(self, snapshot: Snapshot, now_s: float) -> None:
        """Do what is next, if anything."""
        if self._follow == NONE or now_s - self._tried_s < RETRY_S:
            return
        if self._arm is None and self._chosen:
            return
        mode = snapshot.motion.mode
        if mode is not Mode.HOLD:
            self._held_s = None
        if mode is Mode.DISARMED and self._arm is not None:
            self._tried_s = now_s
            self._arm()
        elif mode is Mode.ARMED:
            self._choose(snapshot, now_s)
        elif mode is Mode.HOLD and self._arm is not None:
            self._recover(snapshot, now_s)

    def _choose(self, snapshot: Snapshot, now_s: float) -> None:
        if self._follow == BEST:
            if snapshot.ranking:
                self._submit(FollowBest(), now_s)
                self._chosen = True
        elif isinstance(self._follow, int) and _seen(snapshot, self._follow):
            self._submit(Follow(self._follow), now_s)
            self._chosen = True

    def _recover(self, snapshot: Snapshot, now_s: float) -> None:
        """Go on with the same sperm when it is back; let go of it when it stays away."""
        if self._held_s is None:
            self._held_s = now_s
        target = snapshot.motion.target
        if target is not None and _seen(snapshot, target):
            self._submit(Resume(), now_s)
        elif self._follow == BEST and now_s - self._held_s > GIVE_UP_S:
            self._submit(Release(), now_s)

    def _submit(self, command: Command, now_s: float) -> None:
        self._tried_s = now_s
        self._loop.submit(command)


def arming(loop: Loop, objective: str) -> Callable[[], None]:
    """Return what confirms this objective and arms."""
    return lambda: loop.submit(Arm(objective))


def _seen(snapshot: Snapshot, track_id: int) -> bool:
    """Whether a track is confirmed and found in this frame."""
    tracks = snapshot.tracks
    return bool(((tracks.track_id == track_id) & (tracks.state == TrackState.CONFIRMED)).any())
