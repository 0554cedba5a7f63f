"""Every page of the console opens for whoever may see it, for nobody else, and shows nobody else's rows.

The pages come from the registry of the console: a new one is covered the day it is registered.
"""

import re
from uuid import UUID

import pytest
from django.contrib import admin
from django.contrib.admin.utils import lookup_field
from django.test import Client
from django.urls import reverse
from django.utils.html import strip_tags

from billing.entities.tests.makers import make_user
from config.tests.samples import Company, page

ROWS = (3, 3)
SHARED = {
    "invoicing.TaxRate",
    "invoicing.ExchangeRate",
    "kernel.AuditSeal",
}  # the law's, and the whole trail's: nobody's in particular
CONSOLE = admin.site._registry
every_page = pytest.mark.parametrize("model", CONSOLE, ids=lambda model: model._meta.label)
every_action = pytest.mark.parametrize(
    ("model", "action"),
    [(model, action) for model, shown in CONSOLE.items() for action in getattr(shown, "console_actions", ())],
    ids=lambda value: getattr(value, "name", None) or value._meta.label,
)
pytestmark = pytest.mark.django_db


@pytest.fixture
def company(companies) -> Company:
    return companies[0]


@pytest.fixture
def stranger(client) -> Client:
    """Somebody signed in without any role."""
    client.force_login(make_user(), backend="billing.entities.backends.GrantBackend")
    return client


def browser_for(company: Company, permission: str) -> Client:
    """Of one who may do this: the controller if he may."""
    return company.browsers[company.role_for(permission)]


def test_the_home_page_opens_for_whoever_is_signed_in(company, client):
    fine(company.browsers["FC"].get(reverse("admin:index")))
    assert client.get(reverse("admin:index")).status_code == 302


@every_page
def test_a_list_opens_and_names_its_rows(model, company):
    opened = company.browsers[company.reader_of(model)].get(page(model, "changelist"))

    fine(opened)
    rows = opened.context["cl"].result_list
    assert rows, "samples.py makes none of them"
    first = CONSOLE[model].list_display[0]
    labels = [lookup_field(first, row, CONSOLE[model])[2] for row in rows]
    assert [label for label in labels if is_bare_id(label)] == []


@every_page
def test_an_object_opens_and_has_a_name(model, company):
    fine(company.browsers[company.reader_of(model)].get(company.page_of(model)))
    assert not is_bare_id(company.shown(model)[0])


@every_page
def test_a_history_opens(model, company):
    shown = company.shown(model)[0]
    fine(company.browsers[company.reader_of(model)].get(page(model, "history", shown.pk)))


@every_page
def test_a_form_to_add_opens_where_there_is_one(model, company):
    for role, browser in company.browsers.items():
        answer = browser.get(page(model, "add"))
        if CONSOLE[model].has_add_permission(company.request_of(role)):
            fine(answer)
        else:
            assert answer.status_code == 403


@every_action
def test_a_action_asks_before_it_acts(model, action, company):
    browser, obj = browser_for(company, action.permission), company.shown(model)[0]
    answer = browser.get(page(model, f"action_{action.name}", obj.pk))
    if action.page and not action.applies(obj):
        assert answer.url == page(model, "change", obj.pk)  # a page of its own has nothing to show there
    else:
        fine(answer)


@every_page
def test_nobody_is_sent_to_sign_in(model, company, client):
    for url in (page(model, "changelist"), company.page_of(model)):
        answer = client.get(url)
        assert answer.status_code == 302
        assert answer.url.startswith(reverse("admin:login"))


@every_page
def test_whoever_has_no_role_sees_nothing(model, company, stranger):
    assert stranger.get(page(model, "changelist")).status_code == 403
    assert stranger.get(page(model, "add")).status_code == 403
    opened = stranger.get(company.page_of(model))
    assert opened.status_code == 403 or opened.url == reverse("admin:index")


@every_action
def test_whoever_has_no_role_gets_no_verb(model, action, company, stranger):
    answer = stranger.get(page(model, f"action_{action.name}", company.shown(model)[0].pk))
    assert answer.status_code in {403, 404}


@pytest.mark.parametrize("model", [m for m in CONSOLE if m._meta.label not in SHARED], ids=str)
def test_a_company_sees_no_row_of_another(model, companies):
    ours, theirs = companies
    mine, foreign = ours.shown(model), theirs.shown(model)

    assert mine
    assert foreign
    assert {row.pk for row in mine} & {row.pk for row in foreign} == set()
    browser = ours.browsers[ours.reader_of(model)]
    assert browser.get(theirs.page_of(model)).status_code == 302
    assert browser.get(page(model, "history", foreign[0].pk)).status_code == 302


@every_action
def test_a_action_reaches_no_other_company(model, action, companies):
    ours, theirs = companies
    answer = browser_for(ours, action.permission).get(
        page(model, f"action_{action.name}", theirs.shown(model)[0].pk)
    )
    assert answer.status_code == 404


def fine(answer) -> None:
    """It is a page, and no template is left in it."""
    assert answer.status_code == 200, strip_tags(answer.content.decode())[:500]
    text = answer.content.decode()
    assert "{{" not in text
    assert "{%" not in text
    assert re.search(r"<h1[^>]*>|<title>[^<]+</title>", text)


def is_bare_id(label: object) -> bool:
    try:
        UUID(str(label))
    except ValueError:
        return False
    return True
