"""The lives of policies, cases, runs, letters and late fees, as data."""

from django.db import models

from billing.kernel.states import move


class PolicyState(models.TextChoices):
    DRAFT = "draft"
    ACTIVE = "active"
    RETIRED = "retired"


POLICY_MOVES = {
    "activate": move(PolicyState.DRAFT, to=PolicyState.ACTIVE),
    "retire": move(PolicyState.DRAFT, PolicyState.ACTIVE, to=PolicyState.RETIRED),
}


class Effect(models.TextChoices):
    """In the order in which steps of one day are taken: a fee is known before the letter that asks for it."""

    LATE_FEE = "late_fee", "Late fee"
    SUSPEND = "suspend", "Suspend subscriptions"
    NOTIFY = "notify", "Send a reminder"
    STOP = "stop", "Stop, hand over"


class Template(models.TextChoices):
    """Letters, the mildest first: of several due on a day the last one in this order is sent."""

    FRIENDLY_NOTE = "friendly_note", "Friendly note"
    REMINDER = "reminder", "Reminder"
    SECOND_REMINDER = "second_reminder", "Second reminder"
    FINAL_NOTICE = "final_notice", "Final notice"


class FeeBasis(models.TextChoices):
    FLAT = "flat", "Flat amount"
    INTEREST = "interest", "Interest"


class CaseState(models.TextChoices):
    OPEN = "open"
    HANDED_OVER = "handed_over"  # to collection, or proposed to be written off: no step is taken any more
    CLOSED = "closed"


CASE_MOVES = {
    "hand_over": move(CaseState.OPEN, to=CaseState.HANDED_OVER),
    "close": move(CaseState.OPEN, CaseState.HANDED_OVER, to=CaseState.CLOSED),
    "reopen": move(CaseState.CLOSED, to=CaseState.OPEN),
    "reopen_handed_over": move(CaseState.CLOSED, to=CaseState.HANDED_OVER),
}


class Outcome(models.TextChoices):
    TAKEN = "taken"
    SKIPPED = "skipped"


class PauseKind(models.TextChoices):
    DISPUTE = "dispute"
    PROMISE_TO_PAY = "promise_to_pay", "Promise to pay"
    OTHER = "other"


class FeeState(models.TextChoices):
    TO_BE_BILLED = "to_be_billed", "To be billed"
    WAIVED = "waived"


FEE_MOVES = {"waive": move(FeeState.TO_BE_BILLED, to=FeeState.WAIVED)}


class RunState(models.TextChoices):
    RUNNING = "running"
    FINISHED = "finished"


class ItemState(models.TextChoices):
    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
