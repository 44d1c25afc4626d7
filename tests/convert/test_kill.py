"""A conversion killed at any moment leaves the old bundle or the new one, whole."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from leukolite.bundle import Bundle

WRITES = """
import sys
from dataclasses import replace
from pathlib import Path
from leukolite.bundle import Bundle, write_bundle
bundle = Bundle.load(Path(sys.argv[1]))
print("ready", flush=True)
for i in range(100_000):
    manifest = bundle.manifest.model_copy(update={"name": f"round-{i}"})
    write_bundle(Path(sys.argv[2]), manifest, bundle.model, bundle.golden, f"# round-{i}", force=True)
"""
KILLS = 12


@pytest.mark.long
def test_a_kill_while_bundles_are_written_leaves_one_that_is_whole(tiny_bundle, tmp_path):
    place = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, place)
    names = set()
    for i in range(KILLS):
        child = subprocess.Popen([sys.executable, "-c", WRITES, str(tiny_bundle), str(place)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.02 + 0.017 * i)  # somewhere among the writes
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        bundle = Bundle.load(place)  # proves schema, hash, labels and golden arrays
        names.add(bundle.manifest.name)
        if bundle.manifest.name != "tiny":
            assert (place / "README.md").read_text() == f"# {bundle.manifest.name}", "one bundle's files, not those of two"
    assert len(names) > 1, "not one write ended before the kill"
