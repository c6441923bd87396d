"""How far the measures are from the truth: the tables of models/measure/README.md.

``python -m models.training.measure_accuracy [--true-maps] [--pvp] [--specimens N] [--frames N]
[--seed S]``

End to end: fresh ``exam`` specimens are rendered, found by the shipped network and followed by the
tracker. With ``--true-maps``: the specimen's own maps, and true positions with 0.15 um of jitter
and 1 % gaps, for what the measures alone do. Only tracks of 1 s or more that stay on one sperm
count. With ``--pvp`` the sperm swim as in polyvinylpyrrolidone, a fifth as fast.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from models.measure.centre import refine_centres
from models.measure.grey_head import with_grey_heads
from models.measure.motility import COLUMNS as MOTILITY
from models.measure.motility import measure_path, vcl_of_jitter
from models.measure.profile import named_profile
from models.measure.settings import MotilitySettings
from models.measure.shape_record import COLUMNS as SHAPE
from models.measure.shape_record import ShapeRecord
from models.measure.shapes import measure_shapes
from models.measure.soft import planes_of, planes_of_parts
from models.measure.verdict import judge
from models.sfcnet.runtime import SFCNetDetector, load_shipped, use_threads
from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from models.specimen.truth import Truth
from models.specimen.truth_tables import sperm_rows
from models.tracking.tracker import Tracker
from models.tracking.view import View
from models.types import Float64, Int64

FPS = 30.0
SEED = 9100
EXPOSURE_S = 0.008
JITTER_UM, GAPS = 0.15, 0.01
SIZE = (480, 640)
FAST_UM_S, LEAST_S = 20.0, 1.0
PVP_PACE = 0.2
PVP_UM_S, PVP_WITHIN_UM_S = (2.0, 25.0), 0.5
_ABSOLUTE = {"head_angle_deg", "lin", "wob", "str", "bcf_hz"}


@dataclass(slots=True)
class Followed:
    """One track: where it was, and which sperm it was on."""

    time_s: list[float] = field(default_factory=list)
    raw_um: list[Float64] = field(default_factory=list)
    votes: Counter[int] = field(default_factory=Counter)

    def add(self, time_s: float, raw_um: Float64, sperm: int) -> None:
        """Take in a frame; ``sperm`` is 0 where none is near."""
        self.time_s.append(time_s)
        self.raw_um.append(raw_um)
        if np.isfinite(raw_um).all():
            self.votes[sperm] += 1

    @property
    def sperm(self) -> int:
        """The sperm that the track was on nearly always; 0 where there is none."""
        if not self.votes:
            return 0
        sperm, count = self.votes.most_common(1)[0]
        return sperm if count >= 0.95 * self.votes.total() else 0


@dataclass(frozen=True, slots=True)
class Pair:
    """What was measured of one sperm, and what is true of it."""

    found: dict[str, float]
    true: dict[str, float]
    healthy: float


def examine(specimen: Specimen, frames: int, detector: SFCNetDetector | None) -> list[Pair]:
    """Measure one specimen; without a detector from its true maps."""
    record = ShapeRecord(specimen.look.um_per_px)
    tracks: dict[int, Followed] = {}
    truths: list[Truth] = []
    rng, tracker = np.random.default_rng(specimen.seed), Tracker()
    for k in range(frames):
        truth = specimen.truth(k / FPS, np.zeros(2), masks=detector is None and k % 3 == 0)
        truths.append(truth)
        if detector is None:
            ids, raw_um = _true_positions(truth, rng)
            if truth.part_map is not None:
                shown = np.flatnonzero(truth.visible)
                planes = planes_of_parts(truth.part_map)
                shapes = measure_shapes(planes, truth.box_px[shown], *SIZE)
                record.add(truth.sperm_id[shown], np.arange(len(shown)), shapes)
            near = ids
        else:
            image = specimen.render(k / FPS, EXPOSURE_S, lambda t: np.zeros((len(t), 2)))
            ids, raw_um = _end_to_end(specimen, k, detector, tracker, record, image)
            near = _nearest(truth, raw_um)
        for track, place, sperm in zip(ids.tolist(), raw_um, near.tolist(), strict=True):
            tracks.setdefault(track, Followed()).add(k / FPS, place, sperm)
    return list(_pairs(specimen, truths, tracks, record))


def _true_positions(truth: Truth, rng: np.random.Generator) -> tuple[Int64, Float64]:
    shown = np.flatnonzero(truth.visible)
    place = truth.position_um[shown] + rng.normal(0.0, JITTER_UM, (len(shown), 2))
    place[rng.random(len(shown)) < GAPS] = np.nan
    return truth.sperm_id[shown], place


def _end_to_end(
    specimen: Specimen,
    k: int,
    detector: SFCNetDetector,
    tracker: Tracker,
    record: ShapeRecord,
    image: np.ndarray[tuple[int, int], np.dtype[np.uint8]],
) -> tuple[Int64, Float64]:
    found = detector.detect(image)
    box = found.detections.box_px
    middle = np.array([(SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2])
    place = (box[:, :2].astype(np.float64) - middle) @ specimen.matrix_um_per_px.T
    view = View.of_picture(np.zeros(2), specimen.matrix_um_per_px, SIZE[1], SIZE[0])
    score, label = found.detections.score, found.detections.label
    tracks = tracker.step(k / FPS, place, box, score, label, view)
    planes = planes_of(found)
    if planes is not None and k % 3 == 0:
        shapes = measure_shapes(planes, box, *SIZE)
        shapes = with_grey_heads(shapes, planes, image, box, specimen.look.um_per_px)
        record.add(tracks.track_id, tracks.detection, shapes)
    own = tracks.detection >= 0
    fine = (refine_centres(image, box) - middle) @ specimen.matrix_um_per_px.T
    raw_um = np.where(own[:, None], fine[np.where(own, tracks.detection, 0)], tracks.raw_um)
    return tracks.track_id, raw_um


def _nearest(truth: Truth, raw_um: Float64) -> Int64:
    """Sperm within 3 um of each place; 0 where there is none."""
    near = np.zeros(len(raw_um), np.int64)
    for k, place in enumerate(raw_um):
        far = np.hypot(*(truth.position_um - place).T)
        if np.isfinite(place).all() and far.min(initial=np.inf) < 3.0:
            near[k] = truth.sperm_id[int(np.argmin(far))]
    return near


def _pairs(
    specimen: Specimen, truths: list[Truth], tracks: dict[int, Followed], record: ShapeRecord
) -> Iterator[Pair]:
    rows = {int(str(row["track_id"])): row for row in sperm_rows(specimen, truths, FPS)}
    for track, one in tracks.items():
        if not one.sperm:
            continue
        time_s, raw_um = _unbroken(np.array(one.time_s), np.array(one.raw_um))
        if len(time_s) < 2 or time_s[-1] - time_s[0] < LEAST_S - 1e-6:
            continue
        motility = measure_path(time_s, raw_um)
        shape = record.shape(track)
        found = motility.values | dict(zip(SHAPE, shape.values.tolist(), strict=True))
        row = rows[one.sperm]
        true = {n: float(str(row[n])) if row[n] != "" else math.nan for n in SHAPE}
        if row["tail_kind"] != "normal":
            true["tail_length_um"] = math.nan  # coiled and double tails have no one length
        true |= _true_motion(specimen, one.sperm, time_s)
        columns = {n: np.array([v]) for n, v in found.items()}
        columns["swing"] = np.array([motility.swing])
        columns["vcl_noise_um_s"] = np.array([vcl_of_jitter(FPS)])
        spread = {n: np.array([v]) for n, v in zip(SHAPE, shape.uncertainty, strict=True)}
        told = float(judge(columns, named_profile(), spread).healthy[0])
        true["healthy"] = float(str(row["healthy"])) if row["healthy"] != "" else math.nan
        yield Pair(found, true, told)


def _unbroken(time_s: Float64, raw_um: Float64) -> tuple[Float64, Float64]:
    """Return the longest piece without a gap that splits a path; truth is taken of the same."""
    seen = np.flatnonzero(np.isfinite(raw_um[:, 0]))
    if not len(seen):
        return time_s[:0], raw_um[:0]
    pieces = np.split(seen, np.flatnonzero(np.diff(seen) > MotilitySettings().gap_frames + 1) + 1)
    longest = max(pieces, key=len)
    kept = slice(int(longest[0]), int(longest[-1]) + 1)
    return time_s[kept], raw_um[kept]


def _true_motion(specimen: Specimen, sperm: int, time_s: Float64) -> dict[str, float]:
    """Kinematics of the true head at the same times; VAP is that of the generator's mean path."""
    head = np.array([specimen.head_um(sperm, t) for t in time_s.tolist()])
    mean = np.array([specimen.mean_path_um(sperm, t) for t in time_s.tolist()])
    true = measure_path(time_s, head).values
    length_um = float(np.hypot(*np.diff(mean, axis=0).T).sum())
    return true | {"vap_um_s": length_um / float(time_s[-1] - time_s[0])}


