"""Real recordings through VideoFile. Skipped where they are absent."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from drivers.video_file import VideoFile

DATA = Path(os.environ.get("SFCSCOPE_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))

CASES = [
    ("svia/S_0001.mp4", (698, 528), 30.0, 45, 153.5),
    ("visem52/visem52_0000-0479.mp4", (640, 480), 48.0, 480, 119.4),
]


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "size", "rate_hz", "count", "background"), CASES)
def test_real_recording(name, size, rate_hz, count, background):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no {name} in {DATA} (SFCSCOPE_DATA names the folder)")
    camera = VideoFile(path, realtime=False)
    camera.open()
    assert (camera.width_px, camera.height_px) == size
    assert (camera.frame_rate_hz, camera.frame_count) == (rate_hz, count)
    camera.close()
    frames = list(camera.frames())
    assert [f.number for f in frames] == list(range(count))
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(count) / rate_hz, atol=1e-4)
    # The levels that published statistics of these films were measured on: full range.
    assert np.median(frames[0].image) == pytest.approx(background, abs=3.0)
