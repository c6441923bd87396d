"""Basler through pylon's own camera emulator: real SDK, no camera."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from drivers import basler
from drivers.basler import BaslerCamera, list_cameras
from drivers.basler_nodes import BaslerSettings, Nodes, _fitted
from drivers.errors import CameraError
from drivers.protocols import Camera

FIRST, SECOND = "0815-0000", "0815-0001"
COUNT = 12
WIDTH, HEIGHT = 128, 96


@pytest.fixture(autouse=True)
def emulator(monkeypatch):
    monkeypatch.setenv("PYLON_CAMEMU", "2")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(COUNT):
        assert cv2.imwrite(str(folder / f"{number:03d}.png"), picture(number))
    return folder


def picture(number: int) -> np.ndarray:
    image = np.full((HEIGHT, WIDTH), 10 + 20 * number, np.uint8)
    image[5, 7] = 255
    return image


def replay(folder: Path, *, rate_hz: float | None = 100.0, **kwargs) -> BaslerSettings:
    return BaslerSettings(
        width_px=WIDTH,
        height_px=HEIGHT,
        offset_x_px=0,
        offset_y_px=0,
        exposure_s=0.001,
        frame_rate_hz=rate_hz,
        features={
            "TestImageSelector": "Off",
            "ImageFilename": str(folder),
            "ImageFileMode": "On",
        },
        **kwargs,
    )


@pytest.fixture
def camera(pictures):
    camera = BaslerCamera(FIRST, replay(pictures))
    camera.open()
    yield camera
    camera.close()


def test_cameras_are_listed():
    listed = list_cameras()
    assert [c.serial for c in listed] == [FIRST, SECOND]
    assert {c.interface for c in listed} == {"BaslerCamEmu"}


def test_replays_pictures_without_loss(camera):
    assert isinstance(camera, Camera)
    assert camera.name == f"Basler camera {FIRST}"
    assert (camera.width_px, camera.height_px, camera.frame_rate_hz) == (WIDTH, HEIGHT, 100.0)
    frames = [camera.read(0.25) for _ in range(30)]
    assert all(frame is not None for frame in frames)
    for frame in frames:
        np.testing.assert_array_equal(frame.image, picture(frame.number % COUNT))
        assert not frame.image.flags.writeable
        assert frame.exposure_s == 0.001
        assert frame.received_s - frame.time_s == pytest.approx(0.008 + 0.0005, abs=1e-9)
    numbers = [frame.number for frame in frames]
    assert numbers == sorted(set(numbers))
    stamps_s = [frame.time_s for frame in frames]
    assert stamps_s == sorted(stamps_s)


def test_a_late_reader_gets_the_newest_frame_and_the_gap(camera):
    before = camera.read(0.25)
    time.sleep(0.2)
    after = camera.read(0.25)
    assert after.number - before.number >= 8
    np.testing.assert_array_equal(after.image, picture(after.number % COUNT))
    assert camera.failed == 0


def test_failed_buffers_are_gaps(camera):
    first = camera.read(0.25)
    camera._camera.ForceFailedBufferCount.Value = 4
    camera._camera.ForceFailedBuffer.Execute()
    frames = [camera.read(0.25) for _ in range(20)]
    numbers = [first.number] + [frame.number for frame in frames]
    assert 1 <= camera.failed <= 4
    steps = np.diff(numbers)
    assert steps.max() >= camera.failed + 1
    for frame in frames:
        np.testing.assert_array_equal(frame.image, picture(frame.number % COUNT))


def test_two_cameras_at_once(pictures):
    cameras = [BaslerCamera(serial, replay(pictures, rate_hz=40.0)) for serial in (FIRST, SECOND)]
    for camera in cameras:
        camera.open()
    try:
        for _ in range(5):
            for camera in cameras:
                frame = camera.read(0.5)
                np.testing.assert_array_equal(frame.image, picture(frame.number % COUNT))
    finally:
        for camera in cameras:
            camera.close()


def test_a_camera_that_stops_is_told_and_can_be_opened_again(camera, monkeypatch):
    monkeypatch.setattr(basler, "_SILENCE_S", 0.2)
    assert camera.read(0.25) is not None
    camera._camera.AcquisitionStop.Execute()
    with pytest.raises(CameraError, match=r"delivers no frames for 0\.\d s; check cable"):
        read_until_error(camera)
    old = camera._camera
    camera.open()
    assert camera._camera is not old
    assert camera.read(0.25).number == 2


def test_only_damaged_frames_are_silence_too(camera, monkeypatch):
    monkeypatch.setattr(basler, "_SILENCE_S", 0.2)
    camera._camera.ForceFailedBufferCount.Value = 1000
    camera._camera.ForceFailedBuffer.Execute()
    with pytest.raises(CameraError, match=r"delivers no frames for .* \(\d+ were damaged\)"):
        read_until_error(camera)


class Removed:
    """A camera whose cable has been pulled out. The emulator cannot do that."""

    def __init__(self, camera):
        self._camera = camera
        self.removed = False

    def __getattr__(self, name):
        return getattr(self._camera, name)

    def IsCameraDeviceRemoved(self):
        return self.removed


def read_until_error(camera: BaslerCamera) -> None:
    for _ in range(100):
        camera.read(0.02)


def test_unplugged(camera):
    camera._camera = Removed(camera._camera)
    assert camera.read(0.25) is not None
    camera._camera.AcquisitionStop.Execute()
    camera._camera.removed = True
    with pytest.raises(CameraError, match="was unplugged; plug it in and open it again"):
        read_until_error(camera)


def test_closing_a_camera_that_hangs_has_a_deadline(camera, monkeypatch, caplog):
    import threading

    monkeypatch.setattr(basler, "_CLOSE_S", 0.1)
    let_go = threading.Event()
    real = camera._camera

    class Hanging(Removed):
        def StopGrabbing(self):
            let_go.wait(5.0)
            self._camera.StopGrabbing()

    camera._camera = Hanging(real)
    start_s = time.perf_counter()
    camera.close()
    assert time.perf_counter() - start_s < 1.0
    assert "does not let itself be closed" in caplog.text
    let_go.set()
    camera.close()


def test_timeout_and_misuse(pictures):
    camera = BaslerCamera(FIRST, replay(pictures, rate_hz=5.0))
    with pytest.raises(CameraError, match="is not open; call open first"):
        camera.read(0.1)
    camera.close()
    camera.open()
    start_s = time.perf_counter()
    assert camera.read(0.02) is None
    assert time.perf_counter() - start_s < 0.15
    camera.close()
    camera.close()
    with pytest.raises(CameraError, match="is not open"):
        camera.read(0.1)


def test_wrong_serial_number_names_what_is_there():
    with pytest.raises(CameraError) as caught:
        BaslerCamera("22334455").open()
    assert str(caught.value) == (
        "Basler camera 22334455: is not there; check cable and power; "
        "found: 0815-0000 (Emulation), 0815-0001 (Emulation)"
    )


def test_an_empty_serial_number_takes_the_only_camera(monkeypatch):
    camera = BaslerCamera("")
    with pytest.raises(CameraError, match=r"is not the only one; name one by its serial number"):
        camera.open()
    monkeypatch.setenv("PYLON_CAMEMU", "1")
    camera.open()
    assert camera.name == f"Basler camera {FIRST}"
    camera.close()
    monkeypatch.setenv("PYLON_CAMEMU", "0")
    with pytest.raises(CameraError, match=r"is not there; .* found: no camera"):
        BaslerCamera("").open()


def test_settings_reach_the_camera():
    settings = BaslerSettings(
        width_px=None, height_px=200, binning=2, exposure_s=0.0075, gain=6.0, frame_rate_hz=None
    )
    camera = BaslerCamera(SECOND, settings)
    camera.open()
    try:
        device = camera._camera
        assert (camera.width_px, camera.height_px) == (device.WidthMax.Value, 200)
        assert device.OffsetY.Value == (device.HeightMax.Value - 200) // 2
        assert (device.BinningHorizontal.Value, device.BinningVertical.Value) == (2, 2)
        assert device.ExposureTime.Value == pytest.approx(7500)
        assert device.Gain.Value == pytest.approx(6.0, abs=0.1)
        assert device.AcquisitionFrameRateEnable.Value is False
    finally:
        camera.close()


def test_older_names_are_found_by_presence(camera):
    nodes = Nodes(camera._camera, camera._genicam, camera.name)
    assert nodes.set(4321.0, "ExposureTimeOfTomorrow", "ExposureTimeAbs")
    assert nodes.get("ExposureTimeOfTomorrow", "ExposureTimeAbs") == pytest.approx(4321.0)
    assert nodes.set(200.7, "GainOfTomorrow", "GainRaw")
    assert nodes.get("GainRaw") == 201
    assert not nodes.set(1.0, "ExposureTimeOfTomorrow")
    assert nodes.get("ExposureTimeOfTomorrow") is None


@pytest.mark.parametrize(("asked", "given"), [(641, 640), (643, 640), (644, 644), (640, 640)])
def test_sizes_are_rounded_down_to_the_increment(asked, given):
    class Width:  # of a sensor in steps of 4; the emulator's step is 1
        def GetMin(self):
            return 16

        def GetInc(self):
            return 4

    assert _fitted(asked, Width()) == given


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (BaslerSettings(width_px=9999), "refuses Width = 9999; allowed is 1 to 4096"),
        (BaslerSettings(exposure_s=1e6), "refuses ExposureTime = 1e+12; allowed is 1 to 1e+07"),
        (BaslerSettings(gain=1e9), r"refuses Gain = 1e+09; allowed is 0 to"),
        (BaslerSettings(binning=99), "refuses BinningHorizontal = 99; allowed is 1 to"),
        (BaslerSettings(features={"Nope": 1}), "has no parameter Nope to set"),
        (
            BaslerSettings(features={"TestImageSelector": "Bad"}),
            "refuses TestImageSelector = Bad; allowed are Off, Testimage1, Testimage2",
        ),
    ],
)
def test_refused_settings_are_one_clear_line(settings, words):
    camera = BaslerCamera(FIRST, settings)
    with pytest.raises(CameraError) as caught:
        camera.open()
    assert words.replace("1e+12", "1000000000000.0").replace("1e+09", "1000000000.0") in str(
        caught.value
    )
    assert "\n" not in str(caught.value)
    with pytest.raises(CameraError, match="is not open"):
        camera.read(0.1)


def test_block_ids_of_gige_wrap_and_missing_ones_are_counted():
    camera = BaslerCamera(FIRST)
    camera._wraps = True
    numbers = []
    for block_id in (65530, 65534, 65535, 1, 2, 65535, 1, 100):
        camera._number = camera._unwrap(block_id, 0)
        numbers.append(camera._number)
    assert numbers == [
        65530, 65534, 65535, 65536, 65537, 2 * 65535, 2 * 65535 + 1, 2 * 65535 + 100,
    ]  # fmt: skip
    camera._number = 41
    assert camera._unwrap(2**64 - 1, 3) == 45


def test_a_rig_without_basler_does_not_need_pypylon():
    code = (
        "import sys; sys.modules['pypylon'] = None\n"
        "from drivers.basler import BaslerCamera, list_cameras\n"
        "from drivers.errors import CameraError\n"
        "for call in (BaslerCamera('1').open, list_cameras):\n"
        "    try: call()\n"
        "    except CameraError as error: print(error)\n"
    )
    root = Path(basler.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("pypylon cannot be loaded") == 2
    assert done.stdout.count("pip install pypylon") == 2
