"""Tables of lower apps, with what holds of them because of approvals. Proxies: nothing is stored here."""

import pgtrigger

from approvals import deeds
from approvals.triggers import done_with_consent
from billing.invoicing.models import CreditNote, Invoice
from billing.ledger.models import AccountingPeriod


class GuardedCreditNote(CreditNote):
    """A credit note above a limit was approved, and so was paying it back."""

    class Meta:
        proxy = True
        default_permissions = ()
        triggers = [
            done_with_consent("credited_with_consent", deeds.NEW_CREDIT_NOTE, operation=pgtrigger.Insert),
            done_with_consent(
                "paid_back_with_consent",
                deeds.NEW_PAY_BACK,
                operation=pgtrigger.Insert | pgtrigger.UpdateOf("remainder_to"),
                when="NEW.remainder_to = 'refund' AND NEW.total_amount > NEW.applied_amount"
                " AND (TG_OP = 'INSERT' OR OLD.remainder_to <> 'refund')",
            ),
        ]


class GuardedInvoice(Invoice):
    """An invoice above a limit was approved when it was issued, and so was a write-off."""

    class Meta:
        proxy = True
        default_permissions = ()
        triggers = [
            done_with_consent(
                "written_off_with_consent",
                deeds.NEW_WRITE_OFF,
                operation=pgtrigger.UpdateOf("written_off_amount"),
                when="NEW.written_off_amount > OLD.written_off_amount",
            ),
            done_with_consent(
                "issued_with_consent",
                deeds.NEW_INVOICE,
                operation=pgtrigger.Insert | pgtrigger.UpdateOf("number"),
                when="NEW.number IS NOT NULL AND (TG_OP = 'INSERT' OR OLD.number IS NULL)",
            ),
        ]


class GuardedPeriod(AccountingPeriod):
    """A month was reopened with the consent it needs."""

    class Meta:
        proxy = True
        default_permissions = ()
        triggers = [
            done_with_consent(
                "reopened_with_consent",
                deeds.NEW_REOPENING,
                operation=pgtrigger.UpdateOf("state"),
                when="OLD.state = 'closed' AND NEW.state <> 'closed'",
            )
        ]
