"""An instrument on a line that spoils exactly what a test wants spoilt."""

from __future__ import annotations

from drivers.emulators.instrument import Instrument
from drivers.emulators.plant import Plant


class Garbled:
    """An Instrument that hears, and is heard, with words replaced.

    Each replacement happens as often as its count says. Whole writes and whole replies are
    compared, so a word may be a part of either.
    """

    def __init__(
        self,
        inner: Instrument,
        heard: dict[bytes, tuple[bytes, int]] | None = None,
        said: dict[bytes, tuple[bytes, int]] | None = None,
    ) -> None:
        self.inner = inner
        self.heard = dict(heard or {})
        self.said = dict(said or {})

    @property
    def plant(self) -> Plant:
        return self.inner.plant

    @property
    def baud(self) -> int:
        return self.inner.baud

    @property
    def acknowledgement(self) -> bytes:
        return self.inner.acknowledgement

    def receive(self, data: bytes, now_s: float) -> None:
        self.inner.receive(_replaced(data, self.heard), now_s)

    def take_output(self, now_s: float) -> bytes:
        return _replaced(self.inner.take_output(now_s), self.said)

    def next_event_s(self, now_s: float) -> float:
        return self.inner.next_event_s(now_s)

    def switch_off(self, now_s: float) -> None:
        self.inner.switch_off(now_s)

    def switch_on(self, now_s: float) -> None:
        self.inner.switch_on(now_s)

    def framing_error(self, now_s: float) -> None:
        self.inner.framing_error(now_s)

    def touch(self, um: float, now_s: float) -> None:
        self.inner.touch(um, now_s)


def _replaced(data: bytes, words: dict[bytes, tuple[bytes, int]]) -> bytes:
    for word, (other, count) in list(words.items()):
        if count and word in data:
            data = data.replace(word, other)
            words[word] = (other, count - 1)
    return data
