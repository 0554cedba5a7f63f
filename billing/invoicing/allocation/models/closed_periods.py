"""The months of the books, with what holds of them because of invoicing. A proxy: nothing is stored here."""

import pgtrigger

from billing.invoicing.allocation.core.segregation_of_duties import mapped_by
from billing.ledger.models import AccountingPeriod


class ClosedPeriod(AccountingPeriod):
    """A month was closed by somebody who mapped no GL codes of it."""

    class Meta:
        proxy = True
        default_permissions = ()
        triggers = [
            pgtrigger.Trigger(
                name="closed_by_no_mapper",
                when=pgtrigger.Before,
                operation=pgtrigger.UpdateOf("state"),
                condition=pgtrigger.Q(new__state="closed") & ~pgtrigger.Q(old__state="closed"),
                func=f"""
                    IF EXISTS ({mapped_by("NEW.closed_by", "NEW")}) THEN
                        RAISE EXCEPTION '% mapped GL codes of the month', NEW.closed_by
                            USING ERRCODE = 'check_violation', CONSTRAINT = 'closed_by_no_mapper';
                    END IF;
                    RETURN NEW;
                """,
            )
        ]
