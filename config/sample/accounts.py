"""What people and programs sign in to the demo with: made at random, kept beside its data, readable by its owner only."""

import os
import secrets
from pathlib import Path

from django.conf import settings


def password_file() -> Path:
    return settings.VAR / "demo-password.txt"


def key_file() -> Path:
    return settings.VAR / "demo-key.txt"


def kept(file: Path) -> str:
    """What the file keeps; empty if there is none."""
    return file.read_text().strip() if file.exists() else ""


def keep(file: Path, secret: str) -> None:
    """Whole or not at all, with mode 0600 from its first byte."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(f"{secret}\n")
    new.replace(file)


def demo_password() -> str:
    """The password of everybody in the demo, made the first time."""
    if not kept(password_file()):
        keep(password_file(), "-".join(secrets.token_hex(3) for _ in range(3)))
    return kept(password_file())
