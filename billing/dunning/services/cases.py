"""Closing the case of an invoice that is no longer open, lifting its suspensions, and reopening a case."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from django.db import transaction

from billing.dunning.models import DunningCase, DunningNotice, DunningSuspension
from billing.dunning.queries import LIVE
from billing.dunning.states import CASE_MOVES, CaseState, Effect, Outcome
from billing.invoicing.models import Invoice
from billing.invoicing.states import InvoiceState
from billing.kernel import audit
from billing.kernel.states import next_state
from billing.subscriptions import services as subscriptions
from billing.subscriptions.models import Subscription
from billing.subscriptions.states import SubscriptionState

LIFTING = {
    InvoiceState.PAID,
    InvoiceState.VOID,
}  # what was given up was not paid: the service stays suspended


@transaction.atomic
def close_cases(*, actor: str, invoice_ids: Sequence[UUID], as_of: date) -> list[DunningCase]:
    """Close the cases of those of the invoices that are paid, void or written off; the others stay.

    Subscriptions that were paused because of them go on, unless another case keeps them paused, the invoice was
    written off, or somebody has resumed or canceled them. Doing it again changes nothing.
    """
    concerned = DunningSuspension.objects.filter(case__invoice__in=invoice_ids, lifted_on__isnull=True)
    lock_subscriptions(list(concerned.values_list("subscription_id", flat=True)))
    invoices = {invoice.pk: invoice for invoice in Invoice.objects.locked().filter(pk__in=invoice_ids)}
    cases = list(DunningCase.objects.locked().filter(invoice__in=invoices, state__in=LIVE))
    return close_settled(cases, invoices, actor=actor, as_of=as_of)


@transaction.atomic
def reopen_cases(*, actor: str, invoice_ids: Sequence[UUID]) -> list[DunningCase]:
    """Go on with the closed cases of those of the invoices that are open again; the others stay.

    Each goes on where it was: with the steps not noticed yet, or handed over. Doing it again changes nothing.
    """
    invoices = Invoice.objects.locked().filter(pk__in=invoice_ids)
    open_again = [invoice.pk for invoice in invoices if invoice.state == InvoiceState.ISSUED]
    cases = list(DunningCase.objects.locked().filter(invoice__in=open_again, state=CaseState.CLOSED))
    stops = DunningNotice.objects.filter(case__in=cases, step__effect=Effect.STOP, outcome=Outcome.TAKEN)
    stopped = set(stops.values_list("case_id", flat=True))
    for case in cases:
        action = "reopen_handed_over" if case.pk in stopped else "reopen"
        case.state = next_state(CASE_MOVES, action=action, current=case.state)
        case.closed_on, case.closed_because = None, ""
    DunningCase.objects.bulk_update(cases, ["state", "closed_on", "closed_because"])
    audit.record_all(
        [
            audit.line(actor=actor, action="dunning.reopened", subject=case, detail={"state": case.state})
            for case in cases
        ]
    )
    return cases


def lock_subscriptions(subscription_ids: Sequence[UUID]) -> list[Subscription]:
    return list(Subscription.objects.locked().filter(pk__in=subscription_ids)) if subscription_ids else []


def close_settled(
    cases: Sequence[DunningCase], invoices: dict[UUID, Invoice], *, actor: str, as_of: date
) -> list[DunningCase]:
    """Of locked `cases` close those whose locked invoice is not open; the caller holds the subscriptions too."""
    closing = [case for case in cases if invoices[case.invoice_id].state != InvoiceState.ISSUED]
    if not closing:
        return []
    lines = []
    for case in closing:
        case.state = next_state(CASE_MOVES, action="close", current=case.state)
        case.closed_on, case.closed_because = as_of, invoices[case.invoice_id].state
        lines.append(
            audit.line(
                actor=actor, action="dunning.closed", subject=case, detail={"because": case.closed_because}
            )
        )
    DunningCase.objects.bulk_update(closing, ["state", "closed_on", "closed_because"])
    audit.record_all(lines)
    _lift([case for case in closing if case.closed_because in LIFTING], actor=actor, as_of=as_of)
    return closing


def _lift(cases: Sequence[DunningCase], *, actor: str, as_of: date) -> None:
    lifted = list(DunningSuspension.objects.locked().filter(case__in=cases, lifted_on__isnull=True))
    for suspension in lifted:
        suspension.lifted_on = as_of
    DunningSuspension.objects.bulk_update(lifted, ["lifted_on"])
    ids = {suspension.subscription_id for suspension in lifted}
    kept = DunningSuspension.objects.filter(
        subscription__in=ids, lifted_on__isnull=True, case__state__in=[CaseState.OPEN, CaseState.HANDED_OVER]
    )
    free = ids - set(kept.values_list("subscription_id", flat=True))
    paused = Subscription.objects.filter(pk__in=free, state=SubscriptionState.PAUSED).order_by("pk")
    for subscription_id in list(paused.values_list("pk", flat=True)):
        subscriptions.resume_subscription(actor=actor, subscription_id=subscription_id, as_of=as_of)
