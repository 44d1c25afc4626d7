"""Takes the picture in docs/how-to/live-page.md: python tests/edge/page/portrait.py docs/how-to/live-page.png"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "helpers"))
from chromium import Chromium

RUN = [sys.executable, "-c", "from leukolite.edge.cli import main; main()", "--bundle", "synthetic-cells"]
RUN += ["--camera", "synthetic:2", "--cells", "many", "--serve", "0", "--quiet"]


def portrait(url: str, *, width: int, height: int, mobile: bool) -> np.ndarray:
    with tempfile.TemporaryDirectory() as profile, Chromium(Path(profile), width=width, height=height, mobile=mobile) as chromium:
        chromium.open(url)
        chromium.wait(lambda: chromium.text("#state") == "running", "running")
        time.sleep(15)  # a screenful of verdicts
        return cv2.imdecode(np.frombuffer(chromium.screenshot(), np.uint8), cv2.IMREAD_COLOR)


def main(place: Path) -> None:
    """A desktop's and a telephone's view, beside one another."""
    with subprocess.Popen(RUN, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as runner:
        url = runner.stderr.readline().removeprefix("live page: ").strip()
        wide = portrait(url, width=1280, height=900, mobile=False)
        narrow = portrait(url, width=390, height=844, mobile=True)
        runner.terminate()
    narrow = cv2.resize(
        narrow, (round(narrow.shape[1] * wide.shape[0] / narrow.shape[0]), wide.shape[0]), interpolation=cv2.INTER_AREA
    )
    cv2.imwrite(str(place), np.hstack([wide, np.full((wide.shape[0], 24, 3), 160, np.uint8), narrow]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
