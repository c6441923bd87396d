"""What all tests share: where the real recordings are, and no thread left behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """What the tests that are marked ``hardware`` need."""
    group = parser.getgroup("hardware", "tests on a real rig: -m hardware --rig FILE")
    group.addoption("--rig", help="rig file; without it the tests marked hardware are skipped")
    group.addoption("--confirm", help="name of who stands beside the rig: nobody is asked then")
    group.addoption(
        "--confirm-full-speed", metavar="NAME", help="the same, for the ride at the top speed"
    )
    group.addoption("--report", help="file for the commissioning report, default beside the rig's")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a rig nothing that is marked ``hardware`` runs."""
    if config.getoption("--rig"):
        return
    for item in items:
        if item.get_closest_marker("hardware"):
            item.add_marker(pytest.mark.skip(reason="needs a rig: -m hardware --rig FILE"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real recordings; skips, and says so, where it is absent."""
    folder = Path(os.environ.get("SFCSCOPE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real recordings at {folder}; set SFCSCOPE_DATA")
    return folder


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> Iterator[None]:
    """Fail a test that leaves one of our threads running."""
    before = set(threading.enumerate())
    yield
    deadline_s = 2.0
    for thread in set(threading.enumerate()) - before:
        if thread.daemon and not thread.name.startswith("sfcscope"):
            continue  # a library's own pool
        thread.join(deadline_s)
        if thread.is_alive():
            pytest.fail(f"thread {thread.name!r} is still running")
