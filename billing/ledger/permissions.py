"""Who may do what with the books. They are the seller's own: its viewers and managers do not see them."""

from billing.access.permissions import declare
from billing.access.roles import AU, BO, FC

declare("ledger.view_ledgeraccount", BO, FC, AU, scope="ledger:read")
declare("ledger.view_journalentry", BO, FC, AU, scope="ledger:read")
declare("ledger.view_accountingperiod", BO, FC, AU, scope="ledger:read")
declare("ledger.begin_closing_period", FC)
declare("ledger.close_period", FC)
declare("ledger.keep_period_open", FC)
declare("ledger.reopen_period", FC)
