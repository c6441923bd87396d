"""Is a position what the motion explains? Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from drivers.commanded import Commanded, Window

_GRAIN_UM = 2.5
_PROMPT_S = 0.030  # a command that took longer was sent again: from when on it counts is not known
_FASTER = 1.5  # than told: a garbled velocity, a hand, or garbled readings
_LAGS_S = (0.012, 0.024, 0.036)  # usual ones; what they do not explain is only read again


class Reading(NamedTuple):
    """A position as it came over the line: middle of the exchange, where, and how sure the time."""

    time_s: float
    x_um: float
    y_um: float
    slack_s: float = 0.003


class Plausible:
    """Judges readings by the last ones that were believed and by the motion commanded since.

    At rest nothing may have changed by more than 2.5 um; while velocities are streamed, it has to
    be where they lead with some lag (``Commanded``); within a planned move, where the motion
    leads if it goes on as it did. A reading that none of these explains is not wrong, but it needs
    a second one: the protocol has no checksum, and a flipped digit still is a number.
    """

    def __init__(self) -> None:
        self._commanded = Commanded(lags_s=_LAGS_S)
        self._streaming = False
        self._speed_um_s = 0.0
        self._streamed_um_s = 0.0  # at most, in this stretch of streaming
        self._repeated = False
        self._believed: list[Reading] = []

    def forget(self) -> None:
        """Know nothing, as after a connection."""
        self._commanded.restart()
        self._streaming = False
        self._speed_um_s = 0.0
        self._believed.clear()

    def streamed(self, time_s: float, velocity_um_s: Sequence[float], took_s: float) -> None:
        """Note a velocity."""
        if not self._streaming:
            self._commanded.restart()
            # begun before it was seen at rest: how far it still ran is not known
            self._repeated = self._repeated or self._speed_um_s > 0.0
            self._streamed_um_s = 0.0
        self._streaming = True
        self._commanded.note(time_s, velocity_um_s, took_s)
        self._repeated = self._repeated or took_s > _PROMPT_S
        self._streamed_um_s = max(self._streamed_um_s, math.hypot(*velocity_um_s))
        self._speed_um_s = max(self._speed_um_s, self._streamed_um_s)

    def moves(self, speed_um_s: float) -> None:
        """Note that a planned move, or a ramp down, of at most this speed has begun."""
        self._streaming = False
        self._speed_um_s = max(self._speed_um_s, speed_um_s)

    def rests(self) -> None:
        """Note that it stands still."""
        self._streaming = False
        self._speed_um_s = 0.0
        self._commanded.restart()

    def believe(self, reading: Reading) -> None:
        """Keep a reading to judge the next ones by."""
        self._believed = [*self._believed[-1:], reading]
        self._repeated = False
        if self._streaming:  # what ran before, as fast as a hand, has ended: it explains no more
            self._speed_um_s = self._streamed_um_s

    def explains(self, reading: Reading) -> bool:
        """Whether ``reading`` needs no second one."""
        if not self._believed or (self._streaming and self._repeated):
            return False
        return self._leads(self._believed[-1], reading)

    def settles(self, readings: Sequence[Reading]) -> bool:
        """Whether the last of some readings, of which the first was not enough, needs no more.

        The motion has to explain it from what was believed and from the reading before it as well:
        one that was believed may itself have been a little wrong, and then a garbled one may fit
        it better than what is true.
        """
        *_, before, now = readings
        agrees = self._leads if self._streaming else self._agree
        return self.explains(now) and agrees(before, now)

    def confirms(self, readings: Sequence[Reading]) -> bool:
        """Whether the last of some readings, one right after the other, is confirmed.

        It is when it agrees with the one before, as far as the motion is not known exactly; or when
        the last three lie on one line in time; the last four, where the commands do not lead along
        that line: two garbled ones may lie on one with a true one. Something else is moving the
        stage then, and that is for others to judge.
        """
        vague = not self._streaming
        if vague and len(readings) > 1 and self._agree(readings[-2], readings[-1]):
            return True
        if len(readings) < 3 or not _in_line(*readings[-3:]):
            return False
        told = self._leads if self._streaming else self._is_told
        if told(readings[-3], readings[-1]):
            return True
        return len(readings) > 3 and _in_line(*readings[-4:-1])

    def _leads(self, last: Reading, reading: Reading) -> bool:
        """Whether the motion leads from one reading to another."""
        allowed_um = _GRAIN_UM + max(last.slack_s, reading.slack_s) * self._speed_um_s
        if self._streaming:
            windows = self._commanded.windows(last.time_s, reading.time_s)
        elif not self._speed_um_s:
            windows = Window(0.0, 0.0), Window(0.0, 0.0)
        else:
            x_um, y_um = self._carried_on(reading.time_s)
            windows = Window(x_um, x_um), Window(y_um, y_um)
        moved = (reading.x_um - last.x_um, reading.y_um - last.y_um)
        return all(
            low_um - allowed_um <= moved_um <= high_um + allowed_um
            for moved_um, (low_um, high_um) in zip(moved, windows, strict=True)
        )

    def _is_told(self, first: Reading, last: Reading) -> bool:
        """Whether the stage may be as fast as it is between two readings; where to is not known."""
        way_um = math.hypot(last.x_um - first.x_um, last.y_um - first.y_um)
        slack_um = 2 * _GRAIN_UM
        return way_um <= _FASTER * self._speed_um_s * (last.time_s - first.time_s) + slack_um

    def _agree(self, first: Reading, second: Reading) -> bool:
        reach_um = _GRAIN_UM + self._speed_um_s * (second.time_s - first.time_s + second.slack_s)
        return max(abs(second.x_um - first.x_um), abs(second.y_um - first.y_um)) <= reach_um

    def _carried_on(self, time_s: float) -> tuple[float, float]:
        """Way since the last reading, if the motion went on as between the last two."""
        if len(self._believed) < 2:
            return 0.0, 0.0
        first, last = self._believed
        between_s = last.time_s - first.time_s
        if not 0 < between_s < 0.25:
            return 0.0, 0.0
        scale = (time_s - last.time_s) / between_s
        return (last.x_um - first.x_um) * scale, (last.y_um - first.y_um) * scale


def _in_line(first: Reading, second: Reading, third: Reading) -> bool:
    """Whether three readings are those of one steady motion."""
    step_s = third.time_s - second.time_s
    scale = step_s / max(1e-6, second.time_s - first.time_s)
    slack = max(first.slack_s, second.slack_s, third.slack_s) / max(1e-6, step_s)
    return all(
        abs(c - b - (b - a) * scale) <= _GRAIN_UM + slack * abs(c - b)
        for a, b, c in zip(first[1:3], second[1:3], third[1:3], strict=True)
    )
