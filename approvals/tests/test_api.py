"""The approvals endpoints: shapes, roles within reach, and what a client is told."""

from uuid import uuid4

import pytest

from approvals.models import ApprovalDelegation, ApprovalRequest, ApprovalRuleVersion
from approvals.states import RequestState, VersionState
from approvals.tests.makers import asks, decide, make_approval_rule, make_approver, make_request
from billing.entities.tests.makers import make_department, make_entity, make_grant
from billing.kernel.tests.commits import as_if_committed

pytestmark = pytest.mark.django_db
API = "/api/v1/enterprise-billing/approvals/"


@pytest.fixture
def entity():
    return make_entity()


@pytest.fixture
def boss(entity):
    return make_approver(entity)


@pytest.fixture
def clerk(entity):
    return make_grant(role="BO", entity=entity).user


def post(client, path, body=None):
    return client.post(f"{API}{path}", body or {}, format="json", headers={"Idempotency-Key": str(uuid4())})


def new_request(entity, **overrides) -> dict:
    return {
        "entity": str(entity.pk),
        "title": "Laptops",
        "amount": "21000.00",
        "currency": "EUR",
        "description": "ten of them",
    } | overrides


def rule_body(entity, person) -> dict:
    return {
        "entity": str(entity.pk),
        "name": "Over 10,000",
        "kind": "general",
        "above_amount": "10000.00",
        "levels": [{"mode": "any", "approvers": [{"kind": "user", "user": str(person.pk)}]}],
        "match_fields": [{"name": "region", "any_of": ["EMEA"]}],
        "reason": "policy 7",
    }


def test_a_request_is_made_and_approved(api, entity, boss, clerk):
    make_approval_rule(entity, asks(boss), name="large", above_amount="20000")

    made = post(
        api(clerk), "requests", new_request(entity, custom_fields=[{"name": "region", "value": "EMEA"}])
    )

    assert made.status_code == 201, made.json()
    body = made.json()
    assert (body["state"], body["amount"], body["snapshot"]["name"]) == ("pending", "21000.00", "large")
    assert body["content"]["fields"] == {"region": "EMEA"}
    decision = {"action": "approve", "digest": body["digest"]}
    done = post(api(boss), f"requests/{body['id']}/process", decision)
    assert (done.status_code, done.json()["state"]) == (200, "approved")
    assert [action["action"] for action in done.json()["actions"]] == ["request", "approve"]
    assert done.json()["levels"][0]["votes"][0]["person"] == str(boss.pk)


def test_a_decision_needs_a_key_the_digest_and_for_a_rejection_a_reason(api, entity, boss):
    request = make_request(entity, asks(boss))
    path = f"requests/{request.pk}/process"
    client = api(boss)
    body = {"action": "approve", "digest": request.digest}

    assert client.post(f"{API}{path}", body, format="json").status_code == 400
    for wrong in (
        {"action": "approve"},
        {"action": "reject", "digest": request.digest},
        {"action": "comment", "digest": request.digest, "comment": "x"},
        {"action": "delegate", "comment": "x"},
        {"action": "cancel"},
    ):
        answer = post(client, path, wrong)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request"), wrong
    stale = post(client, path, body | {"digest": "0" * 64})
    assert (stale.status_code, stale.json()["code"]) == (409, "content-changed")
    request.refresh_from_db()
    assert request.state == RequestState.PENDING


def test_each_sees_what_he_asked_for_is_asked_about_or_oversees(api, entity, boss, clerk):
    mine, theirs = make_request(entity, asks(boss), by=clerk), make_request(entity)
    elsewhere = make_request(make_entity())

    def seen(user):
        return {row["id"] for row in api(user).get(f"{API}requests").json()["results"]}

    both = {str(mine.pk), str(theirs.pk)}
    assert seen(clerk) == {str(mine.pk)}
    assert seen(boss) == both
    assert seen(make_approver(entity)) == set()
    assert seen(make_grant(role="AU", entity=entity).user) == both
    assert api(clerk).get(f"{API}requests/{theirs.pk}").status_code == 404
    assert api(boss).get(f"{API}requests/{elsewhere.pk}").status_code == 404


