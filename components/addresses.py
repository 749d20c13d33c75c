"""Tells addresses (`models:/NAME/1`, `s3://…`) from paths: what looks like an address is never looked up in the file system."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"^\s*[a-z][a-z0-9+.-]*:/", re.IGNORECASE)


def is_address(text: str) -> bool:
    """Whether `text` begins like an address. A folder of such a name is reached as `./models:/…`."""
    return _SCHEME.match(text) is not None
