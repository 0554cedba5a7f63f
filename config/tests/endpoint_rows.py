"""The table of who may call what: one row per endpoint, one outcome per role. Every app appends its rows.

An outcome is what the role gets, in its own entity, with a well-formed request: OK (200, 201 or 202), DRAFT (201,
but a draft or a pending request), NO (403). `O` in a row's word is OK in the own department and 404 beside it;
a service account has a key with `scope`, and NO without it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from django.utils import timezone

from approvals.models import ApprovalRequest
from approvals.tests.makers import asks_role, make_approval_rule, make_request
from billing.access.models import User, UserKind
from billing.entities.models import RoleException, RoleGrant
from billing.entities.tests.makers import (
    make_department,
    make_entity,
    make_exception,
    make_grant,
    make_user,
)
from billing.invoicing.models import InvoiceLine
from billing.invoicing.tests.makers import make_invoice, make_tax_rate

ROLES = ("VW", "BO", "CM", "BU", "AP", "FC", "IA", "SA", "AU", "SY")


class World:
    """What a row's builders may use: two groups, each with a company, its departments, and one user per role."""

    def __init__(self) -> None:
        self.root = make_entity(is_seller=True)
        self.entity = make_entity(parent=self.root)
        self.department = make_department(entity=self.entity)
        self.other_department = make_department(entity=self.entity)

    def user(self, role: str, *, scopes: tuple[str, ...] = ()) -> User:
        """Somebody who holds `role` over the group; a budget owner owns `department` only."""
        user = make_user(
            kind=UserKind.SERVICE if role == "SA" else UserKind.PERSON, last_login=timezone.now()
        )
        if role == "BU":
            make_grant(user=user, role=role, entity=self.entity, department=self.department)
        else:
            make_grant(user=user, role=role, entity=self.root)
        if role == "SA":
            user.key_scopes = frozenset(scopes)
        return user

    @cached_property
    def posted_line(self) -> InvoiceLine:
        """A line of an issued invoice of the company, so a cost of its GENERAL department."""
        make_tax_rate(country=self.root.country)
        return make_invoice(seller=self.root, customer=self.entity).lines.get()

    @cached_property
    def approval(self) -> ApprovalRequest:
        """A pending request that asks whoever may decide by his role."""
        for role in ("AP", "FC"):
            make_grant(role=role, entity=self.root)
        level = asks_role("AP")
        level["approvers"] += asks_role("FC")["approvers"]
        make_approval_rule(self.root, level, is_fallback=True)
        return make_request(self.entity, department_id=self.department.pk)

    @cached_property
    def newcomer(self) -> User:
        """Somebody who holds no role yet."""
        return make_user()

    @cached_property
    def grant(self) -> RoleGrant:
        """A proposed role."""
        return make_grant(role="VW", entity=self.entity, confirmed_at=None, granted_by=make_user())

    @cached_property
    def exception(self) -> RoleException:
        """Conflicting roles that somebody may hold, and does not."""
        return make_exception(make_user(), "BO", "FC", entity=self.entity)

    @cached_property
    def elsewhere(self) -> "World":
        return World()


Body = Callable[[World], dict]
Path = Callable[[World], str]


@dataclass(frozen=True, kw_only=True)
class Row:
    """`roles` is ten words in the order of ROLES: Y, Q, O, s or -, as in the specification's table."""

    number: int
    method: str
    path: Path
    roles: str
    scope: str
    body: Body = lambda world: {}
    proposed: str = "draft"  # the state of what a Q makes
    headers: dict | None = None
    beside: Path | None = None  # the same for a department beside it, which he may not see
    proposing_service_account: bool = False  # its s is a Q
    foreign: bool = True  # the path names an object: that of another group is a 404

    def outcome(self, role: str) -> str:
        words = self.roles.split()
        assert len(words) == len(ROLES)
        return words[ROLES.index(role)]

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


def entity_path(world: World) -> str:
    return f"entities/{world.entity.pk}"


def department_path(world: World) -> str:
    return f"departments/{world.department.pk}"


