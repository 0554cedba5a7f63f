"""Entities, departments and me on the wire, beyond the table of roles."""

import pytest

from billing.entities.models import BillingEntity, Department
from billing.entities.tests.makers import make_department, make_entity, make_grant, make_user
from billing.kernel.models import AuditEntry

API = "/api/v1/enterprise-billing/"
ACCOUNT = {"iban": "DE89370400440532013000", "bic": "COBADEFFXXX"}
pytestmark = pytest.mark.django_db


@pytest.fixture
def group():
    root = make_entity()
    return root, make_entity(parent=root, tax_id="DE136695976", bank_account=ACCOUNT)


def holder(role, entity, **overrides):
    user = make_user()
    make_grant(user=user, role=role, entity=entity, **overrides)
    return user


@pytest.mark.parametrize(
    ("role", "shown"),
    [("FC", "DE136695976"), ("AU", "DE136695976"), ("BO", "****5976"), ("VW", None), ("CM", None)],
)
def test_each_role_sees_as_much_of_the_tax_id_as_it_needs(role, shown, group, api):
    root, entity = group

    body = api(holder(role, root)).get(f"{API}entities/{entity.pk}").json()

    assert body.get("tax_id") == shown
    assert ("tax_id" in body) == (shown is not None)


@pytest.mark.parametrize(
    ("role", "shown"),
    [
        ("FC", ACCOUNT),
        ("AU", ACCOUNT),
        ("BO", {"iban": "****3000", "bic": "COBADEFFXXX"}),
        ("VW", None),
        ("AP", None),
    ],
)
def test_each_role_sees_as_much_of_the_bank_account_as_it_needs(role, shown, group, api):
    root, entity = group

    body = api(holder(role, root)).get(f"{API}entities/{entity.pk}").json()

    assert body.get("bank_account") == shown
    assert ("bank_account" in body) == (shown is not None)


def test_a_controller_sets_a_bank_account_and_an_operator_does_not(group, api):
    root, entity = group
    given = {"bank_account": {"iban": "FR14 2004 1010 0505 0001 3M02 606"}}

    refused = api(holder("BO", root)).patch(f"{API}entities/{entity.pk}", given, format="json")
    wrong = api(holder("FC", root)).patch(
        f"{API}entities/{entity.pk}", {"bank_account": {"iban": "FR15"}}, format="json"
    )
    assert (refused.status_code, wrong.status_code) == (403, 400)
    entity.refresh_from_db()
    assert entity.bank_account == ACCOUNT

    changed = api(holder("FC", root)).patch(f"{API}entities/{entity.pk}", given, format="json")
    assert changed.json()["bank_account"] == {"iban": "FR1420041010050500013M02606"}


def test_a_parent_out_of_reach_is_not_even_an_id(group, api):
    _, entity = group
    client = api(holder("VW", entity))

    assert client.get(f"{API}entities/{entity.pk}").json()["parent"] is None
    assert client.get(f"{API}entities/{entity.pk}?expand=parent").json()["parent"] is None
    assert client.get(f"{API}entities?parent={entity.parent_id}").json()["results"] == []


def test_a_parent_within_reach_can_be_expanded(group, api):
    root, entity = group

    body = api(holder("VW", root)).get(f"{API}entities/{entity.pk}?expand=parent&fields=id,parent").json()

    assert set(body) == {"id", "parent"}
    assert body["parent"]["code"] == root.code


def test_a_stale_etag_is_refused_and_changes_nothing(group, api):
    root, entity = group
    client = api(holder("FC", root))
    tag = client.get(f"{API}entities/{entity.pk}")["ETag"]

    first = client.patch(
        f"{API}entities/{entity.pk}", {"name": "First"}, format="json", headers={"If-Match": tag}
    )
    second = client.patch(
        f"{API}entities/{entity.pk}", {"name": "Second"}, format="json", headers={"If-Match": tag}
    )

    assert (first.status_code, second.status_code) == (200, 412)
    assert first["ETag"] != tag
    assert BillingEntity.objects.get(pk=entity.pk).name == "First"


def test_an_operator_changes_contact_fields_and_no_legal_ones(group, api):
    root, entity = group
    client = api(holder("BO", root))

    refused = client.patch(f"{API}entities/{entity.pk}", {"tax_id": "", "name": "No"}, format="json")
    unchanged = client.patch(
        f"{API}entities/{entity.pk}", {"country": "DE", "payment_terms_days": 60}, format="json"
    )

    assert (refused.status_code, unchanged.status_code) == (403, 200)
    entity.refresh_from_db()
    assert (entity.tax_id, entity.payment_terms_days, entity.name != "No") == ("DE136695976", 60, True)


def test_put_resets_contact_fields_and_keeps_legal_ones(group, api):
    root, entity = group
    BillingEntity.objects.filter(pk=entity.pk).update(email="old@example.com", is_seller=True)

    response = api(holder("BO", root)).put(f"{API}entities/{entity.pk}", {"name": "New"}, format="json")

    assert response.status_code == 200
    entity.refresh_from_db()
    assert (entity.email, entity.is_seller, entity.tax_id) == ("", True, "DE136695976")


