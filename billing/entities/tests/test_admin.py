"""The console's pages: within reach, read only, and acting by verbs."""

import pytest
from django.urls import reverse

from billing.access.models import ApiKey, User
from billing.access.tests.makers import PASSWORD, make_key
from billing.entities.models import BillingEntity, Department, RoleGrant
from billing.entities.tests.makers import make_department, make_entity, make_grant, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def group():
    root = make_entity(name="The Root")
    child = make_entity(
        parent=root, name="The Child", tax_id="DE136695976", bank_account={"iban": "DE89370400440532013000"}
    )
    return root, child


@pytest.fixture
def console(client):
    """`console(role, entity)`: a browser in which somebody with this role is signed in."""

    def sign_in(role, entity):
        user = make_user()
        make_grant(user=user, role=role, entity=entity)
        client.force_login(user, backend="billing.entities.backends.GrantBackend")
        client.user = user
        return client

    return sign_in


def page(name, *args):
    return reverse(f"admin:{name}", args=args)


def texts(response):
    return [str(message) for message in response.wsgi_request._messages]


def test_the_entity_page_shows_the_tree_and_hides_what_is_elsewhere(group, console):
    root, child = group
    foreign = make_entity(name="Somebody Else")
    browser = console("VW", root)

    shown = browser.get(page("entities_billingentity_change", child.pk)).content.decode()
    listed = browser.get(page("entities_billingentity_changelist")).content.decode()

    assert f'<strong aria-current="true">The Child ({child.code})</strong>' in shown
    assert f"The Root ({root.code})" in shown
    assert "DE136695976" not in shown
    assert "The Child" in listed
    assert "Somebody Else" not in listed
    assert browser.get(page("entities_billingentity_change", foreign.pk)).status_code == 302


@pytest.mark.parametrize(("role", "shown"), [("FC", "DE136695976"), ("BO", "****5976")])
def test_the_tax_id_is_shown_by_role(role, shown, group, console):
    root, child = group

    body = console(role, root).get(page("entities_billingentity_change", child.pk)).content.decode()

    assert shown in body
    assert (role == "FC") == ("DE136695976" in body)
    assert "3000" in body
    assert (role == "FC") == ("DE89370400440532013000" in body)


@pytest.mark.parametrize(("role", "state"), [("BO", "draft"), ("FC", "active")])
def test_an_entity_is_created_by_the_service(role, state, group, console):
    root, _ = group
    browser = console(role, root)
    assert browser.get(page("entities_billingentity_add")).status_code == 200
    given = {
        "parent": str(root.pk),
        "code": "NEW",
        "name": "New",
        "currency": "EUR",
        "country": "DE",
        "is_customer": "on",
        "consolidation": "standalone",
        "time_zone": "UTC",
        "payment_terms_days": "30",
        "starts_on": "2026-03-01",
    }

    response = browser.post(page("entities_billingentity_add"), given)

    assert response.status_code == 302
    entity = BillingEntity.objects.get(code="NEW")
    assert (entity.state, entity.parent_id, entity.departments.count()) == (state, root.pk, 1)


def test_a_refusal_of_the_service_is_told_above_the_form_as_it_was_filled_in(group, console):
    root, _ = group
    browser = console("BO", root)
    given = {
        "entity": str(root.pk),
        "code": "GENERAL2",
        "name": "G",
        "headcount": "0",
        "starts_on": "2026-03-01",
    }
    assert browser.get(page("entities_department_add")).status_code == 200
    BillingEntity.objects.filter(pk=root.pk).update(state="closed")

    response = browser.post(page("entities_department_add"), given)

    assert response.status_code == 200
    assert response.context["adminform"].form.non_field_errors() == [f"{root.code} is closed."]
    assert 'value="GENERAL2"' in response.content.decode()
    assert not Department.objects.filter(code="GENERAL2").exists()


def test_the_choices_of_one_form_are_not_those_of_the_next(group, console):
    root, _ = group
    foreign = make_entity(name="Somebody Else")
    console("BO", foreign).get(page("entities_department_add"))

    body = console("BO", root).get(page("entities_department_add")).content.decode()

    assert "The Root" in body
    assert "Somebody Else" not in body


def test_a_viewer_adds_nothing(group, console):
    root, _ = group

    assert console("VW", root).get(page("entities_billingentity_add")).status_code == 403


def confirm(browser, name, obj, verb, /, **given):
    address = page(f"{name}_change", obj.pk).replace("/change/", f"/{verb}/")
    asked = browser.get(address)
    assert asked.status_code == 200, address
    return browser.post(address, {"confirm": "yes", "once": asked.context["once"], **given})


def test_a_action_is_confirmed_and_carried_out(group, console):
    root, child = group
    target = make_entity(parent=root)
    browser = console("FC", root)

    confirm(
        browser,
        "entities_billingentity",
        child,
        "move",
        parent_code=target.code,
        effective_on="2026-01-01",
        reason="sold",
    )
    confirm(browser, "entities_billingentity", child, "suspend", reason="late")

    child.refresh_from_db()
    assert (child.parent_id, child.state) == (target.pk, "suspended")


