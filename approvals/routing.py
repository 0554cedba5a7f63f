"""Who is asked: from the rules in force to the people behind each level of one request.

An approver is named by a rule in one of four ways: a user; everybody who holds a role there; the manager of the
department; or the first manager, from the department upwards, whose own limit covers the amount.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from approvals.core.levels import Mode, votes_needed
from approvals.core.rules import Act, Rule, choose
from approvals.errors import NoApprover, NoRule
from approvals.kinds import ALWAYS
from approvals.models import ApprovalRequest, ApprovalRuleVersion
from approvals.states import VersionState
from billing.access.models import User, UserKind
from billing.entities.models import BillingEntity, Department
from billing.entities.reach import limit_at, live_grants, may, read_reaches

DECIDE = "approvals.decide_request"


@dataclass(frozen=True, kw_only=True)
class RoutedLevel:
    """`people` may decide and are asked; `needed` of them must agree."""

    mode: str
    needed: int
    people: list[User]


@dataclass(frozen=True, kw_only=True)
class Route:
    version: ApprovalRuleVersion
    levels: list[RoutedLevel]


def base_currency_of(entity: BillingEntity) -> str:
    return base_currencies([entity])[entity.pk]


def base_currencies(entities: Iterable[BillingEntity]) -> dict[UUID, str]:
    """By entity, that of the group's root entity: bands and sums over a group are in one currency."""
    roots = {entity.pk: _places(entity)[0] for entity in entities}
    currencies = dict(BillingEntity.objects.filter(pk__in=roots.values()).values_list("pk", "currency"))
    return {pk: currencies[root] for pk, root in roots.items()}


def route(request: ApprovalRequest, *, proposed: ApprovalRuleVersion | None = None) -> Route:
    """The rule in force for an unsaved request, and whom it asks; with a `proposed` version as if that were confirmed.
    Raises NoRule, NoApprover."""
    in_force = _in_force().filter(rule__entity__in=_places(request.entity))
    version = covering(in_force if proposed is None else _once_confirmed(in_force, proposed), request)
    if version is None:
        raise NoRule(f"No rule covers '{request.kind}' at {request.entity.code}, and there is no fallback.")
    levels = [_routed(position, level, request) for position, level in enumerate(version.levels, start=1)]
    return Route(version=version, levels=levels)


def limits_of(kinds: Iterable[str]) -> list[ApprovalRuleVersion]:
    """The rules in force anywhere that are limits of one of the kinds."""
    wanted = set(kinds)
    named = _in_force().filter(rule__kind__in=wanted | {""})
    return [version for version in named if any(is_limit(version, kind) for kind in wanted)]


def is_limit(version: ApprovalRuleVersion, kind: str) -> bool:
    """Whether an act of the kind that it covers needs approval: a fallback only routes what is asked for, unless the
    kind always takes approval."""
    if version.rule.is_fallback:
        return kind in ALWAYS and version.rule.kind in {"", kind}
    return version.rule.kind == kind


def covering(versions: Iterable[ApprovalRuleVersion], request: ApprovalRequest) -> ApprovalRuleVersion | None:
    """Which of them an unsaved request falls under."""
    by_key = {version.pk: version for version in versions}
    department = request.department
    act = Act(
        kind=request.kind,
        amount=request.matched_amount,
        entity_path=request.entity.path,
        department_path=department.path if department else "",
        gl_code=request.gl_code,
        requester=request.requester_id,
        fields=request.fields,
    )
    chosen = choose(map(_as_rule, by_key.values()), act)
    return by_key[chosen.key] if chosen else None


def may_decide(user: User, request: ApprovalRequest) -> bool:
    """Whether the person, as of now, is active, holds a role to decide there, and within the amount."""
    return user.is_active and user.kind == UserKind.PERSON and may(user, DECIDE, request)


def within_limit(user: User, request: ApprovalRequest) -> bool:
    limit = limit_at(user, DECIDE, request, request.currency)
    return limit is None or request.amount <= limit


def first_fit(
    users: Iterable[User], request: ApprovalRequest, *, but_not: Iterable[UUID] = ()
) -> User | None:
    """The first who may decide the amount there and has no part in it."""
    left_out = {*request.barred, *but_not}
    for user in users:
        if user.person_id not in left_out and may_decide(user, request) and within_limit(user, request):
            return user
    return None


def escalated_to(request: ApprovalRequest, *, but_not: Iterable[UUID]) -> User | None:
    """Who stands in once the approvers are late: the nearest manager, else one whom the fallback rule asks."""
    manager = first_fit(_managers_upwards(request), request, but_not=but_not)
    if manager is not None:
        return manager
    fallbacks = _in_force().filter(
        rule__entity__in=_places(request.entity), rule__is_fallback=True, rule__kind__in=[request.kind, ""]
    )
    for version in fallbacks.order_by("-rule__kind", "-rule__entity__path"):
        for level in version.levels:
            if found := first_fit(_named(level["approvers"], request), request, but_not=but_not):
                return found
    return None


