"""The specification's table of roles and endpoints, row by row: with the role, without it, as nobody, elsewhere."""

import re
from collections import Counter
from uuid import uuid4

import pytest

from billing.entities.models import BillingEntity, Department
from billing.kernel.models import AuditEntry
from config.tests.endpoint_rows import ROLES, ROWS, Row, World

API = "/api/v1/enterprise-billing/"
pytestmark = pytest.mark.django_db


def call(client, row: Row, world: World, *, path: str | None = None):
    """Writes name a key, so that rows which need one and rows which do not are called alike."""
    headers = {"Idempotency-Key": str(uuid4())} if row.method == "POST" else {}
    body = row.body(world) if row.method in {"POST", "PUT"} else None
    address = API + (path or row.path(world))
    return client.generic_json(row.method, address, body, headers | (row.headers or {}))


@pytest.fixture
def caller(api):
    """`api`, with one way to send any row."""

    def client(user=None):
        made = api(user)
        made.generic_json = lambda method, address, body, headers: getattr(made, method.lower())(
            address, body, format="json", headers=headers
        )
        return made

    return client


def verbs_recorded() -> int:
    return AuditEntry.objects.filter(kind="verb").count()


def ids_of(response) -> set[str]:
    return {row["id"] for row in response.json()["results"]}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_each_role_gets_what_the_table_says(row, role, caller):
    world = World()
    word = row.outcome(role)
    user = world.user(role, scopes=(row.scope,) if word == "s" else ())
    row.body(world)  # what the body refers to exists before anything is counted
    before = verbs_recorded()

    response = call(caller(user), row, world)

    if word == "-":
        assert (response.status_code, response.json()["code"]) == (403, "not-allowed")
        assert verbs_recorded() == before
        return
    assert response.status_code in {200, 201, 202}, response.json()
    if word == "Q" or (word == "s" and row.proposing_service_account):
        assert response.status_code == 202 or response.json()["state"] == row.proposed
    elif row.proposing_service_account:
        assert response.json()["state"] != row.proposed


@pytest.mark.parametrize("row", [row for row in ROWS if row.outcome("SA") == "s"], ids=str)
def test_a_key_without_the_scope_is_refused(row, caller):
    world = World()
    other_scopes = {row.scope for row in ROWS} - {row.scope}
    user = world.user("SA", scopes=tuple(sorted(other_scopes)))
    row.body(world)
    before = verbs_recorded()

    response = call(caller(user), row, world)

    assert (response.status_code, response.json()["code"]) == (403, "not-allowed")
    assert verbs_recorded() == before


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_nobody_is_asked_to_sign_in(row, caller):
    world = World()

    response = call(caller(), row, world)

    assert (response.status_code, response.json()["code"]) == (401, "not-authenticated")
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", [row for row in ROWS if row.foreign], ids=str)
def test_what_belongs_to_others_is_what_does_not_exist(row, role, caller):
    world = World()
    word = row.outcome(role)
    user = world.user(role, scopes=(row.scope,))
    theirs = row.path(world.elsewhere)
    unknown = re.sub(r"[0-9a-f]{8}(-[0-9a-f]+){4}", str(uuid4()), theirs, count=1)

    foreign, missing = (call(caller(user), row, world, path=path) for path in (theirs, unknown))

    assert foreign.status_code == missing.status_code == (403 if word == "-" else 404)
    assert _without_trace(foreign) == _without_trace(missing)


@pytest.mark.parametrize("row", [row for row in ROWS if row.outcome("BU") == "O" and row.beside], ids=str)
def test_a_budget_owner_reaches_no_department_beside_his(row, caller):
    world = World()

    response = call(caller(world.user("BU")), row, world, path=row.beside(world))

    assert response.status_code == 404


@pytest.mark.parametrize("role", [role for role in ROLES if role not in {"SY", "IA", "BU", "SA"}])
def test_lists_show_the_own_group_and_nothing_else(role, caller):
    world = World()
    assert world.elsewhere.department  # there is another group
    client = caller(world.user(role))

    entities = ids_of(client.get(f"{API}entities"))
    departments = ids_of(client.get(f"{API}departments"))

    within = BillingEntity.objects.filter(path__startswith=world.root.path)
    assert entities == {str(entity.pk) for entity in within}
    assert departments == {str(d.pk) for d in Department.objects.filter(entity__in=within)}


def test_a_budget_owner_lists_his_department_and_its_entity(caller):
    world = World()
    client = caller(world.user("BU"))

    assert ids_of(client.get(f"{API}entities")) == {str(world.entity.pk)}
    assert ids_of(client.get(f"{API}departments")) == {str(world.department.pk)}


def test_no_row_is_given_twice():
    assert [number for number, times in Counter(row.number for row in ROWS).items() if times > 1] == []


def _without_trace(response) -> tuple:
    body = {name: value for name, value in response.json().items() if name not in {"request_id", "instance"}}
    return response.status_code, response["Content-Type"], body
