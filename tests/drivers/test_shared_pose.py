"""The true path, from one process to another."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid

import numpy as np
import pytest

from drivers.emulators.plant import PlantSample
from drivers.emulators.shared_pose import PosePublisher, PoseReader
from drivers.errors import DeviceError


@pytest.fixture
def name():
    return f"sfcscope_{uuid.uuid4().hex[:12]}"


def sample(time_s: float, x_um: float, vx: float = 0.0) -> PlantSample:
    return PlantSample(time_s, (x_um, 2 * x_um, -x_um), (vx, 2 * vx, -vx))


def test_interpolates_holds_at_rest_and_continues_for_a_moment(name):
    publisher = PosePublisher(name)
    reader = PoseReader(name)
    with pytest.raises(DeviceError, match="is empty"):
        reader.latest()
    publisher.publish([sample(1.0, 0.0), sample(1.0, 99.0), sample(2.0, 10.0)])
    at = reader.at(np.array([0.5, 1.0, 1.25, 2.0, 7.0]))
    assert at[:, 0] == pytest.approx([0.0, 0.0, 2.5, 10.0, 10.0])
    assert at[:, 1] == pytest.approx([0.0, 0.0, 5.0, 20.0, 20.0])
    publisher.publish([sample(3.0, 20.0, 100.0)])
    assert reader.at(np.array([3.01, 3.05, 9.0]))[:, 0] == pytest.approx([21.0, 25.0, 25.0])
    time_s, position_um, velocity_um_s = reader.latest()
    assert time_s == 3.0
    assert position_um == pytest.approx([20.0, 40.0, -20.0])
    assert velocity_um_s == pytest.approx([100.0, 200.0, -100.0])
    reader.close()
    publisher.close()


def test_the_ring_forgets_the_oldest(name):
    publisher = PosePublisher(name, capacity=8)
    reader = PoseReader(name)
    publisher.publish(sample(float(k), float(k)) for k in range(100))
    path = reader.path()
    assert path[-1, 0] == 99.0
    assert 6 <= len(path) <= 8
    assert np.all(np.diff(path[:, 0]) == 1.0)
    reader.close()
    publisher.close()


def test_a_reader_never_sees_half_a_row(name):
    publisher = PosePublisher(name, capacity=16)
    reader = PoseReader(name)
    publisher.publish([sample(0.0, 0.0)])
    done = threading.Event()

    def write() -> None:
        for k in range(1, 40_000):
            publisher.publish([sample(float(k), float(k))])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        path = reader.path()
        assert np.all(path[:, 1] == path[:, 0])
        assert np.all(path[:, 3] == -path[:, 0])
        assert np.all(np.diff(path[:, 0]) == 1.0)
    writer.join()
    reader.close()
    publisher.close()


def test_a_reader_process_neither_removes_the_memory_nor_warns(name):
    publisher = PosePublisher(name)
    publisher.publish([sample(1.0, 5.0)])
    program = (
        "import sys; from drivers.emulators.shared_pose import PoseReader\n"
        "r = PoseReader(sys.argv[1]); print(r.latest()[1][0])"
    )
    for _ in range(2):
        child = subprocess.run(
            [sys.executable, "-W", "error", "-c", program, name],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert child.stdout.strip() == b"5.0"
        assert child.stderr == b""
    reader = PoseReader(name)
    reader.close()
    publisher.close()
    with pytest.raises(DeviceError, match="is not there; start the emulator first"):
        PoseReader(name)


def test_two_publishers_cannot_share_a_name(name):
    publisher = PosePublisher(name)
    with pytest.raises(DeviceError, match="exists already"):
        PosePublisher(name)
    publisher.close()
