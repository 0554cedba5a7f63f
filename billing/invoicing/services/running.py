from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from billing.entities.models import BillingEntity
from billing.invoicing.errors import NotTheSeller
from billing.invoicing.models import BillingRun, BillingRunItem, Invoice
from billing.invoicing.numbering import number_text
from billing.invoicing.queries import customers_due
from billing.invoicing.services.drafting import draft_invoices
from billing.invoicing.services.issuing import issue_invoices
from billing.invoicing.services.queueing_documents import queue_documents
from billing.invoicing.states import RunItemState, RunState
from billing.kernel import audit
from billing.kernel.errors import DomainError, Unavailable
from billing.kernel.retrying import retrying

Progress = Callable[[int, int], None]  # customers done, customers in all


@retrying
@transaction.atomic
def start_billing_run(*, actor: str, seller_id: UUID, as_of: date) -> BillingRun:
    """Note what is due for `seller_id` as of a day: usage before that day's month, and what is subscribed.

    Starting the same run again adds what has become due since and gives failed customers another try.
    Raises NotTheSeller.
    """
    seller = BillingEntity.objects.get(pk=seller_id)
    if not seller.is_seller:
        raise NotTheSeller(f"{seller} does not sell.")
    run, is_new = BillingRun.objects.get_or_create(
        seller=seller, as_of=as_of, defaults={"requested_by": actor}
    )
    run = BillingRun.objects.locked().get(pk=run.pk)
    due = customers_due(seller_id=seller_id, as_of=as_of).values_list("pk", flat=True)
    BillingRunItem.objects.bulk_create(
        [BillingRunItem(run=run, customer_id=customer_id) for customer_id in due], ignore_conflicts=True
    )
    run.items.filter(customer_id__in=list(due)).exclude(state=RunItemState.PENDING).update(
        state=RunItemState.PENDING, failure=None
    )
    if run.items.filter(state=RunItemState.PENDING).exists() and run.state != RunState.RUNNING:
        run.state, run.finished_at = RunState.RUNNING, None
        run.save(update_fields=["state", "finished_at"])
    audit.record(
        actor=actor,
        action="billing_run.started" if is_new else "billing_run.continued",
        subject=run,
        entity_id=seller_id,
        detail={"as_of": as_of},
    )
    return run


def continue_billing_run(*, actor: str, run_id: UUID, progress: Progress | None = None) -> BillingRun:
    """Bill every pending customer of the run, in the order of their codes, and finish it.

    Each chunk of customers commits by itself, so a kill loses at most the chunk at hand, and running
    again does the rest: same invoices, same numbers. A customer that cannot be billed is marked with
    the reason and stops nobody else; its draft stays for a look. Raises Unavailable when others are in the way.
    """
    run = BillingRun.objects.get(pk=run_id)
    total = run.items.count()
    while pending := list(
        run.items.filter(state=RunItemState.PENDING)
        .order_by("customer__code")
        .values_list("customer_id", flat=True)[: settings.BILLING_RUN_CHUNK]
    ):
        try:
            _bill(run, pending, actor=actor)
        except DomainError:
            for customer_id in pending:
                _bill_alone(run, customer_id, actor=actor)
        if progress:
            progress(total - run.items.filter(state=RunItemState.PENDING).count(), total)
    return _finish(run, actor=actor)


def preview_billing(*, seller_id: UUID, as_of: date) -> tuple[list[Invoice], dict[UUID, DomainError]]:
    """What a run would issue, and which customers it could not bill and why. Changes nothing."""
    invoices, refused = [], {}
    for customer_id in list(customers_due(seller_id=seller_id, as_of=as_of).values_list("pk", flat=True)):
        try:
            invoices += _numbered_after(invoices, _preview(seller_id, customer_id, as_of))
        except Unavailable:
            raise
        except DomainError as error:
            refused[customer_id] = error
    return invoices, refused


def _numbered_after(before: list[Invoice], previewed: list[Invoice]) -> list[Invoice]:
    """Each was numbered as if it were the first to come."""
    taken = Counter(invoice.series for invoice in before)
    for invoice in previewed:
        invoice.sequence += taken[invoice.series]
        invoice.number = number_text(
            series=invoice.series, fiscal_year=invoice.fiscal_year, sequence=invoice.sequence
        )
    return previewed


@retrying
@transaction.atomic
def _preview(seller_id: UUID, customer_id: UUID, as_of: date) -> list[Invoice]:
    """Undone for each customer, so that nobody who issues waits for the numbers until the whole is seen."""
    invoices = _draft_and_issue(seller_id, [customer_id], as_of, actor="preview")
    transaction.set_rollback(True)
    return invoices


@retrying
@transaction.atomic
def _bill(run: BillingRun, customer_ids: Sequence[UUID], *, actor: str) -> None:
    items = {
        item.customer_id: item
        for item in BillingRunItem.objects.locked().filter(
            run=run, customer_id__in=customer_ids, state=RunItemState.PENDING
        )
    }
    invoices = _draft_and_issue(run.seller_id, list(items), run.as_of, actor=actor, run_id=run.pk)
    for invoice in invoices:
        items[invoice.customer_id].invoices_issued += 1
    for item in items.values():
        item.state, item.failure = RunItemState.DONE, None
    BillingRunItem.objects.bulk_update(items.values(), ["state", "failure", "invoices_issued"])


def _draft_and_issue(
    seller_id: UUID, customer_ids: Sequence[UUID], as_of: date, *, actor: str, run_id: UUID | None = None
) -> list[Invoice]:
    drafts = draft_invoices(
        actor=actor, seller_id=seller_id, customer_ids=customer_ids, as_of=as_of, run_id=run_id
    )
    return issue_invoices(actor=actor, invoice_ids=[draft.pk for draft in drafts], issued_on=as_of)


def _bill_alone(run: BillingRun, customer_id: UUID, *, actor: str) -> None:
    try:
        _bill(run, [customer_id], actor=actor)
    except Unavailable:
        raise  # nothing is wrong with the customer; the run goes on later
    except DomainError as error:
        _note_failure(run, customer_id, error, actor=actor)


@retrying
@transaction.atomic
def _note_failure(run: BillingRun, customer_id: UUID, error: DomainError, *, actor: str) -> None:
    failure = {"code": error.code, "detail": error.detail}
    BillingRunItem.objects.filter(run=run, customer_id=customer_id).update(
        state=RunItemState.FAILED, failure=failure
    )
    _keep_draft(run, customer_id, failure, actor=actor)


def _keep_draft(run: BillingRun, customer_id: UUID, failure: dict, *, actor: str) -> None:
    """What could not be issued can at least be looked at, unless it could not even be drafted."""
    try:
        drafts = draft_invoices(
            actor=actor,
            seller_id=run.seller_id,
            customer_ids=[customer_id],
            as_of=run.as_of,
            run_id=run.pk,
        )
    except DomainError:
        return
    Invoice.objects.filter(pk__in=[draft.pk for draft in drafts]).update(failure=failure)


@retrying
@transaction.atomic
def _finish(run: BillingRun, *, actor: str) -> BillingRun:
    run = BillingRun.objects.locked().get(pk=run.pk)
    if run.state == RunState.RUNNING and not run.items.filter(state=RunItemState.PENDING).exists():
        run.state, run.finished_at = RunState.FINISHED, timezone.now()
        run.save(update_fields=["state", "finished_at"])
        audit.record(actor=actor, action="billing_run.finished", subject=run, entity_id=run.seller_id)
        queue_documents(run, actor=actor)
    return run
