"""Bringing stored secrets under the newest key, a batch at a time."""

from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.fernet import InvalidToken
from django.db import models, transaction

from billing.kernel.secrets import Secret, is_current, rotate, secret_columns

ROWS_PER_BATCH = 200


@dataclass
class Tally:
    rotated: int = 0
    current: int = 0
    unreadable: list[str] = field(default_factory=list)  # under a key that is no longer listed


def count_secrets() -> int:
    """Rows that `rotate_secrets` looks at."""
    return sum(model._base_manager.count() for model, _ in secret_columns())


def rotate_secrets(*, dry_run: bool = False, tick: Callable[[int], object] = lambda rows: None) -> Tally:
    """Re-encrypt every secret that an older key protects. Interrupt it, run it twice: it goes on."""
    tally = Tally()
    for model, names in secret_columns():
        last = None
        while batch := _batch(model, names, after=last, tally=tally, dry_run=dry_run):
            last = batch[-1].pk
            tick(len(batch))
    return tally


@transaction.atomic
def _batch(
    model: type[models.Model], names: list[str], *, after: object, tally: Tally, dry_run: bool
) -> list[models.Model]:
    """The rows after `after`, in one transaction."""
    rows = model._base_manager.order_by("pk")
    batch = list((rows if after is None else rows.filter(pk__gt=after))[:ROWS_PER_BATCH])
    for row in batch:
        renewed = _renewed(row, names, tally)
        if renewed and not dry_run:
            # Without a lock: a row whose secret was replaced meanwhile is not touched.
            read = {name: getattr(row, name) for name in renewed}
            model._base_manager.filter(pk=row.pk, **read).update(**renewed)
    return batch


def _renewed(row: models.Model, names: list[str], tally: Tally) -> dict[str, Secret]:
    changes = {}
    for name in names:
        secret = getattr(row, name)
        if not secret:
            continue
        if is_current(secret.token):
            tally.current += 1
            continue
        try:
            changes[name] = Secret(rotate(secret.token))
            tally.rotated += 1
        except InvalidToken:
            tally.unreadable.append(f"{row._meta.db_table} {row.pk} {name}")
    return changes
