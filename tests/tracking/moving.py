"""Whether tracks are as good while the stage moves: ``exam`` specimens, the shipped network.

``python -m tests.tracking.moving`` renders each specimen twice, once with the stage at rest and
once on a circle at 100 um/s, and compares what was shown in each frame with the truth, both in the
stage's frame. As in ``analysed``, truth are the heads that can be seen, and what was found on
another true head counts neither way. Nobody can know a sperm again that was out of the picture for
longer than a track lives unseen: it counts as another when it comes back. Over the border of a
picture that moves more sperm come and go, and each is missed for the frames until it is found and
confirmed: so what is in the inner field, ``INNER_PX`` from the border, is scored beside it, and
what an analysis of the same frames tells, which knows a sperm from its first frame on.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.core.pipeline import Pipeline
from app.records.track_table import TrackTable
from calibration.transform import ImageToStage
from models.detector import Detector
from models.measure.live import LiveMotility
from models.sfcnet.runtime import load_shipped, use_threads
from models.specimen.profiles import profile
from models.specimen.recording import EXPOSURE_S
from models.specimen.scene import Specimen
from models.tracking.metrics import IdentityScores, Points, identity_scores
from models.tracking.tracker import Tracker, warm_up
from models.types import Float64, TrackState

FPS, RADIUS_UM = 30.0, 20.0
# A sperm that comes back after so long out of the picture is another.
AWAY_S = 0.5
# A found point this near a head belongs to it.
NEAR_PX = 10.0
# About a sperm's length: as near to the border none is ranked either.
INNER_PX = 60.0


@dataclass(frozen=True)
class Frame:
    """What there was to find: pose, heads (N, 2) in the stage's frame, who counts, under which
    name since it last came into the picture.
    """

    pose_um: Float64
    place_um: Float64
    place_px: Float64
    clear: NDArray[np.bool_]
    visit: NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """Of one specimen: on line, in the whole picture and in its inner field; off line, as an
    analysis of a recording would tell it, in the whole picture; share of the heads detected.
    """

    whole: IdentityScores
    inner: IdentityScores
    off_line: IdentityScores
    detected: float


def watch(
    detector: Detector, seed: int, frames: int, speed_um_s: float, *, progressive: bool = False
) -> Scores:
    """Follow one specimen, the stage on a circle."""
    chosen = profile("exam")
    specimen = Specimen(replace(chosen, interlaced_share=0.0) if progressive else chosen, seed)
    width, height = specimen.width_px, specimen.height_px
    transform = ImageToStage.nominal(specimen.look.um_per_px, width, height)
    tracker = Tracker()
    pipeline = Pipeline(transform, width, height, tracker, LiveMotility())
    table = TrackTable(transform, tracker.settings)

    def pose(time_s: Float64) -> Float64:
        angle = np.asarray(time_s) * speed_um_s / RADIUS_UM
        return RADIUS_UM * np.stack([np.sin(angle), 1.0 - np.cos(angle)], axis=-1)

    detected, names = 0, dict[int, tuple[int, int]]()
    shown: list[Frame] = []
    told: list[tuple[int, int, Float64]] = []
    for k in range(frames):
        time_s = k / FPS
        here = pose(np.array(time_s))
        image = specimen.render(time_s, EXPOSURE_S, pose)
        truth = specimen.truth(time_s, here)
        place_px = transform.stage_to_image(truth.position_um, here)
        clear = _inside(place_px, width, height) & truth.visible
        found_px = detector.detect(image)
        tracks = pipeline.follow(time_s, here, found_px.detections, image, found_px.weak)
        table.add(k, tracks)
        away = place_px[clear][:, None] - found_px.detections.box_px[None, :, :2]
        near = np.hypot(*away.transpose(2, 0, 1)).min(axis=1, initial=np.inf)
        detected += int((near < 5.0).sum())
        visit = np.full(len(clear), -1)
        for n in np.flatnonzero(clear):
            visit[n] = _visit(names, int(truth.sperm_id[n]), k)
        shown.append(Frame(here, truth.position_um, place_px, clear, visit))
        sure = np.flatnonzero(tracks.state != TrackState.TENTATIVE)
        told.extend((k, int(tracks.track_id[n]), tracks.position_um[n]) for n in sure)
    rows = table.finish(online=False).tracks
    place_um = np.stack([rows["x_um"], rows["y_um"]], axis=1).astype(np.float64)
    after = list(zip(rows["frame"].tolist(), rows["track_id"].tolist(), place_um, strict=True))
    whole, inner, off_line = (
        _score(shown, found, transform, (width, height), margin_px)
        for found, margin_px in ((told, 0.0), (told, INNER_PX), (after, 0.0))
    )
    return Scores(whole, inner, off_line, detected / max(sum(int(f.clear.sum()) for f in shown), 1))


def _score(
    shown: list[Frame],
    told: list[tuple[int, int, Float64]],
    transform: ImageToStage,
    size_px: tuple[int, int],
    margin_px: float,
) -> IdentityScores:
    """Compare rows (frame, name, place) with what there was, ``margin_px`` from the border."""
    near_um = NEAR_PX * transform.um_per_px
    counts = [one.clear & _inside(one.place_px, *size_px, margin_px) for one in shown]
    true = [
        (k, int(one.visit[n]), one.place_um[n])
        for k, (one, mine) in enumerate(zip(shown, counts, strict=True))
        for n in np.flatnonzero(mine)
    ]
    found = []
    for row in told:
        one, mine, place_um = shown[row[0]], counts[row[0]], row[2]
        place_px = transform.stage_to_image(place_um[None], one.pose_um)
        if not _inside(place_px, *size_px)[0]:
            continue
        apart = np.hypot(*(one.place_um - place_um).T)
        within = _inside(place_px, *size_px, margin_px)[0]
        # On a head that does not count, it counts neither way.
        if apart[mine].min(initial=np.inf) < near_um or (
            apart.min(initial=np.inf) >= near_um and within
        ):
            found.append(row)
    return identity_scores(_points(true), _points(found), reach=2.0 * near_um, gate=near_um)


def _inside(
    place_px: Float64, width: int, height: int, margin_px: float = 0.0
) -> NDArray[np.bool_]:
    """Which places (N, 2) are so deep in the picture: others are neither found nor missed."""
    low = margin_px - 0.5
    high = np.array([width, height]) - 1.0 - low
    return np.asarray(((place_px > low) & (place_px < high)).all(axis=1))


def _visit(names: dict[int, tuple[int, int]], sperm_id: int, frame: int) -> int:
    """Name of a sperm since it last came into the picture."""
    name, last = names.get(sperm_id, (-1, frame))
    if name < 0 or frame - last > AWAY_S * FPS:
        name = max((one for one, _ in names.values()), default=0) + 1
    names[sperm_id] = name, frame
    return name


def _points(rows: list[tuple[int, int, Float64]]) -> Points:
    return Points(
        np.array([row[0] for row in rows]),
        np.array([row[1] for row in rows]),
        np.array([row[2] for row in rows]),
    )


def main() -> None:
    """Print a line for each specimen, and the means."""
    parser = argparse.ArgumentParser(description="Identities with a moving stage.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[77, 78])
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--speed", type=float, default=100.0, help="of the stage, um/s")
    parser.add_argument("--progressive", action="store_true", help="a camera without two fields")
    asked = parser.parse_args()
    use_threads(1)
    detector = load_shipped()
    warm_up()
    means: dict[float, list[tuple[float, ...]]] = {0.0: [], asked.speed: []}
    for seed in asked.seeds:
        for speed, told in means.items():
            one = watch(detector, seed, asked.frames, speed, progressive=asked.progressive)
            parts = one.whole, one.inner, one.off_line
            told.append((*(x for p in parts for x in (p.hota, p.idf1, p.mota)), one.detected))
            print(
                f"seed {seed}, {speed:g} um/s: {one.whole}\n  inner field: {one.inner}\n"
                f"  off line: {one.off_line}",
                flush=True,
            )
    for speed, told in means.items():
        hota, idf1, mota, *deep, share = np.mean(told, axis=0)
        print(
            f"{speed:g} um/s: HOTA {hota:.3f}, IDF1 {idf1:.3f}, MOTA {mota:.3f}, "
            f"{share:.1%} of the heads detected; inner field: "
            f"{deep[0]:.3f}, {deep[1]:.3f}, {deep[2]:.3f}; "
            f"off line: {deep[3]:.3f}, {deep[4]:.3f}, {deep[5]:.3f}"
        )


if __name__ == "__main__":
    main()
