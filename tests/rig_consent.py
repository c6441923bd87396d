"""Who stands beside the rig, and what they have said yes to: asked again for whatever is more."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

_KEY = pytest.StashKey["Consent"]()


class Consent:
    """Names, by what may move, how far and how fast.

    Parameters
    ----------
    ask : callable
        Shows a question, returns a name; empty is no.
    given : str
        Name that answers every question at a tenth of the speed; empty asks.
    at_full_speed : str
        The same for motion at full speed, which ``given`` does not cover.
    """

    def __init__(self, ask: Callable[[str], str], given: str = "", at_full_speed: str = "") -> None:
        self._ask = ask
        self._given = {False: given, True: at_full_speed}
        self._names: list[tuple[str, float, float, bool, str]] = []
        self.name = ""

    def to_move(
        self, what: str, way_um: float, speed_um_s: float, *, full_speed: bool = False
    ) -> str:
        """Ask, unless as long and as fast a move of it has been agreed to; skip where nobody does.

        Parameters
        ----------
        what : str
            Instrument and port, as the question names it.
        way_um, speed_um_s : float
            Longest way from where it stands, and fastest.
        full_speed : bool
            Whether the speed is more than a tenth of the rig's: that is asked for by name.
        """
        for agreed, way, speed, full, name in self._names:
            if agreed == what and way_um <= way and speed_um_s <= speed and full_speed <= full:
                return name
        speed = "AT ITS FULL SPEED" if full_speed else f"at {speed_um_s:.0f} um/s at most"
        question = (
            f"{what} will move by at most {way_um:.0f} um, {speed}.\n"
            "Is the way free, and the pipette up? Your name to go on: "
        )
        name = self._given[full_speed] or self._ask(question).strip()
        if not name:
            pytest.skip(f"nobody has confirmed that {what} may move by {way_um:.0f} um, {speed}")
        self._names.append((what, way_um, speed_um_s, full_speed, name))
        self.name = name
        return name


def consent(config: pytest.Config) -> Consent:
    """The one of this run."""
    if _KEY not in config.stash:
        config.stash[_KEY] = Consent(
            lambda question: _asked(config, question),
            str(config.getoption("--confirm") or ""),
            str(config.getoption("--confirm-full-speed") or ""),
        )
    return config.stash[_KEY]


def _asked(config: pytest.Config, question: str) -> str:
    """Ask at the terminal, which pytest has taken away for the time of a test."""
    capture = config.pluginmanager.getplugin("capturemanager")
    capture.suspend_fixture()
    capture.suspend_global_capture(in_=True)
    try:
        print(f"\n{question}", end="", flush=True)
        return sys.stdin.readline()
    finally:
        capture.resume_global_capture()
        capture.resume_fixture()
