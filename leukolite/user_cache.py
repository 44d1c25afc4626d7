"""Where a user's cache lies: what is kept there may be deleted at any time and is made again."""

import os
from pathlib import Path


def user_cache() -> Path | None:
    """`$XDG_CACHE_HOME/leukolite`, else `~/.cache/leukolite`; it need not exist yet. None for a user without a home."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(given) if os.path.isabs(given) else Path.home() / ".cache"  # noqa: PTH117  # relative ones mean nothing
    except RuntimeError:
        return None
    return base / "leukolite" if base.parent.is_dir() else None
