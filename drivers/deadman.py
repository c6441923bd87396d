"""The dead man's switch: motion goes on only as long as somebody asks for it. Pure."""

from __future__ import annotations

import math


class DeadMan:
    """Knows when silence has lasted too long.

    Two things must keep coming while an instrument moves: heartbeats, which say that the host
    lives, and, while a velocity is streamed, fresh velocities, which say that somebody steers.
    """

    def __init__(self, patience_s: float = 0.150) -> None:
        self._patience_s = patience_s
        self._beat_s = -math.inf
        self._steered_s = math.inf

    @property
    def steering(self) -> bool:
        """Whether a velocity other than zero is being streamed."""
        return self._steered_s < math.inf

    def beat(self, now_s: float) -> None:
        """Note a sign of life."""
        self._beat_s = now_s

    def steer(self, now_s: float, *, moving: bool) -> None:
        """Note a velocity; a velocity of zero needs no successor."""
        self._beat_s = max(self._beat_s, now_s)
        self._steered_s = now_s if moving else math.inf

    def release(self) -> None:
        """Note that nothing is steered any more."""
        self._steered_s = math.inf

    def due_s(self, moving: bool | None) -> float:
        """When ``verdict`` changes if nothing comes; inf at rest."""
        if moving is False:
            return math.inf
        return min(self._beat_s, self._steered_s) + self._patience_s

    def verdict(self, now_s: float, moving: bool | None) -> str:
        """Say why to stop now; empty while all is well. Unknown motion counts as motion."""
        if now_s <= self.due_s(moving):
            return ""
        patience = f"{self._patience_s * 1e3:.0f} ms"
        if now_s > self._beat_s + self._patience_s:
            return f"no heartbeat for {patience}"
        return f"no fresh velocity for {patience}"
