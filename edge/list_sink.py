"""A sink that keeps every event in a list: for Python programs that want a session's results at hand, and for trying things."""

from leukolite.edge.camera.source import Gap, Note
from leukolite.edge.events import Event, FrameResult, SessionEnd
from leukolite.edge.host.health import Health


class ListSink:
    """A `Sink` that keeps the events as they are, pixels and all: memory grows with the session.

    Attributes:
        events: in their order.
        closed: how often it was closed; the pipeline does so once.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.closed = 0

    def take(self, event: Event) -> None:
        """Raises: ValueError, once the sink is closed."""
        if self.closed:
            raise ValueError("the sink is closed")
        self.events.append(event)

    def close(self) -> None:
        self.closed += 1

    @property
    def results(self) -> list[FrameResult]:
        """Of the frames that were available."""
        return [event for event in self.events if isinstance(event, FrameResult)]

    @property
    def gaps(self) -> list[Gap]:
        return [event for event in self.events if isinstance(event, Gap)]

    @property
    def notes(self) -> list[Note]:
        return [event for event in self.events if isinstance(event, Note)]

    @property
    def health(self) -> list[Health]:
        """Readings whose conditions were others than before."""
        return [event for event in self.events if isinstance(event, Health)]

    @property
    def end(self) -> SessionEnd | None:
        """How the session ended; None while it runs."""
        return next((event for event in self.events if isinstance(event, SessionEnd)), None)