def test_the_inbox_is_what_waits_for_me(api, entity, boss):
    other = make_approver(entity)
    make_approval_rule(entity, asks(boss), asks(other), is_fallback=True)
    first, second = make_request(entity), make_request(entity)
    decide(second, boss)

    def inbox(user):
        return [row["id"] for row in api(user).get(f"{API}requests?inbox=true").json()["results"]]

    assert inbox(boss) == [str(first.pk)]
    assert inbox(other) == [str(second.pk)]


def test_bulk_answers_for_each_in_its_place(api, entity, boss):
    fine, foreign = make_request(entity, asks(boss)), make_request(make_entity())
    items = [
        {"request": str(foreign.pk), "digest": foreign.digest},
        {"request": str(fine.pk), "digest": fine.digest},
    ]

    answer = post(api(boss), "requests/bulk-approve", {"items": items})

    assert answer.status_code == 200, answer.json()
    assert [
        (row["request"], row["state"], row["error"] and row["error"]["code"])
        for row in answer.json()["results"]
    ] == [
        (str(foreign.pk), None, "not-found"),
        (str(fine.pk), "approved", None),
    ]
    foreign.refresh_from_db()
    assert foreign.state == RequestState.PENDING


def test_a_rule_is_proposed_confirmed_by_another_and_changed(api, entity, boss):
    one, two = (make_grant(role="FC", entity=entity).user for _ in range(2))

    made = post(api(one), "rules", rule_body(entity, boss))
    assert (made.status_code, made.json()["state"]) == (201, "proposed"), made.json()
    path = f"rules/{made.json()['id']}"
    alone = post(api(one), f"{path}/confirm")
    assert (alone.status_code, alone.json()["code"]) == (403, "four-eyes-required")
    assert not ApprovalRuleVersion.objects.filter(state=VersionState.ACTIVE).exists()
    confirmed = post(api(two), f"{path}/confirm")
    assert (confirmed.json()["state"], confirmed.json()["active"]["above_amount"]) == ("active", "10000.00")
    assert confirmed.json()["active"]["match_fields"] == [{"name": "region", "any_of": ["EMEA"]}]

    terms = {k: v for k, v in rule_body(entity, boss).items() if k not in {"entity", "name", "kind"}}
    changed = api(two).put(
        f"{API}{path}",
        terms | {"above_amount": "5000.00"},
        format="json",
        headers={"If-Match": confirmed["ETag"]},
    )
    assert (changed.status_code, changed.json()["state"]) == (200, "proposed"), changed.json()
    assert changed.json()["active"]["above_amount"] == "10000.00"
    again = api(two).put(f"{API}{path}", terms, format="json")
    assert (again.status_code, again.json()["code"]) == (409, "rule-proposal-open")
    stale = api(two).put(f"{API}{path}", terms, format="json", headers={"If-Match": confirmed["ETag"]})
    assert stale.status_code == 412
    in_force = post(api(one), f"{path}/confirm").json()
    assert (in_force["active"]["number"], in_force["active"]["above_amount"], in_force["proposed"]) == (
        2,
        "5000.00",
        None,
    )


def test_a_proposal_is_withdrawn_and_a_rule_switched_off(api, entity, boss):
    one, two = (make_grant(role="FC", entity=entity).user for _ in range(2))
    make_approval_rule(entity, asks(boss), is_fallback=True, name="rest")
    version = make_approval_rule(entity, asks(boss), name="large")
    terms = {"levels": rule_body(entity, boss)["levels"], "is_enabled": False, "reason": "not needed"}
    path = f"rules/{version.rule_id}"
    assert api(one).put(f"{API}{path}", terms, format="json").status_code == 200
    dropped = post(api(two), f"{path}/withdraw", {"comment": "it is"})
    assert (dropped.status_code, dropped.json()["state"]) == (200, "active")
    assert make_request(entity).snapshot["name"] == "large"
    assert api(one).put(f"{API}{path}", terms, format="json").status_code == 200
    post(api(two), f"{path}/confirm")
    assert make_request(entity).snapshot["name"] == "rest"