def table(pairs: list[Pair]) -> str:
    """Write the errors: sum over sum of truth and median bias in percent, or mean absolute."""
    lines = ["| measure | sperm | error | bias |", "|---|---|---|---|"]
    for name in (*SHAPE, *MOTILITY):
        found = np.array([pair.found[name] for pair in pairs])
        true = np.array([pair.true[name] for pair in pairs])
        known = np.isfinite(found) & np.isfinite(true)
        if name in MOTILITY:
            known &= np.array([pair.true["vsl_um_s"] for pair in pairs]) >= FAST_UM_S
        a, b = found[known], true[known]
        if not len(a):
            lines.append(f"| {name} | 0 | | |")
        elif name in _ABSOLUTE:
            lines.append(
                f"| {name} | {len(a)} | {np.abs(a - b).mean():.3g} | {np.median(a - b):+.3g} |"
            )
        else:
            error, bias = np.abs(a - b).sum() / b.sum(), np.median(a / b - 1.0)
            lines.append(f"| {name} | {len(a)} | {error:.1%} | {bias:+.1%} |")
    told, true = (
        np.array(column)
        for column in zip(*((p.healthy, p.true["healthy"]) for p in pairs), strict=True)
    )
    known = np.isfinite(told) & np.isfinite(true)
    share = [float((told[known & (true == v)] == v).mean()) for v in (0.0, 1.0)]
    lines.append(
        f"healthy: balanced accuracy {np.mean(share):.3f} (not healthy {share[0]:.2f}, healthy "
        f"{share[1]:.2f}), {int(known.sum())} of {len(pairs)} judged"
    )
    return "\n".join(lines)


