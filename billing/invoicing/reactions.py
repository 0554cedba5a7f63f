"""What invoicing does when others ask, and when an invoice is no longer open."""

from dataclasses import asdict
from uuid import UUID

from django.db import connection
from django.utils import timezone

from billing.entities.hooks import has_documents
from billing.invoicing import queries, services
from billing.invoicing.allocation.core.segregation_of_duties import mapped_by
from billing.invoicing.events import InvoicePaid, InvoiceVoided, InvoiceWrittenOff
from billing.invoicing.models import BillingRun, BillingRunItem
from billing.invoicing.states import RunItemState
from billing.kernel.events import subscribe
from billing.kernel.hooks import Progress, background_job
from billing.kernel.models import Job
from billing.ledger.hooks import before_period_close
from billing.ledger.models import AccountingPeriod


@background_job(services.RUN_BILLING)
def run_billing(asked: Job, progress: Progress) -> dict:
    """Bill every pending customer of the run; what cannot be billed is on the run with its reason."""
    run = services.continue_billing_run(
        actor=asked.requested_by, run_id=UUID(asked.parameters["run"]), progress=progress
    )
    failed = BillingRunItem.objects.filter(run=run, state=RunItemState.FAILED).count()
    return {"run": str(run.pk), "state": run.state, "customers_failed": failed}


@background_job(services.RENDER_DOCUMENTS)
def render_documents(asked: Job, progress: Progress) -> dict:
    """Make the PDFs of a run's invoices; those that cannot be made are in the result with their reasons."""
    run = BillingRun.objects.get(pk=UUID(asked.parameters["run"]))
    done = services.render_missing_documents(
        actor=asked.requested_by, seller_id=run.seller_id, run_id=run.pk, progress=progress
    )
    return {"run": str(run.pk)} | asdict(done)


@background_job(services.RUN_ALLOCATION)
def run_allocation(asked: Job, progress: Progress) -> dict:
    """Do, or undo, what is left of the allocation run."""
    run = services.continue_allocation_run(
        actor=asked.requested_by, run_id=UUID(asked.parameters["run"]), progress=progress
    )
    return {"run": str(run.pk), "state": run.state, "lines_moved": run.lines_moved}


@before_period_close
def mappers_do_not_close(period: AccountingPeriod, actor: str) -> str:
    found = f"SELECT EXISTS ({mapped_by('%s', 'p')}) FROM accounting_periods p WHERE p.id = %s"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(found, [actor, period.pk])
        [mapped] = cursor.fetchone()
    return f"You changed the GL codes of {period}: somebody else closes it." if mapped else ""


@subscribe(InvoiceWrittenOff, name="invoicing.review_standing_of_write_off")
@subscribe(InvoiceVoided, name="invoicing.review_standing_of_void")
@subscribe(InvoicePaid, name="invoicing.review_standing")
def review_standing(payload: dict) -> None:
    """Whoever was late with this invoice only is active again at once, not only with the daily sweep."""
    concerned = queries.subscriptions_on(invoice_id=UUID(payload["invoice_id"]))
    services.review_standing(
        actor="reaction:invoicing.review_standing",
        as_of=timezone.now().date(),
        subscription_ids=list(concerned.values_list("pk", flat=True)),
    )


has_documents(queries.has_invoices)
