"""Decoding and the network overlap: the next pictures of a folder or video are read while this one is classified."""

import threading
import time
from collections import deque
from contextlib import closing
from dataclasses import replace

from leukolite.clock import Clock
from leukolite.edge.camera.source import LARGE_BYTES, Arriving, Frame, FrameSource, Gap, Items, Note

MOST_AHEAD = 3  # pictures are read before they are asked for, at most
ENDS_WITHIN_S = 2.0  # how long a picture in the making is waited for; a drive that hangs is left behind


class ReadAhead:
    """A source on demand, whose next frames are read and decoded in a thread of their own.

    Order, gaps, errors and `capture_ms` are the source's own. `captured_at` is when a frame is handed over to be classified: a
    picture that waits here grows no older, as it did not on the disk.

    Raises:
        ValueError: `source` is live; of a camera only the newest frame counts.
    """

    live = False

    def __init__(self, source: FrameSource, *, clock: Clock = time.perf_counter_ns) -> None:
        if source.live:
            raise ValueError(f"{source.name} is live: its frames would be old when their turn comes")
        self.name, self.truths = source.name, source.truths
        self._source, self._clock = source, clock

    def frames(self) -> Items:
        """Closing the generator ends the thread, and closes the source there."""
        reader = _Reader(self._source)
        try:
            while (item := reader.get()) is not None:
                yield replace(item, captured_at=self._clock()) if isinstance(item, Frame) else item
                del item  # see `checked_items`
        finally:
            reader.close()


class _Reader:
    """Reads a source in a thread until it ends or `close` is called; a few of its items wait."""

    def __init__(self, source: FrameSource) -> None:
        self._changed = threading.Condition()
        self._items: deque[Frame | Gap | Note | Arriving] = deque()
        self._given_bytes = 0  # of the picture that was taken last, until the next is asked for
        self._closing = self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, args=(source,), name=f"read ahead {source.name}", daemon=True)
        self._thread.start()

    def get(self) -> Frame | Gap | Note | Arriving | None:
        """The next item; None after the last. Raises: what the source raised, after all that came before."""
        with self._changed:
            self._given_bytes = 0
            self._changed.notify()
            self._changed.wait_for(lambda: self._items or self._ended)
            if self._items:
                item = self._items.popleft()
                self._given_bytes = _bytes_of(item)
                self._changed.notify()
                return item
        if self._error is not None:
            raise self._error
        return None

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(ENDS_WITHIN_S)

    def _read(self, source: FrameSource) -> None:
        error: BaseException | None = None
        try:
            with closing(source.frames()) as items:
                while self._has_room() and (item := next(items, None)) is not None:
                    with self._changed:
                        self._items.append(item)
                        self._changed.notify()
                    del item
        except BaseException as caught:  # noqa: BLE001  # raised again where it is seen, by `get`
            error = caught
        with self._changed:
            self._error, self._ended = error, True
            self._changed.notify()

    def _has_room(self) -> bool:
        """Wait until the next item may be read; False where none is wanted any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._is_short())
            return not self._closing

    def _is_short(self) -> bool:
        held = self._given_bytes + sum(map(_bytes_of, self._items))
        return len(self._items) < MOST_AHEAD and held < LARGE_BYTES  # of large scans none is read ahead


def _bytes_of(item: Frame | Gap | Note | Arriving) -> int:
    return item.pixels.nbytes if isinstance(item, Frame) else 0
