"""The books in the console: looked at by those who may, closed by two on a page that asks."""

import re

import pytest
from django.urls import reverse

from billing.access.roles import AU, FC, VW
from billing.entities.tests.makers import make_entity, make_grant
from billing.ledger.models import AccountingPeriod, LedgerAccount
from billing.ledger.tests.makers import make_entry

pytestmark = pytest.mark.django_db


@pytest.fixture
def entry():
    return make_entry(make_entity(is_seller=True), source="invoice:1")


@pytest.fixture
def as_role(client, entry):
    def sign_in(role: str, entity=None):
        user = make_grant(role=role, entity=entity or entry.entity).user
        client.force_login(user, backend="billing.entities.backends.GrantBackend")
        return client

    return sign_in


def pages(entry) -> list[str]:
    account = LedgerAccount.objects.get(entity=entry.entity, code="1100")
    return [
        reverse("admin:ledger_ledgeraccount_changelist"),
        reverse("admin:ledger_ledgeraccount_change", args=[account.pk]),
        reverse("admin:ledger_journalentry_changelist"),
        reverse("admin:ledger_journalentry_change", args=[entry.pk]),
        reverse("admin:ledger_accountingperiod_changelist"),
        reverse("admin:ledger_accountingperiod_change", args=[entry.period_id]),
    ]


def press(client, period_id, verb: str, **form):
    page = reverse("admin:ledger_accountingperiod_change", args=[period_id]).replace("change/", f"{verb}/")
    question = client.get(page)
    assert question.status_code == 200, page
    once = re.search(r'name="once" value="(\w+)"', question.content.decode())[1]
    return client.post(page, {"confirm": "yes", "once": once, **form}, follow=True)


def test_an_auditor_sees_the_books_and_their_figures(as_role, entry):
    client = as_role(AU)
    shown = [client.get(page) for page in pages(entry)]
    assert [answer.status_code for answer in shown] == [200] * 6
    assert "100.00 EUR" in shown[1].content.decode()
    assert entry.description in shown[2].content.decode()
    assert shown[3].content.decode().count("100.00 EUR") == 2


def test_a_viewer_sees_no_books(as_role, entry):
    client = as_role(VW)
    assert [client.get(page).status_code for page in pages(entry)] == [403] * 6


def test_other_books_are_not_shown(as_role, entry):
    client = as_role(FC, entity=make_entity(is_seller=True))
    accounts, account, *_ = pages(entry)
    assert entry.entity.name not in client.get(accounts).content.decode()
    assert client.get(account).status_code == 302


def test_two_controllers_close_a_month(as_role, entry):
    press(as_role(FC), entry.period_id, "begin_closing")
    assert AccountingPeriod.objects.get().state == "closing"
    press(as_role(FC), entry.period_id, "close")
    assert AccountingPeriod.objects.get().state == "closed"


def test_one_controller_does_not_close_alone(as_role, entry):
    client = as_role(FC)
    press(client, entry.period_id, "begin_closing")
    answer = press(client, entry.period_id, "close")
    assert "Somebody else closes the month" in answer.content.decode()
    assert AccountingPeriod.objects.get().state == "closing"
