"""Image folders and single images as sources, in the order of their names."""

import time
from pathlib import Path

from leukolite.clock import Clock
from leukolite.edge.camera.source import Gap, Items, timed_frame
from leukolite.errors import ImageError, SourceError
from leukolite.images import is_image_name, read_rgb


class ImageFolder:
    """The images below a folder, in the order of their names, or one image.

    Class folders right below `path` are the truth of the images in them.

    Raises:
        SourceError: `path` is a folder without images.
    """

    live = False

    def __init__(self, path: Path, *, clock: Clock = time.perf_counter_ns) -> None:
        self.name, self._clock = str(path), clock
        if path.is_file():
            self._files: list[tuple[Path, str | None]] = [(path, None)]
        else:
            found = sorted(file for file in path.rglob("*") if is_image_name(file) and file.is_file())
            self._files = [(file, _class_folder(path, file)) for file in found]
            if not self._files:
                raise SourceError(str(path), "no image in this folder; expected .jpg, .png, .tif, .bmp or .webp files")
        self.truths = tuple(sorted({truth for _, truth in self._files if truth is not None}))

    def frames(self) -> Items:
        """An image that cannot be read is a gap."""
        for index, (file, truth) in enumerate(self._files):
            started = self._clock()
            try:
                pixels = read_rgb(file)
            except ImageError as error:
                yield Gap(index, str(file), error.reason)
            else:
                yield timed_frame(pixels, index, started, self._clock(), str(file), truth)


def _class_folder(root: Path, file: Path) -> str | None:
    parts = file.relative_to(root).parts
    return parts[0] if len(parts) > 1 else None
