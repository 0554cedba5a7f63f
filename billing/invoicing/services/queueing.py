from datetime import date
from uuid import UUID

from django.db import transaction

from billing.invoicing.models import BillingRun
from billing.invoicing.services.running import start_billing_run
from billing.kernel.longwork import start_job
from billing.kernel.models import Job

RUN_BILLING = "invoicing.run_billing"


@transaction.atomic
def queue_billing_run(*, actor: str, seller_id: UUID, as_of: date) -> tuple[BillingRun, Job]:
    """Start a billing run, or start it again, and leave the work to a worker. Raises NotTheSeller."""
    run = start_billing_run(actor=actor, seller_id=seller_id, as_of=as_of)
    job = start_job(kind=RUN_BILLING, parameters={"run": run.pk}, requested_by=actor, entity_id=run.seller_id)
    return run, job
