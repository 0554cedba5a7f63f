"""Every selling entity has the whole chart; its accounts are made when it first books something."""

from collections.abc import Iterable
from uuid import UUID

from billing.ledger.accounts import CHART
from billing.ledger.models import LedgerAccount

AccountIds = dict[tuple[UUID, str], UUID]


def accounts_of(entity_ids: Iterable[UUID]) -> AccountIds:
    """The account ids by entity and code, made where missing. One query, three when some were missing."""
    wanted = sorted(set(entity_ids))
    found = _account_ids(wanted)
    missing = [
        LedgerAccount(
            entity_id=entity_id, code=account.code, name=account.name, normal_side=account.normal_side
        )
        for entity_id in wanted
        for account in CHART
        if (entity_id, account.code) not in found
    ]
    if not missing:
        return found
    LedgerAccount.objects.bulk_create(missing, ignore_conflicts=True)  # a rival may be making the same ones
    return _account_ids(wanted)


def _account_ids(entity_ids: list[UUID]) -> AccountIds:
    rows = LedgerAccount.objects.filter(entity_id__in=entity_ids).values_list("entity_id", "code", "pk")
    return {(entity_id, code): pk for entity_id, code, pk in rows}