def slow_table(pairs: list[Pair]) -> str:
    """Write how far VSL and VAP are off at the speeds of a viscous medium, um/s."""
    lines = []
    for name in ("vsl_um_s", "vap_um_s"):
        true = np.array([pair.true[name] for pair in pairs])
        found = np.array([pair.found[name] for pair in pairs])
        vsl = np.array([pair.true["vsl_um_s"] for pair in pairs])
        known = np.isfinite(found) & (vsl >= PVP_UM_S[0]) & (vsl <= PVP_UM_S[1])
        off = np.abs(found - true)[known]
        if not len(off):
            return "no sperm at such speeds"
        lines.append(
            f"{name} of {len(off)} sperm, VSL {PVP_UM_S[0]:g} to {PVP_UM_S[1]:g} um/s: mean error "
            f"{off.mean():.2f}, 95 % {np.quantile(off, 0.95):.2f}, most {off.max():.2f} um/s; "
            f"{np.mean(off <= PVP_WITHIN_UM_S):.1%} within {PVP_WITHIN_UM_S:g}"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table of each modality."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--true-maps", action="store_true")
    parser.add_argument("--pvp", action="store_true")
    parser.add_argument("--specimens", type=int, default=4)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    use_threads(1)
    detector = None if options.true_maps else load_shipped()
    for modality in ("brightfield", "phase"):
        pairs: list[Pair] = []
        for k in range(options.specimens):
            look = profile("exam", modality=modality)
            if options.pvp:
                look = replace(look, pace=(PVP_PACE, PVP_PACE))
            pairs += examine(Specimen(look, options.seed + k), options.frames, detector)
        print(f"{modality}, {'true maps' if detector is None else detector.name}")
        print(slow_table(pairs) if options.pvp else table(pairs))


if __name__ == "__main__":
    main()
