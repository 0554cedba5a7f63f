"""Taking a booking back: a second entry that mirrors the first, never a change to it."""

from datetime import date
from uuid import UUID

from django.db import connection, transaction

from billing.kernel import audit, events
from billing.kernel.errors import NotFound
from billing.ledger.accounts import Side
from billing.ledger.errors import AlreadyReversed, ReversalIsFinal
from billing.ledger.events import EntryReversed
from billing.ledger.models import JournalEntry, JournalLine
from billing.ledger.postings import Posting
from billing.ledger.services.posting import post_entry


@transaction.atomic
def reverse_entry(*, entry_id: UUID, actor: str, posted_on: date, reason: str) -> JournalEntry:
    """Book the exact mirror of an entry, once, as source "entry:<id>", event "reversed".

    `posted_on` as in `post_entry`. Raises AlreadyReversed, ReversalIsFinal (the entry is itself a reversal),
    PeriodClosed, NotFound.
    """
    _one_at_a_time(entry_id)
    entry = JournalEntry.objects.filter(pk=entry_id).first()
    if entry is None:
        raise NotFound("There is no such entry.")
    if entry.reverses_id:
        raise ReversalIsFinal(f"{entry} is itself a reversal.")
    if JournalEntry.objects.filter(reverses_id=entry.pk).exists():
        raise AlreadyReversed(f"{entry} has been reversed already.")
    reversal = post_entry(
        entity_id=entry.entity_id,
        posted_on=posted_on,
        source=f"entry:{entry.pk}",
        event="reversed",
        description=f"Reversal: {entry.description}"[:200],
        lines=[_as_posting(line).mirrored() for line in entry.lines.select_related("account").order_by("pk")],
        reverses=entry.pk,
    )
    audit.record(
        actor=actor,
        action="journal_entry.reversed",
        subject=entry,
        reason=reason,
        detail={"reversal": reversal.pk, "posted_on": posted_on},
    )
    events.publish(EntryReversed(entry_id=entry.pk, reversed_by_id=reversal.pk, entity_id=entry.entity_id))
    return reversal


def _one_at_a_time(entry_id: UUID) -> None:
    """Whoever may not change a row may not lock it either: entries are append-only."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('reversing ' || %s::text, 0))", [entry_id]
        )


def _as_posting(line: JournalLine) -> Posting:
    return Posting(
        account=line.account.code,
        side=Side.DEBIT if line.debit else Side.CREDIT,
        amount=line.debit or line.credit,
        currency=line.currency,
        customer_id=line.customer_id,
        department_id=line.department_id,
        product_code=line.product_code,
        gl_code=line.gl_code,
        contract_reference=line.contract_reference,
    )
