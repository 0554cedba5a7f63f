"""The public face of dunning for writing."""

from billing.dunning.services.assignments import assign_policy, end_assignment
from billing.dunning.services.cases import close_cases, reopen_cases
from billing.dunning.services.holds import pause_dunning, resume_dunning
from billing.dunning.services.late_fees import waive_late_fee
from billing.dunning.services.mails import confirm_mail, retry_mail, send_mail, sweep_mails
from billing.dunning.services.policies import (
    STEPS_MAX,
    activate_policy,
    create_policy,
    retire_policy,
    revise_policy,
)
from billing.dunning.services.runs import continue_dunning_run, run_dunning, start_dunning_run

__all__ = [
    "STEPS_MAX",
    "activate_policy",
    "assign_policy",
    "close_cases",
    "confirm_mail",
    "continue_dunning_run",
    "create_policy",
    "end_assignment",
    "pause_dunning",
    "reopen_cases",
    "resume_dunning",
    "retire_policy",
    "retry_mail",
    "revise_policy",
    "run_dunning",
    "send_mail",
    "start_dunning_run",
    "sweep_mails",
    "waive_late_fee",
]
