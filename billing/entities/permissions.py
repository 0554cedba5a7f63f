"""Who may do what to entities, departments and grants (the table of roles, endpoints 1-5 and 7-10)."""

from billing.access.permissions import declare
from billing.access.roles import AP, AU, BO, BU, CM, FC, IA, SA, SY, VW

declare("entities.view_billingentity", VW, BO, CM, BU, AP, FC, IA, AU, scope="entities:read")
declare("entities.view_tax_id", FC, AU)  # and the bank account
declare("entities.view_tax_id_ending", BO)
declare("entities.create_entity", FC, proposers={BO, SA}, scope="entities:write")
declare("entities.update_entity", BO, FC, scope="entities:write")
declare("entities.update_entity_legal", FC)
declare("entities.activate_entity", FC)
declare("entities.suspend_entity", FC)
declare("entities.resume_entity", FC)
declare("entities.close_entity", FC)
declare("entities.move_entity", FC)

declare("entities.view_department", VW, BO, CM, AP, FC, AU, own={BU}, scope="departments:read")
declare("entities.create_department", BO, FC, scope="departments:write")
declare("entities.update_department", BO, FC, scope="departments:write")
declare("entities.update_department_gl_code", FC)

declare("kernel.view_outboxevent", BO, FC, IA, AU, scope="events:read")
declare("kernel.view_auditentry", FC, AU)
declare("kernel.view_auditseal", FC, AU)
declare("kernel.view_eventdelivery", FC, IA, AU)
declare("kernel.retry_delivery", FC, IA)
declare("kernel.view_job", BO, FC, IA, AU)

declare("entities.view_rolegrant", SY, FC, AU)
declare("entities.view_grant_limits", FC, AU)
declare("entities.grant_role", SY)
declare("entities.confirm_grant", FC)
declare("entities.revoke_grant", SY, FC)
declare("entities.view_roleexception", SY, FC, AU)
declare("entities.approve_exception", FC)
declare("entities.revoke_exception", FC)
