"""The long work of invoicing."""

from uuid import UUID

from billing.invoicing import services
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
