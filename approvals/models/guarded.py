"""Tables of lower apps, with what holds of them because of approvals. Proxies: nothing is stored here."""

import pgtrigger

from approvals import deeds
from approvals.triggers import done_with_consent, waits_for_acts
from billing.entities.editing import PAYEE
from billing.entities.models import BillingEntity, RoleGrant
from billing.invoicing.models import CreditNote, ExchangeRate, Invoice
from billing.ledger.models import AccountingPeriod


def _changes(columns: list[str]) -> str:
    return " OR ".join(f"NEW.{column} IS DISTINCT FROM OLD.{column}" for column in columns).join("()")


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
                operation=pgtrigger.Insert | pgtrigger.UpdateOf("remainder_to", "applied_amount"),
                when=f"{deeds.PAID_BACK} > {deeds.PAID_BACK_BEFORE}",
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
                when=f"{deeds.WRITTEN_OFF} > 0",
            ),
            done_with_consent(
                "issued_with_consent",
                deeds.NEW_INVOICE,
                operation=pgtrigger.Insert | pgtrigger.UpdateOf("number"),
                when="NEW.number IS NOT NULL AND (TG_OP = 'INSERT' OR OLD.number IS NULL)",
            ),
        ]


class GuardedRoleGrant(RoleGrant):
    """A role was confirmed with the consent it needs. What a command grants is the operator's own doing."""

    class Meta:
        proxy = True
        default_permissions = ()
        triggers = [
            done_with_consent(
                "granted_with_consent",
                deeds.NEW_GRANT,
                operation=pgtrigger.Insert | pgtrigger.UpdateOf("confirmed_at"),
                when="NEW.confirmed_at IS NOT NULL AND NEW.granted_by_id IS NOT NULL"
                " AND (TG_OP = 'INSERT' OR OLD.confirmed_at IS NULL)",
            )
        ]


class GuardedEntity(BillingEntity):
    """Whom the money goes to was changed with the consent it needs."""

    class Meta:
        proxy = True
        default_permissions = ()
        triggers = [
            done_with_consent(
                "payee_changed_with_consent",
                deeds.NEW_PAYEE_DATA,
                operation=pgtrigger.UpdateOf(*sorted(PAYEE)),
                when=f"OLD.state <> 'draft' AND {_changes(sorted(PAYEE))}",
            )
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


class GuardedExchangeRate(ExchangeRate):
    """What an act is worth does not change while it is under way."""

    class Meta:
        proxy = True
        default_permissions = ()
        triggers = [waits_for_acts(pgtrigger.Insert)]
