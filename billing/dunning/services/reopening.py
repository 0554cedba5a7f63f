"""Going on with cases of invoices that are open again."""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from billing.dunning.models import DunningCase, DunningNotice
from billing.dunning.states import CASE_MOVES, CaseState, Effect, Outcome
from billing.invoicing.models import Invoice
from billing.invoicing.states import InvoiceState
from billing.kernel import audit
from billing.kernel.states import next_state


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
