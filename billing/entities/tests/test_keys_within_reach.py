"""Keys on the wire: whose they are is answered by grants."""

import pytest

from billing.access.services import use_key
from billing.entities.tests.makers import make_entity, make_grant, make_key, make_user

API = "/api/v1/enterprise-billing/"
pytestmark = pytest.mark.django_db


def test_an_administrator_makes_and_ends_keys_of_his_own_group_only(api):
    entity, admin = make_entity(), make_user()
    make_grant(user=admin, role="SY", entity=entity)
    account, foreign = (make_grant(role="SA", entity=place).user for place in (entity, make_entity()))
    foreign_key, _ = make_key(user=foreign)
    client = api(admin)
    body = {"name": "ERP", "scopes": ["entities:read"], "expires_at": "2027-01-01T00:00:00Z"}

    made = client.post(f"{API}keys", body | {"user": str(account.pk)}, format="json")
    refused = client.post(f"{API}keys", body | {"user": str(foreign.pk)}, format="json")

    assert (made.status_code, refused.status_code) == (201, 400)
    assert use_key(presented=made.json()["key"], ip="203.0.113.7").user == account
    listed = client.get(f"{API}keys").json()["results"]
    assert [row["id"] for row in listed] == [made.json()["id"]]
    assert "key" not in listed[0]
    gone = client.post(f"{API}keys/{foreign_key.pk}/revoke", {"reason": "x"}, format="json")
    assert gone.status_code == 404
    ended = client.post(f"{API}keys/{made.json()['id']}/revoke", {"reason": "x"}, format="json")
    assert ended.json()["revoked_at"]
    foreign_key.refresh_from_db()
    assert foreign_key.revoked_at is None


def test_a_key_reaches_what_its_scope_and_its_role_allow(api):
    entity = make_entity()
    account = make_grant(role="SA", entity=entity).user
    _, text = make_key(user=account, scopes=["entities:read"])

    assert api(key=text).get(f"{API}entities/{entity.pk}").status_code == 200
    assert api(key=text).get(f"{API}departments").status_code == 403
    assert api(key=text + "x").get(f"{API}entities").status_code == 401
