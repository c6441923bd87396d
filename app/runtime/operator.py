"""Stands in for the operator where nobody is: arms, chooses, and chooses anew after a loss."""

from __future__ import annotations

import time
from typing import Literal, Protocol

from app.core.messages import Arm, Command, Follow, FollowBest, Mode, Snapshot

RETRY_S = 0.5


class Loop(Protocol):
    """What of the engine is needed here."""

    def submit(self, command: Command) -> None:
        """Hand a command over."""
        ...

    def latest(self) -> Snapshot | None:
        """Newest snapshot."""
        ...


class ScriptedOperator:
    """Presses what a person would press to follow a sperm. Call ``tick`` some times a second.

    Parameters
    ----------
    loop : Loop
    objective : str
        What is confirmed when arming.
    follow : 'best', 'none' or int
        A number names one track: it is never replaced by another.
    """

    def __init__(
        self, loop: Loop, objective: str, follow: Literal["best", "none"] | int = "best"
    ) -> None:
        self._loop = loop
        self._objective = objective
        self._follow = follow
        self._pressed_s = 0.0
        self._armed = False

    def tick(self, now_s: float | None = None) -> None:
        """Look at the newest snapshot and press the next key, at most twice a second."""
        now_s = time.perf_counter() if now_s is None else now_s
        snapshot = self._loop.latest()
        if self._follow == "none" or snapshot is None or now_s - self._pressed_s < RETRY_S:
            return
        command = self._next(snapshot)
        if command is not None:
            self._pressed_s = now_s
            self._loop.submit(command)

    def _next(self, snapshot: Snapshot) -> Command | None:
        mode = snapshot.motion.mode
        self._armed = self._armed or mode is not Mode.DISARMED
        if mode is Mode.DISARMED:
            # Once only: what has disarmed since was a person, or a reason for one to look.
            ready = snapshot.pose is not None and not self._armed
            return Arm(self._objective) if ready and self._is_there(snapshot) else None
        if mode in (Mode.ARMED, Mode.HOLD) and self._is_there(snapshot):
            return Follow(self._follow) if isinstance(self._follow, int) else FollowBest()
        return None

    def _is_there(self, snapshot: Snapshot) -> bool:
        if isinstance(self._follow, int):
            return self._follow in snapshot.tracks.track_id
        return bool(snapshot.ranking)
