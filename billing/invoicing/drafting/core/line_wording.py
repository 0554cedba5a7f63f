"""How lines are worded. Days are shown as people say them: the last one included."""

from collections.abc import Mapping
from datetime import date, timedelta

LONGEST = 300


def days_text(starts_on: date, ends_on: date) -> str:
    """ "1–30 Sep 2026", "15 Sep – 14 Oct 2026", "15 Dec 2026 – 14 Jan 2027"; `ends_on` is exclusive."""
    last = ends_on - timedelta(days=1)
    if starts_on == last:
        return f"{last.day} {last:%b %Y}"
    if (starts_on.year, starts_on.month) == (last.year, last.month):
        return f"{starts_on.day}–{last.day} {last:%b %Y}"
    if starts_on.year == last.year:
        return f"{starts_on.day} {starts_on:%b} – {last.day} {last:%b %Y}"
    return f"{starts_on.day} {starts_on:%b %Y} – {last.day} {last:%b %Y}"


def group_text(values: Mapping[str, str | None]) -> str:
    """ "region eu, tier gold": which bucket of a meter that groups."""
    return ", ".join(f"{name} {value}" for name, value in sorted(values.items()))


def description(*parts: str) -> str:
    return ", ".join(part for part in parts if part)[:LONGEST]
