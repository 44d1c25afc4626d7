"""Image folders and single images as sources, in the order of their names."""

import time
from collections.abc import Sequence
from pathlib import Path

from leukolite.class_folders import truths
from leukolite.clock import Clock
from leukolite.edge.camera.boundary import failure_of
from leukolite.edge.camera.source import Gap, Items, Note, timed_frame
from leukolite.errors import ImageError, SourceError, reason_of
from leukolite.file_kinds import ENDINGS, why_skipped
from leukolite.image_files import NAMED, Unusable, by_kind_of_file, list_images, without_second_names
from leukolite.images import read_rgb
from leukolite.wording import count


class ImageFolder:
    """The images below a folder, in the order of their names, or one image.

    Class folders are the truth of the images in them, see `leukolite.class_folders.truths`.

    Args:
        labels: of the model that will classify them.

    Raises:
        SourceError: `path` is a folder without images, or a file that is none.
    """

    live = False

    def __init__(self, path: Path, labels: Sequence[str] = (), *, clock: Clock = time.perf_counter_ns) -> None:
        self.name, self._clock = str(path), clock
        self._skipped: tuple[Unusable, ...] = ()
        if not path.is_dir():
            if (reason := why_skipped(path)) not in (None, "hidden"):
                raise SourceError(str(path), f"{reason}; expected an image ({ENDINGS}), a folder of images or a video")
            self._files: list[tuple[Path, str | None]] = [(path, None)]
        else:
            self._files = self._listed(path, labels)
        self.truths = tuple(sorted({truth for _, truth in self._files if truth is not None}))

    def frames(self) -> Items:
        """What lies there and is no picture is noted first. An image that cannot be read is a gap."""
        yield from self._notes()
        for index, (file, truth) in enumerate(self._files):
            started = self._clock()
            try:
                pixels = read_rgb(file)
            except ImageError as error:
                yield Gap(index, str(file), error.reason)
            except Exception as error:  # noqa: BLE001  # the other pictures are classified all the same
                yield Gap(index, str(file), failure_of("the decoder", error))
            else:
                yield timed_frame(pixels, index, started, self._clock(), str(file), truth)
                del pixels  # before the next are decoded: large ones would not fit twice

    def _listed(self, path: Path, labels: Sequence[str]) -> list[tuple[Path, str | None]]:
        try:
            listed = list_images(path)
        except OSError as error:
            raise SourceError(str(path), f"cannot be read ({reason_of(error)})") from error
        images, second = without_second_names(listed.images)
        self._skipped = (*listed.skipped, *second)
        if not images:
            found = f"found {by_kind_of_file(self._skipped)}" if self._skipped else "it is empty"
            raise SourceError(str(path), f"no image in this folder; expected {ENDINGS} files, {found}")
        known = truths(listed, labels)
        return [(image, known.get(image)) for image in images]

    def _notes(self) -> Items:
        """One per kind of skipped file, and all of that kind in it for the record."""
        kinds: dict[str, list[Unusable]] = {}
        for item in self._skipped:
            kinds.setdefault(item.kind, []).append(item)
        for kind, items in kinds.items():
            n = sum(item.files for item in items)
            named = ", ".join(str(item.path.relative_to(self.name)) for item in items[:NAMED])
            more = f" and {len(items) - NAMED:,} more" if len(items) > NAMED else ""
            yield Note(self.name, f"{count(n, 'file')} not classified, {kind}: {named}{more}", skipped=tuple(items))
