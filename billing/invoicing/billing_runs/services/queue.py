from datetime import date
from uuid import UUID

from django.conf import settings
from django.db import transaction

from billing.invoicing.billing_runs.services.runs import start_billing_run
from billing.invoicing.models import BillingRun
from billing.invoicing.states import RunItemState
from billing.kernel.background_jobs import start_job
from billing.kernel.models import Job

RUN_BILLING = "invoicing.run_billing"


@transaction.atomic
def queue_billing_run(*, actor: str, seller_id: UUID, as_of: date) -> tuple[BillingRun, list[Job]]:
    """Start a billing run, or start it again, and leave the work to workers: one job for each of them.

    At most BILLING_RUN_WORKERS, and no more than there are chunks of customers. Raises NotTheSeller.
    """
    run = start_billing_run(actor=actor, seller_id=seller_id, as_of=as_of)
    pending = run.items.filter(state=RunItemState.PENDING).count()
    chunks = -(-pending // settings.BILLING_RUN_CHUNK)
    jobs = [
        start_job(kind=RUN_BILLING, parameters={"run": run.pk}, requested_by=actor, entity_id=run.seller_id)
        for _ in range(min(chunks, settings.BILLING_RUN_WORKERS) or 1)
    ]
    return run, jobs
