"""Works notes off beside the loop, so that they never pile up."""

from __future__ import annotations

from collections.abc import Callable

from app.runtime.worker import Board, Worker

DIGEST_S = 1.0


class Digest(Worker):
    """Works off, once a second, what the loop has only noted.

    Parameters
    ----------
    role : str
        Of the thread.
    digest : callable
        Works off; may be called by other threads too.
    """

    def __init__(self, role: str, digest: Callable[[], object], board: Board) -> None:
        super().__init__(role, board)
        self._digest = digest

    def step(self) -> None:
        """Wait, and work off."""
        self.stopping.wait(DIGEST_S)
        self._digest()
