"""The secret that MLflow signs its webhooks with: from the environment, or from a file that the environment names."""

from __future__ import annotations

import os
from pathlib import Path

from components.errors import InputError

SECRET = "CALIG_WEBHOOK_SECRET"  # noqa: S105 - the name of the variable
SECRET_FILE = "CALIG_WEBHOOK_SECRET_FILE"  # noqa: S105 - the name of the variable


def webhook_secret() -> str:
    """The secret to sign with: the first line. While secrets are rotated, the old one stands below it. A file wins.

    Raises:
        InputError: neither is set, or the file is empty or cannot be read. The message never holds the secret.
    """
    file = os.environ.get(SECRET_FILE)
    try:
        lines = (Path(file).read_text(encoding="utf-8") if file else os.environ.get(SECRET, "")).split()
    except (OSError, ValueError) as error:
        raise InputError("The file with the webhook's secret cannot be read.", got=f"{file}: {type(error).__name__}") from error
    if not lines:
        raise InputError("The webhook's secret is not set or empty.", next_step=f"set {SECRET_FILE} (or {SECRET})")
    return lines[0]
