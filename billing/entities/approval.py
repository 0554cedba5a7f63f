"""What of companies and roles can need approval by others, and what it says of itself: `billing.kernel.approval`.

No money is in question: only rules without a band are limits of it.
"""

from collections.abc import Mapping
from decimal import Decimal

from billing.access.roles import Role
from billing.entities.editing import PAYEE
from billing.entities.models import BillingEntity, RoleGrant
from billing.kernel.approval import ProposedOperation
from billing.kernel.audit import plain

ROLE_GRANT = "role_grant"
PAYEE_DATA = "payee_data"
CHANGED = "changed"


def proposed_grant(grant: RoleGrant, *, actor: str) -> ProposedOperation:
    """Its confirmation. Rules can name the role, as the field `role`."""
    return ProposedOperation(
        kind=ROLE_GRANT,
        actor=actor,
        title=f"{Role(grant.role).label} at {grant.entity.code} for {grant.user.name}"[:200],
        subject_id=grant.pk,
        entity_id=grant.entity_id,
        amount=Decimal(0),
        currency=grant.entity.currency,
        terms=plain(
            {
                "user": grant.user.email,
                "role": grant.role,
                "entity": grant.entity.code,
                "department": grant.department.code if grant.department else None,
                "starts_on": grant.starts_on,
                "ends_on": grant.ends_on,
                "ends_at": grant.ends_at,
                "limits": {limit.currency: limit.amount for limit in grant.limits.order_by("currency")},
                "reason": grant.reason,
            }
        ),
        department_id=grant.department_id,
        fields={"role": grant.role},
        beneficiary_id=grant.user_id,
    )


def proposed_payee_data(
    entity: BillingEntity, wanted: Mapping[str, object], *, actor: str
) -> ProposedOperation:
    """All that is to change together, with whom the money goes to and by which tax id among it. Rules can name what
    changes of that: each as a field of its name with the value `changed`."""
    changes = {field: wanted[field] for field in sorted(wanted)}
    return ProposedOperation(
        kind=PAYEE_DATA,
        actor=actor,
        title=f"Change of {', '.join(name.replace('_', ' ') for name in changes)} of {entity.code}"[:200],
        subject_id=entity.pk,
        entity_id=entity.pk,
        amount=Decimal(0),
        currency=entity.currency,
        terms={"before": {field: getattr(entity, field) for field in changes}, "after": changes},
        fields=dict.fromkeys(sorted(PAYEE & set(changes)), CHANGED),
    )
