"""The main window: puts the parts together, and pulls the newest snapshot with one timer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QCloseEvent, QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from app.core.messages import Event, Mode, Snapshot, Stop
from app.ui.actions import ACTIONS, BY_KEY, Action, perform
from app.ui.buttons import StopButton, beside_stop
from app.ui.chosen_panel import ChosenPanel
from app.ui.confirmation import ConfirmationCard, Question
from app.ui.controller import Controller
from app.ui.injection_panel import InjectionPanel
from app.ui.keys_card import KeysCard
from app.ui.layer_panel import LayerPanel
from app.ui.live_view import FRAME, LiveView
from app.ui.loop import Loop, RigView
from app.ui.mode_banner import ModeBanner
from app.ui.motion_panel import MotionPanel
from app.ui.notifications import Notifications
from app.ui.pick import row_of
from app.ui.status_bar import StatusBar
from app.ui.track_table import TrackTable
from app.ui.warm_up import waiting

POLL_MS: Final = 4
"""Between looks for a newer snapshot: half of it is the delay that looking adds on average."""
LEAST: Final = (1180, 690)
"""Smallest window: it fits a screen of 1366x768 with a task bar."""
SLOW_S: Final = 0.2
"""Numbers that a person reads change five times a second, not thirty."""
SIDE_WIDTH: Final = (496, 680)
"""Least and most: what the picture, which keeps its proportions, leaves over."""
MARGIN: Final = 8
STOP_TOO: Final = ("Shift+Esc", "Shift+Space")
PROPORTION: Final = 4 / 3
"""Of a picture that is not there yet."""


class MainWindow(QWidget):
    """The window of the program."""

    def __init__(self, loop: Loop, rig: RigView) -> None:
        super().__init__()
        self._loop = loop
        self._rig = rig
        self.why_closed = "The window was closed"
        self._snapshot: Snapshot | None = None
        self._slow_due_s = 0.0
        self._begun_s = time.perf_counter()
        self._faults: tuple[str, ...] = ()
        self.controller = Controller(loop, rig)
        self.banner = ModeBanner(has_stage=rig.has_stage)
        self.stop_button = StopButton(BY_KEY["stop"], self.controller)
        self.live_view = LiveView(rig, self._drawn)
        self.motion = MotionPanel(self.controller)
        self.injection = InjectionPanel(self.controller, rig.no_sequence)
        self.injection.setVisible(rig.has_pipette)
        self.chosen = ChosenPanel(self.live_view.picture, rig)
        self.table = TrackTable(rig)
        self.events = Notifications()
        self.layers = LayerPanel(self.controller)
        self.status = StatusBar(rig)
        self._lay_out()
        self.confirmation = ConfirmationCard(self.live_view)
        self.keys = KeysCard(self)
        self._connect()
        self._bind_keys()
        self.setWindowTitle(f"sfcscope: {rig.name}")
        self.setAccessibleName("sfcscope")
        self.setMinimumSize(*LEAST)
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(lambda: self.pull())
        self._timer.start()

    def hold_still(self) -> None:
        """Pull nothing by itself any more."""
        self._timer.stop()

    def pull(self, *, all_of_it: bool = False) -> None:
        """Take the newest snapshot if there is one; the numbers that are read, when it is time."""
        now_s = time.perf_counter()
        snapshot = self._loop.latest()
        fresh = snapshot is not None and snapshot is not self._snapshot
        if snapshot is not None and fresh:
            self._take(snapshot)
        outlook = self._loop.sequence()
        if outlook is not self.controller.injection.outlook:
            self.controller.injection.take(outlook)
            self.live_view.set_aim(None if outlook is None else outlook.aim_um)
        # Not before a new picture is painted: that would make it 4 ms older.
        if all_of_it or (not fresh and now_s >= self._slow_due_s):
            self._slow_due_s = now_s + SLOW_S
            self._show_slow(now_s)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Stop all motion, then close."""
        self.controller.injection.let_go()
        self._loop.submit(Stop(self.why_closed))
        self._timer.stop()
        super().closeEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give the side what the picture leaves; keep an open question inside the picture."""
        super().resizeEvent(event)
        self._share()
        if self.confirmation.question is not None:
            self.confirmation.place()

    def _share(self) -> None:
        """Give the side the width that a picture of full height leaves over."""
        proportion = PROPORTION
        if self._snapshot is not None:
            rows, columns = self._snapshot.frame.image.shape
            proportion = columns / rows
        taken = self.banner.height() + self.motion.sizeHint().height() + self.status.height()
        if self._rig.has_pipette:
            taken += self.injection.sizeHint().height() + MARGIN
        room = self.height() - taken - 2 * MARGIN - 2 * FRAME
        spare = self.width() - round(room * proportion) - 2 * FRAME - 3 * MARGIN
        if self._rig.has_pipette:
            spare = min(spare, self.width() - LEAST[0] + SIDE_WIDTH[0])  # its buttons need room
        self._side.setFixedWidth(min(max(spare, SIDE_WIDTH[0]), SIDE_WIDTH[1]))

    def _take(self, snapshot: Snapshot) -> None:
        """Show what must be new with each frame, or between frames when the mode changes."""
        new = self._snapshot is None or snapshot.frame is not self._snapshot.frame
        self._snapshot = snapshot
        self.controller.take(snapshot)
        self.live_view.show_snapshot(snapshot, new_frame=new)
        if new:
            self.chosen.show_crop(snapshot, self.controller.chosen, self.live_view.marks)
            self.motion.chart.add(snapshot.frame.time_s, self._off_centre_um(snapshot))
        self.banner.show_motion(snapshot.motion, snapshot.faults)
        self.motion.set_mode(snapshot.motion.mode)
        for fault in reversed([f for f in snapshot.faults if f not in self._faults]):
            self.events.add(Event(snapshot.timing.published_s, fault, "fault"))
        self._faults = snapshot.faults

    def _show_slow(self, now_s: float) -> None:
        """Show what a person reads."""
        for event in self._loop.events():
            if event.text not in self._faults:  # those were listed when they came
                self.events.add(event)
        snapshot = self._snapshot
        if snapshot is None:
            self.live_view.set_waiting(waiting(now_s - self._begun_s))
            return
        age_s = now_s - snapshot.frame.time_s
        self.live_view.set_age(age_s)
        self.status.show_age(age_s)
        self.status.show_snapshot(snapshot)
        self.table.show_snapshot(snapshot)
        if self._rig.has_pipette:
            self.injection.show_outlook(self.controller.injection.outlook)
        self.chosen.show_numbers(snapshot, self.controller.chosen)
        self.motion.chart.redraw()

    def _off_centre_um(self, snapshot: Snapshot) -> float:
        """Distance of what is followed from the centre of the picture; NaN while nothing is."""
        following = snapshot.motion.mode in (Mode.CENTERING, Mode.FOLLOWING)
        row = row_of(snapshot, snapshot.motion.target) if following else None
        if row is None:
            return math.nan
        affine = self._rig.image_to_stage
        offset_px = snapshot.track_px[row] - affine.centre_px
        return float(math.hypot(*(affine.matrix_um_per_px @ offset_px)))

    def _drawn(self, snapshot: Snapshot) -> None:
        self._loop.overlay_drawn(snapshot, time.perf_counter())

    def _lay_out(self) -> None:
        left = QVBoxLayout()
        left.setSpacing(8)
        left.addWidget(self.live_view, 1)
        left.addWidget(self.motion)
        left.addWidget(self.injection)
        self._side = QWidget()
        self._side.setFixedWidth(SIDE_WIDTH[0])
        right = QVBoxLayout(self._side)
        right.setContentsMargins(0, 0, 0, 0)
        right.setSpacing(8)
        right.addWidget(self.chosen)
        right.addWidget(self.table, 3)
        right.addWidget(self.events, 1)
        right.addWidget(self.layers)
        self.events.setMinimumHeight(66)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(0)
        body = QHBoxLayout()
        body.setContentsMargins(MARGIN, MARGIN, MARGIN, 0)
        body.setSpacing(MARGIN)
        body.addLayout(left, 1)
        body.addWidget(self._side)
        grid.addLayout(beside_stop(self.banner, self.stop_button), 0, 0)
        grid.addLayout(body, 1, 0)
        grid.addWidget(self.status, 2, 0)
        grid.setRowStretch(1, 1)

    def _connect(self) -> None:
        controller = self.controller
        self.live_view.pressed.connect(controller.choose_at)
        self.live_view.double_pressed.connect(controller.follow_at)
        self.table.chosen.connect(controller.choose)
        self.table.followed.connect(lambda _: perform(BY_KEY["follow"], controller))
        controller.chosen_changed.connect(self._show_chosen)
        controller.layers_changed.connect(self.live_view.set_layers)
        controller.asked.connect(self._ask)
        controller.agreed.connect(self.confirmation.agree)
        controller.noted.connect(self._note)
        controller.help_toggled.connect(self.keys.toggle)
        controller.row_stepped.connect(self._step_row)

    def _bind_keys(self) -> None:
        """Give each action its keys: in every window of the program, whatever has the focus."""
        self.shortcuts: dict[str, QShortcut] = {}
        for action in ACTIONS:
            for keys in action.shortcuts:
                shortcut = QShortcut(QKeySequence(keys), self)
                shortcut.setContext(Qt.ShortcutContext.ApplicationShortcut)
                shortcut.setAutoRepeat(False)
                shortcut.activated.connect(self._performer(action))
                self.shortcuts[keys] = shortcut
        # A finger that is still on Shift, from Shift+T say, must not keep Stop from being heard.
        for keys in STOP_TOO:
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.ApplicationShortcut)
            shortcut.activated.connect(self._performer(BY_KEY["stop"]))

    def _performer(self, action: Action) -> Callable[[], None]:
        return lambda: perform(action, self.controller)

    def _ask(self, question: Question | None) -> None:
        if question is None:
            self.confirmation.decline()
        else:
            self.confirmation.ask(question)

    def _note(self, text: str) -> None:
        """Say why a press did nothing."""
        self.events.add(Event(time.perf_counter(), text, "warning"))

    def _show_chosen(self, track_id: int | None) -> None:
        self.live_view.set_chosen(track_id)
        self.table.set_chosen(track_id)
        if self._snapshot is not None:
            self.chosen.show_crop(self._snapshot, track_id, self.live_view.marks)
            self.chosen.show_numbers(self._snapshot, track_id)

    def _step_row(self, by: int) -> None:
        track_id = self.table.neighbour(by)
        if track_id is not None:
            self.controller.choose(track_id)
