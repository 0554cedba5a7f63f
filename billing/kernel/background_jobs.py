"""Long work somebody waits for: the row is the queue and the progress bar, the broker only rings the bell."""

import logging
from datetime import timedelta
from uuid import UUID

from django.db import OperationalError, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from billing.kernel.audit import plain
from billing.kernel.context import acting
from billing.kernel.errors import DomainError, Unavailable
from billing.kernel.hooks import Progress, background_job
from billing.kernel.models import Job, JobState
from billing.kernel.retrying import given_up, retrying, transient
from billing.kernel.task_queue import enqueue

ATTEMPTS_MAX = 5
LEASE = timedelta(minutes=5)  # renewed by every report of progress
UNNOTICED_AFTER = timedelta(minutes=1)

logger = logging.getLogger(__name__)


class LeaseLost(Exception):
    """Another worker has taken the job over: stop, and write nothing more."""


@transaction.atomic
def start_job(*, kind: str, parameters: dict, requested_by: str, entity_id: UUID | None = None) -> Job:
    """Put long work into the queue, in the caller's transaction. `requested_by` is the actor it acts for."""
    assert kind in background_job, f"nothing does jobs of the kind '{kind}'"
    started = Job.objects.create(
        kind=kind, parameters=plain(parameters), requested_by=requested_by, entity_id=entity_id
    )
    enqueue("kernel.run_job", job_id=str(started.pk))
    return started


def run_job(*, job_id: UUID) -> bool:
    """Do one queued job; True if it succeeded. A repeated delivery finds it taken or finished.

    A refusal becomes the job's error with its code, a bug becomes "internal" and is logged. What
    is merely unavailable, or kept losing to others in the database, goes back into the queue until the
    attempts are spent.
    """
    claimed = _claim(job_id)
    if claimed is None:
        return False
    try:
        with acting(actor=claimed.requested_by, request_id=f"job:{claimed.pk}"):
            result = background_job[claimed.kind](claimed, _progress_of(claimed))
    except LeaseLost:
        logger.warning("job was taken over by another worker", extra={"job": str(claimed.pk)})
        return False
    except Unavailable as error:
        _release(claimed, error)
    except DomainError as error:
        _fail(claimed, code=error.code, detail=error.detail)
    except OperationalError as error:
        reason = transient(error)
        if reason is None:
            _fail_of_a_bug(claimed)
        else:
            _release(claimed, given_up(reason))
    except Exception:
        _fail_of_a_bug(claimed)
    else:
        return _finish(claimed, state=JobState.SUCCEEDED, result=plain(result or {}), error=None)
    return False


def sweep_jobs(*, limit: int = 100) -> int:
    """Ring the bell again for jobs nobody has noticed or whose worker has died; returns how many."""
    forgotten = Job.objects.filter(_free(), created_at__lt=Now() - UNNOTICED_AFTER)
    ids = list(forgotten.order_by("created_at").values_list("pk", flat=True)[:limit])
    for pk in ids:
        enqueue("kernel.run_job", job_id=str(pk))
    return len(ids)


def _free() -> Q:
    """Queued and not put off, or running under a lease that has run out."""
    return Q(state=JobState.QUEUED, leased_until__isnull=True) | Q(
        state__in=[JobState.QUEUED, JobState.RUNNING], leased_until__lte=Now()
    )


@retrying
@transaction.atomic(durable=True)
def _claim(job_id: UUID) -> Job | None:
    claimed = Job.objects.filter(_free(), pk=job_id).locked(skip_locked=True).first()
    if claimed is None:
        return None
    if claimed.attempts >= ATTEMPTS_MAX:
        _fail(claimed, code="poison", detail=f"Its worker died {claimed.attempts} times.")
        return None
    if claimed.kind not in background_job:
        _fail(claimed, code="unknown-kind", detail=f"Nothing does jobs of the kind '{claimed.kind}'.")
        return None
    claimed.attempts += 1
    claimed.state, claimed.leased_until = JobState.RUNNING, Now() + LEASE
    claimed.save(update_fields=["attempts", "state", "leased_until"])
    return claimed


def _progress_of(claimed: Job) -> Progress:
    def progress(done: int, total: int | None = None) -> None:
        with transaction.atomic(durable=True):  # inside the handler's own transaction nobody would see it
            if not _ours(claimed).update(done=done, total=total, leased_until=Now() + LEASE):
                raise LeaseLost(claimed.pk)

    return progress


def _release(claimed: Job, error: Unavailable) -> None:
    if claimed.attempts >= ATTEMPTS_MAX:
        _fail(claimed, code=error.code, detail=error.detail)
    else:
        later = Now() + timedelta(seconds=error.retry_after)
        _ours(claimed).update(
            state=JobState.QUEUED, leased_until=later, error={"code": error.code, "detail": error.detail}
        )


def _fail(claimed: Job, *, code: str, detail: str) -> None:
    _finish(claimed, state=JobState.FAILED, error={"code": code, "detail": detail})


def _fail_of_a_bug(claimed: Job) -> None:
    logger.exception("job failed", extra={"job": str(claimed.pk), "kind": claimed.kind})
    _fail(claimed, code="internal", detail="The work failed because of an error in this system.")


def _finish(claimed: Job, **changes: object) -> bool:
    return bool(_ours(claimed).update(finished_at=Now(), leased_until=None, **changes))


def _ours(claimed: Job) -> QuerySet[Job]:
    """The row, as long as the attempt that was claimed is still the last one."""
    return Job.objects.filter(
        pk=claimed.pk, attempts=claimed.attempts, state__in=[JobState.QUEUED, JobState.RUNNING]
    )
