"""What is left of a source for a session that is resumed."""

from contextlib import closing

from leukolite.edge.camera.source import Arriving, FrameSource, Items, Note
from leukolite.errors import SourceError
from leukolite.wording import count


class NothingLeft(SourceError):
    """Every frame was classified before the session was resumed."""


class RemainingFrames:
    """A folder, video or on-demand camera from where a resumed session left off; its frames are not counted twice."""

    live = False

    def __init__(self, source: FrameSource, first_index: int) -> None:
        self.name, self.truths = source.name, source.truths
        self._source, self._first_index = source, first_index

    def frames(self) -> Items:
        """Raises: NothingLeft."""
        is_done = True
        with closing(self._source.frames()) as items:
            for item in items:
                if isinstance(item, Note | Arriving) or item.index >= self._first_index:
                    is_done = is_done and isinstance(item, Note | Arriving)
                    yield item
                del item  # see `checked_items`
        if is_done:
            raise NothingLeft(
                self.name, f"nothing is left: its {count(self._first_index, 'frame')} came before the session was resumed"
            )
