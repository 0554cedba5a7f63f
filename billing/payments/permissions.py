"""Who may do what to payments."""

from billing.access.permissions import declare
from billing.access.roles import AP, AU, BO, CM, FC, VW

declare("payments.view_payment", VW, BO, CM, AP, FC, AU, scope="payments:read")
declare("payments.view_customeraccount", VW, BO, CM, AP, FC, AU, scope="payments:read")
declare("payments.record_payment", BO, FC, scope="payments:write")
declare("payments.apply_payment", BO, FC, scope="payments:write")
