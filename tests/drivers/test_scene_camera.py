"""The scene camera: what it shows, when, and what it loses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.clock import HostClock, VirtualClock
from drivers.errors import CameraError
from drivers.protocols import Camera
from drivers.scene_camera import SceneCamera, SceneCameraSettings

STEP_UM_S = np.array([40.0, -25.0])


def moving_stage(times_s: np.ndarray) -> np.ndarray:
    return times_s[:, None] * STEP_UM_S


class PoseScene:
    """Writes the mean stage pose of the exposure into the picture, and counts its work."""

    width_px = 64
    height_px = 48

    def __init__(self, clock=None):
        self.calls: list[tuple[float, float]] = []
        self.clock = clock

    def render(self, time_s, exposure_s, stage_um, pipette_um):
        times_s = time_s + exposure_s * np.linspace(-0.5, 0.5, 5)
        if self.clock is not None:
            assert times_s[-1] <= self.clock.now_s() + 1e-12, "asked for a pose of the future"
        self.calls.append((time_s, exposure_s))
        self.pose_um = stage_um(times_s).mean(axis=0)
        self.tip_um = None if pipette_um is None else pipette_um(times_s)
        return np.full((self.height_px, self.width_px), len(self.calls) % 256, np.uint8)


def virtual(**kwargs):
    clock = VirtualClock(1000.0)
    scene = PoseScene(clock)
    camera = SceneCamera(scene, moving_stage, settings=SceneCameraSettings(**kwargs), clock=clock)
    camera.open()
    return camera, scene, clock


def test_is_a_camera():
    camera = SceneCamera(PoseScene(), moving_stage)
    assert isinstance(camera, Camera)
    assert (camera.width_px, camera.height_px, camera.frame_rate_hz) == (64, 48, 30.0)


@pytest.mark.parametrize("rate_hz", [30.0, 60.0])
def test_delivers_at_the_end_of_exposure_and_transfer(rate_hz):
    camera, scene, clock = virtual(frame_rate_hz=rate_hz, exposure_s=0.01, transfer_s=0.007)
    for number in range(50):
        frame = camera.read(0.25)
        assert frame.number == number
        assert frame.time_s == pytest.approx(1000 + 0.005 + number / rate_hz, abs=1e-9)
        assert frame.received_s == clock.now_s()
        assert frame.received_s - frame.time_s == pytest.approx(0.005 + 0.007, abs=1e-9)
        assert frame.exposure_s == 0.01
        assert not frame.image.flags.writeable
        np.testing.assert_allclose(scene.pose_um, frame.time_s * STEP_UM_S, rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.0, 0.2), min_size=1, max_size=40),
    st.floats(0.0, 0.3),
    st.integers(0, 2**31),
)
def test_a_late_reader_gets_the_newest_frame_and_nothing_else_is_rendered(pauses_s, drop, seed):
    camera, scene, clock = virtual(drop_probability=drop, jitter_s=0.002, seed=seed)
    everything, _, _ = virtual(drop_probability=drop, jitter_s=0.002, seed=seed)
    truth: dict[int, float] = {}
    last = -1
    taken = 0
    for pause_s in pauses_s:
        clock.wait_until(clock.now_s() + pause_s)
        asked_s = clock.now_s()
        frame = camera.read(0.25)
        if frame is None:
            continue
        taken += 1
        assert frame.number > last
        while frame.number not in truth:
            other = everything.read(10.0)
            truth[other.number] = other.time_s
        # The same frames exist whoever reads them, and a newer one was not to be had.
        assert frame.time_s == truth[frame.number]
        delay_s = 0.005 / 2 + 0.008
        newer = [n for n, t in truth.items() if n > frame.number and t + delay_s <= asked_s]
        assert not newer
        last = frame.number
    assert len(scene.calls) == taken


def test_drops_are_gaps_in_the_stated_proportion():
    camera, _, clock = virtual(drop_probability=0.1, seed=3)
    numbers = [frame.number for _ in range(2000) if (frame := camera.read(1.0)) is not None]
    lost = numbers[-1] + 1 - len(numbers)
    assert lost / (numbers[-1] + 1) == pytest.approx(0.1, abs=0.02)
    assert clock.now_s() - 1000 == pytest.approx(numbers[-1] / 30, abs=0.05)


def test_jitter_moves_the_exposure_and_the_stamp_tells_it():
    camera, scene, _ = virtual(jitter_s=0.002, seed=1)
    stamps_s = np.array([camera.read(1.0).time_s for _ in range(400)])
    grid_s = np.arange(400) / 30
    deviation_s = stamps_s - 1000 - grid_s
    assert np.std(deviation_s) == pytest.approx(0.002, rel=0.1)
    assert np.ptp(deviation_s) <= 0.012 + 1e-9
    assert np.all(np.diff(stamps_s) > 0)
    assert [t for t, _ in scene.calls] == list(stamps_s)


def test_timeout_gives_none_and_loses_nothing():
    camera, scene, _ = virtual()
    assert camera.read(0.002) is None
    assert camera.read(0.002) is None
    assert not scene.calls
    assert camera.read(0.25).number == 0


def test_pipette_is_passed_on():
    clock = VirtualClock()
    scene = PoseScene()
    camera = SceneCamera(scene, moving_stage, lambda t: np.tile([1.0, 2.0, 3.0], (len(t), 1)),
                         clock=clock)  # fmt: skip
    camera.open()
    camera.read(1.0)
    np.testing.assert_array_equal(scene.tip_um, np.tile([1.0, 2.0, 3.0], (5, 1)))


def test_unplugged_camera_says_so_once_and_can_be_opened_again():
    camera, _, _ = virtual(vanish_after_s=0.2)
    assert [camera.read(0.25).number for _ in range(6)] == list(range(6))
    with pytest.raises(CameraError, match=r"^scene camera: was unplugged; plug it in"):
        camera.read(0.25)
    camera.close()
    camera.open()
    assert camera.read(0.25).number == 0


def test_misuse_is_one_clear_line():
    camera = SceneCamera(PoseScene(), moving_stage)
    with pytest.raises(CameraError, match="is not open; call open first"):
        camera.read(0.1)
    camera.close()
    camera.close()
    with pytest.raises(CameraError, match=r"exposure_s = 0.05; allowed is 0 to 1/frame_rate_hz"):
        SceneCameraSettings(frame_rate_hz=30.0, exposure_s=0.05)
    with pytest.raises(CameraError, match="drop_probability"):
        SceneCameraSettings(drop_probability=1.0)


def test_scene_of_wrong_shape_is_refused():
    class Wrong(PoseScene):
        def render(self, time_s, exposure_s, stage_um, pipette_um):
            return np.zeros((3, 3), np.uint8)

    camera = SceneCamera(Wrong(), moving_stage, clock=VirtualClock())
    camera.open()
    with pytest.raises(CameraError, match=r"the scene gave \(3, 3\) uint8"):
        camera.read(1.0)


def test_keeps_time_on_the_host_clock():
    clock = HostClock()
    camera = SceneCamera(PoseScene(), moving_stage, settings=SceneCameraSettings(60.0))
    camera.open()
    start_s = clock.now_s()
    frames = [frame for _ in range(24) if (frame := camera.read(0.25)) is not None]
    numbers = [frame.number for frame in frames]
    assert numbers == sorted(set(numbers))
    # Deadlines, not sleeps: lateness of one frame never adds to the next.
    lateness_s = [f.received_s - f.time_s - 0.005 / 2 - 0.008 for f in frames]
    assert min(lateness_s) >= 0
    assert float(np.median(lateness_s)) < 0.01
    assert frames[-1].time_s - start_s == pytest.approx(numbers[-1] / 60, abs=0.02)
