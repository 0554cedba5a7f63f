"""Every state × action × role: what the table of roles and the table of moves say, and nothing else."""

from itertools import product
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from approvals import services
from approvals.services.closing import end_request
from approvals.states import RequestState
from approvals.tests.makers import asks, decide, make_approver, make_request
from billing.access.roles import Role
from billing.entities.tests.makers import make_department, make_entity, make_grant, make_user

pytestmark = pytest.mark.django_db
API = "/api/v1/enterprise-billing/approvals/requests/"

# Who holds the verb at all. The requester is the BO; AP and FC are asked; FC oversees.
HOLDS = {
    "approve": {"AP", "FC"},
    "reject": {"AP", "FC"},
    "comment": {"AP", "FC"},
    "delegate": {"AP", "FC"},
    "reassign": {"AP", "FC"},
    "comments": {"BO", "CM", "BU", "AP", "FC"},
    "cancel": {"BO", "CM", "BU", "FC", "SA"},
}
SEES = {"BO", "AP", "FC"}


def expected(state: str, action: str, role: str) -> int:
    if role not in HOLDS[action]:
        return 403
    if role not in SEES:
        return 404
    if action in {"comment", "comments"}:
        return 200
    if action == "reassign" and role == "AP":
        return 403  # a controller's
    if state != RequestState.PENDING:
        return 409
    return 403 if action == "cancel" and role == "FC" else 200  # who asked cancels


@pytest.fixture(scope="module")
def scene(django_db_setup, django_db_blocker):
    """A request in each state, and somebody in each role."""
    with django_db_blocker.unblock(), transaction.atomic():
        entity = make_entity()
        users = {role: _user(role, entity) for role in Role.values}
        users["SA"].key_scopes = frozenset({"approvals:write", "approvals:read"})
        other = make_approver(entity)
        requests = {}
        for state in RequestState.values:
            levels = () if requests else (asks(users["AP"], users["FC"]),)
            requests[state] = make_request(entity, *levels, by=users["BO"])
            _bring(requests[state], state, users)
        yield users, requests, other
        transaction.set_rollback(True)


def _user(role, entity):
    if role == "BU":
        return make_grant(role=role, entity=entity, department=make_department(entity=entity)).user
    user = make_user(last_login=timezone.now()) if role != "SA" else None
    return make_grant(role=role, entity=entity, user=user).user


def _bring(request, state, users) -> None:
    if state == "approved":
        decide(request, users["FC"])
    elif state == "rejected":
        decide(request, users["FC"], "reject")
    elif state == "canceled":
        services.cancel_request(actor=f"user:{users['BO'].pk}", request_id=request.pk, comment="x")
    elif state in {"expired", "superseded"}:
        end_request(request, actor="task:x", action=state.removesuffix("d"), at=timezone.now())
    request.refresh_from_db()
    assert request.state == state


@pytest.mark.parametrize(("state", "action"), list(product(RequestState.values, HOLDS)))
def test_each_role_gets_what_the_tables_say(state, action, api, scene):
    users, requests, other = scene
    request = requests[state]
    bodies = {
        "approve": {"action": "approve", "digest": request.digest},
        "reject": {"action": "reject", "digest": request.digest, "comment": "x"},
        "comment": {"action": "comment", "comment": "x"},
        "delegate": {"action": "delegate", "to": str(other.pk), "comment": "x"},
        "reassign": {
            "action": "reassign",
            "to": str(other.pk),
            "from_approver": str(users["AP"].pk),
            "comment": "x",
        },
        "comments": {"comment": "x"},
        "cancel": {"comment": "x"},
    }
    path = action if action in {"comments", "cancel"} else "process"
    for role, user in users.items():
        with transaction.atomic():
            answer = api(user).post(
                f"{API}{request.pk}/{path}",
                bodies[action],
                format="json",
                headers={"Idempotency-Key": str(uuid4())},
            )
            transaction.set_rollback(True)
        assert answer.status_code == expected(state, action, role), (role, answer.json())


def test_there_are_420_of_them():
    assert len(RequestState.values) * len(HOLDS) * len(Role.values) == 420
