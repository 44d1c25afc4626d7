"""What is freed goes back to the system: else a session keeps several large pictures' memory beside the one at hand.

glibc raises the size from which a buffer is a mapping of its own with each one that is freed, up to 32 MB. Then Pillow's blocks
of 16 MB and decoded pictures lie on its heaps, of which there is one a thread, and stay there. With a fixed size they do not.
"""

import ctypes

LARGE_BYTES = (4 * 2**20, 2**19)  # a buffer as large is a mapping of its own; the second for 32-bit machines, which allow no more

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def return_large_buffers() -> bool:
    """Before the first picture is decoded. False where the C library is not glibc; then nothing is changed."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # musl, macOS; Windows
        return False
    size = next((size for size in LARGE_BYTES if mallopt(_M_MMAP_THRESHOLD, size)), None)
    return size is not None and bool(mallopt(_M_TRIM_THRESHOLD, 2 * size))  # as glibc itself sets it beside the other
