"""Whether tracks are as good while the stage moves: ``exam`` specimens, the shipped network.

``python -m tests.tracking.moving`` renders each specimen twice, once with the stage at rest and
once on a circle at 100 um/s, and compares what was shown in each frame with the truth, both in the
stage's frame. As in ``analysed``, truth are the heads that can be seen, and what was found on
another true head counts neither way.
"""

from __future__ import annotations

import argparse

import numpy as np

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

FPS, RADIUS_UM = 30.0, 60.0
# A found point this near a head belongs to it.
NEAR_PX = 10.0


def watch(detector: Detector, seed: int, frames: int, speed_um_s: float) -> IdentityScores:
    """Follow one specimen, the stage on a circle at that speed."""
    specimen = Specimen(profile("exam"), seed)
    width, height = specimen.width_px, specimen.height_px
    transform = ImageToStage.nominal(specimen.look.um_per_px, width, height)
    pipeline = Pipeline(transform, width, height, Tracker(), LiveMotility())

    def pose(time_s: Float64) -> Float64:
        angle = np.asarray(time_s) * speed_um_s / RADIUS_UM
        return RADIUS_UM * np.stack([np.sin(angle), 1.0 - np.cos(angle)], axis=-1)

    near_um = NEAR_PX * specimen.look.um_per_px
    true: list[tuple[int, int, Float64]] = []
    found: list[tuple[int, int, Float64]] = []
    for k in range(frames):
        time_s = k / FPS
        here = pose(np.array(time_s))
        image = specimen.render(time_s, EXPOSURE_S, pose)
        truth = specimen.truth(time_s, here)
        place_px = transform.stage_to_image(truth.position_um, here)
        inside = ((place_px > -0.5) & (place_px < np.array([width, height]) - 0.5)).all(axis=1)
        clear = inside & truth.visible
        tracks = pipeline.follow(time_s, here, detector.detect(image).detections, image)
        shown = np.flatnonzero(tracks.state != TrackState.TENTATIVE)
        for n in np.flatnonzero(clear):
            true.append((k, int(truth.sperm_id[n]), truth.position_um[n]))
        for n in shown:
            apart = np.hypot(*(truth.position_um - tracks.position_um[n]).T)
            # On a head that cannot be seen, it counts neither way.
            if apart[clear].min(initial=np.inf) < near_um or apart.min(initial=np.inf) >= near_um:
                found.append((k, int(tracks.track_id[n]), tracks.position_um[n]))
    return identity_scores(_points(true), _points(found), reach=2.0 * near_um, gate=near_um)


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
    asked = parser.parse_args()
    use_threads(1)
    detector = load_shipped()
    warm_up()
    means: dict[float, list[tuple[float, float, float]]] = {0.0: [], asked.speed: []}
    for seed in asked.seeds:
        for speed, told in means.items():
            one = watch(detector, seed, asked.frames, speed)
            told.append((one.hota, one.idf1, one.mota))
            print(f"seed {seed}, {speed:g} um/s: {one}", flush=True)
    for speed, told in means.items():
        hota, idf1, mota = np.mean(told, axis=0)
        print(f"{speed:g} um/s: HOTA {hota:.3f}, IDF1 {idf1:.3f}, MOTA {mota:.3f}")


if __name__ == "__main__":
    main()
