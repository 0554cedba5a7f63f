"""Calendar months, by their first day."""

from datetime import date, timedelta


def month(text: str) -> date:
    """ "2026-10" as commands take it. Raises ValueError."""
    return date.fromisoformat(f"{text}-01")


def month_after(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)
