"""A recorded session's frames classified again, with what its own settings open."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from leukolite.edge.host.watchdog import RestartPolicy, open_watched_classifier
from leukolite.edge.journal.format import journal_files
from leukolite.edge.journal.records import manifest_sha256
from leukolite.edge.replay import Replay, check_replayable, replay
from leukolite.edge.run import open_first
from leukolite.edge.settings import first_record, open_frames, processing_of, settings_of
from leukolite.shipped import open_bundle
from leukolite.terminal import add_task, progress_bar


def repeat_session(folder: Path, bundle_path: Path | None, *, allow_cpu: bool) -> Replay:
    """Classify a recorded session's frames again.

    Args:
        folder: the session's.
        bundle_path: where its bundle is now; None: where it was.
        allow_cpu: let the CPU compute what the Edge TPU would not.

    Raises:
        LeukoliteError: it could not begin.
        JournalError: the session was recorded with another bundle, or its journal does not verify.
    """
    start = first_record(folder)
    settings = settings_of(start, bundle_path)
    options = settings.runtime.with_cpu(allow_cpu)
    settings = replace(settings, runtime=options)
    bundle = open_bundle(settings.bundle)
    reopen = partial(open_watched_classifier, bundle, options, answer_s=RestartPolicy().answer_s)
    classifier = open_first(reopen, options.name)
    check_replayable(folder, start, manifest_sha256(bundle.manifest))
    megabytes = sum(path.stat().st_size for path in journal_files(folder)) / 1e6
    with progress_bar() as bar:
        task = add_task(bar, "replaying, MB", megabytes)
        return replay(
            folder,
            classifier,
            lambda _: open_frames(settings, bundle),
            processing_of(settings, bundle),
            on_line=lambda length: bar.advance(task, length / 1e6),
        )
