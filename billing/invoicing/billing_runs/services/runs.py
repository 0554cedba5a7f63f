from collections.abc import Callable, Sequence
from datetime import date
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from billing.entities.models import BillingEntity
from billing.invoicing.billing_runs.services.document_queue import queue_documents
from billing.invoicing.drafting.services.drafts import draft_invoices
from billing.invoicing.errors import NotTheSeller
from billing.invoicing.issuing.services.issue import issue_within_limits
from billing.invoicing.models import BillingRun, BillingRunItem, Invoice
from billing.invoicing.queries import customers_due
from billing.invoicing.states import RunItemState, RunState
from billing.kernel import audit
from billing.kernel.approval import ApprovalRequired
from billing.kernel.bulk import update_rows
from billing.kernel.errors import DomainError, NotFound, Unavailable
from billing.kernel.retrying import retrying

Progress = Callable[[int, int], None]  # customers done, customers in all
PUT_OFF_MAX = 3  # with more than these in the way it is not the customers: the database is busy


@retrying
@transaction.atomic
def start_billing_run(*, actor: str, seller_id: UUID, as_of: date) -> BillingRun:
    """Note what is due for `seller_id` as of a day: usage before that day's month, and what is subscribed.

    Starting the same run again adds what has become due since and gives failed customers another try. With
    nothing to do it is finished at once. Raises NotTheSeller.
    """
    seller = BillingEntity.objects.get(pk=seller_id)
    if not seller.is_seller:
        raise NotTheSeller(f"{seller} does not sell.")
    run, is_new = BillingRun.objects.get_or_create(
        seller=seller, as_of=as_of, defaults={"requested_by": actor}
    )
    run = BillingRun.objects.locked().get(pk=run.pk)
    due = list(customers_due(seller_id=seller_id, as_of=as_of).values_list("pk", flat=True))
    BillingRunItem.objects.bulk_create(
        [BillingRunItem(run=run, customer_id=customer_id) for customer_id in due], ignore_conflicts=True
    )
    run.items.filter(customer_id__in=due).exclude(state=RunItemState.PENDING).update(
        state=RunItemState.PENDING, failure=None
    )
    if run.items.filter(state=RunItemState.PENDING).exists():
        _begin(run)
    elif run.state == RunState.RUNNING:
        _finish(run, actor=actor)
    audit.record(
        actor=actor,
        action="billing_run.started" if is_new else "billing_run.continued",
        subject=run,
        entity_id=seller_id,
        detail={"as_of": as_of},
    )
    return run


def continue_billing_run(*, actor: str, run_id: UUID, progress: Progress | None = None) -> BillingRun:
    """Bill the pending customers of the run, in the order of their codes, and finish it when none is left.

    Each chunk of customers commits by itself, so a kill loses at most the chunk at hand, and running again
    does the rest. Several workers may continue one run at the same time: each takes customers that nobody
    else has at hand, and whoever ends last finishes it, so a run that comes back running is still at work
    elsewhere. A customer that cannot be billed is marked with the reason and stops nobody else; its draft
    stays for a look. So does one that is above a limit, but nothing is wrong with it. Raises Unavailable, after everybody else is billed, when some customers were in use.
    """
    run = BillingRun.objects.get(pk=run_id)
    put_off: dict[UUID, Unavailable] = {}
    while free := _free(run, besides=put_off):
        _bill_in_parts(run, free, actor=actor, put_off=put_off)
        if progress:
            progress(*progress_of(run))
    for error in put_off.values():
        raise error
    return _finish_if_done(run, actor=actor)


def retry_customer(*, actor: str, run_id: UUID, customer_id: UUID) -> BillingRun:
    """Bill one customer of the run that could not be billed, once its cause is put right.

    Raises NotFound unless the customer has failed in this run, and what it is refused for: the new reason is
    then noted. Raises Unavailable when it is in use: then it is pending, and continuing the run bills it.
    """
    run = _let_in_again(run_id, customer_id, actor=actor)
    try:
        _bill(run, [customer_id], actor=actor)
    except Unavailable:
        raise
    except DomainError as error:
        _note_failure(run, customer_id, error, actor=actor)
        _finish_if_done(run, actor=actor)
        raise
    return _finish_if_done(run, actor=actor)


@retrying
@transaction.atomic
def _let_in_again(run_id: UUID, customer_id: UUID, *, actor: str) -> BillingRun:
    run = BillingRun.objects.locked().get(pk=run_id)
    failed = run.items.filter(customer_id=customer_id, state=RunItemState.FAILED)
    if not failed.update(state=RunItemState.PENDING, failure=None):
        raise NotFound("No such customer has failed in this run.")
    _begin(run)
    audit.record(
        actor=actor,
        action="billing_run.customer_retried",
        subject=run,
        entity_id=run.seller_id,
        detail={"customer": customer_id},
    )
    return run


