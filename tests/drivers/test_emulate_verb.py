"""The verb emulate serves a foreign client, as the README says, until it is ended."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from urllib.parse import urlsplit

import pytest


@pytest.mark.parametrize("as_json", [False, True])
def test_the_verb_serves_a_foreign_client(as_json: bool) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "app.cli", "emulate", "proscan", "--tcp", "127.0.0.1:0"),
            *("--baud", "9600"),
            *(["--json"] if as_json else []),
        ],
        stdin=subprocess.DEVNULL,  # as under a service: no input does not mean the end
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline().strip()
        if as_json:
            told = json.loads(ready)
            assert told["baud"] == 9600
            where = urlsplit(told["endpoint"])
        else:
            assert ready.startswith("ready socket://127.0.0.1:")
            assert ready.endswith(" 9600 baud 8N1, no flow control")
            where = urlsplit(ready.split()[1])
        with socket.create_connection((where.hostname, where.port), 10.0) as client:
            client.settimeout(10.0)
            client.sendall(b"VERSION\r")
            assert client.recv(64).strip()
    finally:
        process.terminate()
        process.wait(10.0)
        if process.stdout is not None:
            process.stdout.close()
