"""How another thread or a signal handler steers a session."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Control:
    """Pause, go on, change the slide and stop, from any thread or signal handler (no lock that a handler could wait for)."""

    def __init__(self) -> None:
        self._paused = False
        self._slides: deque[str] = deque()
        self._stopped_by: str | None = None
        self._in_hand = False

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    def begin_slide(self, slide: str) -> None:
        """Another slide lies under the lens, by its salted id: frames captured before are not its."""
        self._slides.append(slide)

    def next_slide(self) -> str | None:
        """A slide that was begun and not yet asked for; None without any."""
        return self._slides.popleft() if self._slides else None

    def stop(self, by: str) -> None:
        """End the session after the frame in hand. `by` says who asked, as 'SIGTERM' or 'the user'; the first one counts."""
        if self._stopped_by is None:
            self._stopped_by = by

    @contextmanager
    def in_hand(self) -> Iterator[None]:
        """What is done within the block loses nothing but itself when it is given up: a frame is waited for, or classified."""
        self._in_hand = True
        try:
            yield
        finally:
            self._in_hand = False

    def give_up(self) -> bool:
        """Whether what is done now may be interrupted; once, for who then does it."""
        was_in_hand, self._in_hand = self._in_hand, False
        return was_in_hand

    @property
    def paused(self) -> bool:
        return self._paused

    @property
    def stopped_by(self) -> str | None:
        return self._stopped_by
