"""Where the workers under test report."""

from __future__ import annotations

import threading


class Board:
    """Collects what workers report."""

    def __init__(self) -> None:
        self.faults: dict[str, str] = {}
        self.told: list[str] = []
        self.news = threading.Event()

    def fault(self, source: str, error: Exception | str) -> None:
        self.faults[source] = str(error)
        self.news.set()

    def clear(self, source: str) -> None:
        self.faults.pop(source, None)
        self.news.set()

    def tell(self, text: str, severity: str = "info", **details: str) -> None:
        self.told.append(text)