def filled(asked):
    """The form as the page shows it."""
    return {name: value for name, value in asked.context["form"].initial.items() if value is not False}


def test_contact_data_is_changed_from_what_it_is(group, console):
    root, child = group
    BillingEntity.objects.filter(pk=child.pk).update(address={"line1": "Old street", "city": "Berlin"})
    browser = console("BO", root)
    address = page("entities_billingentity_change", child.pk).replace("/change/", "/change_contact/")
    asked = browser.get(address)
    assert ">Old street<" not in asked.content.decode()
    assert 'value="Old street"' in asked.content.decode()
    given = filled(asked) | {"line1": "New street", "city": "", "email": "new@example.com"}

    browser.post(address, given | {"confirm": "yes", "once": asked.context["once"]})

    child.refresh_from_db()
    assert (child.address, child.email, child.name) == (
        {"line1": "New street"},
        "new@example.com",
        "The Child",
    )
    assert child.tax_id == "DE136695976"

    browser.post(address, given | {"name": "Stale", "confirm": "yes", "once": "another"})
    child.refresh_from_db()
    assert child.name == "The Child"


def test_payee_and_tax_data_are_changed_by_a_controller(group, console):
    root, child = group
    address = page("entities_billingentity_change", child.pk).replace("/change/", "/change_legal/")
    assert console("BO", root).get(address).status_code == 403
    browser = console("FC", root)
    asked = browser.get(address)
    given = filled(asked) | {"iban": "FR14 2004 1010 0505 0001 3M02 606", "bank": "La Banque", "once": "once"}

    refused = browser.post(address, given | {"iban": "FR15", "confirm": "yes"})
    assert refused.context["form"].non_field_errors() == ["'FR15' is not an IBAN."]
    assert 'value="FR15"' in refused.content.decode()
    child.refresh_from_db()
    assert child.bank_account == {"iban": "DE89370400440532013000"}

    browser.post(address, given | {"confirm": "yes", "once": "twice"})
    child.refresh_from_db()
    assert child.bank_account == {"iban": "FR1420041010050500013M02606", "bank": "La Banque"}
    assert (child.tax_id, child.is_customer, child.is_seller) == ("DE136695976", True, False)


def test_a_list_offers_no_change_of_many(group, console):
    root, _ = group
    listed = console("FC", root).get(page("entities_billingentity_changelist")).content.decode()
    assert "action_suspend" in listed
    assert "action_change_legal" not in listed
    assert "action_change_contact" not in listed


def test_a_role_is_granted_by_one_and_confirmed_by_another(group, console):
    root, _ = group
    receiver = make_user()
    given = {
        "email": receiver.email,
        "role": "VW",
        "entity": str(root.pk),
        "starts_on": "2026-01-01",
        "reason": "new",
    }
    browser = console("SY", root)

    assert browser.post(page("entities_rolegrant_add"), given).status_code == 302
    grant = RoleGrant.objects.get(user=receiver)
    assert (grant.granted_by, grant.confirmed_at) == (browser.user, None)

    browser = console("FC", root)
    confirm(browser, "entities_rolegrant", grant, "confirm")
    grant.refresh_from_db()
    assert grant.confirmed_by == browser.user


def test_users_and_keys_are_managed_within_reach(group, console):
    root, _ = group
    browser = console("SY", root)
    account = make_grant(role="SA", entity=root).user
    stranger = make_grant(role="VW", entity=make_entity()).user
    foreign_key, _text = make_key(user=make_grant(role="SA", entity=make_entity()).user)

    browser.post(page("access_user_add"), {"email": "ada@example.com", "name": "Ada", "password": PASSWORD})
    made = confirm(
        browser, "access_user", account, "create_key", name="ERP", scopes=["entities:read"], days="30"
    )
    users = browser.get(page("access_user_changelist")).content.decode()
    keys = browser.get(page("access_apikey_changelist")).content.decode()

    assert User.objects.get(email="ada@example.com").check_password(PASSWORD)
    assert any("ebk_" in text for text in texts(made))
    key = ApiKey.objects.get(user=account)
    assert (account.email in users, stranger.email in users) == (True, False)
    assert (key.prefix in keys, foreign_key.prefix in keys) == (True, False)
    confirm(browser, "access_apikey", key, "revoke", reason="over")
    key.refresh_from_db()
    assert key.revoked_at is not None


@pytest.mark.parametrize("name", ["billingentity", "department", "rolegrant"])
def test_a_list_costs_the_same_however_long_it_is(name, group, console, django_assert_max_num_queries):
    root, child = group
    browser = console("FC", root)
    address = page(f"entities_{name}_changelist")

    def cost():
        with django_assert_max_num_queries(16) as counted:
            assert browser.get(address).status_code == 200
        return len(counted)

    cost()
    short = cost()
    for _ in range(4):
        department = make_department(entity=make_entity(parent=child))
        make_grant(role="BU", entity=department.entity, department=department)
    assert cost() == short
