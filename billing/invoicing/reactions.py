"""What invoicing does when others ask: its long work, and whether an entity has documents."""

from uuid import UUID

from billing.entities import documents
from billing.invoicing import queries, services
from billing.invoicing.models import BillingRunItem
from billing.invoicing.states import RunItemState
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


documents.register(queries.has_invoices)