def new_entity(world: World) -> dict:
    return {"parent": str(world.root.pk), "code": "NEW", "name": "New", "currency": "EUR", "country": "DE"}


def new_department(world: World) -> dict:
    return {"entity": str(world.entity.pk), "code": "NEW", "name": "New"}


def cost_to_move(world: World) -> dict:
    line = world.posted_line
    return {"line": str(line.pk), "amount": "1.00", "currency": line.currency, "reason": "their project"}


def new_approval(world: World) -> dict:
    assert world.approval  # so there is a rule
    return {
        "entity": str(world.entity.pk),
        "department": str(world.department.pk),
        "title": "Laptops",
        "amount": "10.00",
        "currency": "EUR",
    }


def approval_body(world: World) -> dict:
    return {"action": "approve", "digest": world.approval.digest}


def approval_bodies(world: World) -> dict:
    return {"items": [{"request": str(world.approval.pk), "digest": world.approval.digest}]}


def rule_terms(world: World) -> dict:
    assert world.approval
    return {"levels": [asks_role("AP")], "reason": "policy"}


def new_rule(world: World) -> dict:
    return {"entity": str(world.root.pk), "name": "All", "kind": "general", **rule_terms(world)}


def new_grant(world: World) -> dict:
    terms = {"entity_code": world.entity.code, "reason": "new here"}
    return {"email": world.newcomer.email, "role": "VW", **terms}


def new_exception(world: World) -> dict:
    today = timezone.now().date()
    return {
        "email": world.newcomer.email,
        "role": "BO",
        "other_role": "FC",
        "entity": str(world.entity.pk),
        "starts_on": str(today),
        "ends_on": str(today + timedelta(days=30)),
        "reason": "leave",
    }


def reason(world: World) -> dict:
    return {"reason": "no longer"}


