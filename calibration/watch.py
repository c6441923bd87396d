"""Notices a wrong calibration while the stage moves: what lies still seems to move with it."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

WINDOW_S = 2.5
SPAN_S = 1.0
TRAVEL_UM = 20.0
TRACKS = 6
WRONG = 0.25
# A handful of tracks may agree by chance: their spread is never believed to be less than this.
LEAST_SPREAD = 0.3
LURCH_UM = 12.0  # a move that throws tracks out of their gates
LURCH_S = 0.35
_LARGER = np.arange(1.4, 5.3, 0.15)  # maps so many times too large
_SWIMS_UM_S = 20.0
_AS_PLACED_UM = 3.0
_OF_ALL = 0.12  # of the sperm are recognised where such a map would have put them
_A_FRAME = 3.0  # of them in each moment at least
_RATHER = 4.0  # times as many as by the map in use
_NO_CHANCE = 2.0  # times as many as by the same shift turned, where nothing has been put
_TURNS = (1j, -1.0, -1j)
_PAIRS = 3  # moments looked at: more of them say the same, and the stage waits for the answer
_SPERM = 40  # looked at in each
_EVERY = 5  # frames between two judgements
_GAP_S = 0.2
_FRAMES = 400


class ScaleWatch:
    """Compares the motion of all sperm but the one that is followed with that of the stage.

    Through a map that is ``k`` times too large, whatever rests in the specimen seems to travel
    with ``1 - k`` of the stage's own velocity, in the stage's frame; through the right one it
    rests. Sperm swim to all sides, so the median over the tracks of that share tells ``k``. The
    one that is followed is left out: the stage moves as it does because of it.
    """

    def __init__(self) -> None:
        self._frames: deque[tuple[float, Float64, dict[int, Float64]]] = deque(maxlen=_FRAMES)
        self._seen = 0

    def restart(self) -> None:
        """Forget: another target, or the stage was moved otherwise."""
        self._frames.clear()

    def observe(
        self, time_s: float, pose_um: Float64, track_id: Int64, raw_um: Float64, target: int
    ) -> str:
        """Take in a frame; say what is wrong, or nothing.

        Parameters
        ----------
        time_s : mid exposure
        pose_um : (2,) of the stage then
        track_id : (N,)
        raw_um : (N, 2) measurements, stage frame; NaN where there was none
        target : the track that is followed
        """
        if self._frames and not 0 < time_s - self._frames[-1][0] < _GAP_S:
            self.restart()
        known = np.isfinite(raw_um).all(axis=1) & (track_id != target)
        places = {int(i): raw_um[row] for row, i in enumerate(track_id) if known[row]}
        self._frames.append((time_s, pose_um, places))
        while time_s - self._frames[0][0] > WINDOW_S:
            self._frames.popleft()
        self._seen += 1
        if self._seen % _EVERY or time_s - self._frames[0][0] < SPAN_S:
            return ""
        return self._judge(TRACKS, TRAVEL_UM)

    def suspicion(self) -> str:
        """Say what may be wrong, on less evidence: why a target was lost just now.

        Through a map that is too large the first long move throws everything that is tracked
        out of its gate: no track tells then, but all that is seen lies where that map puts it.
        """
        scale = self._lurch()
        if scale:
            return _wrong(1 - scale)
        return self._judge(TRACKS // 2 + 1, TRAVEL_UM / 4)

    def _lurch(self) -> float:
        """Tell how many times too large the map is, by quick moves; 0 where they do not tell."""
        pairs = [
            (here[None] - there[:, None], moved_um, _SWIMS_UM_S * lasted_s)
            for moved_um, lasted_s, there, here in self._quick_moves()
        ]
        if not pairs:
            return 0.0
        hits = np.sum([_placed(*pair, _LARGER) for pair in pairs], axis=0)
        best = int(np.argmax(hits))
        by_this = sum(int(_placed(*pair, np.ones(1))[0]) for pair in pairs)
        chance = max(
            sum(
                int(_placed(apart, _turned(moved_um, by), swum_um, _LARGER[best:][:1])[0])
                for apart, moved_um, swum_um in pairs
            )
            for by in _TURNS
        )
        enough = max(
            _OF_ALL * sum(len(apart) for apart, _, _ in pairs),
            _A_FRAME * len(pairs),
            _RATHER * by_this,
            _NO_CHANCE * chance,
        )
        return float(_LARGER[best]) if hits[best] >= enough else 0.0

    def _quick_moves(self) -> list[tuple[Float64, float, Float64, Float64]]:
        """Give the farthest moves of the last second: way (2,), time, sperm before and after."""
        frames = [
            (at_s, pose, np.array(list(of.values())[:_SPERM])) for at_s, pose, of in self._frames
        ]
        moves = []
        for index, (now_s, pose, here) in enumerate(frames):
            before = [one for one in frames[:index] if now_s - one[0] <= LURCH_S and len(one[2])]
            if not before or not len(here) or frames[-1][0] - now_s > SPAN_S:
                continue
            then_s, was, there = max(before, key=lambda one: float(np.linalg.norm(pose - one[1])))
            if np.linalg.norm(pose - was) >= LURCH_UM:
                moves.append((pose - was, now_s - then_s, there, here))
        moves.sort(key=lambda one: -float(np.linalg.norm(one[0])))
        return moves[:_PAIRS]

    def _judge(self, tracks: int, travel_um: float) -> str:
        shares = self._shares(travel_um)
        if len(shares) < tracks:
            return ""
        middle = float(np.median(shares))
        # Beside a slow stage the sperm's own swimming is a large share of its motion.
        least = max(LEAST_SPREAD, _SWIMS_UM_S / max(self._speed_um_s(), 1.0))
        spread = max(1.4826 * float(np.median(np.abs(shares - middle))), least)
        doubt = 1.25 * spread / np.sqrt(len(shares))  # standard deviation of a median
        if abs(middle) - 2.5 * doubt < WRONG:
            return ""
        return _wrong(middle)

    def _speed_um_s(self) -> float:
        """Mean speed of the stage over the window."""
        way_um = sum(float(np.linalg.norm(b[1] - a[1])) for a, b in pairwise(self._frames))
        lasted_s = self._frames[-1][0] - self._frames[0][0] if self._frames else 0.0
        return way_um / lasted_s if lasted_s > 0 else 0.0

    def _shares(self, travel_um: float) -> Float64:
        """Give, for each track seen long enough, the share (n,) of the stage's motion in its own.

        A track's own straight swimming is not told apart from a stage that runs straight: the
        median over tracks is for that.
        """
        sums: dict[int, list[float]] = {}
        for (_, pose0, before), (_, pose1, after) in pairwise(self._frames):
            stage = pose1 - pose0
            square = float(stage @ stage)
            for number in before.keys() & after.keys():
                total = sums.setdefault(number, [0.0, 0.0, 0.0])
                total[0] += float((after[number] - before[number]) @ stage)
                total[1] += square
                total[2] += square**0.5
        return np.array([a / b for a, b, way in sums.values() if way >= travel_um and b > 0])


def _placed(apart_um: Float64, moved_um: Float64, swum_um: float, larger: Float64) -> Int64:
    """Count for each map (k,) the sperm that have another where it would have put them.

    ``apart_um`` (n, m, 2): from each of those before to each of those now; ``moved_um`` (2,): the
    stage meanwhile; ``swum_um``: by how much sperm may have swum.
    """
    put_um = (1 - larger)[:, None, None, None] * moved_um
    away_um = np.linalg.norm(apart_um[None] - put_um, axis=-1).min(axis=2)
    return np.asarray((away_um < _AS_PLACED_UM + larger[:, None] * swum_um).sum(axis=1), np.int64)


def _turned(way_um: Float64, by: complex) -> Float64:
    """Turn a way (2,) by a unit complex number."""
    turned = complex(*way_um) * by
    return np.array((turned.real, turned.imag))


def _wrong(share: float) -> str:
    return (
        f"the whole picture moves with {share:+.0%} of the stage: the calibration is about "
        f"{max(1 - share, 0.0):.1f} times what it should be; confirm the objective, and "
        "calibrate again"
    )
