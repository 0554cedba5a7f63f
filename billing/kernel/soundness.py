"""Asking every app's invariants whether they hold: the `CHECKS` of its `fsck` module."""

import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass

from django.apps import apps
from django.db import connection

from billing.kernel import isolation

SAMPLES = 5


@dataclass(frozen=True, kw_only=True)
class Finding:
    app: str
    invariant: str
    violations: int
    samples: list[str]  # first column of the first rows: their ids


def find_violations(app_label: str | None = None) -> Iterator[Finding]:
    """One finding per invariant, sound or not, in the order of the apps; of one app if it is named."""
    for app in apps.get_app_configs():
        if app_label in {None, app.label} and importlib.util.find_spec(f"{app.name}.fsck"):
            for invariant, query in importlib.import_module(f"{app.name}.fsck").CHECKS.items():
                count, samples = _violating(query)
                yield Finding(app=app.label, invariant=invariant, violations=count, samples=samples)
    if app_label in {None, "kernel"}:
        yield _isolation()


def _violating(query: str) -> tuple[int, list[str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) OVER (), violating.* FROM ({query}) AS violating LIMIT {SAMPLES}"  # noqa: S608
        )
        rows = cursor.fetchall()
    return (rows[0][0] if rows else 0), [str(row[1]) for row in rows]


def _isolation() -> Finding:
    """Under another level the sums that triggers check are sums of the past."""
    level = isolation.level()
    wrong = level != isolation.NEEDED
    return Finding(
        app="kernel",
        invariant="X1 transactions are read committed",
        violations=int(wrong),
        samples=[level] if wrong else [],
    )
