"""Every periodic task on one screen.

All of them are sweeps: they look into the database for work that is due, so that a run that is missed
or done twice (two schedulers, a late worker) changes nothing. A message nobody took before the next
one is due expires, so that sweeps do not pile up while the workers are away.
"""

from datetime import timedelta

from celery.schedules import crontab

DAY = 24 * 3600


def every(seconds: int, task: str) -> dict:
    return {"task": task, "schedule": timedelta(seconds=seconds), "options": {"expires": seconds}}


def daily(hour: int, minute: int, task: str) -> dict:
    """At this time of day in UTC."""
    return {"task": task, "schedule": crontab(hour=hour, minute=minute), "options": {"expires": DAY}}


SCHEDULE = {
    entry["task"]: entry
    for entry in (
        every(5, "kernel.sweep_outbox"),
        every(10, "kernel.sweep_jobs"),
        every(60, "kernel.seal_audit"),
        daily(3, 20, "kernel.purge_idempotency_keys"),
        daily(0, 5, "entities.apply_due_moves"),
        daily(0, 15, "usage.make_partitions"),
        daily(0, 10, "subscriptions.expire_licenses"),
        every(3600, "subscriptions.roll_forward"),  # each seller in its own first hour of the day
        daily(0, 20, "invoicing.mark_past_due"),
        every(3600, "dunning.run_dunning"),  # each seller once, from six in the morning where it is
        every(60, "dunning.sweep_mails"),
        every(60, "approvals.sweep_mails"),
        daily(0, 25, "approvals.expire_requests"),
        daily(0, 35, "approvals.remind_approvers"),
    )
}
