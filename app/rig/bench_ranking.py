"""How steady the first place is, and how soon a sperm has its verdict, in virtual time.

``python -m app.rig.bench_ranking [--seconds S] [--seed N] [--modality M] [--sperm N]``

Everything but the clock is that of the live loop: rendered pictures, the network, the tracker, live
motility, shapes and verdicts, the ranking. The sperm are steady: each keeps its speed and swims in
a circle of its own, so that none leaves the picture and nothing but the measuring moves its score.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass, field, replace

import numpy as np

from app.core.pipeline import Findings, Pipeline
from calibration.transform import ImageToStage
from models.detector import Detector
from models.measure.live import LiveMotility
from models.measure.live_verdict import LiveVerdict
from models.sfcnet.runtime import load_shipped, use_threads
from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from models.specimen.swimming import P_CURVE, P_DIFFUSE, P_SPEED, P_TURN
from models.specimen.swimming import Mode as Swimming
from models.tracking.tracker import Tracker
from models.types import TrackState

FPS = 30.0
EXPOSURE_S = 0.008
WIDTH_PX, HEIGHT_PX = 640, 480
CIRCLE_UM = 10.0
VERDICT_BY_S = 3.0
_PROGRESS_S = 1.0  # by then it is shown what is missing
_SEEN = 0.8  # of the frames of its first seconds; one seen less has not stayed in view


@dataclass(slots=True)
class _Entered:
    """One track: since when, how often seen, and when it had its first score."""

    since_s: float
    seen: int = 0
    verdict_s: float = math.inf
    progress: bool = False
    told: str = ""


@dataclass(slots=True)
class RankingRun:
    """What a run found.

    Attributes
    ----------
    changes : list of (time_s, reason)
        Of the first place.
    scored : list of float
        Sperm that could be ranked, of each frame after the first seconds.
    """

    changes: list[tuple[float, str]] = field(default_factory=list)
    scored: list[int] = field(default_factory=list)
    entered: dict[int, _Entered] = field(default_factory=dict)

    def add(self, findings: Findings) -> None:
        """Take in a frame."""
        tracks, measured = findings.tracks, findings.measurements
        time_s = tracks.time_s
        if findings.first_changes > len(self.changes):
            self.changes.append((time_s, findings.first_change))
        if time_s > VERDICT_BY_S:
            self.scored.append(len(findings.ranking))
        for k, track in enumerate(tracks.track_id.tolist()):
            if tracks.state[k] == TrackState.TENTATIVE:
                continue
            one = self.entered.setdefault(track, _Entered(time_s))
            age_s = time_s - one.since_s
            if age_s > VERDICT_BY_S + 1e-6:
                continue
            one.seen += int(tracks.detection[k] >= 0)
            one.told = "; ".join(measured.reasons[k][:1]) or measured.quality[k]
            one.progress |= age_s >= _PROGRESS_S and bool(one.told)
            if np.isfinite(measured.values["score"][k]):
                one.verdict_s = min(one.verdict_s, age_s)

    def result(self, seconds: float) -> dict[str, object]:
        """Figures of a run of ``seconds``."""
        least = _SEEN * VERDICT_BY_S * FPS
        stayed = [one for one in self.entered.values() if one.seen >= least]
        judged = [one.verdict_s for one in stayed if math.isfinite(one.verdict_s)]
        why = [one.told for one in stayed if not math.isfinite(one.verdict_s)]
        return {
            "seconds": seconds,
            "ranked_mean": round(float(np.mean(self.scored)), 1) if self.scored else 0.0,
            "changes": len(self.changes),
            "changes_per_minute": round(60.0 * len(self.changes) / seconds, 2),
            "reasons": [f"{time_s:.1f} s: {reason}" for time_s, reason in self.changes],
            "entered": len(stayed),
            "verdict_within_3_s": len(judged),
            "verdict_s_median": round(float(np.median(judged)), 2) if judged else None,
            "insufficient": len(why),
            "insufficient_because": sorted({text for text in why if text}),
            "neither": sum(not text for text in why),
            "without_progress": sum(not one.progress for one in stayed),
        }


def run_ranking(
    detector: Detector,
    seconds: float,
    seed: int = 1,
    modality: str = "brightfield",
    sperm: int = 20,
) -> dict[str, object]:
    """Watch some ``sperm`` steady sperm for ``seconds``; return the figures."""
    chosen = replace(profile("exam", modality=modality, density=sperm), drift_um_s=(0.0, 0.0))
    specimen = Specimen(chosen, seed)
    make_steady(specimen)
    image_to_stage = ImageToStage.nominal(specimen.look.um_per_px, WIDTH_PX, HEIGHT_PX)
    verdict = LiveVerdict(image_to_stage.um_per_px, HEIGHT_PX, WIDTH_PX)
    pipeline = Pipeline(image_to_stage, WIDTH_PX, HEIGHT_PX, Tracker(), LiveMotility(), verdict)
    found, rest_um = RankingRun(), np.zeros(2)
    for k in range(round(seconds * FPS)):
        image = specimen.render(k / FPS, EXPOSURE_S, lambda t: np.zeros((len(t), 2)))
        perception = detector.detect(image)
        tracks = pipeline.follow(k / FPS, rest_um, perception.detections, image, perception.weak)
        findings = pipeline.measure(tracks, rest_um)
        found.add(findings)
        pipeline.learn(findings, perception, image)
    return {"seed": seed, "modality": modality, "sperm": sperm} | found.result(seconds)


def make_steady(specimen: Specimen) -> None:
    """Let every sperm keep the speed of its mode, on a circle of its own."""
    swim = specimen.swim
    rows = np.arange(len(swim.mode))
    swim.parameters[:] = swim.parameters[rows, swim.mode][:, None, :]
    swim.parameters[:, :, P_CURVE] = np.where(rows % 2, 1.0, -1.0)[:, None] / CIRCLE_UM
    swim.parameters[:, :, P_TURN] = 0.0
    swim.parameters[:, :, P_DIFFUSE] = 0.0
    swim.parameters[swim.mode == Swimming.IMMOTILE, :, P_SPEED] = 0.0


def main() -> None:
    """Print the figures of one run as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--modality", choices=("brightfield", "phase"), default="brightfield")
    parser.add_argument("--sperm", type=int, default=20)
    options = parser.parse_args()
    use_threads(1)
    figures = run_ranking(
        load_shipped(), options.seconds, options.seed, options.modality, options.sperm
    )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
