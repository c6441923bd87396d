"""Recordings as cameras: every format, real time, ends and damage."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from drivers.clock import VirtualClock
from drivers.errors import CameraError, EndOfStream
from drivers.protocols import Camera
from drivers.video_file import VideoFile

HEIGHT, WIDTH = 46, 70


def ramp(number: int) -> np.ndarray:
    """A smooth grey picture whose mean tells its number."""
    column = np.linspace(20.0, 60.0, WIDTH)
    return np.broadcast_to(column + 2.0 * number, (HEIGHT, WIDTH)).astype(np.uint8)


def write(
    path: Path,
    *,
    codec="ffv1",
    pix_fmt="gray",
    frames=20,
    rate=30,
    pts_ms: list[int] | None = None,
    options: dict[str, str] | None = None,
    full_range: bool | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        if full_range is not None:
            stream.codec_context.color_range = 2 if full_range else 1
        if pts_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(frames if pts_ms is None else len(pts_ms)):
            picture = av.VideoFrame.from_ndarray(ramp(number), format="gray")
            if full_range is None:
                picture = picture.reformat(format=pix_fmt, threads=1)
            else:
                picture = picture.reformat(
                    format=pix_fmt,
                    src_color_range=2,
                    dst_color_range=2 if full_range else 1,
                    threads=1,
                )
            if pts_ms is not None:
                picture.pts, picture.time_base = pts_ms[number], Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def play_all(camera: VideoFile) -> tuple[list, CameraError]:
    frames = []
    camera.open()
    try:
        while True:
            frame = camera.read(0.25)
            assert frame is not None
            frames.append(frame)
    except CameraError as end:
        return frames, end
    finally:
        camera.close()


FORMATS = [
    ("gray.mkv", "ffv1", "gray", 0),
    ("gray16.mkv", "ffv1", "gray16le", 1),
    ("bgr.mkv", "ffv1", "bgr0", 1),
    ("yuv420.mkv", "ffv1", "yuv420p", 1),
    ("yuv444p10.mkv", "ffv1", "yuv444p10le", 1),
    ("raw.avi", "rawvideo", "gray", 0),
    ("h264.mp4", "libx264", "yuv420p", 4),
    ("h264.ts", "libx264", "yuv420p", 4),
    ("mpeg4.avi", "mpeg4", "yuv420p", 6),
    ("mjpeg.avi", "mjpeg", "yuvj420p", 6),
    ("vp9.webm", "libvpx-vp9", "yuv420p", 6),
]


@pytest.mark.parametrize(("name", "codec", "pix_fmt", "tolerance"), FORMATS)
def test_grey_levels_times_and_count(tmp_path, name, codec, pix_fmt, tolerance):
    path = write(tmp_path / name, codec=codec, pix_fmt=pix_fmt)
    camera = VideoFile(path, realtime=False)
    frames, end = play_all(camera)
    assert isinstance(end, EndOfStream)
    assert [f.number for f in frames] == list(range(20))
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(20) / 30, atol=0.0011)
    assert frames[0].time_s == 0.0
    for frame in frames:
        assert frame.image.shape == (HEIGHT, WIDTH)
        assert frame.image.dtype == np.uint8
        assert not frame.image.flags.writeable
        error = np.abs(frame.image.astype(int) - ramp(frame.number))
        assert error.max() <= tolerance + 2 * (tolerance > 1)
        assert error.mean() <= max(tolerance / 2, 0.51 * (tolerance > 0))


@pytest.mark.parametrize("full_range", [True, False])
def test_the_range_tag_decides_what_black_and_white_are(tmp_path, full_range):
    path = write(tmp_path / "a.mkv", pix_fmt="yuv420p", full_range=full_range)
    frames, _ = play_all(VideoFile(path, realtime=False))
    for frame in frames:
        assert np.abs(frame.image.astype(int) - ramp(frame.number)).max() <= 1


def test_is_a_camera_that_knows_itself_once_open(tmp_path):
    camera = VideoFile(write(tmp_path / "a.mp4", codec="mpeg4", pix_fmt="yuv420p", rate=48))
    with pytest.raises(CameraError, match="is not open"):
        camera.read(0.1)
    camera.open()
    assert isinstance(camera, Camera)
    assert (camera.width_px, camera.height_px) == (WIDTH, HEIGHT)
    assert camera.frame_rate_hz == 48
    assert camera.frame_count == 20
    camera.close()
    camera.close()


def test_variable_rate_keeps_the_stamps_of_the_file(tmp_path):
    pts_ms = [40, 80, 100, 190, 200, 460]
    path = write(tmp_path / "vfr.mkv", pts_ms=pts_ms)
    frames, end = play_all(VideoFile(path, realtime=False))
    assert isinstance(end, EndOfStream)
    np.testing.assert_allclose([f.time_s for f in frames], (np.array(pts_ms) - 40) / 1000)
    stated, _ = play_all(VideoFile(path, realtime=False, frame_rate_hz=50.0))
    np.testing.assert_allclose([f.time_s for f in stated], np.arange(6) / 50)


def test_frames_for_analysis_leave_the_player_alone(tmp_path):
    camera = VideoFile(write(tmp_path / "a.mkv"), realtime=False)
    camera.open()
    assert camera.read(1.0).number == 0
    listed = list(camera.frames())
    assert [f.number for f in listed] == list(range(20))
    np.testing.assert_array_equal(listed[7].image, ramp(7))
    assert camera.read(1.0).number == 1
    assert camera.frame_count == 20
    camera.close()


def test_real_time_waits_for_each_frame_and_passes_over_late_ones(tmp_path):
    clock = VirtualClock(500.0)
    camera = VideoFile(write(tmp_path / "a.mkv", frames=30, rate=50), clock=clock)
    camera.open()
    first = camera.read(0.25)
    assert (first.number, first.time_s) == (0, 500.0)
    assert camera.read(0.005) is None
    second = camera.read(0.25)
    assert (second.number, second.time_s) == (1, pytest.approx(500.02))
    assert clock.now_s() == pytest.approx(500.02)
    clock.wait_until(500.25)
    late = camera.read(0.25)
    assert (late.number, late.time_s) == (12, pytest.approx(500.24))
    np.testing.assert_array_equal(late.image, ramp(12))
    assert clock.now_s() == pytest.approx(500.25)
    assert camera.read(0.25).number == 13
    clock.wait_until(600.0)
    assert camera.read(0.25).number == 29
    for _ in range(2):
        with pytest.raises(EndOfStream):
            camera.read(0.25)
    camera.close()


def test_loop_goes_on_counting(tmp_path):
    camera = VideoFile(write(tmp_path / "a.mkv", frames=5, rate=50), realtime=False, loop=True)
    camera.open()
    frames = [camera.read(1.0) for _ in range(13)]
    camera.close()
    assert [f.number for f in frames] == list(range(13))
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(13) / 50, atol=1e-9)
    np.testing.assert_array_equal(frames[12].image, ramp(2))


def cut(path: Path, fraction: float) -> Path:
    whole = path.read_bytes()
    short = path.with_name("cut_" + path.name)
    short.write_bytes(whole[: int(len(whole) * fraction)])
    return short


@pytest.mark.parametrize("name", ["a.mkv", "fast.mp4", "mjpeg.avi", "raw.avi"])
def test_a_recording_cut_short_gives_all_it_has_and_then_says_so(tmp_path, name):
    codec, pix_fmt = {
        "a.mkv": ("ffv1", "gray"),
        "fast.mp4": ("mpeg4", "yuv420p"),
        "mjpeg.avi": ("mjpeg", "yuvj420p"),
        "raw.avi": ("rawvideo", "gray"),
    }[name]
    flags = {"movflags": "faststart"} if name.endswith("mp4") else None
    whole = write(tmp_path / name, codec=codec, pix_fmt=pix_fmt, frames=60, container_options=flags)
    camera = VideoFile(cut(whole, 0.6), realtime=False)
    frames, end = play_all(camera)
    assert not isinstance(end, EndOfStream)
    assert f"cut_{name}: is cut short after {len(frames)} of 60 frames" in str(end)
    assert 15 < len(frames) < 45
    assert [f.number for f in frames] == list(range(len(frames)))
    with pytest.raises(CameraError, match="cut short"):
        list(camera.frames())


def test_damage_inside_is_a_gap(tmp_path):
    whole = write(tmp_path / "a.avi", codec="ffv1", frames=20, options={"g": "1", "slicecrc": "1"})
    blob = bytearray(whole.read_bytes())
    blob[len(blob) // 2] ^= 0xFF
    whole.write_bytes(bytes(blob))
    frames, end = play_all(VideoFile(whole, realtime=False))
    assert isinstance(end, EndOfStream)
    assert 18 <= len(frames) <= 20
    for frame in frames:
        if frame.number not in (9, 10, 11):
            np.testing.assert_array_equal(frame.image, ramp(frame.number))


def make_audio(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(
            np.zeros((1, 800), np.int16), format="s16", layout="mono"
        )
        sound.rate = 8000
        container.mux(stream.encode(sound))
    return path


def test_what_is_no_recording_gives_one_clear_line(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "notes.mp4").write_text("not a film\n" * 20)
    make_audio(tmp_path / "sound.wav")
    moov_lost = cut(write(tmp_path / "tail.mp4", codec="mpeg4", pix_fmt="yuv420p"), 0.5)
    cases = {
        tmp_path / "missing.mp4": "does not exist",
        tmp_path: "is not a file",
        tmp_path / "empty.mp4": "is empty",
        tmp_path / "notes.mp4": "cannot be read",
        tmp_path / "sound.wav": "has no pictures",
        moov_lost: "cannot be read",
    }
    for path, words in cases.items():
        with pytest.raises(CameraError) as caught:
            VideoFile(path).open()
        text = str(caught.value)
        assert words in text
        assert str(path) in text
        assert "\n" not in text
        assert ";" in text, "says what to do"


def test_strange_names_are_still_files(tmp_path):
    path = write(tmp_path / "Zelle 5%d ä.mkv", frames=3)
    frames, _ = play_all(VideoFile(path, realtime=False))
    assert len(frames) == 3
