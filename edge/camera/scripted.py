"""A camera that follows a script, to try what a session does when frames, gaps and faults come: no hardware is needed."""

from collections.abc import Callable, Iterable

from leukolite.edge.camera.source import Frame, Gap, Items, Note

Scripted = Frame | Gap | Note | BaseException | Callable[[], object]


class ScriptedCamera:
    """A `FrameSource` that gives the items of a list.

    A frame, gap or note is given; an exception is raised in its turn, as `SourceError` for a camera that is lost; a function is
    called, and as long as it does not return the camera hangs, as with `threading.Event().wait`.

    Args:
        openings: one list per call of `frames`, the last one for all further calls; they may be generators.
        name, truths, live: see `FrameSource`.

    Attributes:
        opened, closed: how often it was.
        overlaps: how often it was opened while it was open, which a device would not bear.
    """

    def __init__(
        self, *openings: Iterable[Scripted], name: str = "scripted", truths: tuple[str, ...] = (), live: bool = False
    ) -> None:
        if not openings:
            raise ValueError("a scripted camera needs one list of items at least")
        self.name, self.truths, self.live = name, truths, live
        self.opened = self.closed = self.overlaps = 0
        self._openings = openings

    def frames(self) -> Items:
        """The next opening's items. Raises: what stands among them."""
        items = self._openings[min(self.opened, len(self._openings) - 1)]
        self.overlaps += self.opened > self.closed
        self.opened += 1
        try:
            for item in items:
                if isinstance(item, BaseException):
                    raise item
                if callable(item):
                    item()
                else:
                    yield item
        finally:
            self.closed += 1
