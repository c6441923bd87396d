"""What is said of the chosen sperm: every reason in words, and no guess where nothing is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.messages import Snapshot
from app.ui.cell import Cell
from app.ui.portrait import MOTION, SHAPE, Portrait, _why, portray
from app.ui.verdict_words import findings, micro
from app.ui.warm_up import WARM_UP_S, progress_line, waiting
from app.ui.window import MainWindow
from models.measure.motility import INSUFFICIENT
from models.measure.profile import named_profile, profile_names
from models.measure.reasons import CARRIED, NAMES, reasons
from models.types import SpermClass
from tests.gui.conftest import show_next
from tests.gui.stand_in import RIG, StandIn

WHO = named_profile("who6_wet")
VALUES = {
    "head_length_um": 4.6, "head_width_um": 2.4, "head_area_um2": 9.1, "head_ellipticity": 1.92,
    "head_angle_deg": 12.0, "tail_length_um": 41.0, "lin": 0.6, "str": 0.9, "wob": 0.7,
    "alh_um": 2.2, "bcf_hz": 11.0, "mad_deg": 40.0, "score": 0.41, "score_sd": 0.04,
    "morphology_normal": 0.0, "motility_normal": 1.0, "healthy": 0.0, "frames": 12.0,
}  # fmt: skip


def told(
    loop: StandIn,
    texts: tuple[str, ...],
    quality: str = "ok",
    label: int = SpermClass.NORMAL,
    **changes: float,
) -> Snapshot:
    """A snapshot of which the first sperm has these measures."""
    snapshot = loop.advance()
    measured = snapshot.measurements
    n = len(measured)
    values = measured.values | {
        name: np.full(n, value) for name, value in (VALUES | changes).items()
    }
    labels = np.full(n, label, np.int8)
    return replace(
        snapshot,
        tracks=replace(snapshot.tracks, label=labels),
        measurements=replace(
            measured, values=values, quality=(quality,) * n, grade=("rapid",) * n,
            reasons=(texts,) * n,
        ),
    )  # fmt: skip


def portrait_of(snapshot: Snapshot) -> Portrait:
    portrait = portray(snapshot, int(snapshot.tracks.track_id[0]), RIG)
    assert portrait is not None
    return portrait


@pytest.mark.parametrize("name", profile_names())
@given(value=st.floats(0.0, 500.0), frames=st.integers(0, 32), merit=st.floats(0.0, 1.0))
def test_every_reason_is_taken_apart(name: str, value: float, frames: int, merit: float) -> None:
    profile = named_profile(name)
    for term in profile.term:
        measure = term.measure
        made = reasons({measure: value}, {measure: merit}, profile, None, {measure: frames})
        own = next(r for r in made if r.measure == measure)
        (found,) = findings((own.text,))
        assert found.name == NAMES[measure][0]
        assert found.known
        assert found.frames == frames
        assert found.text + (f" ({frames} frame" if frames else "") in micro(own.text)
        low = term.low is not None and value < term.low
        high = term.high is not None and value > term.high
        assert found.side == ("low" if low else "high" if high else "")


def test_what_is_not_known_is_said_and_not_guessed() -> None:
    made = reasons({}, {}, WHO)
    assert not any(one.known or one.side for one in findings(tuple(r.text for r in made)))
    (blind,) = findings(("head: out of focus",))
    assert (blind.known, blind.short) == (False, "out of focus")


def test_the_worst_comes_first_with_its_number_and_its_limit() -> None:
    texts = (
        "head width 2.4 um, below 2.5 (12 frames)", "ellipticity 1.92 (12 frames)",
        "neck bend 12 deg (6 frames)", "VAP 41.0 um/s", "tail length not known",
    )  # fmt: skip
    said = portrait_of(told(StandIn(), texts, tail_length_um=np.nan))
    assert said.score == "Score 41 ± 4"
    assert said.verdict == "not healthy"
    assert said.why[0] == "✖ head width 2.4 µm, below 2.5"
    assert "not known: tail length" in said.why
    assert said.why[-1] == "not assessed: acrosome, vacuoles, midpiece width, DNA"
    assert said.shape == "Shape, good frames: head 12, bend 6"
    assert said.motion == "Motion, last second: rapid"
    assert said.numbers["head_width_um"] == "2.4 µm"
    assert said.numbers["head_area_um2"] == "9.1 µm²"
    assert said.numbers["head_angle_deg"] == "12°"
    assert said.numbers["tail_length_um"] == "–"
    assert said.numbers["bcf_hz"] == "11.0 Hz"


def test_an_insufficient_track_has_no_numbers_and_no_verdict() -> None:
    nothing = dict.fromkeys((*SHAPE, *MOTION, *VALUES), np.nan)
    said = portrait_of(told(StandIn(), (), INSUFFICIENT, **nothing))
    assert said.motion == "Motion: insufficient track"
    assert said.shape == "Shape: not assessed yet"
    assert said.score == "Score –"
    assert said.verdict == "not assessed yet"
    assert set(said.numbers.values()) == {"–"}
    assert "insufficient track" in said.why[0]


def test_a_head_that_cannot_be_measured_says_why() -> None:
    nothing = dict.fromkeys((*SHAPE, "score", "healthy", "frames"), np.nan)
    texts = ("head: touches another", *(f"{NAMES[m][0]} not known" for m in SHAPE), "VAP 30.0 um/s")
    said = portrait_of(told(StandIn(), texts, **nothing))
    assert said.shape == "Shape: insufficient, touches another"
    assert "! head: touches another" in said.why


def test_a_healthy_sperm_that_the_network_calls_abnormal_is_disputed_first_of_all() -> None:
    texts = ("LIN 0.60", "VAP 41.0 um/s")
    good = {"healthy": 1.0, "morphology_normal": 1.0}
    assert "network" in portrait_of(told(StandIn(), texts, label=2, **good)).why[0]
    fine = portrait_of(told(StandIn(), texts, label=1, **good))
    assert fine.why[0] == "mean LIN 0.60, within its limits"
    assert fine.verdict == "healthy"


def test_without_a_calibration_lengths_are_pixels_and_nothing_is_judged() -> None:
    rig = replace(RIG, calibrated=False)
    snapshot = told(StandIn(), ("LIN 0.60",))
    said = portray(snapshot, int(snapshot.tracks.track_id[0]), rig)
    assert said is not None
    assert said.numbers["head_length_um"] == f"{4.6 / 0.495:.1f} px"
    assert said.numbers["head_area_um2"] == f"{9.1 / 0.495**2:.1f} px²"
    assert said.score == "Score –"
    assert said.verdict == "not assessed"


def test_the_panel_says_all_of_it_and_cuts_nothing(window: MainWindow, loop: StandIn) -> None:
    snapshot = told(loop, ("head width 2.4 um, below 2.5 (12 frames)", "VAP 41.0 um/s"))
    track = int(snapshot.tracks.track_id[0])
    show_next(window, loop, tracks=snapshot.tracks, measurements=snapshot.measurements)
    assert window.chosen.text("Title") == "No sperm chosen"
    window.controller.choose(track)
    panel = window.chosen
    assert panel.text("Score") == "Score 41 ± 4"
    assert panel.text("Reasons").splitlines()[0] == "✖ head width 2.4 µm, below 2.5"
    for cell in panel.findChildren(Cell):
        if "\n" not in cell.text:
            assert cell.fontMetrics().horizontalAdvance(cell.text) <= cell.width(), cell.text
    window.controller.choose(99999)
    assert panel.text("Title") == "99999  out of sight"
    assert panel.text("vap_um_s") == "–"


def test_who_waits_is_told_what_for_and_how_long(window: MainWindow, loop: StandIn) -> None:
    window.pull(all_of_it=True)
    assert "minute" in waiting(20.0)
    assert "20 s" in waiting(20.0)
    assert "doctor" in waiting(WARM_UP_S + 1.0)
    assert "300 s" in progress_line(16.0)


def test_what_may_be_carried_or_only_counts_is_no_mark_against_it() -> None:
    texts = (CARRIED, "LIN 0.18, below 0.30, in the score only (91 frames)")
    carried, lin = findings(texts)
    assert (carried.short, carried.known) == ("carried?", False)
    assert (lin.short, lin.judges, lin.frames) == ("LIN low", False, 91)
    lines = _why((carried, lin), disputed=False)
    assert lines == (f"! {CARRIED}", "! mean LIN 0.18, below 0.30, in the score only")
    cut = findings(("tail length not known: the worst is assumed in the score",))[0]
    assert (cut.name, cut.known) == ("tail length", False)
