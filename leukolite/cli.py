"""The `leukolite` command. Each part of the house brings its own commands; they are imported when they are called."""

import click

from leukolite import __version__
from leukolite.terminal import LazyGroup
from leukolite.wording import RESEARCH_USE

COMMANDS = {
    "throughput": "leukolite.benchmarks.cli:throughput",
    "train": "leukolite.train.cli:train",
    "convert": "leukolite.convert.cli:convert",
    "convert-keras": "leukolite.convert.cli:convert_keras",
    "calibration-study": "leukolite.convert.study_cli:calibration_study",
    "debug-quantisation": "leukolite.convert.debugger_cli:debug_quantisation",
    "export-android": "leukolite.convert.android_cli:export_android",
    "evaluate": "leukolite.benchmarks.cli:evaluate",
    "overhead": "leukolite.benchmarks.cli:overhead",
    "data": "leukolite.train.survey_cli:data",
    "reproduce": "leukolite.benchmarks.reproduce_cli:reproduce",
    "soak": "leukolite.benchmarks.soak_cli:command",
    "locating": "leukolite.benchmarks.locating_cli:locating",
    "journal": "leukolite.edge.journal_cli:journal",
    "info": "leukolite.info:info",
    "bundles": "leukolite.info:bundles",
    "variants": "leukolite.benchmarks.variants_cli:variants",
    "synthetic": "leukolite.train.cli:synthetic",
}


@click.group(
    cls=LazyGroup,
    commands_at=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"{RESEARCH_USE}",
)
@click.version_option(__version__, prog_name="leukolite")
def main() -> None:
    """Train, convert and measure leukaemia classifiers for small machines.

    `edge-run` runs them beside a microscope.

    \b
    Example:
      leukolite train mobilenet_m --data taleqani --out runs/m --weights imagenet
      leukolite convert runs/m --out bundles/m
      leukolite evaluate bundles/m --data taleqani --unseen --noise 0,10
      edge-run --bundle bundles/m --source slides/
    """
