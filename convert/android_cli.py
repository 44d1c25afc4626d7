"""`leukolite export-android`."""

from pathlib import Path

import click

from leukolite.options import BundlePath, force_option
from leukolite.outputs import check_outputs
from leukolite.terminal import Command, stdout
from leukolite.wording import count


@click.command("export-android", cls=Command)
@click.argument("bundle", type=BundlePath())
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write.")
@click.option("--zip", "zip_path", type=click.Path(path_type=Path), help="Write the same files as one archive too.")
@force_option
def export_android(bundle: Path, out: Path, zip_path: Path | None, force: bool) -> None:
    """Write a BUNDLE's Android assets, Kotlin sources and test.

    BUNDLE is a folder, a zip or a shipped bundle's name. The model gets TFLite metadata, so that MediaPipe reads it; the
    Kotlin makes of the same pixels the same verdict as `edge-run`. The same bundle gives the same archive, byte for byte.

    \b
    Example:
      leukolite export-android mobilenet_m-taleqani --out android/ --zip android.zip
    """
    if zip_path is not None and zip_path.resolve().is_relative_to(out.resolve()):
        raise click.BadParameter(f"expected a file outside {out}, found {zip_path}", param_hint="--zip")
    from leukolite.bundle import MANIFEST
    from leukolite.convert.android import ASSETS, check_place
    from leukolite.convert.android import export_android as export
    from leukolite.shipped import open_bundle

    check_place(out, force)
    check_outputs(files=[zip_path], folders={out: f"{ASSETS}/{MANIFEST}"}, inputs=[bundle], force=force)
    result = export(open_bundle(bundle), out, zip_path, force=force)
    console = stdout()
    console.print(f"{out}: {result.manifest.name}, classifies one {result.manifest.unit}")
    console.print(f"  model sha256 {result.manifest.model_sha256}")
    console.print(f"  bundle sha256 {result.sha256}")
    for name, content in sorted(result.files.items()):
        console.print(f"  {name}  {count(len(content), 'byte')}")
    if zip_path is not None:
        console.print(f"{zip_path}: {count(zip_path.stat().st_size, 'byte')}")
