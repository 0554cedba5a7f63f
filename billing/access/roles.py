"""The ten roles, and which of them one person may not hold together (segregation of duties)."""

from django.db import models


class Role(models.TextChoices):
    VIEWER = "VW", "Viewer"
    BILLING_OPERATOR = "BO", "Billing operator"
    CONTRACT_MANAGER = "CM", "Contract manager"
    BUDGET_OWNER = "BU", "Budget owner"
    APPROVER = "AP", "Approver"
    FINANCE_CONTROLLER = "FC", "Finance controller"
    INTEGRATION_ADMIN = "IA", "Integration admin"
    SERVICE_ACCOUNT = "SA", "Service account"
    AUDITOR = "AU", "Auditor"
    SYSTEM_ADMIN = "SY", "User and role admin"


VW, BO, CM, BU, AP, FC, IA, SA, AU, SY = Role

_CONFLICTS = {
    SY: {VW, BO, CM, BU, AP, FC, IA, SA, AU},
    AU: {BO, CM, BU, AP, FC, IA, SA},
    FC: {BO, CM, IA},
    AP: {BO, CM, BU, IA},
    SA: {AP, FC},
}


def in_conflict(one: str, other: str) -> bool:
    """True if nobody may hold both roles over overlapping entities. The order does not matter."""
    return other in _CONFLICTS.get(one, ()) or one in _CONFLICTS.get(other, ())
