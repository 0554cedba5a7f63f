"""Whether the invariants of every app hold: the `CHECKS` of `invariants.py`, in the app or in a package of it."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.apps import AppConfig, apps
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
    """One finding per invariant, violated or not, in the order of the apps; of one app if it is named."""
    for app in apps.get_app_configs():
        if app_label in {None, app.label}:
            for invariant, query in checks_of(app).items():
                count, samples = _violating(query)
                yield Finding(app=app.label, invariant=invariant, violations=count, samples=samples)
    if app_label in {None, "kernel"}:
        yield _isolation()


def checks_of(app: AppConfig) -> dict[str, str]:
    """The queries by the name of their invariant; each returns the rows that violate it."""
    checks: dict[str, str] = {}
    if "site-packages" in app.path:
        return checks
    files = (file.relative_to(app.path) for file in Path(app.path).glob("**/invariants.py"))
    for file in sorted(files, key=lambda file: (len(file.parts), file)):
        if "tests" not in file.parts:
            module = ".".join((app.name, *file.with_suffix("").parts))
            own = importlib.import_module(module).CHECKS
            assert not checks.keys() & own.keys(), f"{module} repeats an invariant"
            checks |= own
    return checks


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
