"""How threads hand things over: the newest one, or every one."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Latest(Generic[Item]):
    """A box for one item. A newer one replaces an older one that nobody took, and is counted.

    Parameters
    ----------
    wake : threading.Event or None
        Set on every ``put``: lets one thread wait for several boxes.
    """

    def __init__(self, wake: threading.Event | None = None) -> None:
        self._wake = wake
        self._filled = threading.Condition(threading.Lock())
        self._item: Item | None = None
        self._replaced = 0

    @property
    def replaced(self) -> int:
        """Items that were replaced before anybody took them."""
        return self._replaced

    def put(self, item: Item) -> None:
        """Leave ``item``; never blocks."""
        with self._filled:
            if self._item is not None:
                self._replaced += 1
            self._item = item
            self._filled.notify()
        if self._wake is not None:
            self._wake.set()

    def take(self, timeout_s: float = 0.0) -> Item | None:
        """Take the newest item, waiting for at most ``timeout_s``; None when none came."""
        with self._filled:
            if self._item is None and timeout_s > 0:
                self._filled.wait(timeout_s)
            item, self._item = self._item, None
            return item


class Inbox(Generic[Item]):
    """Everything that was put, in order. What was left before a Stop is void once that has come."""

    def __init__(self, wake: threading.Event | None = None) -> None:
        self._wake = wake
        self._items: deque[Item] = deque()  # append and popleft are atomic
        self._void: deque[Item] = deque()

    def put(self, item: Item) -> None:
        """Leave ``item``; never blocks."""
        self._items.append(item)
        if self._wake is not None:
            self._wake.set()

    def void(self) -> None:
        """Take back all that waits: nobody will obey it any more. Never blocks."""
        while (item := self.take()) is not None:
            self._void.append(item)

    def take(self) -> Item | None:
        """Take the oldest item; None when none waits. Never blocks.

        One at a time: what a Stop makes void while the one before is obeyed is never taken.
        """
        try:
            return self._items.popleft()
        except IndexError:
            return None

    def take_void(self) -> list[Item]:
        """Take what was void, oldest first: somebody has to be told. Never blocks."""
        items: list[Item] = []
        while self._void:
            items.append(self._void.popleft())
        return items

    def __len__(self) -> int:
        return len(self._items)