def progress_of(run: BillingRun) -> tuple[int, int]:
    """How many customers are done or failed, and how many there are in all."""
    total = run.items.count()
    return total - run.items.filter(state=RunItemState.PENDING).count(), total


@transaction.atomic
def _free(run: BillingRun, *, besides: dict[UUID, Unavailable]) -> list[UUID]:
    """The next chunk of customers that are pending and that no other worker has at hand at this moment."""
    pending = run.items.filter(state=RunItemState.PENDING).exclude(customer_id__in=list(besides))
    chunk = pending.locked(skip_locked=True)[: settings.BILLING_RUN_CHUNK]
    return [item.customer_id for item in chunk]


def _bill_in_parts(
    run: BillingRun, customer_ids: Sequence[UUID], *, actor: str, put_off: dict[UUID, Unavailable]
) -> None:
    """All at once; what is refused as a whole in halves, until it is known whose fault it is."""
    try:
        _bill(run, customer_ids, actor=actor)
    except DomainError as error:
        if len(customer_ids) > 1:
            half = len(customer_ids) // 2
            for part in (customer_ids[:half], customer_ids[half:]):
                _bill_in_parts(run, part, actor=actor, put_off=put_off)
        elif not isinstance(error, Unavailable):
            _note_failure(run, customer_ids[0], error, actor=actor)
        elif len(put_off) < PUT_OFF_MAX:
            put_off[customer_ids[0]] = error  # nothing is wrong with the customer; the run goes on later
        else:
            raise


@retrying
@transaction.atomic
def _bill(run: BillingRun, customer_ids: Sequence[UUID], *, actor: str) -> None:
    """Those of the customers that are still pending and that nobody else has at hand."""
    items = {item.customer_id: item for item in _taken(run, customer_ids)}
    invoices = _draft_and_issue(run, list(items), actor=actor)
    for invoice in invoices:
        items[invoice.customer_id].invoices_issued += 1
    for item in items.values():
        item.state, item.failure = RunItemState.DONE, None
    update_rows(list(items.values()), ["state", "failure", "invoices_issued"])


def _taken(run: BillingRun, customer_ids: Sequence[UUID]) -> list[BillingRunItem]:
    pending = run.items.filter(customer_id__in=customer_ids, state=RunItemState.PENDING)
    return list(pending.locked(skip_locked=True))


def _draft_and_issue(run: BillingRun, customer_ids: Sequence[UUID], *, actor: str) -> list[Invoice]:
    if not customer_ids:
        return []
    drafts = draft_invoices(
        actor=actor, seller_id=run.seller_id, customer_ids=customer_ids, as_of=run.as_of, run_id=run.pk
    )
    return _issue(run, [draft.pk for draft in drafts], actor=actor)


def _issue(run: BillingRun, invoice_ids: Sequence[UUID], *, actor: str) -> list[Invoice]:
    """What needs approval by others stays a draft that says so: nothing is wrong with its customer."""
    issued, waiting = issue_within_limits(actor=actor, invoice_ids=invoice_ids, issued_on=run.as_of)
    if waiting:
        reason = {
            "code": ApprovalRequired.code,
            "detail": "It is above a limit. Issue… requests approval for it.",
        }
        Invoice.objects.filter(pk__in=waiting).update(failure=reason)
    return issued


@retrying
@transaction.atomic
def _note_failure(run: BillingRun, customer_id: UUID, error: DomainError, *, actor: str) -> None:
    """Unless another worker has the customer at hand, or was luckier."""
    for item in _taken(run, [customer_id]):
        item.state, item.failure = RunItemState.FAILED, {"code": error.code, "detail": error.detail}
        item.save(update_fields=["state", "failure"])
        _keep_draft(run, customer_id, item.failure, actor=actor)


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


def _begin(run: BillingRun) -> None:
    """One that runs already has been running since then."""
    if run.state != RunState.RUNNING:
        run.state, run.continued_at, run.finished_at = RunState.RUNNING, timezone.now(), None
        run.save(update_fields=["state", "continued_at", "finished_at"])


@retrying
@transaction.atomic
def _finish_if_done(run: BillingRun, *, actor: str) -> BillingRun:
    """What another worker has at hand is pending until it commits; then it looks here itself."""
    run = BillingRun.objects.locked().get(pk=run.pk)
    if run.state == RunState.RUNNING and not run.items.filter(state=RunItemState.PENDING).exists():
        _finish(run, actor=actor)
        queue_documents(run, actor=actor)
    return run


def _finish(run: BillingRun, *, actor: str) -> None:
    run.state, run.finished_at = RunState.FINISHED, timezone.now()
    run.save(update_fields=["state", "finished_at"])
    audit.record(actor=actor, action="billing_run.finished", subject=run, entity_id=run.seller_id)
