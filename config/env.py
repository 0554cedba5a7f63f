"""The environment, read in one place. Every missing or conflicting variable is reported at once."""

import os
from collections.abc import Callable
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parent.parent


class Environment:
    """Typed readers that collect complaints; `check()` raises them all together."""

    def __init__(self) -> None:
        if (ROOT / ".env").exists():
            environ.Env.read_env(ROOT / ".env")
        self._complaints: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        value = os.environ.get(name, "").strip()
        if value:
            return value
        if default is None:
            self._complaints.append(f"{name} is not set.")
            return ""
        return default

    def whole(self, name: str, default: int, *, low: int, high: int) -> int:
        value = self.text(name, str(default))
        if value.isascii() and value.isdigit() and low <= int(value) <= high:
            return int(value)
        self._complaints.append(f"{name} must be a whole number from {low} to {high}, not '{value}'.")
        return default

    def flag(self, name: str, default: bool) -> bool:
        value = self.text(name, "true" if default else "false").lower()
        if value in {"true", "1", "yes", "on"}:
            return True
        if value not in {"false", "0", "no", "off"}:
            self._complaints.append(f"{name} must be true or false, not '{value}'.")
        return False

    def words(self, name: str, default: str = "") -> list[str]:
        return [word.strip() for word in self.text(name, default).split(",") if word.strip()]

    def refuse(self, wrong: bool, complaint: str) -> None:
        """Complain if `wrong`: for rules between variables."""
        if wrong:
            self._complaints.append(complaint)

    def parsed(self, name: str, value: str, parse: Callable[[str], object], expected: str):
        try:
            return parse(value)
        except Exception:
            self._complaints.append(f"{name} is not {expected}.")
            return None

    def check(self) -> None:
        if self._complaints:
            raise ImproperlyConfigured(
                "The environment is not right:\n" + "\n".join(f"  - {c}" for c in self._complaints)
            )


env = Environment()
