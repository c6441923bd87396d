"""The calibration window: one procedure after the other, each accepted by a person or dropped."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLabel, QStackedWidget, QVBoxLayout, QWidget

from app.core.messages import Mode
from app.runtime.calibration_session import (
    CalibrationSession,
    HandLine,
    Phase,
    SessionState,
)
from app.runtime.calibration_sight import Sighting
from app.ui.buttons import PlainStop, beside_stop, plain_button
from app.ui.calibration_chooser import CalibrationChooser
from app.ui.calibration_page import CalibrationPage
from app.ui.calibration_view import CalibrationView
from app.ui.calibration_words import GUIDE_OF, ORDER
from app.ui.calibration_workshop import Workshop
from app.ui.hand_ruler import HandRuler
from app.ui.theme import MODE_LOOKS, ModeLook, filled, font
from calibration.errors import CalibrationError

PULL_MS: Final = 30
SIDE_WIDTH: Final = 500
MARGIN: Final = 8
LOOKS: Final[dict[Phase | None, ModeLook]] = {
    None: ModeLook("CALIBRATION", *MODE_LOOKS[Mode.DISARMED].colours),
    Phase.CONNECTING: ModeLook("CONNECTING", *MODE_LOOKS[Mode.DISARMED].colours),
    Phase.ASKING: ModeLook("PREPARE", *MODE_LOOKS[Mode.CENTERING].colours),
    Phase.RUNNING: ModeLook("MEASURING", *MODE_LOOKS[Mode.ARMED].colours),
    Phase.MEASURED: ModeLook("RESULT", *MODE_LOOKS[Mode.CENTERING].colours),
    Phase.SAVED: ModeLook("KEPT", *MODE_LOOKS[Mode.FOLLOWING].colours),
    Phase.CANCELLED: ModeLook("STOPPED", *MODE_LOOKS[Mode.DISARMED].colours),
    Phase.REFUSED: ModeLook("REFUSED", *MODE_LOOKS[Mode.FAULT].colours),
}


class CalibrationWizard(QWidget):
    """Stop is always there; nothing is modal, and nothing is kept but by the button that says so.

    Signals
    -------
    finished()
        The window is closed, and all instruments are released.
    """

    finished = Signal()

    def __init__(self, workshop: Workshop, notice: str = "") -> None:
        super().__init__()
        self._workshop = workshop
        self._session: CalibrationSession | None = None
        self._shown: SessionState | None = None
        self._closing = False
        self.kept = 0
        self._word = QLabel()
        self._word.setFont(font(26, bold=True))
        self._reason = QLabel(notice)
        self._reason.setFont(font(13))
        self._reason.setWordWrap(True)
        self.banner = QWidget()
        self.banner.setAutoFillBackground(True)
        self.banner.setMinimumHeight(64)
        self.stop_button = PlainStop(self.stop)
        self.view = CalibrationView()
        self.chooser = CalibrationChooser(workshop.objective)
        self.chooser.chosen.connect(self.begin)
        self.page = CalibrationPage()
        self.ruler = HandRuler(workshop.expected_um_per_px)
        self.page.add(self.ruler)
        self.ruler.measured.connect(self._measure_line)
        self.view.pressed.connect(self._press)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.chooser)
        self.pages.addWidget(self.page)
        self.go_button = plain_button("Go on (Enter)", "The specimen lies ready: begin", self.go_on)
        self.accept_button = plain_button(
            "Accept and keep (A)", "The result replaces what is in force", self.accept
        )
        self.repeat_button = plain_button("Repeat (R)", "Measure once more", self.repeat)
        self.back_button = plain_button("Back", "Keep nothing, back to the list", self.back)
        self.close_button = plain_button("Close", "Back to the live picture", self._close_window)
        self._lay_out()
        self._bind()
        self.setWindowTitle(f"sfcscope: calibration of {workshop.name}")
        self.setAccessibleName("Calibration")
        self.setMinimumSize(1180, 690)
        self._timer = QTimer(self)
        self._timer.setInterval(PULL_MS)
        self._timer.timeout.connect(self.pull)
        self._timer.start()
        self._to_list(notice)

    @property
    def session(self) -> CalibrationSession | None:
        """The procedure that was begun last; None while the list is shown."""
        return self._session

    @property
    def phase(self) -> Phase | None:
        """Where it stands; None while the list is shown."""
        return None if self._session is None else self._session.state.phase

    @property
    def banner_text(self) -> str:
        """What is read from across the room."""
        return f"{self._word.text()}: {self._reason.text()}"

    def begin(self, procedure: str) -> None:
        """Begin a procedure: connect, and ask."""
        if self._session is not None and not self._session.state.phase.over:
            return
        self._session = CalibrationSession(
            self._workshop.open_bench, procedure, self.chooser.division_um, self.chooser.bead_um
        )
        self._shown = None
        self.page.begin(procedure)
        self.ruler.begin(self.chooser.division_um)
        self.pages.setCurrentWidget(self.page)
        self.setFocus()  # away from the name: Space stops, too
        self._session.start()
        self.pull()

    def stop(self) -> None:
        """Halt what moves, and end the procedure. First of all: nothing is asked or checked."""
        if self._session is not None:
            self._session.cancel()

    def go_on(self) -> None:
        """Begin to measure."""
        if self._session is not None:
            self._session.go_on()

    def _press(self, x_px: float, y_px: float) -> None:
        """Take a point of a line by hand, where one can be drawn."""
        if self._by_hand():
            self.ruler.press(x_px, y_px)
            self.view.show_hand(self.ruler.points)

    def _measure_line(self, line_px: tuple[float, float, float, float], length_um: float) -> None:
        if self._session is not None:
            self._session.measure_line(HandLine(line_px, length_um))

    def _by_hand(self) -> bool:
        session = self._session
        return (
            session is not None
            and session.procedure == "pixel"
            and session.state.phase is Phase.ASKING
        )

    def accept(self) -> None:
        """Keep the result."""
        if self._session is not None and self.accept_button.isEnabled():
            self._session.accept(self.chooser.operator)

    def repeat(self) -> None:
        """Measure the same once more; the result so far is dropped."""
        session = self._session
        if session is None or session.state.phase not in (
            Phase.MEASURED, Phase.CANCELLED, Phase.REFUSED,
        ):  # fmt: skip
            return
        session.cancel()  # it only waits for a decision: its instruments are released
        self._session = None
        self.begin(session.procedure)

    def back(self) -> None:
        """Keep nothing, and show the list again once nothing moves."""
        session = self._session
        if session is None:
            return
        phase = session.state.phase
        session.cancel()
        if phase is Phase.MEASURED or phase.over:
            self._to_list("")

    def pull(self) -> None:
        """Show the newest state, if there is one."""
        session = self._session
        if session is None:
            return
        state = session.state
        if state is self._shown:
            self._close_if_asked()
            return
        before, self._shown = self._shown, state
        picture, marks = state.picture, _marks(state)
        if state.outcome is not None and state.outcome.picture is not None:
            picture, marks = state.outcome.picture, None
        notice = "No picture yet" if state.phase is Phase.CONNECTING else ""
        self.view.show_picture(picture, marks, notice)
        if before is None or _differs(before, state):
            self._show(session.procedure, state)
        if state.phase is Phase.SAVED and (before is None or before.phase is not Phase.SAVED):
            self.kept += 1
        self._close_if_asked()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Stop what runs, and close once the instruments are released."""
        if self._session is not None and self._session.is_alive():
            self._session.cancel()
            self._closing = True
            event.ignore()
            return
        self._timer.stop()
        super().closeEvent(event)
        self.finished.emit()

    def _close_window(self) -> None:
        self.close()

    def _close_if_asked(self) -> None:
        if self._closing and (self._session is None or not self._session.is_alive()):
            self.close()

    def _show(self, procedure: str, state: SessionState) -> None:
        phase = state.phase
        self.page.show_state(state)
        moves = GUIDE_OF[procedure].moves if phase is Phase.RUNNING else ""
        said = {
            Phase.ASKING: "Nothing moves yet; Enter goes on, Esc stops",
            Phase.RUNNING: f"{moves or 'Nothing moves'}; Esc stops",
            Phase.MEASURED: "Nothing moves; accept it, repeat it, or go back",
        }.get(phase, state.text if phase.over else "")
        self._banner(phase, said)
        self.go_button.setVisible(phase is Phase.ASKING)
        self.ruler.setVisible(self._by_hand())
        self.view.show_hand(self.ruler.points if self._by_hand() else ())
        measured = phase is Phase.MEASURED
        self.accept_button.setVisible(measured)
        self.accept_button.setEnabled(measured and state.can_keep)
        check = state.outcome is not None and state.outcome.section is None
        self.accept_button.setText("Keep in the list of checks (A)" if check else
                                   "Accept and keep (A)")  # fmt: skip
        self.accept_button.setToolTip("What is in force stays as it is" if check else
                                      "The result replaces what is in force")  # fmt: skip
        self.repeat_button.setVisible(phase in (Phase.MEASURED, Phase.CANCELLED, Phase.REFUSED))
        self.back_button.setText("Cancel" if phase in (
            Phase.CONNECTING, Phase.ASKING, Phase.RUNNING) else "Back")  # fmt: skip
        self.back_button.setVisible(True)

    def _to_list(self, notice: str) -> None:
        """Show the list of procedures with what is in force now."""
        self._session = self._shown = None
        try:
            path, record = self._workshop.known()
        except CalibrationError as error:
            path, record, notice = None, None, str(error)
        self.chooser.show_record(record, datetime.now(UTC).date())
        self.pages.setCurrentWidget(self.chooser)
        where = "no calibration file is named in the rig file" if path is None else path.name
        where += f", {self._workshop.note}" if self._workshop.note else ""
        self.view.show_picture(None, notice=ORDER)
        self._banner(None, notice or f"{self._workshop.name}, {self._workshop.objective}: {where}")
        for button in (self.go_button, self.accept_button, self.repeat_button, self.back_button):
            button.setVisible(False)

    def _banner(self, phase: Phase | None, text: str) -> None:
        look = LOOKS[phase]
        self.banner.setPalette(filled(look.fill, look.ink))
        self._word.setText(look.word)
        self._reason.setText(text)

    def _lay_out(self) -> None:
        inside = QHBoxLayout(self.banner)
        inside.setContentsMargins(18, 4, 18, 4)
        inside.setSpacing(24)
        inside.addWidget(self._word)
        inside.addWidget(self._reason, 1)
        lower = QHBoxLayout()
        lower.setSpacing(6)
        for button in (self.go_button, self.accept_button, self.repeat_button):
            button.setFont(font(12.5, bold=True))
            lower.addWidget(button, 1)
        lower.addWidget(self.back_button)
        lower.addStretch(1)
        lower.addWidget(self.close_button)
        side = QWidget()
        side.setFixedWidth(SIDE_WIDTH)
        right = QVBoxLayout(side)
        right.setContentsMargins(0, 0, 0, 0)
        right.addWidget(self.pages, 1)
        left = QVBoxLayout()
        left.addWidget(self.view, 1)
        left.addLayout(lower)
        body = QHBoxLayout()
        body.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        body.setSpacing(2 * MARGIN)
        body.addLayout(left, 1)
        body.addWidget(side)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addLayout(beside_stop(self.banner, self.stop_button))
        whole.addLayout(body, 1)

    def _bind(self) -> None:
        """Stop has its keys wherever the focus is; the others only outside the name."""
        for keys, act in (
            ("Esc", self.stop), ("Space", self.stop), ("Return", self.go_on),
            ("Enter", self.go_on), ("A", self.accept), ("R", self.repeat),
            ("Backspace", self.back),
        ):  # fmt: skip
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.ApplicationShortcut)
            shortcut.setAutoRepeat(False)
            shortcut.activated.connect(act)


def _marks(state: SessionState) -> Sighting | None:
    """Return what may be drawn over the picture: what was detected in this very one.

    While a person prepares, the picture is live and what was found a moment ago is drawn on it.
    """
    sighting = state.sighting
    if sighting is None or state.phase is Phase.ASKING:
        return sighting
    own = state.picture is state.marked
    if state.phase is Phase.RUNNING:
        return sighting if own else None
    return sighting if own and sighting.point_px is not None else None


def _differs(before: SessionState, now: SessionState) -> bool:
    """Whether anything but the picture is new."""
    return (
        before.phase is not now.phase or before.text != now.text or before.done != now.done
        or before.sighting is not now.sighting or before.outcome is not now.outcome
    )  # fmt: skip
