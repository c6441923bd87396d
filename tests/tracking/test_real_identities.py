"""Identities on published tracks of sperm, seen through a poor detector.

``pytest -s`` prints the table; see also ``recordings``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from models.tracking.metrics import identity_scores
from tests.tracking.recordings import follow, read

MOST_FRAMES = 600
# Recording: least HOTA on line and off line, least IDF1 off line.
BARS = {
    "njit/40sample_4type_15fps_15s.csv": (0.80, 0.88, 0.90),
    "njit/40sample_4type_60fps_15s.csv": (0.81, 0.88, 0.89),
    "visem_labels/24.csv.gz": (0.95, 0.97, 0.98),
    "visem_labels/54.csv.gz": (0.90, 0.92, 0.93),
}


@pytest.mark.realdata
@pytest.mark.parametrize("name", BARS)
def test_identities_hold(real_data: Path, name: str) -> None:
    recording = read(real_data / name, MOST_FRAMES)
    _, shown, after = follow(recording.detections(0), recording.size_px, recording.frame_rate_hz)
    on_line = identity_scores(recording.truth, shown)
    off_line = identity_scores(recording.truth, after)
    print(f"\n{name}: on line {on_line}\noff line {off_line}")
    hota, hota_after, idf1 = BARS[name]
    assert on_line.hota >= hota
    assert off_line.hota >= hota_after
    assert off_line.idf1 >= idf1
