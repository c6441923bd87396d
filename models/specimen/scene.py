"""The specimen as a scene: a function of its state, the stage's and pipette's pose, and time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.specimen.clutter import draw_clutter
from models.specimen.drawing import (
    draw_clutter_on,
    draw_sperm,
    midpiece_points,
    pixel_shape,
    place_clutter,
    signed_contrast,
    visible_contrast,
)
from models.specimen.morphology import Anatomy, draw_anatomy
from models.specimen.noise import TILE, compress, expose, make_sensor
from models.specimen.optics import draw_look, make_tables
from models.specimen.pipette import draw_pipette, on_glass, pipette_blur, splat_pipette
from models.specimen.pose import flat_yaw, head_centre, pose
from models.specimen.profiles import FIELD_UM2, Profile
from models.specimen.swimming import HEADING, SPEED, Mode, Swim, draw_swim, first_state
from models.specimen.truth import Truth, head_boxes, paint
from models.specimen.world import World, wander

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]
StagePath = Callable[[Float64], Float64]

_REACH_UM = 70.0  # how far outside the picture a sperm may lie and still show its tail
_FIELDS = 4.0  # side of the periodic world in fields of view
_TAIL_UM_S = 320.0  # fast tails sweep this fast


class Specimen:
    """A drop of semen under the microscope.

    The world is periodic, about four fields of view wide and high, so that the stage can travel
    anywhere; where the stage looks, the nearest copy of each sperm is seen. The same (profile,
    seed) and the same calls of ``immobilise`` give the same pictures, whatever other times were
    rendered before. One thread may render while others ask for the truth.

    Parameters
    ----------
    profile : what to draw from
    seed : of everything random
    width_px, height_px : size of the pictures
    matrix_um_per_px : (2, 2) image to stage, um per px; None takes square pixels of the profile's
        size, without rotation or mirror
    """

    def __init__(
        self,
        profile: Profile,
        seed: int,
        *,
        width_px: int = 640,
        height_px: int = 480,
        matrix_um_per_px: Float64 | None = None,
    ) -> None:
        rng = np.random.default_rng([seed, 20])
        look = draw_look(profile, rng)
        if matrix_um_per_px is None:
            matrix_um_per_px = np.eye(2) * look.um_per_px
        scale = math.sqrt(abs(float(np.linalg.det(matrix_um_per_px))))
        if not scale > 1e-6:
            raise ValueError("Specimen: matrix_um_per_px is singular")
        self.profile = profile
        self.seed = seed
        self.width_px = width_px
        self.height_px = height_px
        self.matrix_um_per_px = np.asarray(matrix_um_per_px, np.float64)
        self.look = replace(look, um_per_px=scale)
        self._tables = make_tables(self.look)
        self._yaw = np.ascontiguousarray(flat_yaw())
        self._inverse = np.linalg.inv(self.matrix_um_per_px)
        self._centre_px = np.array([(width_px - 1) / 2, (height_px - 1) / 2])
        extent = np.abs(self.matrix_um_per_px) @ np.array([width_px, height_px])
        self._view_um = extent
        self.period_um = np.maximum(_FIELDS * extent, extent + 2.2 * _REACH_UM)
        size = (float(self.period_um[0]), float(self.period_um[1]))
        fields = size[0] * size[1] / FIELD_UM2
        self._anatomy = draw_anatomy(
            rng,
            max(round(profile.density_per_field * fields), 0),
            abnormal_fraction=profile.abnormal_fraction,
            wet=profile.wet,
            head_spread=self.look.head_spread,
            tail_spread=self.look.tail_spread,
            depth_sd_um=self.look.depth_sd_um,
        )
        self._swim = draw_swim(rng, self._anatomy, pace=float(rng.uniform(*profile.pace)))
        speed = float(rng.uniform(*profile.drift_um_s))
        angle = float(rng.uniform(0, 2 * np.pi))
        self.drift_um_s = np.array([speed * math.cos(angle), speed * math.sin(angle)])
        state = first_state(rng, self._swim, size)
        self._world = World(self._swim, state, seed, self.drift_um_s)
        self._clutter = draw_clutter(rng, profile, self.look, size, fields)
        self._contrast = signed_contrast(self._anatomy, self.look)
        self._glass = draw_pipette(rng)
        self._sensor = make_sensor(profile, self.look, rng, height_px, width_px)
        self._canvas = np.zeros((height_px, width_px), np.float32)

    @property
    def anatomy(self) -> Anatomy:
        """Bodies of all sperm; sperm number ``id`` is row ``id - 1``."""
        return self._anatomy

    @property
    def swim(self) -> Swim:
        """How each of them would swim in each mode."""
        return self._swim

    @property
    def field_gap_s(self) -> float:
        """Time between even and odd rows. A frame covers half of it before and after its time."""
        return self.look.field_gap_s

    def immobilise(self, sperm_id: int, time_s: float) -> None:
        """Stop a sperm for good from ``time_s`` on, as a touch of the pipette does.

        Raises
        ------
        ValueError
            If there is no such sperm.
        """
        self._world.immobilise(self._row(sperm_id), time_s)

    def render(
        self,
        time_s: float,
        exposure_s: float,
        stage_um: StagePath,
        pipette_um: StagePath | None = None,
    ) -> UInt8:
        """Take a picture.

        Parameters
        ----------
        time_s : middle of the exposure, from 0 on
        exposure_s : of each field
        stage_um : true stage pose (n, 2), um, at times (n,), s. Asked once, for times within
            (exposure_s + field_gap_s) / 2 of ``time_s``
        pipette_um : true tip (n, 3) at times (n,): x, y um from the picture's centre along the
            image axes, z um above the focal plane; None: no pipette

        Returns
        -------
        (height_px, width_px) uint8
        """
        gap = self.look.field_gap_s
        moments = [0.0] if gap <= 0 else [-0.5 * gap, 0.5 * gap]
        ends = np.array([time_s - exposure_s / 2, time_s, time_s + exposure_s / 2])
        edge_um = np.asarray(stage_um(ends), np.float64)
        pace = float(np.linalg.norm(edge_um[2] - edge_um[0])) / max(exposure_s, 1e-6)
        um = self.look.um_per_px
        poses = math.ceil(exposure_s * math.hypot(pace, _TAIL_UM_S) / (3.5 * um))
        poses = min(max(poses, 1), 5)
        still_poses = min(max(math.ceil(exposure_s * pace / (2.0 * um)), 1), poses)
        part = (np.arange(poses) + 0.5) / poses - 0.5
        times = np.concatenate([time_s + m + exposure_s * part for m in moments])
        stage = np.asarray(stage_um(times), np.float64)
        tip = None if pipette_um is None else np.asarray(pipette_um(times), np.float64)

        state, mode = self._world.at(time_s)
        shift = self._copy_near(state[:, :2], edge_um[1])
        seen = self._in_view(state, shift, edge_um[1])
        anatomy = self._anatomy.take(seen)
        shape = pixel_shape(anatomy.head, um)
        contrast = self._contrast[seen]
        moving = (mode[seen] != Mode.IMMOTILE) | (still_poses > 1)
        middle = poses // 2
        centre_to_px = self._to_px(edge_um[1])
        clutter = place_clutter(
            self._clutter, self._clutter_near(time_s, edge_um[1]), self._tables, um, centre_to_px,
            (self.width_px, self.height_px),
        )  # fmt: skip
        steady = float(np.abs(stage - stage[0]).max()) < 0.1 * um
        if steady:
            # Clutter hardly moves within a frame: one pass serves both fields.
            draw_clutter_on(self._canvas, clutter, np.zeros(2), self._tables, um, (0, 1), 1.0)
        # What is drawn once per field stands where it is in the middle of that exposure. Of an even
        # number of sub-poses none lies there: the next is up to a quarter of the exposure late.
        once_um = stage
        if not steady and poses % 2 == 0:
            once_um = stage.reshape(-1, poses, 2).mean(axis=1).repeat(poses, axis=0)
        for k, moment in enumerate(times):
            field, sub = divmod(k, poses)
            rows = (field, 2) if len(moments) == 2 else (0, 1)
            share = np.where(moving, 1.0 / poses, 1.0 if sub == middle else 0.0)
            now, _ = self._world.at(float(moment), seen)
            now[:, :2] += shift[seen]
            now[~moving, :2] += stage[k] - once_um[k]
            to_px = self._to_px(stage[k])
            placed = pose(anatomy, now, share, self.look, self._tables, self._yaw, to_px)
            draw_sperm(
                self._canvas, placed, shape, contrast * share, anatomy.z_um, self._tables, um, rows
            )
            if not steady and (still_poses > 1 or sub == middle):
                weight = 1.0 / poses if still_poses > 1 else 1.0
                seen_from = to_px if still_poses > 1 else self._to_px(once_um[k])
                since_s = float(moment) - time_s if still_poses > 1 else moments[field]
                moved = seen_from[:, 2] - centre_to_px[:, 2]
                moved = moved + self._inverse @ self.drift_um_s * since_s
                draw_clutter_on(self._canvas, clutter, moved, self._tables, um, rows, weight)
            if tip is not None:
                self._draw_pipette(tip[k], rows, 1.0 / poses)
        return self._expose(time_s)

    def truth(self, time_s: float, stage_um: Float64, *, masks: bool = False) -> Truth:
        """Say what is in view at ``time_s`` with the stage at ``stage_um`` (2,).

        ``masks`` asks for the class, part and identity maps as well.
        """
        stage = np.asarray(stage_um, np.float64)
        state, mode = self._world.at(time_s)
        shift = self._copy_near(state[:, :2], stage)
        seen = self._in_view(state, shift, stage)
        state[:, :2] += shift
        anatomy = self._anatomy.take(seen)
        um = self.look.um_per_px
        shape = pixel_shape(anatomy.head, um)
        to_px = self._to_px(stage)
        placed = pose(
            anatomy, state[seen], np.ones(len(seen)), self.look, self._tables, self._yaw, to_px
        )
        box = head_boxes(
            placed.x, placed.y, placed.ux, placed.uy, shape, self.look.box_margin_um / um
        )
        low = box[:, :2] - box[:, 2:] / 2
        high = box[:, :2] + box[:, 2:] / 2
        limit = np.array([self.width_px - 0.5, self.height_px - 0.5])
        touching = ((high > 0.0) & (low < limit - 0.5)).all(axis=1)
        whole = ((low >= -0.5) & (high <= limit)).all(axis=1)
        strength = visible_contrast(anatomy, shape, self._contrast[seen], self.look, self._tables)
        noise = math.hypot(self.look.noise_sd, self.look.static_sd) / self.look.background
        class_map = part_map = identity_map = None
        if masks:
            size = (self.height_px, self.width_px)
            class_map, part_map = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
            identity_map = np.zeros(size, np.uint16)
            for target, value in ((class_map, anatomy.label), (identity_map, seen + 1)):
                paint(target, part_map, value, placed.x, placed.y, placed.ux, placed.uy, shape,
                      strength > 2 * noise, anatomy.line_owner, placed.line_x, placed.line_y,
                      placed.line_sd, placed.line_amplitude, midpiece_points(anatomy),
                      max(1.2 * noise, 0.015))  # fmt: skip
        xy = np.stack([placed.x, placed.y], axis=1)
        keep = np.flatnonzero(touching)
        return Truth(
            time_s=time_s,
            stage_um=stage,
            sperm_id=(seen + 1)[keep],
            box_px=box[keep],
            position_px=xy[keep],
            position_um=stage + (xy[keep] - self._centre_px) @ self.matrix_um_per_px.T,
            mean_path_um=state[seen][keep, :2],
            axis_px=np.stack([placed.ux, placed.uy], axis=1)[keep],
            label=anatomy.label[keep],
            mode=mode[seen][keep],
            speed_um_s=state[seen][keep, SPEED],
            visible=(strength > 2 * noise)[keep],
            whole=whole[keep],
            contrast=strength[keep],
            z_um=anatomy.z_um[keep],
            class_map=class_map,
            part_map=part_map,
            identity_map=identity_map,
        )

    def mean_path_um(self, sperm_id: int, time_s: float, near_um: Float64 | None = None) -> Float64:
        """Give a sperm's position without the head's yawing, (2,), stage frame.

        ``near_um`` picks the copy of the periodic world nearest to a point, such as the stage's
        pose; without it the path is continuous from the sperm's place at time 0.
        """
        row = self._row(sperm_id)
        state, _ = self._world.at(time_s, np.array([row]))
        point = state[0, :2]
        return point if near_um is None else self._near(point, np.asarray(near_um))

    def head_um(self, sperm_id: int, time_s: float, near_um: Float64 | None = None) -> Float64:
        """Give the centre of a sperm's head, yawing included, (2,), stage frame."""
        row = self._row(sperm_id)
        state, _ = self._world.at(time_s, np.array([row]))
        x, y, _ = head_centre(state[0], int(self._anatomy.wave[row]), self._yaw)
        point = np.array([x, y])
        return point if near_um is None else self._near(point, np.asarray(near_um))

    def truth_mode(self, sperm_id: int, time_s: float) -> Mode:
        """Give the mode in which a sperm swims."""
        _, mode = self._world.at(time_s, np.array([self._row(sperm_id)]))
        return Mode(int(mode[0]))

    def nearest(self, position_um: Float64, time_s: float) -> int:
        """Identity of the sperm whose head is nearest to a stage-frame point (2,)."""
        state, _ = self._world.at(time_s)
        gap = state[:, :2] - np.asarray(position_um)
        gap -= self.period_um * np.round(gap / self.period_um)
        close = np.argsort((gap**2).sum(axis=1))[:8]
        heads = [
            self.head_um(int(row) + 1, time_s, np.asarray(position_um)) - position_um
            for row in close
        ]
        best = int(np.argmin([float(h @ h) for h in heads]))
        return int(close[best]) + 1

    def debris_um(self, time_s: float, stage_um: Float64) -> Float64:
        """Say where specks, cells and bubbles near the view are, (n, 2), stage frame."""
        clutter, stage = self._clutter, np.asarray(stage_um, np.float64)
        groups = self._clutter_near(time_s, stage)
        body = groups[clutter.body_group] + clutter.body_offset_um
        return np.asarray(body[self._close(body - stage, self._view_um / 2 + 20.0)])

    @property
    def shaft_rad(self) -> float:
        """Where the pipette's shaft comes from, seen from its tip, image frame."""
        return self._glass.direction_rad

    def on_glass(self, position_um: Float64, stage_um: Float64, tip_um: Float64) -> Bool:
        """Say which stage-frame points (n, 2) the pipette with its tip at ``tip_um`` covers.

        ``tip_um`` (2,) or (3,) is relative to the picture's centre, as for ``render``.
        """
        offset_px = (np.asarray(position_um) - stage_um) @ self._inverse.T
        return on_glass(self._glass, offset_px * self.look.um_per_px - np.asarray(tip_um)[:2])

    def _row(self, sperm_id: int) -> int:
        if not 1 <= sperm_id <= len(self._anatomy):
            raise ValueError(f"Specimen: no sperm {sperm_id}; there are 1 to {len(self._anatomy)}")
        return sperm_id - 1

    def _near(self, point: Float64, near: Float64) -> Float64:
        return np.asarray(point + self.period_um * np.round((near - point) / self.period_um))

    def _copy_near(self, points: Float64, near: Float64) -> Float64:
        return np.asarray(self.period_um * np.round((near - points) / self.period_um))

    def _in_view(self, state: Float64, shift: Float64, stage: Float64) -> Int64:
        # A tail trails its head: head and tail lie in a disc about a point behind the head.
        ahead = np.stack([np.cos(state[:, HEADING]), np.sin(state[:, HEADING])], axis=1)
        middle = state[:, :2] + shift - 0.6 * _REACH_UM / 2 * ahead - stage
        return self._close(middle, self._view_um / 2 + 0.6 * _REACH_UM)

    @staticmethod
    def _close(offset: Float64, reach: Float64) -> Int64:
        """Rows of ``offset`` (n, 2) that lie within ``reach`` (2,) of zero on both axes."""
        away = np.abs(offset)
        return np.flatnonzero((away[:, 0] < reach[0]) & (away[:, 1] < reach[1]))

    def _to_px(self, stage: Float64) -> Float64:
        shift = self._centre_px - self._inverse @ stage
        return np.concatenate([self._inverse, shift[:, None]], axis=1)

    def _clutter_near(self, time_s: float, stage: Float64) -> Float64:
        """Positions (groups, 2) of the copies nearest to the view."""
        home = self._clutter.home_um + self.drift_um_s * time_s
        home += self._copy_near(home, stage)
        near = self._close(home - stage, self._view_um / 2 + 20.0)
        diffusion = self._clutter.diffusion_um2_s[near]
        home[near] += wander(self.seed, near, diffusion, time_s)
        return np.asarray(home)

    def _draw_pipette(self, tip: Float64, rows: tuple[int, int], weight: float) -> None:
        um = self.look.um_per_px
        glass = self._glass
        x, y = self._centre_px + tip[:2] / um
        blur = pipette_blur(float(tip[2]), self._tables.blur_um) / um
        splat_pipette(self._canvas, float(x), float(y), glass.direction_rad, glass.outer_um / um,
                      glass.wall_um / um, glass.taper, glass.contrast, blur,
                      rows[0], rows[1], weight)  # fmt: skip

    def _expose(self, time_s: float) -> UInt8:
        frame = round(time_s * 1e6)
        rng = np.random.default_rng([self.seed, 21, frame & 0xFFFFFFFFFFFF])
        shift = rng.integers(0, TILE, 2)
        lamp = 1.0 + self.look.flicker * float(rng.standard_normal())
        out = np.empty((self.height_px, self.width_px), np.uint8)
        sensor = self._sensor
        expose(self._canvas, sensor.light, sensor.fixed, sensor.tile, int(shift[0]), int(shift[1]),
               self.look.noise_sd, lamp, out)  # fmt: skip
        return compress(out, self.look.jpeg_quality)