ROWS: list[Row] = [
    #                                                      VW BO CM BU AP FC IA SA AU SY
    Row(
        number=1,
        method="POST",
        path=lambda world: "entities",
        roles="- Q - - - Y - s - -",
        scope="entities:write",
        body=new_entity,
        proposing_service_account=True,
        foreign=False,
    ),
    Row(number=2, method="GET", path=entity_path, roles="Y Y Y Y Y Y Y s Y -", scope="entities:read"),
    Row(
        number=3,
        method="PUT",
        path=entity_path,
        roles="- Y - - - Y - s - -",
        scope="entities:write",
        body=lambda world: {"name": "Renamed"},
    ),
    Row(
        number=4,
        method="GET",
        path=lambda world: "entities",
        roles="Y Y Y Y Y Y Y s Y -",
        scope="entities:read",
        foreign=False,
    ),
    Row(
        number=5,
        method="GET",
        path=lambda world: f"entities/{world.entity.pk}/hierarchy",
        roles="Y Y Y Y Y Y Y s Y -",
        scope="entities:read",
    ),
    Row(
        number=6,
        method="GET",
        path=lambda world: f"entities/{world.entity.pk}/subscriptions",
        roles="Y Y Y - Y Y - s Y -",
        scope="subscriptions:read",
    ),
    Row(
        number=7,
        method="POST",
        path=lambda world: "departments",
        roles="- Y - - - Y - s - -",
        scope="departments:write",
        body=new_department,
        foreign=False,
    ),
    Row(
        number=8,
        method="GET",
        path=department_path,
        roles="Y Y Y O Y Y - s Y -",
        scope="departments:read",
        beside=lambda world: f"departments/{world.other_department.pk}",
    ),
    Row(
        number=9,
        method="PUT",
        path=department_path,
        roles="- Y - - - Y - s - -",
        scope="departments:write",
        body=lambda world: {"name": "Renamed"},
    ),
    Row(
        number=10,
        method="GET",
        path=lambda world: "departments",
        roles="Y Y Y O Y Y - s Y -",
        scope="departments:read",
        foreign=False,
    ),
    Row(
        number=11,
        method="POST",
        path=lambda world: f"departments/{world.department.pk}/allocations",
        roles="- Y - - - Y - s - -",
        scope="allocations:write",
        body=cost_to_move,
    ),
    Row(
        number=12,
        method="GET",
        path=lambda world: f"departments/{world.department.pk}/allocations",
        roles="Y Y Y O Y Y - s Y -",
        scope="allocations:read",
        beside=lambda world: f"departments/{world.other_department.pk}/allocations",
    ),
    Row(
        number=26,
        method="POST",
        path=lambda world: "approvals/requests",
        roles="- Y Y Y - Y - s - -",
        scope="approvals:write",
        body=new_approval,
        foreign=False,
    ),
    Row(
        number=27,
        method="POST",
        path=lambda world: f"approvals/requests/{world.approval.pk}/process",
        roles="- - - - Y Y - - - -",
        scope="",
        body=approval_body,
    ),
    Row(
        number=28,
        method="POST",
        path=lambda world: "approvals/requests/bulk-approve",
        roles="- - - - Y Y - - - -",
        scope="",
        body=approval_bodies,
        foreign=False,
    ),
    Row(
        number=29,
        method="POST",
        path=lambda world: "approvals/rules",
        roles="- - - - - Q - - - -",
        scope="",
        body=new_rule,
        proposed="proposed",
        foreign=False,
    ),
    Row(
        number=30,
        method="PUT",
        path=lambda world: f"approvals/rules/{world.approval.rule_version.rule_id}",
        roles="- - - - - Q - - - -",
        scope="",
        body=rule_terms,
        proposed="proposed",
    ),
    Row(
        number=31,
        method="GET",
        path=lambda world: "approvals/rules",
        roles="- Y Y Y Y Y - - Y -",
        scope="",
        foreign=False,
    ),
    Row(
        number=32,
        method="GET",
        path=lambda world: "approvals/requests",
        roles="- Y Y Y Y Y - s Y -",
        scope="approvals:read",
        foreign=False,
    ),
    # From here on: beyond the 48 of the specification. No key grants roles, so no scope.
    Row(
        number=49,
        method="GET",
        path=lambda world: "role-grants",
        roles="- - - - - Y - - Y Y",
        scope="",
        foreign=False,
    ),
    Row(
        number=50,
        method="GET",
        path=lambda world: f"role-grants/{world.grant.pk}",
        roles="- - - - - Y - - Y Y",
        scope="",
    ),
    Row(
        number=51,
        method="POST",
        path=lambda world: "role-grants",
        roles="- - - - - - - - - Q",
        scope="",
        proposed="proposed",
        body=new_grant,
        foreign=False,
    ),
    Row(
        number=52,
        method="POST",
        path=lambda world: f"role-grants/{world.grant.pk}/confirm",
        roles="- - - - - Y - - - -",
        scope="",
    ),
    Row(
        number=53,
        method="POST",
        path=lambda world: f"role-grants/{world.grant.pk}/revoke",
        roles="- - - - - Y - - - Y",
        scope="",
        body=reason,
    ),
    Row(
        number=54,
        method="GET",
        path=lambda world: "role-exceptions",
        roles="- - - - - Y - - Y Y",
        scope="",
        foreign=False,
    ),
    Row(
        number=55,
        method="GET",
        path=lambda world: f"role-exceptions/{world.exception.pk}",
        roles="- - - - - Y - - Y Y",
        scope="",
    ),
    Row(
        number=56,
        method="POST",
        path=lambda world: "role-exceptions",
        roles="- - - - - Y - - - -",
        scope="",
        body=new_exception,
        foreign=False,
    ),
    Row(
        number=57,
        method="POST",
        path=lambda world: f"role-exceptions/{world.exception.pk}/revoke",
        roles="- - - - - Y - - - -",
        scope="",
        body=reason,
    ),
    Row(
        number=58,
        method="GET",
        path=lambda world: "role-conflicts",
        roles="- - - - - Y - - Y Y",
        scope="",
        foreign=False,
    ),
]
