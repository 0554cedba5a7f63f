"""Roles, exceptions and the report of conflicting roles on the wire, beyond the table of roles."""

from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from billing.access.models import User
from billing.access.permissions import scopes
from billing.entities.models import RoleException, RoleGrant
from billing.entities.tests.makers import (
    make_department,
    make_entity,
    make_exception,
    make_grant,
    make_grant_beside,
    make_key,
    make_robot,
    make_user,
)
from billing.kernel.models import AuditEntry, OutboxEvent
from billing.kernel.tests.invariants import assert_invariants_hold

API = "/api/v1/enterprise-billing/"
NOWHERE = "0197f3c2-8d5e-7a31-9b2c-4f60a1d2e3f4"
pytestmark = pytest.mark.django_db


def days(number):
    return timezone.now().date() + timedelta(days=number)


@pytest.fixture
def group():
    """A root, and a company below it with a department."""
    root = make_entity()
    company = make_entity(parent=root)
    return root, company, make_department(entity=company)


@pytest.fixture
def ask(api):
    """`ask(user)` sends; the answer is checked to have the status and given as its body."""

    class Sender:
        def __init__(self, user):
            self.client = api(user)

        def get(self, path, status=200, **query):
            answer = self.client.get(f"{API}{path}?{urlencode(query, doseq=True)}")
            assert answer.status_code == status, answer.json()
            return answer.json()

        def ids(self, path, **query):
            return [row["id"] for row in self.get(path, **query)["results"]]

        def post(self, path, body=None, status=200, **headers):
            answer = self.client.post(f"{API}{path}", body or {}, format="json", headers=headers)
            assert answer.status_code == status, answer.json()
            return answer.json()

    return Sender


def holder(role, entity, **terms):
    return make_grant(role=role, entity=entity, **terms).user


def order(place, **terms):
    return {"role": "VW", "entity": str(place.pk), "reason": "New here"} | terms


def by_two():
    return {"granted_by": make_user(), "confirmed_by": make_user()}


def written():
    lines = AuditEntry.objects.filter(kind="verb")
    return [rows.count() for rows in (RoleGrant.objects, RoleException.objects, lines, OutboxEvent.objects)]


def test_one_grants_another_confirms_and_the_third_finds_it_among_his_own(group, ask, api):
    root, company, department = group
    admin, controller, newcomer = holder("SY", root), holder("FC", root), make_user(name="Ada")
    terms = {
        "email": newcomer.email.upper(),
        "role": "AP",
        "department": str(department.pk),
        "starts_on": str(days(0)),
        "ends_on": str(days(90)),
        "limits": [{"amount": "5000.00", "currency": "EUR"}],
    }

    made = ask(admin).post("role-grants", order(company, **terms), 201)

    assert (made["state"], made["user"], made["granted_by"]) == (
        "proposed",
        str(newcomer.pk),
        str(admin.pk),
    )
    assert (made["entity_code"], made["ends_on"]) == (company.code, str(days(90)))
    assert ask(newcomer).get("me")["grants"] == []
    assert ask(controller).ids("role-grants", state="proposed") == [made["id"]]

    confirmed = ask(controller).post(f"role-grants/{made['id']}/confirm")

    assert (confirmed["state"], confirmed["confirmed_by"]) == ("active", str(controller.pk))
    (own,) = ask(newcomer).get("me")["grants"]
    assert (own["role"], own["department"], own["limits"]) == ("AP", str(department.pk), terms["limits"])
    assert ask(newcomer).get("role-grants", 403)["code"] == "not-allowed"

    revoked = ask(admin).post(f"role-grants/{made['id']}/revoke", {"reason": "Moved on"})

    assert (revoked["state"], ask(newcomer).get("me")["grants"]) == ("revoked", [])
    lines = AuditEntry.objects.filter(kind="verb", action__startswith="grant.").order_by("pk")
    assert [(line.action, line.actor, line.reason) for line in lines] == [
        ("grant.created", f"user:{admin.pk}", "New here"),
        ("grant.confirmed", f"user:{controller.pk}", ""),
        ("grant.revoked", f"user:{admin.pk}", "Moved on"),
    ]
    assert_invariants_hold()


