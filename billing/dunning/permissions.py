"""Who may do what to dunning: whoever sees invoices sees it, a controller makes its rules."""

from billing.access.permissions import declare
from billing.access.roles import AP, AU, BO, CM, FC, VW

for shown in (
    "dunningpolicy",
    "dunningassignment",
    "dunningcase",
    "dunningnotice",
    "dunningpause",
    "latefee",
):
    declare(f"dunning.view_{shown}", VW, BO, CM, AP, FC, AU, scope="dunning:read")
declare("dunning.view_dunningmail", BO, CM, FC, AU)
declare("dunning.view_dunningrun", BO, FC, AU)

declare("dunning.create_policy", FC)
declare("dunning.activate_policy", FC)
declare("dunning.retire_policy", FC)
declare("dunning.assign_policy", BO, FC)
declare("dunning.end_assignment", BO, FC)

# Not an approver: who decides about what others ask for enters nothing himself (segregation of duties).
declare("dunning.pause_dunning", BO, FC, scope="dunning:write")
declare("dunning.resume_dunning", BO, FC, scope="dunning:write")
declare("dunning.waive_late_fee", FC)
declare("dunning.retry_mail", BO, FC)
declare("dunning.confirm_mail", BO, FC)