@pytest.mark.parametrize(
    "wrong",
    [
        {"levels": []},
        {"levels": [{"mode": "quorum", "approvers": [{"kind": "role", "role": "AP"}]}]},
        {"levels": [{"mode": "any", "quorum": 1, "approvers": [{"kind": "role", "role": "AP"}]}]},
        {"levels": [{"mode": "any", "approvers": [{"kind": "role"}]}]},
        {"levels": [{"mode": "any", "approvers": [{"kind": "role", "role": "BO"}]}]},
        {"levels": [{"mode": "any", "approvers": [{"kind": "manager_chain", "role": "AP"}]}]},
        {"up_to_amount": "10000.00"},
        {"above_amount": "0.001"},
        {"due_days": 10, "expires_days": 9},
        {"kind": "unheard-of"},
        {"kind": ""},
        {"is_fallback": True},
    ],
)
def test_a_rule_that_makes_no_sense(api, entity, boss, wrong):
    controller = make_grant(role="FC", entity=entity).user
    answer = post(api(controller), "rules", rule_body(entity, boss) | wrong)
    assert answer.status_code == 400, answer.json()
    assert not ApprovalRuleVersion.objects.exists()


def test_who_would_approve_21_000_for_this_department(api, entity, boss):
    department = make_department(entity=entity, manager=boss)
    make_approval_rule(
        entity,
        {"mode": "any", "approvers": [{"kind": "department_manager"}]},
        above_amount="20000",
        name="large",
    )
    body = {
        "entity": str(entity.pk),
        "department": str(department.pk),
        "amount": "21000.00",
        "currency": "EUR",
    }

    answer = post(api(make_grant(role="BO", entity=entity).user), "requests/simulate", body)

    assert answer.status_code == 200, answer.json()
    assert answer.json()["rule_name"] == "large"
    assert answer.json()["levels"] == [
        {"mode": "any", "needed": 1, "approvers": [{"id": str(boss.pk), "name": boss.name}]}
    ]
    assert not ApprovalRequest.objects.exists()


def test_out_of_office(api, entity, boss):
    other = make_approver(entity)
    days = {"starts_on": "2026-11-01", "ends_on": "2027-10-01"}
    made = post(api(boss), "delegations", {"delegate": str(other.pk), "reason": "leave", **days})
    assert made.status_code == 201, made.json()
    path = f"delegations/{made.json()['id']}"
    assert api(other).get(f"{API}{path}").status_code == 200
    assert api(make_approver(entity)).get(f"{API}{path}").status_code == 404
    overseen = api(make_grant(role="AU", entity=entity).user).get(f"{API}delegations").json()["results"]
    assert [row["id"] for row in overseen] == [made.json()["id"]]
    assert post(api(boss), f"{path}/revoke").json()["revoked_at"]
    assert ApprovalDelegation.objects.get().revoked_at


def test_comment_delegate_reassign_and_cancel(api, entity, boss, clerk):
    other, controller = make_approver(entity), make_grant(role="FC", entity=entity).user
    request = make_request(entity, asks(boss), by=clerk)
    path = f"requests/{request.pk}"
    assert post(api(clerk), f"{path}/comments", {"comment": "urgent"}).status_code == 200
    delegated = {"action": "delegate", "to": str(other.pk), "comment": "away"}
    assert post(api(boss), f"{path}/process", delegated).status_code == 200
    moved = {"action": "reassign", "to": str(other.pk), "from_approver": str(boss.pk), "comment": "left"}
    assert post(api(boss), f"{path}/process", moved).status_code == 403
    assert post(api(controller), f"{path}/process", moved).status_code == 200
    assert post(api(controller), f"{path}/cancel", {"comment": "x"}).json()["code"] == "not-asked-to-decide"
    gone = post(api(clerk), f"{path}/cancel", {"comment": "bought elsewhere"})
    assert (gone.status_code, gone.json()["state"]) == (200, "canceled")
    as_if_committed()


def test_a_budget_owner_asks_for_his_department_only(api, entity, boss):
    make_approval_rule(entity, asks(boss), is_fallback=True)
    mine, other = make_department(entity=entity), make_department(entity=entity)
    owner = make_grant(role="BU", entity=entity, department=mine).user
    assert post(api(owner), "requests", new_request(entity, department=str(mine.pk))).status_code == 201
    for body in (new_request(entity), new_request(entity, department=str(other.pk))):
        assert post(api(owner), "requests", body).status_code in {400, 403}
    assert ApprovalRequest.objects.count() == 1