def test_a_created_grant_is_where_its_location_says_and_is_made_once_per_key(group, api):
    root, company, _ = group
    client, body = api(holder("SY", root)), order(company, email=make_user().email)
    headers = {"Idempotency-Key": "first-day"}

    answers = [client.post(f"{API}role-grants", body, format="json", headers=headers) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert client.get(answers[0]["Location"]).json()["id"] == answers[0].json()["id"]
    assert RoleGrant.objects.filter(role="VW").count() == 1


def test_who_grants_names_by_id_or_by_what_he_knows(group, ask):
    root, company, department = group
    admin, colleague = holder("SY", root), holder("VW", root)
    robot = make_robot(make_user(), company)
    codes = {"entity_code": company.code.lower(), "department_code": department.code.lower()}

    by_id = ask(admin).post("role-grants", order(company, user=str(colleague.pk)), 201)
    by_code = ask(admin).post(
        "role-grants", {"role": "CM", "email": make_user().email, "reason": "x"} | codes, 201
    )
    for_robot = ask(admin).post("role-grants", order(company, user=str(robot.pk), role="SA"), 201)

    assert (by_id["user"], by_code["entity"], by_code["department"], for_robot["role"]) == (
        str(colleague.pk),
        str(company.pk),
        str(department.pk),
        "SA",
    )


@pytest.mark.parametrize(
    ("terms", "member"),
    [
        ({}, "user"),
        ({"user": "theirs", "email": "him@example.com"}, "user"),
        ({"user": "theirs"}, "user"),
        ({"user": NOWHERE}, "user"),
        ({"email": "nobody@example.com"}, "email"),
        ({"email": "gone"}, "email"),
        ({"entity": "foreign"}, "entity"),
        ({"entity_code": "foreign"}, "entity_code"),
        ({"department": "foreign"}, "department"),
        ({"department_code": "foreign"}, "department_code"),
        ({"limits": [{"amount": "1", "currency": "EUR"}] * 2}, "limits"),
        ({"limits": [{"amount": "-1", "currency": "EUR"}]}, "limits[0].amount"),
        ({"limits": [{"amount": "0.5", "currency": "JPY"}]}, "limits[0].amount"),
        ({"role": "XX"}, "role"),
        ({"reason": " "}, "reason"),
    ],
)
def test_what_is_named_wrongly_or_is_not_his_is_refused(terms, member, group, ask):
    root, company, _ = group
    admin, foreign = holder("SY", root), make_department(entity=make_entity())
    known = {
        "theirs": str(holder("VW", foreign.entity).pk),
        "gone": make_user(is_active=False).email,
        "foreign": str(foreign.entity.pk),
    }
    if "department" in terms:
        known["foreign"] = str(foreign.pk)
    elif any(name.endswith("_code") for name in terms):
        known["foreign"] = foreign.code if "department_code" in terms else foreign.entity.code
    given = {
        name: known.get(value, value) if isinstance(value, str) else value for name, value in terms.items()
    }
    body = order(company, **given)
    if "entity_code" in terms:
        del body["entity"]
    if terms and not {"user", "email"} & set(terms):
        body["email"] = make_user().email
    before = written()

    refusal = ask(admin).post("role-grants", body, 400)

    assert [error["field"] for error in refusal["errors"]] == [member]
    assert written() == before


def test_what_others_hold_is_what_does_not_exist(group, ask):
    root, company, _ = group
    outside = make_grant(role="VW", entity=make_entity(), confirmed_at=None, granted_by=make_user())
    above = make_grant(role="VW", entity=root)
    admin, controller = holder("SY", company), holder("FC", company)

    assert ask(admin).get(f"role-grants/{outside.pk}", 404)["code"] == "not-found"
    assert ask(admin).get(f"role-grants/{above.pk}", 404)["code"] == "not-found"
    assert ask(controller).post(f"role-grants/{outside.pk}/confirm", None, 404)["code"] == "not-found"
    assert ask(admin).post(f"role-grants/{above.pk}/revoke", {"reason": "x"}, 404)["code"] == "not-found"
    for filters in ({"user": outside.user_id}, {"entity": root.pk}, {"entity": outside.entity_id}):
        assert ask(admin).ids("role-grants", **filters) == []
    assert not RoleGrant.objects.exclude(revoked_at=None).exists()


def test_nobody_is_both_of_the_two(group, ask):
    root, company, _ = group
    admin, controller = holder("SY", root), holder("FC", root)
    proposed = {"confirmed_at": None, "granted_by": make_user()}
    own = make_grant(role="VW", entity=company, user=controller, **proposed)
    before = written()

    to_himself = ask(admin).post("role-grants", order(company, user=str(admin.pk), role="AU"), 403)
    his_own = ask(controller).post(f"role-grants/{own.pk}/confirm", None, 403)

    assert (to_himself["code"], his_own["code"]) == ("four-eyes-required", "four-eyes-required")
    assert written() == before


def test_a_conflict_is_409_and_leaves_nothing(group, ask):
    root, company, _ = group
    admin, operator = holder("SY", root), holder("BO", company)
    before = written()

    refusal = ask(admin).post("role-grants", order(root, user=str(operator.pk), role="FC"), 409)

    assert (refusal["code"], refusal["role"]) == ("roles-conflict", "BO")
    assert written() == before


def test_a_grant_that_has_ended_is_not_confirmed(group, ask):
    root, company, _ = group
    proposed = {"confirmed_at": None, "granted_by": make_user()}
    over = make_grant(role="VW", entity=company, ends_on=days(0), **proposed)
    revoked = make_grant(role="VW", entity=company, revoked_at=timezone.now(), **proposed)
    controller = ask(holder("FC", root))
    before = written()

    for grant in (over, revoked):
        assert controller.post(f"role-grants/{grant.pk}/confirm", None, 409)["code"] == "grant-ended"

    assert written() == before


def test_doing_it_again_changes_nothing(group, ask):
    root, company, _ = group
    controller = ask(holder("FC", root))
    grant = make_grant(role="VW", entity=company, confirmed_at=None, granted_by=make_user())
    first = [
        controller.post(f"role-grants/{grant.pk}/confirm"),
        controller.post(f"role-grants/{grant.pk}/revoke", {"reason": "x"}),
    ]
    before = written()

    again = controller.post(f"role-grants/{grant.pk}/revoke", {"reason": "y"})

    assert [answer["state"] for answer in first] == ["active", "revoked"]
    assert again == first[1]
    assert written() == before


def test_a_stale_version_is_refused_and_changes_nothing(group, ask):
    root, company, _ = group
    controller = ask(holder("FC", root))
    grant = make_grant(role="VW", entity=company, confirmed_at=None, granted_by=make_user())
    exception = make_exception(make_user(), "BO", "FC", entity=company)
    stale, before = {"If-Match": '"7"'}, written()

    for path in (f"role-grants/{grant.pk}/confirm", f"role-grants/{grant.pk}/revoke"):
        body = {} if path.endswith("confirm") else {"reason": "x"}
        assert controller.post(path, body, 412, **stale)["code"] == "precondition-failed"
    refusal = controller.post(f"role-exceptions/{exception.pk}/revoke", {"reason": "x"}, 412, **stale)

    assert refusal["code"] == "precondition-failed"
    assert written() == before
    assert controller.post(f"role-grants/{grant.pk}/confirm", None, **{"If-Match": '"1"'})["version"] == 2


def test_each_state_is_what_its_filter_finds(group, ask):
    _, company, _ = group
    proposed = {"confirmed_at": None, "granted_by": make_user()}
    expected = {
        "proposed": [make_grant(role="VW", entity=company, **proposed)],
        "planned": [make_grant(role="VW", entity=company, starts_on=days(1))],
        "active": [
            make_grant(role="VW", entity=company, ends_on=days(1)),
            make_grant(role="VW", entity=company, ends_at=timezone.now() + timedelta(minutes=5)),
        ],
        "over": [
            make_grant(role="VW", entity=company, ends_on=days(0)),
            make_grant(role="VW", entity=company, ends_at=timezone.now() - timedelta(seconds=1)),
            make_grant(role="VW", entity=company, ends_on=days(0), **proposed),
        ],
        "revoked": [make_grant(role="VW", entity=company, ends_on=days(0), revoked_at=timezone.now())],
    }
    auditor = ask(holder("AU", company))

    for state, grants in expected.items():
        found = auditor.get("role-grants", role="VW", state=state)["results"]
        assert {row["id"] for row in found} == {str(grant.pk) for grant in grants}
        assert {row["state"] for row in found} == {state}
    several = auditor.ids("role-grants", role="VW", state=["planned", "revoked"])
    assert len(several) == 2


def test_active_are_those_who_may(group, ask):
    _, company, _ = group
    auditor = ask(holder("AU", company))
    for terms in ({}, {"starts_on": days(1)}, {"ends_on": days(0)}, {"revoked_at": timezone.now()}):
        make_grant(role="BO", entity=company, **terms)

    for row in auditor.get("role-grants", role="BO", expand="user")["results"]:
        user = RoleGrant.objects.get(pk=row["id"]).user
        assert user.has_perm("entities.create_department", company) == (row["state"] == "active")


def test_lists_are_filtered_searched_ordered_and_expanded(group, ask):
    root, company, department = group
    ada = make_user(name="Ada Lovelace")
    one = make_grant(role="VW", entity=root, user=ada, starts_on=days(-2), **by_two())
    other = make_grant(role="CM", entity=company, department=department, user=ada, starts_on=days(-3))
    auditor = ask(holder("AU", root))
    both = [str(one.pk), str(other.pk)]

    assert auditor.ids("role-grants", user=ada.pk, order_by="-starts_on") == both
    assert auditor.ids("role-grants", search="lovelace", order_by="starts_on") == both[::-1]
    assert auditor.ids("role-grants", role=["VW", "CM"]) == both[::-1]
    assert auditor.ids("role-grants", department=department.pk) == both[1:]
    assert auditor.ids("role-grants", entity=company.pk, role="CM") == both[1:]
    shown = auditor.get(f"role-grants/{one.pk}", expand="user,granted_by,entity,department")
    assert (shown["user"]["name"], shown["entity"]["code"], shown["department"]) == (
        "Ada Lovelace",
        root.code,
        None,
    )
    assert shown["granted_by"]["id"] == str(one.granted_by_id)


def test_limits_are_for_controllers_auditors_the_holder_and_who_granted(group, ask):
    root, company, _ = group
    admin = holder("SY", root)
    limits = {"EUR": "5000", "JPY": "600000"}
    grant = make_grant(role="AP", entity=company, limits=limits, granted_by=admin, confirmed_at=None)
    expected = [{"amount": "5000.00", "currency": "EUR"}, {"amount": "600000", "currency": "JPY"}]

    for reader in (holder("FC", root), holder("AU", root), admin):
        shown = ask(reader).get(f"role-grants/{grant.pk}")["limits"]
        assert sorted(shown, key=lambda limit: limit["currency"]) == expected
    other = ask(holder("SY", root))
    assert "limits" not in other.get(f"role-grants/{grant.pk}")
    assert "limits" not in other.get("role-grants", role="AP", fields="id,limits")["results"][0]


def test_no_key_grants_confirms_or_looks(group, api):
    """Not with every scope there is, nor on behalf of an owner who may."""
    root, company, _ = group
    grant = make_grant(role="VW", entity=company, confirmed_at=None, granted_by=make_user())
    exception = make_exception(make_user(), "BO", "FC", entity=company)
    reason = {"reason": "x"}
    for role in ("SY", "FC"):
        robot = make_robot(holder(role, root), root)
        client = api(key=make_key(user=robot, scopes=scopes())[1])
        before = written()
        answers = [
            client.post(f"{API}role-grants", order(company, email=make_user().email), format="json"),
            client.post(f"{API}role-grants/{grant.pk}/confirm", {}, format="json"),
            client.post(f"{API}role-grants/{grant.pk}/revoke", reason, format="json"),
            client.post(f"{API}role-exceptions", {}, format="json"),
            client.post(f"{API}role-exceptions/{exception.pk}/revoke", reason, format="json"),
            *(client.get(f"{API}{path}") for path in ("role-grants", "role-exceptions", "role-conflicts")),
        ]

        assert [answer.status_code for answer in answers] == [403] * 8
        assert written() == before


def allowance(to, place, **terms):
    return {
        "email": to.email,
        "role": "FC",
        "other_role": "BO",
        "entity": str(place.pk),
        "starts_on": str(days(0)),
        "ends_on": str(days(30)),
        "reason": "Parental leave",
    } | terms


def test_an_exception_is_allowed_used_and_taken_back(group, ask):
    root, company, _ = group
    admin, controller, operator = holder("SY", root), holder("FC", root), holder("BO", company)

    made = ask(controller).post("role-exceptions", allowance(operator, company), 201)

    assert (made["role"], made["other_role"], made["state"]) == ("BO", "FC", "active")
    assert (made["person"], made["approved_by"]) == (str(operator.pk), str(controller.pk))
    terms = {"user": str(operator.pk), "role": "FC", "ends_on": str(days(30))}
    grant = ask(admin).post("role-grants", order(company, **terms), 201)
    in_use = ask(controller).post(f"role-exceptions/{made['id']}/revoke", {"reason": "Back"}, 409)
    assert in_use["code"] == "role-exception-in-use"
    ask(admin).post(f"role-grants/{grant['id']}/revoke", {"reason": "Back"})
    back = ask(controller).post(f"role-exceptions/{made['id']}/revoke", {"reason": "Back"})
    assert back["state"] == "revoked"
    assert ask(controller).post(f"role-exceptions/{made['id']}/revoke", {"reason": "Back"}) == back
    assert_invariants_hold()


@pytest.mark.parametrize(
    ("terms", "status", "code"),
    [
        ({"other_role": "AP"}, 422, "invalid-role-exception"),
        ({"ends_on": str(days(400))}, 422, "invalid-role-exception"),
        ({"person": NOWHERE}, 400, "invalid-request"),
        ({"entity": NOWHERE}, 400, "invalid-request"),
        ({"email": "nobody@example.com"}, 400, "invalid-request"),
        ({"reason": ""}, 400, "invalid-request"),
    ],
)
def test_an_exception_that_makes_no_sense_is_refused(terms, status, code, group, ask):
    root, company, _ = group
    controller = ask(holder("FC", root))
    before = written()

    refusal = controller.post("role-exceptions", allowance(make_user(), company, **terms), status)

    assert refusal["code"] == code
    assert written() == before


def test_a_controller_allows_himself_nothing_and_nothing_elsewhere(group, ask):
    root, company, _ = group
    controller, foreign = holder("FC", company), make_entity()
    theirs = make_exception(make_user(), "BO", "FC", entity=foreign)
    before = written()

    own = ask(controller).post("role-exceptions", allowance(controller, company), 403)
    ask(controller).post("role-exceptions", allowance(make_user(), root), 400)
    ask(controller).post("role-exceptions", allowance(make_user(), foreign), 400)
    ask(controller).get(f"role-exceptions/{theirs.pk}", 404)
    ask(controller).post(f"role-exceptions/{theirs.pk}/revoke", {"reason": "x"}, 404)

    assert own["code"] == "four-eyes-required"
    assert ask(controller).ids("role-exceptions") == []
    assert written() == before


def test_exceptions_are_found_by_person_role_place_and_state(group, ask):
    root, company, _ = group
    now = make_exception(make_user(), "BO", "FC", entity=company)
    later = make_exception(make_user(), "AP", "CM", entity=root, starts_on=days(1))
    over = make_exception(make_user(), "AP", "BO", entity=root, starts_on=days(-9), ends_on=days(0))
    revoked = make_exception(make_user(), "FC", "CM", entity=root, revoked_at=timezone.now())
    auditor = ask(holder("AU", root))

    def found(**filters):
        return {row["id"] for row in auditor.get("role-exceptions", **filters)["results"]}

    def ids(*exceptions):
        return {str(exception.pk) for exception in exceptions}

    assert found(role="FC") == ids(now, revoked)
    assert found(person=later.person_id) == ids(later)
    assert found(entity=company.pk) == ids(now)
    for state, exception in {"active": now, "planned": later, "over": over, "revoked": revoked}.items():
        assert found(state=state) == ids(exception)
        assert auditor.get(f"role-exceptions/{exception.pk}")["state"] == state


@pytest.fixture
def conflicts(group):
    """Five people who hold conflicting roles at the company: two of the same name, one whom nobody allowed it."""
    _, company, _ = group
    controller = make_user(name="Fiona")
    for name in ("Ada", "Ben", "Ben", "Cleo"):
        person = make_user(name=name)
        terms = {"approved_by": controller, "reason": "Leave"}
        ends_on = make_exception(person, "BO", "FC", entity=company, **terms).ends_on
        make_grant(user=person, role="BO", entity=company)
        make_grant(user=person, role="FC", entity=company, ends_on=ends_on)
    dora = make_grant(user=make_user(name="Dora"), role="AP", entity=company)
    make_grant_beside(dora, "CM")
    return company


def test_the_report_says_who_allowed_what_or_that_nobody_did(group, conflicts, ask):
    root, company, _ = group
    rows = ask(holder("AU", root)).get("role-conflicts")["results"]

    assert [row["person_name"] for row in rows] == ["Ada", "Ben", "Ben", "Cleo", "Dora"]
    first, last = rows[0], rows[-1]
    exception = RoleException.objects.get(person=first["person"])
    assert (first["exception"], first["allowed_by"], first["reason"]) == (str(exception.pk), "Fiona", "Leave")
    assert (first["allowed_until"], first["ends_on"]) == (str(days(30)), str(days(30)))
    assert {first["role"], first["other_role"]} == {"BO", "FC"}
    assert (first["place"], first["other_place"]) == (company.code, company.code)
    grants = RoleGrant.objects.filter(user=first["person"])
    assert {first["grant"], first["other_grant"]} == {str(grant.pk) for grant in grants}
    assert (last["exception"], last["allowed_by"], last["allowed_until"], last["ends_on"]) == (None,) * 4


def test_the_report_is_read_page_by_page_both_ways(conflicts, ask, api):
    client = api(holder("AU", conflicts))
    whole = client.get(f"{API}role-conflicts").json()
    assert (whole["next"], whole["previous"], len(whole["results"])) == (None, None, 5)

    for order_by, expected in (("person", whole["results"]), ("-person", whole["results"][::-1])):
        pages, url = [], f"{API}role-conflicts?limit=2&count=true&order_by={order_by}"
        while url:
            pages.append(client.get(url).json())
            url = pages[-1]["next"]
        assert [len(page["results"]) for page in pages] == [2, 2, 1]
        assert [row for page in pages for row in page["results"]] == expected
        assert {page["count"] for page in pages} == {5}
        back = client.get(pages[-1]["previous"]).json()
        assert back["results"] == pages[1]["results"]
        assert client.get(back["previous"]).json()["results"] == pages[0]["results"]
        assert pages[0]["previous"] is None


def test_a_cursor_of_another_order_is_refused(conflicts, api):
    client = api(holder("AU", conflicts))
    cursor = client.get(f"{API}role-conflicts?limit=1").json()["next"].split("cursor=")[1].split("&")[0]

    for query in (f"cursor={cursor}&order_by=-person", "cursor=x", "order_by=role", "as_of=2026-02-30"):
        answer = client.get(f"{API}role-conflicts?{query}")
        assert answer.status_code == 400, query


def test_the_report_of_a_later_day_leaves_out_what_is_over_by_then(conflicts, ask):
    rows = ask(holder("AU", conflicts)).get("role-conflicts", as_of=str(days(30)))["results"]

    assert [row["person_name"] for row in rows] == ["Dora"]


def test_the_report_ends_where_the_reader_does(group, conflicts, ask):
    root, company, _ = group
    above = make_user(name="Abe")
    exception = make_exception(above, "AP", "CM", entity=root)
    make_grant(user=above, role="AP", entity=root)
    make_grant(user=above, role="CM", entity=company, ends_on=exception.ends_on)
    make_grant_beside(make_grant(user=make_user(name="Aaron"), role="AP", entity=root), "CM")

    rows = ask(holder("AU", company)).get("role-conflicts")["results"]

    assert [row["person_name"] for row in rows] == ["Abe", "Ada", "Ben", "Ben", "Cleo", "Dora"]
    shown = {rows[0]["role"]: rows[0]["place"], rows[0]["other_role"]: rows[0]["other_place"]}
    assert shown == {"AP": None, "CM": company.code}
    assert [rows[0]["grant"], rows[0]["other_grant"]].count(None) == 1
    assert ask(holder("AU", make_entity())).get("role-conflicts")["results"] == []


def test_a_service_account_is_shown_as_its_owner(group, ask):
    _, company, _ = group
    owner = make_user(name="Ada")
    make_grant(user=owner, role="AP", entity=company)
    make_robot(owner, company)

    (row,) = ask(holder("AU", company)).get("role-conflicts")["results"]

    assert (row["person"], {row["role"], row["other_role"]}) == (str(owner.pk), {"AP", "SA"})


@pytest.mark.parametrize(
    ("path", "queries"),
    [
        ("role-grants?role=FC&state=active&search=E", 3),
        ("role-grants?expand=user,entity,department,granted_by,confirmed_by&order_by=ends_on", 3),
        ("role-exceptions?role=FC&state=active&expand=person,approved_by", 2),
        ("role-conflicts?as_of=2030-01-01&limit=1", 3),
        ("role-conflicts?limit=2&count=true", 5),
    ],
)
def test_a_page_costs_the_same_for_few_and_many(path, queries, group, api, django_assert_num_queries):
    _, company, _ = group
    auditor = holder("AU", company)
    for people in (1, 6):
        for _ in range(people):
            person = make_user()
            ends_on = make_exception(person, "BO", "FC", entity=company).ends_on
            make_grant(user=person, role="BO", entity=company, **by_two())
            make_grant(user=person, role="FC", entity=company, ends_on=ends_on, limits={"EUR": "5"})
        client = api(User.objects.get(pk=auditor.pk))
        with django_assert_num_queries(queries):
            assert client.get(f"{API}{path}").status_code == 200
