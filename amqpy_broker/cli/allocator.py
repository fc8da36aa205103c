"""The C library's allocator, calmed: what messages leave behind is used again, not given back and asked for again."""

import ctypes
from typing import Final

# From glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
# Free memory at the end of the heap that stays ours: some turns of the loop with large messages.
_KEPT_BYTES: Final = 16 * 1_048_576
# Blocks from this size on are mapped one by one, and given back when they are free. A read is far below.
_MAPPED_BYTES: Final = 4 * 1_048_576


def keep_free_memory() -> None:
    """Let glibc keep some free memory. Each page that is given back and taken again costs the kernel a microsecond."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        # Another C library: it knows what it does.
        return
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
