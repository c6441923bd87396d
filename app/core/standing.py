"""A steady order: who is first changes for a reason, after a second, and never by noise. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

HOLD_S = 1.0  # a lead must have lasted so long
ABSENT_S = 0.5  # so long the first place is kept for one that is not seen
BLINK_S = 0.3  # a shorter gap is a miss or two; who comes and goes at the border is gone for longer
LEAST_LEAD = 0.01  # what is shown as equal is no lead
PATIENCE_S = 10.0  # a free place waits so long for one that is known and normal: shapes come in


@dataclass(frozen=True, slots=True)
class Candidate:
    """One sperm that can be ranked.

    Attributes
    ----------
    score, score_sd : float
        0 to 1, and its standard uncertainty.
    wanting : bool
        A limit is broken, or something is not known yet: seldom the best of a field.
    """

    score: float
    score_sd: float = 0.0
    wanting: bool = False


class Standing:
    """Keeps the order of the candidates over time; a function of times and scores alone.

    A challenger takes the first place when it has led the first for ``HOLD_S`` without a break, by
    more than their combined uncertainty. One that is gone for ``ABSENT_S`` is replaced, and a place
    that is free is given, to the best of those that have been candidates for ``HOLD_S``; not while
    another that has not leads that one by more than the uncertainty, and for ``PATIENCE_S`` not to
    one that is ``wanting``. Who is missed for less than ``BLINK_S`` goes on being a candidate, and
    a lead goes on; while the first is not seen its last score stands for it. A lead ends when the
    challenger is seen without it.

    Attributes
    ----------
    first : int or None
        Track id.
    change : str
        Why the first place changed last; empty before the first change.
    changes : int
        How often one took the place of another.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self.change = ""
        self.changes = 0
        self._seen_s = -math.inf
        self._free_since_s = math.inf
        self._holder = Candidate(0.0)  # the first as it was last seen
        self._lead_since_s: dict[int, float] = {}
        self._since_s: dict[int, float] = {}
        self._last: dict[int, tuple[float, Candidate]] = {}
        self._order: tuple[int, ...] = ()

    def update(
        self, time_s: float, candidates: Mapping[int, Candidate], absent: str = "is gone"
    ) -> tuple[int, ...]:
        """Take in the candidates as of ``time_s``; return their track ids, best first.

        ``absent`` says why the first is no candidate, should it not be one.

        The one that is first leads even while its lead is disputed, and while it is absent the one
        that would follow it; the others follow by score, and in their former order where scores
        are shown as equal.
        """
        candidates = {t: one for t, one in candidates.items() if math.isfinite(one.score)}
        former = {track: k for k, track in enumerate(self._order)}
        behind = len(former)
        order = sorted(
            candidates,
            key=lambda t: (-round(candidates[t].score, 2), former.get(t, behind), t),
        )
        self._note(time_s, candidates)
        heir = next((t for t in order if time_s - self._since_s[t] >= HOLD_S - 1e-9), None)
        self._crown(time_s, candidates, heir, absent)
        head = self.first if self.first in candidates else heir
        if head is not None:
            order.remove(head)
            order.insert(0, head)
        self._order = tuple(order)
        return self._order

    def _note(self, time_s: float, candidates: Mapping[int, Candidate]) -> None:
        """Note who is a candidate, and since when; forget who is gone."""
        for track in [t for t in self._last if t not in candidates]:
            if time_s - self._last[track][0] >= BLINK_S:
                del self._last[track], self._since_s[track]
        for track, one in candidates.items():
            self._last[track] = time_s, one
            self._since_s.setdefault(track, time_s)

    def _crown(
        self, time_s: float, candidates: Mapping[int, Candidate], heir: int | None, absent: str
    ) -> None:
        if self.first is not None and self.first in candidates:
            self._seen_s, self._holder = time_s, candidates[self.first]
        if self.first is not None and time_s - self._seen_s < ABSENT_S:
            self._free_since_s = math.inf
            self._challenge(time_s, self.first, candidates)
        elif heir is not None:
            self._free_since_s = min(self._free_since_s, time_s)
            if candidates[heir].wanting and time_s - self._free_since_s < PATIENCE_S - 1e-9:
                return
            if any(_leads(one, candidates[heir]) for _, one in self._last.values()):
                return
            if self.first is not None:
                self.changes += 1
                self.change = f"{self.first} {absent}; {heir} is the best now"
            self._enthrone(heir, time_s, candidates[heir])

    def _challenge(self, time_s: float, first: int, candidates: Mapping[int, Candidate]) -> None:
        # A lead is taken back by a sight that shows none, not by a frame that shows nothing: else
        # it would have to last a second without a missed frame, ever harder the more frames.
        since = {t: begin for t, begin in self._lead_since_s.items() if t in self._last}
        for track, one in candidates.items():
            if _leads(one, self._holder):
                since.setdefault(track, time_s)
            else:
                since.pop(track, None)
        self._lead_since_s = since
        ripe = [
            t for t, begin in since.items() if t in candidates and time_s - begin >= HOLD_S - 1e-9
        ]
        if ripe:
            best = max(ripe, key=lambda track: (candidates[track].score, -track))
            lead = candidates[best].score - self._holder.score
            self.changes += 1
            self.change = f"{best} has led {first} by {lead:.2f} for {HOLD_S:.0f} s"
            self._enthrone(best, time_s, candidates[best])

    def _enthrone(self, track: int, time_s: float, one: Candidate) -> None:
        self.first, self._seen_s, self._holder = track, time_s, one
        self._free_since_s = math.inf
        self._lead_since_s = {}


def _leads(one: Candidate, other: Candidate) -> bool:
    """Whether a score is higher by more than both uncertainties."""
    lead = one.score - other.score
    return lead > max(math.hypot(one.score_sd, other.score_sd), LEAST_LEAD)
