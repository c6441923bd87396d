"""Whether tracks are as good while the stage moves: ``exam`` specimens, the shipped network.

``python -m tests.tracking.moving`` renders each specimen twice, once with the stage at rest and
once on a circle at 100 um/s, and compares what was shown in each frame with the truth, both in the
stage's frame. As in ``analysed``, truth are the heads that can be seen, and what was found on
another true head counts neither way. Nobody can know a sperm again that was out of the picture for
longer than a track lives unseen: it counts as another when it comes back. Over the border of a
picture that moves more sperm come and go, and each is missed for the frames until it is found and
confirmed: so what is in the inner field, ``INNER_PX`` from the border, is scored beside it.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from app.core.pipeline import Pipeline
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


Row = tuple[int, int, Float64]


def watch(
    detector: Detector, seed: int, frames: int, speed_um_s: float
) -> tuple[IdentityScores, IdentityScores, float]:
    """Follow one specimen, the stage on a circle: scores of all that is in the picture, of its
    inner field, and the share of heads detected.
    """
    specimen = Specimen(profile("exam"), seed)
    width, height = specimen.width_px, specimen.height_px
    transform = ImageToStage.nominal(specimen.look.um_per_px, width, height)
    pipeline = Pipeline(transform, width, height, Tracker(), LiveMotility())

    def pose(time_s: Float64) -> Float64:
        angle = np.asarray(time_s) * speed_um_s / RADIUS_UM
        return RADIUS_UM * np.stack([np.sin(angle), 1.0 - np.cos(angle)], axis=-1)

    near_um = NEAR_PX * specimen.look.um_per_px
    detected, names = 0, dict[int, tuple[int, int]]()
    true: tuple[list[Row], list[Row]] = ([], [])
    found: tuple[list[Row], list[Row]] = ([], [])
    for k in range(frames):
        time_s = k / FPS
        here = pose(np.array(time_s))
        image = specimen.render(time_s, EXPOSURE_S, pose)
        truth = specimen.truth(time_s, here)
        place_px = transform.stage_to_image(truth.position_um, here)
        clear = _inside(place_px, width, height) & truth.visible
        found_px = detector.detect(image)
        tracks = pipeline.follow(time_s, here, found_px.detections, image, found_px.weak)
        away = place_px[clear][:, None] - found_px.detections.box_px[None, :, :2]
        detected += int(
            (np.hypot(*away.transpose(2, 0, 1)).min(axis=1, initial=np.inf) < 5.0).sum()
        )
        at_px = transform.stage_to_image(tracks.position_um, here)
        shown = np.flatnonzero(
            (tracks.state != TrackState.TENTATIVE) & _inside(at_px, width, height)
        )
        visit = {n: _visit(names, int(truth.sperm_id[n]), k) for n in np.flatnonzero(clear)}
        for field, margin_px in enumerate((0.0, INNER_PX)):
            counts = clear & _inside(place_px, width, height, margin_px)
            true[field].extend((k, visit[n], truth.position_um[n]) for n in np.flatnonzero(counts))
            within = _inside(at_px, width, height, margin_px)
            for n in shown:
                apart = np.hypot(*(truth.position_um - tracks.position_um[n]).T)
                on_none = apart.min(initial=np.inf) >= near_um and within[n]
                # On a head that does not count, it counts neither way.
                if apart[counts].min(initial=np.inf) < near_um or on_none:
                    found[field].append((k, int(tracks.track_id[n]), tracks.position_um[n]))
    whole, inner = (
        identity_scores(_points(t), _points(f), reach=2.0 * near_um, gate=near_um)
        for t, f in zip(true, found, strict=True)
    )
    return whole, inner, detected / max(len(true[0]), 1)


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


def _points(rows: list[Row]) -> Points:
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
    asked = parser.parse_args()
    use_threads(1)
    detector = load_shipped()
    warm_up()
    means: dict[float, list[tuple[float, ...]]] = {0.0: [], asked.speed: []}
    for seed in asked.seeds:
        for speed, told in means.items():
            one, inner, share = watch(detector, seed, asked.frames, speed)
            told.append((one.hota, one.idf1, one.mota, inner.hota, inner.idf1, inner.mota, share))
            print(f"seed {seed}, {speed:g} um/s: {one}\n  inner field: {inner}", flush=True)
    for speed, told in means.items():
        hota, idf1, mota, *deep, share = np.mean(told, axis=0)
        print(
            f"{speed:g} um/s: HOTA {hota:.3f}, IDF1 {idf1:.3f}, MOTA {mota:.3f}, "
            f"{share:.1%} of the heads detected; inner field: "
            f"{deep[0]:.3f}, {deep[1]:.3f}, {deep[2]:.3f}"
        )


if __name__ == "__main__":
    main()