def snapshot_of(version: ApprovalRuleVersion) -> dict:
    """What a request keeps of the rule it was made under."""
    return {
        "rule": str(version.rule_id),
        "name": version.rule.name,
        "version": version.number,
        "above_amount": version.above_amount,
        "up_to_amount": version.up_to_amount,
        "currency": version.currency,
        "levels": version.levels,
    }


def _places(entity: BillingEntity) -> list[UUID]:
    """The entity and all above it, from the root on."""
    return [UUID(hex=part) for part in entity.path.strip("/").split("/")]


def _in_force() -> QuerySet[ApprovalRuleVersion]:
    return ApprovalRuleVersion.objects.filter(state=VersionState.ACTIVE, is_enabled=True).select_related(
        "rule__entity", "department"
    )


def _once_confirmed(
    in_force: QuerySet[ApprovalRuleVersion], proposed: ApprovalRuleVersion
) -> list[ApprovalRuleVersion]:
    """The proposed version in the place of the one of the same rule; off, it is in force and matches nothing."""
    return [*in_force.exclude(rule=proposed.rule_id), *([proposed] if proposed.is_enabled else [])]


def _as_rule(version: ApprovalRuleVersion) -> Rule:
    return Rule(
        key=version.pk,
        kind=version.rule.kind,
        entity_path=version.rule.entity.path,
        above=version.above_amount,
        up_to=version.up_to_amount,
        department_path=version.department.path if version.department else "",
        gl_codes=frozenset(version.gl_codes),
        requesters=frozenset(version.requesters),
        fields={name: frozenset(values) for name, values in version.fields.items()},
        priority=version.priority,
        is_fallback=version.rule.is_fallback,
    )


def _routed(position: int, level: Mapping, request: ApprovalRequest) -> RoutedLevel:
    """Whoever is barred is left out; of `all`, nobody else is: one who may not decide any more stops the request
    here, instead of making it easier."""
    named = _named(level["approvers"], request)
    asked = [user for user in named if user.pk not in request.barred]
    able = [user for user in asked if may_decide(user, request) and within_limit(user, request)]
    needed = votes_needed(level["mode"], level.get("quorum"), len(asked))
    if len(able) < max(needed, 1):
        raise NoApprover(
            f"Level {position} needs {max(needed, 1)} who may decide, and would ask {len(able)}.",
            level=position,
        )
    return RoutedLevel(mode=Mode(level["mode"]), needed=needed, people=able)


def _named(approvers: Iterable[Mapping], request: ApprovalRequest) -> list[User]:
    """Each once, in the order of their ids, with what they may do read in one query."""
    ids: set[UUID] = set()
    for approver in approvers:
        ids |= _RESOLVE[approver["kind"]](approver, request)
    users = list(User.objects.filter(pk__in=ids).order_by("pk"))
    read_reaches(users)
    return users


def _user(approver: Mapping, request: ApprovalRequest) -> set[UUID]:
    return {UUID(approver["user"])}


def _role(approver: Mapping, request: ApprovalRequest) -> set[UUID]:
    """Those who may decide there by this role, the amount included: an `all` of them asks nobody it cannot count."""
    holders = live_grants().filter(role=approver["role"]).values("user")
    users = list(User.objects.filter(pk__in=holders, is_active=True, kind=UserKind.PERSON))
    read_reaches(users)
    return {user.pk for user in users if may_decide(user, request) and within_limit(user, request)}


def _department_manager(approver: Mapping, request: ApprovalRequest) -> set[UUID]:
    return {manager for manager in [request.department and request.department.manager_id] if manager}


def _manager_chain(approver: Mapping, request: ApprovalRequest) -> set[UUID]:
    """The nearest manager who may decide the amount and has no part in it."""
    manager = first_fit(_managers_upwards(request), request)
    return {manager.pk} if manager else set()


def _managers_upwards(request: ApprovalRequest) -> list[User]:
    """Those of the request's department and of the departments above it, the nearest first."""
    if request.department is None:
        return []
    ids = [UUID(hex=part) for part in request.department.path.strip("/").split("/")]
    upwards = Department.objects.filter(pk__in=ids, manager__isnull=False).select_related("manager")
    managers = [department.manager for department in upwards.order_by("-path")]
    read_reaches(managers)
    return managers


_RESOLVE = {
    "user": _user,
    "role": _role,
    "department_manager": _department_manager,
    "manager_chain": _manager_chain,
}
APPROVER_KINDS = tuple(_RESOLVE)
