"""One billing run in several processes of this machine."""

from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import wait
from uuid import UUID

from django.db import connections

from billing.invoicing import services
from billing.kernel.context import acting
from billing.kernel.errors import Unavailable
from billing.kernel.statement_timeout import no_statement_timeout

LOOK_EVERY_SECONDS = 0.5


def continue_in_processes(*, actor: str, run_id: UUID, workers: int, look: Callable[[], object]) -> None:
    """Have `workers` processes continue the run, and `look` at it until the last of them has ended.

    Whatever one of them leaves, because it was killed or a customer was in use, stays pending.
    """
    connections.close_all()  # a session is one process's
    fork = get_context("fork")
    processes = [fork.Process(target=_work, args=(actor, run_id), daemon=True) for _ in range(workers)]
    for process in processes:
        process.start()
    at_work = [process.sentinel for process in processes]
    while at_work:
        ended = wait(at_work, timeout=LOOK_EVERY_SECONDS)
        at_work = [sentinel for sentinel in at_work if sentinel not in ended]
        look()


def _work(actor: str, run_id: UUID) -> None:
    # Customers that are in use the command itself tries last, and says what is in their way.
    with acting(actor=actor), no_statement_timeout(), suppress(Unavailable):
        services.continue_billing_run(actor=actor, run_id=run_id)
