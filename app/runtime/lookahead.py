"""Detection of several frames at the same time, in the order of the frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from drivers.errors import CameraError
from drivers.types import Frame
from models.detector import Detector
from models.types import Perception


def detect_ahead(
    frames: Iterable[Frame], detector: Detector, workers: int
) -> Iterator[tuple[Frame, Perception]]:
    """Yield each frame with what the detector says of it.

    Off line, frames need not wait for each other: whole frames side by side use a processor's
    cores better than one frame on all of them, whose threads wait for the slowest at each layer.

    Parameters
    ----------
    frames : iterable of Frame
    detector : Detector
        Called from ``workers`` threads.
    workers : int
        1 detects in the calling thread.

    Raises
    ------
    CameraError
        Where ``frames`` does, after all frames before it.
    """
    if workers <= 1:
        for frame in frames:
            yield frame, detector.detect(frame.image)
        return
    pending: deque[tuple[Frame, Future[Perception]]] = deque()
    with ThreadPoolExecutor(workers, "sfcscope-detect") as pool:
        try:
            cut: CameraError | None = None
            try:
                for frame in frames:
                    pending.append((frame, pool.submit(detector.detect, frame.image)))
                    if len(pending) > workers:
                        done, found = pending.popleft()
                        yield done, found.result()
            except CameraError as error:
                cut = error
            while pending:
                done, found = pending.popleft()
                yield done, found.result()
            if cut is not None:
                raise cut
        finally:
            for _, found in pending:
                found.cancel()
