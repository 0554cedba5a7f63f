"""Who may do what with meters, usage and quotas."""

from billing.access.permissions import declare
from billing.access.roles import AU, BO, CM, FC, VW

READERS = (VW, BO, CM, FC, AU)

declare("usage.view_meter", *READERS, scope="usage:read")
declare("usage.view_usageevent", *READERS, scope="usage:read")
declare("usage.view_quota", *READERS, scope="usage:read")
declare("usage.view_quotacounter", *READERS)
declare("usage.view_quotaalert", *READERS, scope="usage:read")
declare("usage.create_meter", CM, FC, scope="catalogue:write")
declare("usage.update_meter", CM, FC, scope="catalogue:write")
declare("usage.record_usage", BO, FC, scope="usage:write")
declare("usage.import_usage", BO, FC, scope="usage:write")
declare("usage.set_quota", CM, FC, scope="usage:write")