def test_only_a_controller_sets_a_gl_code(api):
    department = make_department()
    address = f"{API}departments/{department.pk}"

    refused = api(holder("BO", department.entity)).patch(address, {"default_gl_code": "6000"}, format="json")
    done = api(holder("FC", department.entity)).patch(address, {"default_gl_code": "6000"}, format="json")

    assert (refused.status_code, done.status_code) == (403, 200)
    assert Department.objects.get(pk=department.pk).default_gl_code == "6000"


def test_a_reference_to_something_foreign_is_one_to_nothing(group, api):
    root, _ = group
    client, foreign = api(holder("FC", root)), make_entity()
    body = {"code": "A", "name": "A", "currency": "EUR", "country": "DE"}

    answers = [
        client.post(f"{API}entities", body | {"parent": parent}, format="json")
        for parent in (str(foreign.pk), "0197f3c2-8d5e-7a31-9b2c-4f60a1d2e3f4")
    ]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert answers[0].json()["errors"] == answers[1].json()["errors"]
    assert answers[0].json()["errors"][0]["code"] == "not-found"
    assert not BillingEntity.objects.filter(code="A").exists()


def test_the_verbs_of_an_entity_are_carried_out_and_recorded(group, api):
    root, entity = group
    target = make_entity(parent=root)
    client = api(holder("FC", root))

    def post(verb, body):
        return client.post(f"{API}entities/{entity.pk}/{verb}", body, format="json")

    moved = post("move", {"parent": str(target.pk), "effective_on": "2026-01-01", "reason": "sold"})
    states = [post(verb, {"reason": "because"}).json()["state"] for verb in ("suspend", "resume", "close")]

    assert moved.json()["parent"] == str(target.pk)
    assert states == ["suspended", "active", "closed"]
    assert post("resume", {}).status_code == 409
    assert AuditEntry.objects.filter(kind="verb").count() == 4


def test_moving_needs_the_action_at_both_ends(group, api):
    root, entity = group
    target = make_entity()
    user = holder("FC", root)
    make_grant(user=user, role="VW", entity=target)

    response = api(user).post(
        f"{API}entities/{entity.pk}/move",
        {"parent": str(target.pk), "effective_on": "2026-01-01", "reason": "x"},
        format="json",
    )

    assert response.status_code == 403
    assert BillingEntity.objects.get(pk=entity.pk).parent_id == root.pk


@pytest.mark.parametrize(
    "path", ["entities", "entities?expand=parent", "departments", "departments?expand=entity"]
)
def test_a_list_costs_the_same_however_long_it_is(path, group, api, django_assert_max_num_queries):
    root, entity = group
    user = holder("FC", root)

    def cost():
        del user._reaches
        with django_assert_max_num_queries(6) as counted:
            assert api(user).get(API + path).status_code == 200
        return len(counted)

    assert user.has_perm("entities.view_department")
    short = cost()
    for _ in range(5):
        make_department(entity=make_entity(parent=entity))
    assert cost() == short


def test_the_hierarchy_costs_the_same_however_deep_it_is(group, api, django_assert_max_num_queries):
    root, entity = group
    user = holder("VW", root)
    for _ in range(4):
        entity = make_entity(parent=entity)

    with django_assert_max_num_queries(5):
        tree = api(user).get(f"{API}entities/{root.pk}/hierarchy").json()

    depths = []
    while tree:
        depths.append(tree["depth"])
        tree = tree["children"][0] if tree["children"] else None
    assert depths == [1, 2, 3, 4, 5, 6]


def test_filters_narrow_and_unknown_ones_are_refused(group, api):
    root, entity = group
    client = api(holder("VW", root))

    def codes(query):
        return {row["code"] for row in client.get(f"{API}entities?{query}").json()["results"]}

    assert codes("state=active") == {root.code, entity.code}
    assert codes("state=closed&state=draft") == set()
    assert codes(f"parent={root.pk}") == {entity.code}
    assert codes(f"within={entity.pk}") == {entity.code}
    assert codes(f"code={entity.code.lower()}") == {entity.code}
    assert codes(f"search={entity.name.upper()}") == {entity.code}
    assert codes("created_before=2001-01-01T00:00:00Z") == set()
    assert client.get(f"{API}entities?tax_id=DE136695976").status_code == 400


def test_me_says_who_i_am_and_what_i_may_do(group, api):
    root, _ = group
    user = holder("AP", root, limits={"EUR": "500"})

    body = api(user).get(f"{API}me").json()

    assert (body["id"], body["kind"], body["key"]) == (str(user.pk), "person", None)
    assert body["grants"][0]["limits"] == [{"amount": "500.00", "currency": "EUR"}]
    assert "entities.view_billingentity" in body["permissions"]
    assert "entities.create_entity" not in body["permissions"]
    assert api().get(f"{API}me").status_code == 401
