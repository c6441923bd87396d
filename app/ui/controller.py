"""What the operator can do: turns presses into commands. No widget knows the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.core.messages import (
    Arm,
    Carry,
    Disarm,
    Follow,
    FollowBest,
    Mode,
    MoveBy,
    Release,
    Resume,
    Snapshot,
    Stop,
)
from app.ui.confirmation import Question
from app.ui.injection_control import InjectionControl
from app.ui.layers import DEFAULT_LAYERS, Layer
from app.ui.loop import Loop, RigView
from app.ui.pick import nearest_track, row_of
from app.ui.steps import STEPS
from app.ui.theme import MODE_LOOKS
from models.types import Float64

BY_SPEED: Final = "by speed, not judged yet"
"""What is said of an order, and of whom a person chooses from it, before there are scores."""
PICK_RADIUS: Final = 24.0
"""How far beside a sperm a click may go, screen pixels."""


class Controller(QObject):
    """Chosen sperm, layers, jog step, and every command.

    Signals
    -------
    chosen_changed(object)
        Track id or None.
    layers_changed(object)
        Frozen set of Layer.
    step_changed(int)
        Index into STEPS.
    asked(object)
        A Question to show; None takes an open one away.
    agreed()
        The open question is answered with yes.
    noted(str)
        A sentence for the operator: why a press did nothing.
    help_toggled()
    calibration_asked()
        The loop is to end, and the calibration to begin.
    row_stepped(int)
        The table is to choose this many rows on.
    """

    chosen_changed = Signal(object)
    layers_changed = Signal(object)
    step_changed = Signal(int)
    asked = Signal(object)
    agreed = Signal()
    noted = Signal(str)
    help_toggled = Signal()
    calibration_asked = Signal()
    row_stepped = Signal(int)

    def __init__(self, loop: Loop, rig: RigView) -> None:
        super().__init__()
        self._loop = loop
        self._rig = rig
        self._snapshot: Snapshot | None = None
        self._target: int | None = None
        self.chosen: int | None = None
        self.layers = DEFAULT_LAYERS
        self.step = 1
        self.injection = InjectionControl(loop, rig)
        self.injection.noted.connect(self.noted)

    @property
    def mode(self) -> Mode:
        """Mode of the newest snapshot."""
        return Mode.DISARMED if self._snapshot is None else self._snapshot.motion.mode

    @property
    def has_stage(self) -> bool:
        """Whether anything can move."""
        return self._rig.has_stage

    def take(self, snapshot: Snapshot) -> None:
        """Note the newest snapshot. A new target of the stage becomes the chosen sperm."""
        self._snapshot = snapshot
        target = snapshot.motion.target
        if target is not None and target != self._target:
            self.choose(target)
        self._target = target

    # Motion

    def stop(self) -> None:
        """Freeze all motion where it is. First of all: nothing is asked or checked."""
        self._loop.submit(Stop())
        self.injection.let_go()
        self.asked.emit(None)

    def arm(self) -> None:
        """Ask for the objective, then arm."""
        objective = self._rig.objective
        scale = f"{self._rig.image_to_stage.um_per_px:.3f} µm per pixel"
        self._ask(
            f"Is the {objective} objective in place?",
            f"The stage will move by the calibration of the {objective} objective ({scale}). "
            "With another objective in place it would move too far or the wrong way.",
            f"Yes, {objective}: arm",
            lambda: self._loop.submit(Arm(objective)),
        )

    def disarm(self) -> None:
        """Allow no more motion."""
        self._loop.submit(Disarm())

    def follow(self) -> None:
        """Centre and follow the chosen sperm."""
        snapshot, row = self._snapshot, None
        if snapshot is not None:
            row = row_of(snapshot, self.chosen)
        if self.chosen is None:
            self.noted.emit("No sperm is chosen: click one, or press its number key")
        elif snapshot is None or row is None:
            self.noted.emit(f"Sperm {self.chosen} is out of sight: choose another")
        else:
            track = self.chosen
            move_px = snapshot.track_px[row] - self._rig.image_to_stage.centre_px
            self._when_near(
                move_px, snapshot, f"sperm {track}", lambda: self._loop.submit(Follow(track))
            )

    def follow_best(self) -> None:
        """Follow the first of the ranking; before there is one the fastest, and say so."""
        if self._snapshot is None or not self._snapshot.ranking:
            self.noted.emit("No sperm can be followed yet: a second of its path is needed")
        else:
            if not self._snapshot.judged:
                self.noted.emit(f"Sperm {self._snapshot.ranking[0]} is first {BY_SPEED}")
            self._loop.submit(FollowBest())

    def release(self) -> None:
        """Stop following, stay armed."""
        self._loop.submit(Release())

    def resume(self) -> None:
        """Go on after a hold."""
        self._loop.submit(Resume())

    def jog(self, right: int, down: int) -> None:
        """Move so that what is seen shifts by one step; +1 is right or down, -1 left or up."""
        affine, snapshot = self._rig.image_to_stage, self._snapshot
        if snapshot is None:
            return
        height, width = snapshot.frame.image.shape
        length_px = STEPS[self.step].length_px(width, height, affine.um_per_px, right != 0)
        # The specimen is seen to go right when the stage's pose goes to what lies on the left.
        move_px = -length_px * np.array([right, down], dtype=np.float64)
        delta_um = affine.matrix_um_per_px @ move_px
        command = MoveBy(float(delta_um[0]), float(delta_um[1]))
        self._when_near(
            move_px, snapshot, "a place out of sight", lambda: self._loop.submit(command)
        )

    def change_step(self, by: int) -> None:
        """Take a longer (+1) or shorter (-1) jog step."""
        self.set_step(min(max(self.step + by, 0), len(STEPS) - 1))

    def set_step(self, index: int) -> None:
        """Take this jog step."""
        self.step = index
        self.step_changed.emit(index)

    def carry(self) -> None:
        """Bring the oocyte under the objective; asks first where that is a long way."""
        outlook, snapshot = self.injection.outlook, self._snapshot
        oocyte_um = None if outlook is None else outlook.oocyte_um
        pose = None if snapshot is None else snapshot.pose
        if snapshot is None or pose is None or oocyte_um is None:
            self.injection.steer(Carry())
            return
        if self.injection.refusal(Carry()):
            self.injection.steer(Carry())
            return
        away_um = np.array([oocyte_um[0] - pose.x_um, oocyte_um[1] - pose.y_um])
        move_px = np.linalg.solve(self._rig.image_to_stage.matrix_um_per_px, away_um)
        self._when_near(move_px, snapshot, "the oocyte", lambda: self.injection.steer(Carry()))

    # Choice

    def choose(self, track_id: int | None) -> None:
        """Make this track the chosen one. Nothing moves."""
        if track_id != self.chosen:
            self.chosen = track_id
            self.chosen_changed.emit(track_id)

    def choose_ranked(self, place: int) -> None:
        """Choose by place in the ranking, 1 is the best; before there is one, by speed."""
        ranking = () if self._snapshot is None else self._snapshot.ranking
        if place > len(ranking):
            self.noted.emit(f"No sperm has place {place} of the order")
        else:
            self.choose(ranking[place - 1])
            if self._snapshot is not None and not self._snapshot.judged:
                self.noted.emit(f"Sperm {ranking[place - 1]} has place {place} {BY_SPEED}")

    def step_row(self, by: int) -> None:
        """Choose the next (+1) or the previous (-1) row of the table."""
        self.row_stepped.emit(by)

    def choose_at(self, x_px: float, y_px: float, scale: float) -> None:
        """Choose the sperm nearest to a point of the picture; none near it: no one is chosen."""
        if self._snapshot is not None:
            self.choose(nearest_track(self._snapshot, x_px, y_px, PICK_RADIUS / scale))

    def follow_at(self, x_px: float, y_px: float, scale: float) -> None:
        """Choose the sperm nearest to a point, and follow it."""
        self.choose_at(x_px, y_px, scale)
        if self.chosen is None:
            self.noted.emit("No sperm there")
        elif self.mode in (Mode.DISARMED, Mode.FAULT):
            self.noted.emit("Not armed: press A first, then F follows the chosen sperm")
        else:
            self.follow()

    # Window

    def toggle(self, layer: Layer) -> None:
        """Show or hide one kind of mark."""
        self.layers = self.layers ^ {layer}
        self.layers_changed.emit(self.layers)

    def agree(self) -> None:
        """Answer the open question with yes."""
        self.agreed.emit()

    def decline(self) -> None:
        """Take the open question away."""
        self.asked.emit(None)

    def calibrate(self) -> None:
        """Ask, and then leave the live picture for the calibration."""
        self._ask(
            "Calibrate the rig?",
            "The live picture ends, and with it all numbers of the sperm in view. Camera, stage "
            "and pipette are calibrated in a window of its own; afterwards it starts anew.",
            "Yes, calibrate",
            self.calibration_asked.emit,
        )

    def toggle_help(self) -> None:
        """Show or hide the list of keys."""
        self.help_toggled.emit()

    def _when_near(
        self, move_px: Float64, snapshot: Snapshot, where: str, act: Callable[[], None]
    ) -> None:
        """Do it at once within one field of view, ask first when it is farther."""
        height, width = snapshot.frame.image.shape
        fields = float(max(abs(move_px[0]) / width, abs(move_px[1]) / height))
        if fields <= 1.0:
            act()
            return
        length_um = float(np.hypot(*(self._rig.image_to_stage.matrix_um_per_px @ move_px)))
        words = f"{length_um / 1e3:.2f} mm"
        self._ask(
            f"Move {words}?",
            f"That is {fields:.1f} fields of view, to {where}.",
            f"Yes, move {words}",
            act,
        )

    def _ask(self, title: str, text: str, yes: str, agreed: Callable[[], None]) -> None:
        self.asked.emit(Question(title, text, yes, agreed, MODE_LOOKS[Mode.ARMED]))
