"""Booking money events. A batch costs as many statements as a single entry."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from billing.kernel.errors import DomainError
from billing.ledger.errors import AlreadyPosted, AlreadyReversed, PeriodClosed, ReversalIsFinal
from billing.ledger.models import JournalEntry
from billing.ledger.postings import EntryDraft, Posting
from billing.ledger.services.chart import accounts_of
from billing.ledger.services.months import month_of, periods_of
from billing.ledger.states import PeriodState

_INSERT_LINES = """
    INSERT INTO journal_lines (entry_id, entity_id, account_id, currency, debit, credit,
                               customer_id, department_id, product_code, gl_code, contract_reference)
    SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::numeric[], %s::numeric[],
                         %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[])
"""
_REFUSALS: dict[str, tuple[type[DomainError], str]] = {
    "one_entry_per_source_and_event": (AlreadyPosted, "One of these events is in the books already."),
    "period_is_open": (PeriodClosed, "The accounting period was closed meanwhile."),
    "reversal_is_final": (ReversalIsFinal, "A reversal is not reversed."),
    "journal_entries_reverses_id_key": (AlreadyReversed, "The entry has been reversed already."),
}


def post_entry(
    *,
    entity_id: UUID,
    posted_on: date,
    source: str,
    event: str,
    description: str,
    lines: Sequence[Posting],
    reverses: UUID | None = None,
) -> JournalEntry:
    """Book one money event in the books of a selling entity, in the caller's transaction.

    `source` ("invoice:<id>") and `event` ("issued") name it for ever. `posted_on` must lie in a month that is
    not closed: `queries.posting_day` finds the day. Raises AlreadyPosted, PeriodClosed, EntryUnbalanced,
    EntryEmpty, PostingDateOutOfRange, Invalid.
    """
    draft = EntryDraft(
        entity_id=entity_id,
        posted_on=posted_on,
        source=source,
        event=event,
        description=description,
        lines=lines,
        reverses=reverses,
    )
    return post_entries([draft])[0]


def post_entries(drafts: Sequence[EntryDraft]) -> list[JournalEntry]:
    """Book many money events, all or none, in the order given; raises what `post_entry` raises.

    The balances of the accounts are locked in one order by the database, once per call: a transaction that
    books twice may meet another one in the opposite order, so gather the drafts and call once.
    """
    for draft in drafts:
        draft.check()
    if not drafts:
        return []
    try:
        return _post(drafts)
    except IntegrityError as error:
        raise _refusal(error) from error


@transaction.atomic
def _post(drafts: Sequence[EntryDraft]) -> list[JournalEntry]:
    account_ids = accounts_of(draft.entity_id for draft in drafts)
    periods = periods_of({(draft.entity_id, month_of(draft.posted_on)) for draft in drafts})
    for period in periods.values():
        # A courtesy: a trigger decides, under a lock that keeps the month open until we commit.
        if period.state == PeriodState.CLOSED:
            raise PeriodClosed(f"The accounting period {period} is closed.", month=str(period.starts_on))
    entries = JournalEntry.objects.bulk_create(
        JournalEntry(
            entity_id=draft.entity_id,
            period=periods[draft.entity_id, month_of(draft.posted_on)],
            posted_on=draft.posted_on,
            source=draft.source,
            event=draft.event,
            description=draft.description,
            reverses_id=draft.reverses,
        )
        for draft in drafts
    )
    rows = [
        (
            entry.pk,
            entry.entity_id,
            account_ids[entry.entity_id, line.account],
            line.currency,
            line.debit,
            line.credit,
            line.customer_id,
            line.department_id,
            line.product_code,
            line.gl_code,
            line.contract_reference,
        )
        for entry, draft in zip(entries, drafts, strict=True)
        for line in draft.postings
    ]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_LINES, [list(column) for column in zip(*rows, strict=True)])
    return entries


def _refusal(error: IntegrityError) -> Exception:
    """The rule the database enforced, in the domain's words; anything else is a bug and stays what it is."""
    constraint = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
    refusal, detail = _REFUSALS.get(constraint, (None, ""))
    return refusal(detail) if refusal else error
