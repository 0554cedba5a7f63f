"""What the queue may ask of the kernel. Ids only; every task may be delivered twice."""

from uuid import UUID

from celery import shared_task
from django.utils import timezone

from billing.kernel import background_jobs, delivery, idempotency_keys, sealing

SEALS_PER_RUN_MAX = 100


@shared_task(name="kernel.deliver_event")
def deliver_event(*, delivery_id: str, **_: object) -> None:
    delivery.deliver_event(delivery_id=UUID(delivery_id))


@shared_task(name="kernel.sweep_outbox")
def sweep_outbox(**_: object) -> None:
    delivery.sweep_outbox()


@shared_task(name="kernel.run_job")
def run_job(*, job_id: str, **_: object) -> None:
    background_jobs.run_job(job_id=UUID(job_id))


@shared_task(name="kernel.sweep_jobs")
def sweep_jobs(**_: object) -> None:
    background_jobs.sweep_jobs()


@shared_task(name="kernel.seal_audit")
def seal_audit(**_: object) -> None:
    """Seal until nothing is left, but not for ever: new lines may arrive as fast as they are sealed."""
    for _round in range(SEALS_PER_RUN_MAX):
        if sealing.seal_audit() is None:
            return


@shared_task(name="kernel.purge_idempotency_keys")
def purge_idempotency_keys(**_: object) -> None:
    idempotency_keys.purge_idempotency_keys(as_of=timezone.now())
