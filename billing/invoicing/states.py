"""The life of an invoice, as data. `partially_paid` and `overdue` are derived, not states."""

from django.db import models

from billing.kernel.states import move


class InvoiceState(models.TextChoices):
    DRAFT = "draft"
    ISSUED = "issued"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"


INVOICE_MOVES = {
    "issue": move(InvoiceState.DRAFT, to=InvoiceState.ISSUED),
    "issue_settled": move(InvoiceState.DRAFT, to=InvoiceState.PAID),  # nothing to pay: the total is zero
    "settle": move(InvoiceState.ISSUED, to=InvoiceState.PAID),
    "void": move(InvoiceState.ISSUED, to=InvoiceState.VOID),
    "write_off": move(InvoiceState.ISSUED, to=InvoiceState.UNCOLLECTIBLE),
    "recover": move(InvoiceState.UNCOLLECTIBLE, to=InvoiceState.ISSUED),
    "settle_recovered": move(
        InvoiceState.ISSUED, to=InvoiceState.UNCOLLECTIBLE
    ),  # the rest stays written off
}


class CreditRemainder(models.TextChoices):
    """What becomes of the part of a credit note that its invoice does not take."""

    BALANCE = "balance", "Kept for other invoices"
    REFUND = "refund", "To be paid back"


class ConsolidatedState(models.TextChoices):
    """Whether it is paid is derived from its children."""

    ISSUED = "issued"
    VOID = "void"


CONSOLIDATED_MOVES = {"void": move(ConsolidatedState.ISSUED, to=ConsolidatedState.VOID)}


class ConsolidatedPaymentState(models.TextChoices):
    OPEN = "open"
    PARTIALLY_PAID = "partially_paid"
    PAID = "paid"
    VOID = "void"


class RunState(models.TextChoices):
    RUNNING = "running"
    FINISHED = "finished"


class RunItemState(models.TextChoices):
    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


class RuleState(models.TextChoices):
    """Of a version of an allocation rule."""

    DRAFT = "draft"
    ACTIVE = "active"
    RETIRED = "retired"


RULE_MOVES = {
    "activate": move(RuleState.DRAFT, to=RuleState.ACTIVE),
    "retire": move(RuleState.ACTIVE, to=RuleState.RETIRED),
}


class AllocationRunState(models.TextChoices):
    RUNNING = "running"
    FINISHED = "finished"
    REVERSING = "reversing"
    REVERSED = "reversed"


ALLOCATION_RUN_MOVES = {
    "finish": move(AllocationRunState.RUNNING, to=AllocationRunState.FINISHED),
    "reverse": move(AllocationRunState.RUNNING, AllocationRunState.FINISHED, to=AllocationRunState.REVERSING),
    "finish_reversal": move(AllocationRunState.REVERSING, to=AllocationRunState.REVERSED),
}
