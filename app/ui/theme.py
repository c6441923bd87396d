"""Colours, palette and fonts: dark, and safe for colour-blind eyes.

Hues are those of Okabe and Ito ("Color Universal Design", 2008), lightened where they lie on the
grey of a picture. No state is told by colour alone: words, or the form of a mark, say it too.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PySide6.QtWidgets import QApplication

from app.core.messages import Mode
from models.types import SpermClass

MIN_TARGET_PX: Final = 32
"""Smallest width and height of anything to press: a gloved hand hits it."""

BLACK: Final = "#000000"
WHITE: Final = "#ffffff"
TEXT: Final = "#e8eaed"
MUTED: Final = "#a3abb5"
WINDOW: Final = "#16181b"
PANEL: Final = "#1f2226"
BUTTON: Final = "#343a41"
ALERT: Final = "#ff8a75"
CHOSEN: Final = "#ffe94d"
STOP: Final = "#c62828"
STOP_PRESSED: Final = "#8e1b1b"
ON: Final = "#cfd6dd"
"""Fill of a toggle that is on."""


@dataclass(frozen=True, slots=True)
class ModeLook:
    """How a mode shows: the word that is read from across the room, and its colours."""

    word: str
    fill: str
    ink: str

    @property
    def colours(self) -> tuple[str, str]:
        """Fill and ink."""
        return self.fill, self.ink


MODE_LOOKS: Final[dict[Mode, ModeLook]] = {
    Mode.DISARMED: ModeLook("DISARMED", "#4a5058", WHITE),
    Mode.ARMED: ModeLook("ARMED", "#e69f00", BLACK),
    Mode.CENTERING: ModeLook("CENTRING", "#56b4e9", BLACK),
    Mode.FOLLOWING: ModeLook("FOLLOWING", "#12b886", BLACK),
    Mode.HOLD: ModeLook("HOLD", "#f0e442", BLACK),
    Mode.FAULT: ModeLook("FAULT", "#b3201f", WHITE),
}

CLASS_COLOURS: Final[dict[int, str]] = {
    SpermClass.BACKGROUND: "#f2f2f2",
    SpermClass.NORMAL: "#3fd0ff",
    SpermClass.ABNORMAL: "#ff9d2e",
}

CLASS_WORDS: Final[dict[int, str]] = {
    SpermClass.BACKGROUND: "–",
    SpermClass.NORMAL: "normal",
    SpermClass.ABNORMAL: "abnormal",
}

SEVERITY_COLOURS: Final[dict[str, str]] = {"info": TEXT, "warning": "#f0c040", "fault": ALERT}


def luminance(colour: str) -> float:
    """Relative luminance, 0 to 1, as WCAG 2.2 defines it for sRGB."""

    def linear(channel: float) -> float:
        return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4

    c = QColor(colour)
    return float(
        0.2126 * linear(c.redF()) + 0.7152 * linear(c.greenF()) + 0.0722 * linear(c.blueF())
    )


def contrast(a: str, b: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2); text needs 4.5 or more."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def palette() -> QPalette:
    """Return the dark palette."""
    result = QPalette()
    roles = QPalette.ColorRole
    for role, colour in {
        roles.Window: WINDOW, roles.WindowText: TEXT, roles.Base: PANEL, roles.Text: TEXT,
        roles.AlternateBase: "#262a2f", roles.Button: BUTTON, roles.ButtonText: TEXT,
        roles.BrightText: WHITE, roles.ToolTipBase: "#30353b", roles.ToolTipText: TEXT,
        roles.Highlight: "#675b00", roles.HighlightedText: WHITE, roles.PlaceholderText: MUTED,
        roles.Link: CLASS_COLOURS[SpermClass.NORMAL], roles.Accent: CHOSEN,
        roles.Mid: "#2b3036", roles.Dark: "#0d0e10", roles.Light: "#4a525b",
    }.items():  # fmt: skip
        result.setColor(role, QColor(colour))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        result.setColor(QPalette.ColorGroup.Disabled, role, QColor("#7d858e"))
    result.setColor(QPalette.ColorGroup.Disabled, roles.Button, QColor("#23272b"))
    return result


def filled(fill: str, ink: str) -> QPalette:
    """Return a palette for one widget of this colour, e.g. the Stop button or the banner."""
    result = palette()
    roles = QPalette.ColorRole
    for role in (roles.Window, roles.Button, roles.Base):
        result.setColor(role, QColor(fill))
    for role in (roles.WindowText, roles.ButtonText, roles.Text):
        result.setColor(role, QColor(ink))
    return result


def font(points: float, *, bold: bool = False, fixed: bool = False) -> QFont:
    """Return the program's font; ``fixed`` has digits of one width, so that numbers stand still."""
    result = QFont(QApplication.font())
    if fixed:
        result = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
    result.setPointSizeF(points)
    result.setBold(bold)
    return result


def apply(application: QApplication) -> None:
    """Give the program its style, palette and font."""
    if not QFontDatabase.families():
        _borrow_font()
    application.setStyle("Fusion")
    application.setPalette(palette())
    base = application.font()
    base.setPointSizeF(11.0)
    application.setFont(base)


def _borrow_font() -> None:
    """Use the font that Matplotlib ships, where the system has none at all (a bare server)."""
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        return
    for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono.ttf"):
        path = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / name
        if path.is_file():
            QFontDatabase.addApplicationFont(str(path))
