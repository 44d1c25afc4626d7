"""What a file holds, by its name and its first bytes, without decoding it: a picture to try, or what else it is."""

import errno
import os
import re
import stat
from pathlib import Path

from leukolite.errors import reason_of

SUFFIXES = frozenset({".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
ENDINGS = ", ".join(sorted(SUFFIXES))  # for people
FIRST_BYTES = 512  # where every kind below shows itself

TRIED = frozenset({"BMP", "GIF", "JPEG", "PNG", "TIFF", "WebP"})  # contents that the decoder takes, or refuses with its reason
_SAVE = "save it as PNG or TIFF"
_EXPORT = "export the fields wanted as PNG or TIFF"
VIDEO = "video; give it by itself"
_KINDS = {  # what it is, and what to do -> endings; the first bytes overrule these, but for those of KEEP_THEIR_KIND
    f"HEIC picture; {_SAVE}": "heic heif heics heifs hif",
    f"AVIF picture; {_SAVE}": "avif avifs",
    f"JPEG 2000 picture; {_SAVE}": "jp2 j2k j2c jpc jpf jpx jpm jph jhc mj2",
    f"JPEG XL picture; {_SAVE}": "jxl",
    f"JPEG XR picture; {_SAVE}": "jxr wdp hdp",
    f"DICOM file; {_EXPORT}": "dcm dicom dic",
    f"whole-slide image; {_EXPORT}": (
        "svs svslide ndpi ndpis mrxs vms vmu scn bif qptiff vsi czi zvi lif nd2 oib oif oir lsm ims isyntax i2syntax kfb sdpc"
        " tmap tron afi dzi szi"
    ),
    f"raw camera file; {_SAVE}": (
        "3fr ari arw bay braw cap cr2 cr3 crw dcr dcs dng drf eip erf fff gpr iiq k25 kdc mdc mef mos mrw nef nrw obm orf pef ptx"
        " pxn r3d raf raw rw2 rwl rwz sr2 srf srw x3f"
    ),
    f"layered picture; {_SAVE}": "psd psb xcf kra afphoto pdn clip procreate",
    f"vector drawing; {_SAVE}": "svg svgz ai eps ps emf wmf cdr",
    "PDF; export its pictures as PNG or TIFF": "pdf",
    VIDEO: (
        "264 265 3g2 3gp asf avi divx dv f4v flv h264 h265 hevc ivf m1v m2t m2ts m2v m4v mjpeg mjpg mkv mov mp4 mpe mpeg mpg mts"
        " mxf nut ogm ogv ts vob webm wmv y4m"
    ),
    "archive; unpack it": "7z bz2 gz rar tar tgz xz zip zst",
    "array; save its pictures as PNG or TIFF": "h5 hdf5 mat nii npy npz pkl pt tfrecord tfrecords parquet",
    "thumbnail of the camera": "thm",
    "backup or an unfinished copy": "bak backup crdownload download old orig part partial swp tmp",
    "shortcut of Windows": "lnk url webloc",
}
_BY_SUFFIX = {f".{ending}": kind for kind, endings in _KINDS.items() for ending in endings.split()}
VIDEO_SUFFIXES = frozenset(suffix for suffix, kind in _BY_SUFFIX.items() if kind == VIDEO)
_KEEP_THEIR_KIND = ("whole-slide", "raw camera", "backup", "thumbnail")  # may begin like a JPEG or TIFF and are none
_BRANDS = {  # of the ISO base media file format, bytes 8 to 12 after `ftyp`
    f"HEIC picture; {_SAVE}": b"heic heix heim heis hevc hevx hevm hevs mif1 msf1",
    f"AVIF picture; {_SAVE}": b"avif avis",
    f"raw camera file; {_SAVE}": b"crx ",
    f"JPEG 2000 picture; {_SAVE}": b"jp2  jpx  jpm  mjp2",
}
_BY_BRAND = {brand.ljust(4): kind for kind, brands in _BRANDS.items() for brand in brands.split()}
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    *((magic, "TIFF") for magic in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    (b"\0\0\0\x0cjP  ", f"JPEG 2000 picture; {_SAVE}"),
    (b"\xff\x4f\xff\x51", f"JPEG 2000 picture; {_SAVE}"),
    (b"\0\0\0\x0cJXL ", f"JPEG XL picture; {_SAVE}"),
    (b"\xff\x0a", f"JPEG XL picture; {_SAVE}"),
    (b"II\xbc\x01", f"JPEG XR picture; {_SAVE}"),
    *((magic, f"raw camera file; {_SAVE}") for magic in (b"FUJIFILMCCD-RAW", b"IIRO", b"IIU\0", b"FOVb", b"\0MRM")),
    (b"8BPS", f"layered picture; {_SAVE}"),
    (b"gimp xcf", f"layered picture; {_SAVE}"),
    (b"%PDF", "PDF; export its pictures as PNG or TIFF"),
    (b"%!PS", f"vector drawing; {_SAVE}"),
    *((magic, VIDEO) for magic in (b"\x1a\x45\xdf\xa3", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"FLV\x01")),
    *((magic, "archive; unpack it") for magic in (b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"\xfd7zXZ", b"BZh")),
    (b"\x89HDF", "array; save its pictures as PNG or TIFF"),
    (b"\x93NUMPY", "array; save its pictures as PNG or TIFF"),
    (b"version https://git-lfs", "pointer of Git LFS; fetch the file itself"),
    (b"\0\x05\x16\x07", "resource fork of macOS"),
    (b"\0\x05\x16\0", "resource fork of macOS"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Office or thumbnail file"),
)
_MARKUP = re.compile(rb"^(\xef\xbb\xbf)?\s*<(!doctype\s+html|html|head|\?xml|svg)", re.IGNORECASE)
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}  # bytes; `BM` alone begins many a text

_OF_THE_SYSTEM = {
    "thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    ".ds_store",
    "icon\r",
    "picasa.ini",
    ".picasa.ini",
}
_SKIPPED_FOLDERS = {  # casefolded name -> what its files are
    "__macosx": "resource forks of macOS",
    "@eadir": "thumbnails of a NAS",
    ".@__thumb": "thumbnails of a NAS",
    ".thumbnails": "thumbnails",
    "@recycle": "deleted files",
    "#recycle": "deleted files",
    "$recycle.bin": "deleted files",
    "#snapshot": "snapshots of a NAS",
    ".snapshot": "snapshots of a NAS",
    "system volume information": "files of the system",
    "lost+found": "files of the system",
}


def content_of(first: bytes) -> str | None:
    """What a file's first bytes are: one of `TRIED`, else a phrase that says what it is and what to do; None where unknown."""
    for magic, kind in _SIGNATURES:
        if first.startswith(magic):
            return kind
    if first[:4] == b"RIFF":
        return {b"WEBP": "WebP", b"AVI ": VIDEO}.get(first[8:12])
    if first[4:8] == b"ftyp":
        return _BY_BRAND.get(first[8:12].ljust(4), VIDEO)
    if first[128:132] == b"DICM":
        return f"DICOM file; {_EXPORT}"
    if first[:2] == b"BM" and int.from_bytes(first[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if _MARKUP.match(first):
        return f"vector drawing; {_SAVE}" if b"<svg" in first else "web page or XML"
    return None


def why_skipped(path: Path) -> str | None:
    """Why a file is not tried as a picture; None where it is, be it damaged. Pipes, sockets and devices are never opened."""
    name, suffix = path.name, path.suffix.lower()
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return _why_unreachable(path, error)
    if not stat.S_ISREG(mode):
        return _what_is(mode)
    if name.lower() in _OF_THE_SYSTEM:
        return "file of the system"
    if name.startswith("._"):
        return "resource fork of macOS"
    if name.startswith("."):
        return "hidden"
    if name.endswith("~"):
        return "backup or an unfinished copy"
    by_name = _BY_SUFFIX.get(suffix)
    if by_name is not None and by_name.startswith(_KEEP_THEIR_KIND):
        return by_name
    try:
        first = first_bytes(path)
    except OSError as error:
        return None if suffix in SUFFIXES else f"cannot be read ({reason_of(error)})"  # the decoder says why
    content = content_of(first)
    if content in TRIED:
        # a TIFF of an ending that nobody knows may be another maker's raw file or slide, with a thumbnail in front
        return f"TIFF by its first bytes, a {suffix} file by its name; rename it" if _is_odd_tiff(content, suffix) else None
    if suffix in SUFFIXES:
        return None if content is None else f"{content} (although its name ends in {suffix})"
    if content is not None or by_name is not None:
        return content or by_name
    if not first:
        return "empty (0 bytes)"
    return f"no picture (a {suffix} file)" if suffix else "no picture (a name without an ending)"


def why_folder_skipped(name: str) -> str | None:
    """What a folder holds that is never looked into; None for any other folder."""
    return _SKIPPED_FOLDERS.get(name.casefold()) or ("hidden folder" if name.startswith(".") else None)


def first_bytes(path: Path) -> bytes:
    """Enough of a regular file for `content_of`. Raises: OSError."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)  # a pipe that took the file's place meanwhile does not hang
    with os.fdopen(os.open(path, flags), "rb") as file:
        return file.read(FIRST_BYTES)


def _is_odd_tiff(content: str | None, suffix: str) -> bool:
    return content == "TIFF" and suffix not in SUFFIXES and suffix != ""


def _why_unreachable(path: Path, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "link that leads to itself"
    if isinstance(error, FileNotFoundError):
        return "link to nothing" if path.is_symlink() else "no such file"
    return f"cannot be read ({reason_of(error)})"


def _what_is(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "folder"), (stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"))
    return f"{next((kind for test, kind in kinds if test(mode)), 'device')}, not a file"
