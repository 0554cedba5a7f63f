"""The long work of invoicing, and what it answers when entities asks."""

from uuid import UUID

from django.db.models import Q

from billing.entities import documents
from billing.invoicing import services
from billing.invoicing.models import BillingRunItem, Invoice
from billing.invoicing.states import InvoiceState, RunItemState
from billing.kernel.longwork import Progress, job
from billing.kernel.models import Job


@job(services.RUN_BILLING)
def run_billing(asked: Job, progress: Progress) -> dict:
    """Bill every pending customer of the run; what cannot be billed is on the run with its reason."""
    run = services.continue_billing_run(
        actor=asked.requested_by, run_id=UUID(asked.parameters["run"]), progress=progress
    )
    failed = BillingRunItem.objects.filter(run=run, state=RunItemState.FAILED).count()
    return {"run": str(run.pk), "state": run.state, "customers_failed": failed}


@documents.register
def has_invoices(entity_id: UUID) -> bool:
    """Sent or received; a draft can still be drafted anew."""
    theirs = Invoice.objects.filter(Q(seller_id=entity_id) | Q(customer_id=entity_id))
    return theirs.exclude(state=InvoiceState.DRAFT).exists()
