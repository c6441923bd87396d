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
    """Everything that was put, in order; what is urgent comes first. Loses nothing."""

    def __init__(self, wake: threading.Event | None = None) -> None:
        self._wake = wake
        self._items: deque[Item] = deque()  # append and popleft are atomic

    def put(self, item: Item, *, urgent: bool = False) -> None:
        """Leave ``item``; never blocks."""
        if urgent:
            self._items.appendleft(item)
        else:
            self._items.append(item)
        if self._wake is not None:
            self._wake.set()

    def take_all(self) -> list[Item]:
        """Take what is there, oldest first after the urgent ones; never blocks."""
        items: list[Item] = []
        while True:
            try:
                items.append(self._items.popleft())
            except IndexError:
                return items

    def __len__(self) -> int:
        return len(self._items)
