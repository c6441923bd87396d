"""Emulated instruments as processes of their own, ended with the program that started them."""

from __future__ import annotations

import queue
import secrets
import tempfile
import threading
from typing import IO

from drivers.emulators.shared_pose import PoseReader
from drivers.errors import DeviceError
from drivers.process import end_process, start_module

START_S = 15.0


class EmulatorProcess:
    """One instrument's other end.

    It ends when its standard input closes: also when this process dies, however it dies.

    Parameters
    ----------
    kind : str
        'proscan' or 'mp285'.
    variant, fault, stands_at : str or None
        As ``python -m drivers.emulators.serve`` takes them.

    Raises
    ------
    DeviceError
        It did not become ready; the message carries what it said.
    """

    def __init__(
        self,
        kind: str,
        variant: str | None = None,
        fault: str | None = None,
        stands_at: str | None = None,
    ) -> None:
        self.kind = kind
        self.memory = f"sfcscope-{secrets.token_hex(6)}"
        arguments = [kind, "--tcp", "127.0.0.1:0", "--pose-memory", self.memory]
        for name, value in (
            ("--variant", variant), ("--fault", fault), ("--stands-at", stands_at),
        ):  # fmt: skip
            arguments += [f"{name}={value}"] if value else []
        self._complaints: IO[bytes] = tempfile.TemporaryFile()
        self._process = start_module("drivers.emulators.serve", arguments, self._complaints)
        try:
            self.url = self._await_ready()
        except DeviceError:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def reader(self) -> PoseReader:
        """Return a new reader of the true path: one per thread."""
        return PoseReader(self.memory)

    def close(self) -> None:
        """Let it end; safe to call twice."""
        end_process(self._process)
        self._complaints.close()

    def _await_ready(self) -> str:
        """Wait for ``ready URL``, in a thread: a pipe has no time-out on Windows."""
        lines: queue.Queue[bytes] = queue.Queue()
        output = self._process.stdout
        if output is None:
            raise DeviceError(self.kind, "the emulator has no output", "start again")
        reader = threading.Thread(target=lambda: lines.put(output.readline()), daemon=True)
        reader.start()
        try:
            line = lines.get(timeout=START_S).decode(errors="replace").strip()
        except queue.Empty:
            line = ""
        if line.startswith("ready "):
            return line.split()[1]
        self._process.kill()
        self._process.wait()
        self._complaints.seek(0)
        said = self._complaints.read().decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else "it said nothing"
        raise DeviceError(f"{self.kind} emulator", f"did not start: {reason}", "see the rig file")
