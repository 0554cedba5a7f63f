"""Tables of lower apps, with what holds of them because of approvals. Proxies: nothing is stored here."""

from approvals import triggers
from billing.invoicing.models import CreditNote


class GuardedCreditNote(CreditNote):
    """A credit note above a limit was approved."""

    class Meta:
        proxy = True
        default_permissions = ()
        triggers = [triggers.credited_with_consent()]
