"""Taking a booking back: a second entry that mirrors the first, never a change to it."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from django.db import transaction
from django.db.models import Prefetch

from billing.kernel import audit, events
from billing.kernel.advisory_locks import REVERSAL
from billing.kernel.errors import NotFound
from billing.ledger.accounts import Side
from billing.ledger.errors import AlreadyReversed, ReversalIsFinal
from billing.ledger.events import EntryReversed
from billing.ledger.models import JournalEntry, JournalLine
from billing.ledger.postings import EntryDraft, Posting
from billing.ledger.services.posting import post_entries


@transaction.atomic
def reverse_entry(*, entry_id: UUID, actor: str, posted_on: date, reason: str) -> JournalEntry:
    """Book the exact mirror of an entry, once, as source "entry:<id>", event "reversed".

    `posted_on` as in `post_entry`. Raises AlreadyReversed, ReversalIsFinal (the entry is itself a reversal),
    PeriodClosed, NotFound.
    """
    return reverse_entries(entry_ids=[entry_id], actor=actor, posted_on=posted_on, reason=reason)[0]


@transaction.atomic
def reverse_entries(
    *, entry_ids: Sequence[UUID], actor: str, posted_on: date, reason: str
) -> list[JournalEntry]:
    """Book the exact mirrors of entries, all or none; raises what `reverse_entry` raises."""
    REVERSAL.take_for(entry_ids)  # whoever may not change a row may not lock it: entries are append-only
    found = JournalEntry.objects.prefetch_related(
        Prefetch("lines", JournalLine.objects.select_related("account").order_by("pk"))
    ).in_bulk(entry_ids)
    if len(found) < len(set(entry_ids)):
        raise NotFound("There is no such entry.")
    entries = [found[entry_id] for entry_id in entry_ids]
    for entry in entries:
        if entry.reverses_id:
            raise ReversalIsFinal(f"{entry} is itself a reversal.")
    if done := JournalEntry.objects.filter(reverses_id__in=entry_ids).first():
        raise AlreadyReversed(f"{found[done.reverses_id]} has been reversed already.")
    reversals = post_entries([_mirror_of(entry, posted_on=posted_on) for entry in entries])
    audit.record_all(
        [
            audit.line(
                actor=actor,
                action="journal_entry.reversed",
                subject=entry,
                reason=reason,
                detail={"reversal": reversal.pk, "posted_on": posted_on},
            )
            for entry, reversal in zip(entries, reversals, strict=True)
        ]
    )
    events.publish_all(
        [
            EntryReversed(entry_id=entry.pk, reversed_by_id=reversal.pk, entity_id=entry.entity_id)
            for entry, reversal in zip(entries, reversals, strict=True)
        ]
    )
    return reversals


def _mirror_of(entry: JournalEntry, *, posted_on: date) -> EntryDraft:
    return EntryDraft(
        entity_id=entry.entity_id,
        posted_on=posted_on,
        source=f"entry:{entry.pk}",
        event="reversed",
        description=f"Reversal: {entry.description}"[:200],
        lines=[_as_posting(line).mirrored() for line in entry.lines.all()],
        reverses=entry.pk,
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
