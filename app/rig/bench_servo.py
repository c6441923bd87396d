"""``bench servo``: how well a sperm of known speed is kept in the centre, in virtual time.

Everything but the clock is that of the simulated rig: rendered pictures, the detector of the rig
file, the tracker, the pilot, and the mechanics of the emulated stage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from app.config import RigConfig, SceneCameraConfig
from app.core.interlocks import Health
from app.core.messages import Arm, Follow, Mode
from app.core.pilot import Halt, Pilot
from app.core.pipeline import Pipeline
from app.core.pose_history import PoseHistory
from app.core.servo import CENTRED_UM, Move, Velocity
from app.rig.build import make_detectors, true_map
from app.rig.simulated import make_specimen
from calibration.store import nominal_calibration
from calibration.transform import ImageToStage
from drivers.emulators.plant import Plant, PlantSettings
from drivers.types import Pose
from models.detector import Detector
from models.measure.live import LiveMotility
from models.specimen.scene import Specimen
from models.specimen.swimming import P_CURVE, P_HZ, P_SPEED, P_TURN
from models.specimen.swimming import Mode as Swimming
from models.tracking.tracker import Tracker
from models.types import Float64, Tracks

DIFFUSION_RAD2_S = 0.05
WOBBLE_HZ = 12.0
EXCHANGE_S = 0.012
STAGE_LAG_S = 0.030
COMMAND_S = 0.055  # from mid exposure until the command is handed over
SETTLING_S = 3.0
CHOICE_S = 0.5
FIRST_S = 2.0  # of the specimen's own time, at which a run begins
SWAP_UM, SWAP_S = 8.0, 1.0  # so far from its sperm for so long, a track follows another
RESOLUTION_UM = 0.1
MARGIN_UM = 30.0  # from the picture's edge, where a run begins


@dataclass
class Tally:
    """What came of a number of runs."""

    errors_um: list[float] = field(default_factory=list)
    to_centre_s: list[float] = field(default_factory=list)
    lost: int = 0
    swaps: int = 0
    unseen: int = 0

    @property
    def ended(self) -> int:
        """Runs that did not end with the sperm followed."""
        return self.lost + self.swaps + self.unseen

    def result(self, runs: int) -> dict[str, object]:
        """Return the keys of the verb."""
        errors = np.array(self.errors_um)
        known = len(errors) > 0
        return {
            "runs": runs,
            "rms_um": round(float(np.sqrt((errors**2).mean())), 3) if known else None,
            "p95_um": round(float(np.percentile(errors, 95)), 3) if known else None,
            "time_to_centre_s": _rounded(np.median(self.to_centre_s)) if self.to_centre_s else None,
            "time_to_centre_worst_s": _rounded(max(self.to_centre_s)) if self.to_centre_s else None,
            "kept_percent": round(100 * (1 - self.ended / runs), 1),
            "lost": self.lost,
            "swaps": self.swaps,
            "not_chosen": self.unseen,
        }


def bench_servo(
    config: RigConfig, speed_um_s: float = 50.0, seconds: float = 30.0, runs: int = 20
) -> dict[str, object]:
    """Follow a sperm ``runs`` times from near the picture's edge.

    The sperm swims at ``speed_um_s``, its heading diffuses with 0.05 rad^2/s and its head yaws at
    12 Hz; some 20 others are about. 30 frames/s, 12 ms a command, 30 ms until the stage moves.

    Returns
    -------
    dict
        rms_um, p95_um (radial distance of the sperm's mean path from the picture's centre, from
        3 s after it was chosen), time_to_centre_s, lost, swaps, not_chosen: counts of runs, and
        kept_percent, the share of the others.

    Raises
    ------
    ModelError
        The detector cannot be loaded.
    """
    detector = make_detectors(config.network.model_copy(update={"lanes": 1}))[0]
    tally = Tally()
    for seed in range(1, runs + 1):
        _Run(config, detector, seed, speed_um_s).follow(seconds, tally)
    return {"speed_um_s": speed_um_s, "detector": detector.name, **tally.result(runs)}


class _Run:
    """One specimen, one stage, one choice. Time is that of the specimen."""

    def __init__(self, config: RigConfig, detector: Detector, seed: int, speed_um_s: float) -> None:
        given = config.camera if isinstance(config.camera, SceneCameraConfig) else None
        camera = (given or SceneCameraConfig()).model_copy(
            update={"seed": seed, "pipette_tip_um": None}
        )
        if camera.sperm_in_view is None:
            camera = camera.model_copy(update={"sperm_in_view": 21})
        self._camera = camera
        self._detector = detector
        record = nominal_calibration(config.objective, camera.width_px, camera.height_px)
        self._map: ImageToStage = true_map(camera, config.objective, record)
        self._specimen = make_specimen(camera, config.objective, self._map)
        self._sperm = _prepare(self._specimen, speed_um_s)
        half_um = min(camera.width_px, camera.height_px) * self._map.um_per_px / 2
        angle = float(np.random.default_rng(seed).uniform(0, 2 * np.pi))
        away_um = (half_um - MARGIN_UM) * np.array((math.cos(angle), math.sin(angle)))
        start_um = self._specimen.mean_path_um(self._sperm, FIRST_S) + away_um
        self._plant = Plant(
            PlantSettings(dead_time_s=STAGE_LAG_S), (*start_um.tolist(), 0.0), FIRST_S - 1.0
        )
        self._poses = PoseHistory(EXCHANGE_S / 2 + STAGE_LAG_S)
        self._pilot = Pilot(config.servo, self._poses, camera.frame_rate_hz)
        self._pipeline = Pipeline(
            self._map, camera.width_px, camera.height_px, Tracker(), LiveMotility()
        )
        self._chosen_s = math.inf
        self._apart = 0

    def follow(self, seconds: float, tally: Tally) -> None:
        """Run, and add what came of it."""
        rate_hz = self._camera.frame_rate_hz
        self._read(FIRST_S)
        centred = False
        for number in range(1, round(seconds * rate_hz) + 1):
            frame_s = FIRST_S + number / rate_hz
            tracks = self._see(frame_s)
            now_s = frame_s + COMMAND_S
            if tracks is not None:
                self._pilot.see(tracks, now_s)
                if self._chosen_s == math.inf and frame_s >= FIRST_S + CHOICE_S:
                    self._choose(tracks, now_s)
            self._send(now_s, frame_s, number)
            if self._chosen_s == math.inf:
                continue
            off_um = self._off_um(frame_s)
            if not centred and off_um <= CENTRED_UM:
                centred = True
                tally.to_centre_s.append(frame_s - self._chosen_s)
            if frame_s >= self._chosen_s + SETTLING_S:
                tally.errors_um.append(off_um)
            if tracks is not None and self._is_swapped(tracks):
                tally.swaps += 1
                return
            if self._pilot.state.mode not in (Mode.CENTERING, Mode.FOLLOWING):
                tally.lost += 1
                return
        tally.unseen += self._chosen_s == math.inf

    def _see(self, frame_s: float) -> Tracks | None:
        image = self._specimen.render(frame_s, self._camera.exposure_s, self._true_um)
        pose_um = self._poses.at(frame_s)
        if pose_um is None:
            return None
        seen = self._detector.detect(image)
        tracks = self._pipeline.follow(
            frame_s, pose_um, seen.detections, image, seen.weak, self._pilot.state.target
        )
        self._pipeline.measure(tracks, pose_um)
        return tracks

    def _true_um(self, times_s: Float64) -> Float64:
        return np.array([self._plant.load_um(float(time_s))[:2] for time_s in times_s])

    def _off_um(self, time_s: float) -> float:
        centre_um = self._true_um(np.array([time_s]))[0]
        at_um = self._specimen.mean_path_um(self._sperm, time_s, centre_um)
        return float(np.linalg.norm(at_um - centre_um))

    def _choose(self, tracks: Tracks, now_s: float) -> None:
        centre_um = self._true_um(np.array([tracks.time_s]))[0]
        head_um = self._specimen.head_um(self._sperm, tracks.time_s, centre_um)
        away_um = np.linalg.norm(tracks.position_um - head_um, axis=1)
        if len(away_um) == 0 or away_um.min() > CENTRED_UM:
            return
        health = Health(0.0, 0.15, 0.0)
        wanted = Follow(int(tracks.track_id[away_um.argmin()]))
        refused = self._pilot.obey(Arm("20x"), now_s, health, "")
        if not (refused or self._pilot.obey(wanted, now_s, health, "")):
            self._chosen_s = now_s

    def _is_swapped(self, tracks: Tracks) -> bool:
        """Whether the track that is followed has been on another sperm for a second.

        What the tracker mends by itself before that counts as an error of place.
        """
        rows = np.flatnonzero(tracks.track_id == self._pilot.state.target)
        if rows.size and np.isfinite(tracks.box_um[rows[0]]).all():
            at_um = tracks.position_um[rows[0]]
            head_um = self._specimen.head_um(self._sperm, tracks.time_s, at_um)
            far = float(np.linalg.norm(at_um - head_um)) > SWAP_UM
            self._apart = self._apart + 1 if far else 0
        return self._apart >= SWAP_S * self._camera.frame_rate_hz

    def _send(self, now_s: float, frame_s: float, number: int) -> None:
        action = self._pilot.act(now_s, Health(now_s - frame_s, 0.15, 0.0))
        arrival_s = now_s + EXCHANGE_S / 2
        if isinstance(action, Velocity):
            self._plant.set_velocity((*action.um_s.tolist(), None), arrival_s)
        elif isinstance(action, Move):
            self._plant.move((*action.to_um.tolist(), None), arrival_s, speed_um_s=2000.0)
        elif isinstance(action, Halt):
            self._plant.halt(arrival_s)
        if number % 3 == 0 or self._pilot.moving_by_plan:
            self._read(now_s + 1.5 * EXCHANGE_S)

    def _read(self, time_s: float) -> None:
        x_um, y_um = np.round(np.array(self._plant.motor_um(time_s)[:2]) / RESOLUTION_UM)
        moving = any(self._plant.moving(time_s))
        pose = Pose(
            time_s, float(x_um) * RESOLUTION_UM, float(y_um) * RESOLUTION_UM, math.nan, moving
        )
        self._pilot.read(pose, time_s + EXCHANGE_S / 2)


def _prepare(specimen: Specimen, speed_um_s: float) -> int:
    """Give one sperm, well seen and with a tail, the speed and the turning of the test."""
    motile = specimen.swim.mode != Swimming.IMMOTILE
    depth_um = np.where(motile, np.abs(specimen.anatomy.z_um), np.inf)
    row = int(depth_um.argmin())
    parameters = specimen.swim.parameters
    parameters[row, :, P_SPEED] = speed_um_s
    parameters[row, :, P_TURN] = DIFFUSION_RAD2_S
    parameters[row, :, P_CURVE] = 0.0
    parameters[row, :, P_HZ] = WOBBLE_HZ
    return row + 1


def _rounded(value: float) -> float:
    return round(float(value), 3)
