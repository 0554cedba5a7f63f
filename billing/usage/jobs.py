"""The background jobs of usage."""

from billing.kernel.hooks import Progress, background_job
from billing.kernel.models import Job
from billing.usage import services


@background_job(services.IMPORT_JOB)
def import_file(started: Job, progress: Progress) -> dict:
    """Safe to start again: what is recorded is a duplicate the next time."""
    return services.import_kept_file(
        actor=started.requested_by,
        parameters=started.parameters,
        as_of=started.created_at,
        progress=progress,
    )
