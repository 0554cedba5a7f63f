"""The books on the wire: who reads them, who closes them, and in which shape."""

from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.access.roles import AU, BO, FC, Role
from billing.entities.tests.makers import make_entity, make_grant, make_key
from billing.kernel.models import AuditEntry
from billing.ledger import services
from billing.ledger.accounts import RECEIVABLE
from billing.ledger.models import AccountingPeriod, LedgerAccount
from billing.ledger.tests.makers import DAY, closed_month, make_entry, sale

pytestmark = pytest.mark.django_db

BASE = "/api/v1/enterprise-billing/ledger"
READERS = {BO, FC, AU}
PEOPLE = [role for role in Role if role != Role.SERVICE_ACCOUNT]


@pytest.fixture
def books():
    return make_entity(is_seller=True)


@pytest.fixture
def entry(books):
    return make_entry(books, source="invoice:1")


@pytest.fixture
def as_role(api, books):
    """`as_role("FC")` is a client of a new person with that role over the books."""
    return lambda role: api(make_grant(role=role, entity=books).user)


def post(client, path, body=None, **headers):
    headers.setdefault("HTTP_IDEMPOTENCY_KEY", str(uuid4()))
    return client.post(f"{BASE}/{path}", body or {}, format="json", **headers)


def reads(entry) -> list[str]:
    account = LedgerAccount.objects.get(entity=entry.entity, code="1100")
    return [
        f"{BASE}/accounts",
        f"{BASE}/accounts/{account.pk}",
        f"{BASE}/entries",
        f"{BASE}/entries/{entry.pk}",
        f"{BASE}/periods",
        f"{BASE}/periods/{entry.period_id}",
        f"{BASE}/trial-balance?entity={entry.entity_id}",
    ]


# --- who may


@pytest.mark.parametrize("role", PEOPLE)
def test_operators_controllers_and_auditors_read_the_books(as_role, entry, role):
    client = as_role(role)
    answers = {client.get(path).status_code for path in reads(entry)}
    assert answers == ({200} if role in READERS else {403})


def test_a_key_reads_with_the_scope_and_not_without(api, books, entry):
    account = make_grant(role=Role.SERVICE_ACCOUNT, entity=books).user
    for scopes, expected in ((["ledger:read"], 200), (["entities:read"], 403)):
        _, text = make_key(user=account, scopes=scopes)
        assert {api(key=text).get(path).status_code for path in reads(entry)} == {expected}


def test_nobody_reads_nothing(api, entry):
    assert {api().get(path).status_code for path in reads(entry)} == {401}


def test_other_books_do_not_exist(api, entry):
    stranger = api(make_grant(role=FC, entity=make_entity(is_seller=True)).user)
    answers = [stranger.get(path) for path in reads(entry)]
    assert [a.status_code for a in answers] == [200, 404, 200, 404, 200, 404, 404]
    assert [a.json()["results"] for a in answers[:5:2]] == [[], [], []]
    assert post(stranger, f"periods/{entry.period_id}/begin-closing").status_code == 404


@pytest.mark.parametrize("verb", ["begin-closing", "close", "keep-open", "reopen"])
@pytest.mark.parametrize("role", PEOPLE)
def test_only_controllers_close_and_reopen(as_role, entry, role, verb):
    answer = post(as_role(role), f"periods/{entry.period_id}/{verb}", _body(verb))
    allowed = {200} if verb == "begin-closing" else {409}
    assert {answer.status_code} == (allowed if role == FC else {403})
    month = AccountingPeriod.objects.get(pk=entry.period_id)
    assert month.state == ("closing" if role == FC and verb == "begin-closing" else "open")


def _body(verb: str) -> dict:
    return {"reason": "a late invoice"} if verb in {"keep-open", "reopen"} else {}


# --- closing


def test_two_controllers_close_a_month_and_another_reopens_it(api, books, entry):
    anna, bert = (make_grant(role=FC, entity=books).user for _ in range(2))
    path = f"periods/{entry.period_id}"
    assert post(api(anna), f"{path}/begin-closing").json()["state"] == "closing"

    own = post(api(anna), f"{path}/close")
    assert (own.status_code, own.json()["code"]) == (403, "four-eyes-required")
    closed = post(api(bert), f"{path}/close")
    assert (closed.status_code, closed.json()["state"], closed.json()["closed_by"]) == (
        200, "closed", f"user:{bert.pk}",
    )  # fmt: skip
    again = post(api(bert), f"{path}/reopen", {"reason": "mine"})
    assert (again.status_code, again.json()["code"]) == (403, "four-eyes-required")
    assert post(api(anna), f"{path}/reopen", {"reason": "a late invoice"}).json()["state"] == "open"
    assert AuditEntry.objects.get(action="period.reopened").actor == f"user:{anna.pk}"


def test_closing_needs_a_key_and_honours_the_version(as_role, entry):
    client, path = as_role(FC), f"{BASE}/periods/{entry.period_id}/begin-closing"
    assert client.post(path, {}, format="json").json()["code"] == "idempotency-key-required"
    stale = post(client, f"periods/{entry.period_id}/begin-closing", HTTP_IF_MATCH='"7"')
    assert stale.status_code == 412
    shown = client.get(f"{BASE}/periods/{entry.period_id}")
    fresh = post(client, f"periods/{entry.period_id}/begin-closing", HTTP_IF_MATCH=shown["ETag"])
    assert (fresh.status_code, fresh.json()["state"]) == (200, "closing")


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "x", "force": True}])
def test_reopening_needs_a_reason_and_nothing_else(as_role, books, entry, body):
    closed_month(books, DAY.replace(day=1))
    answer = post(as_role(FC), f"periods/{entry.period_id}/reopen", body)
    assert answer.status_code == 400
    assert AccountingPeriod.objects.get().state == "closed"


# --- shapes


def test_an_entry_with_its_lines(as_role, books):
    customer = make_entity(parent=books)
    entry = make_entry(books, sale("100.00", customer_id=customer.pk, gl_code="4001"), source="invoice:1")
    reversal = services.reverse_entry(entry_id=entry.pk, actor="user:1", posted_on=DAY, reason="wrong")

    shown = as_role(AU).get(f"{BASE}/entries/{entry.pk}?expand=lines").json()

    lines = shown.pop("lines")
    assert shown | {"created_at": ""} == {
        "id": str(entry.pk),
        "entity": str(books.pk),
        "period": str(entry.period_id),
        "posted_on": "2026-03-15",
        "source": "invoice:1",
        "event": "issued",
        "description": "A sale",
        "reverses": None,
        "reversed_by": str(reversal.pk),
        "created_at": "",
    }
    assert [(line["account_code"], line["debit"], line["credit"]) for line in lines] == [
        ("1100", "100.00", "0.00"),
        ("4000", "0.00", "100.00"),
    ]
    assert {(line["customer"], line["gl_code"], line["department"]) for line in lines} == {
        (str(customer.pk), "4001", None)
    }


def test_lists_cost_a_fixed_number_of_queries(as_role, books):
    client = as_role(AU)
    for _ in range(3):
        make_entry(books)
    path = f"{BASE}/entries?entity={books.pk}&expand=lines,entity"
    client.get(path)
    few = _queries(client, path)
    for _ in range(20):
        make_entry(books)
    assert _queries(client, path) == few


def _queries(client, path) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


def test_entries_are_filtered_by_source_day_and_kind(as_role, books, entry):
    make_entry(books, posted_on=date(2026, 4, 1), source="payment:1", event="captured")
    services.reverse_entry(entry_id=entry.pk, actor="user:1", posted_on=DAY, reason="wrong")
    client = as_role(BO)

    def sources(query: str) -> list[str]:
        return [row["source"] for row in client.get(f"{BASE}/entries?{query}").json()["results"]]

    assert sources("source=invoice:1") == ["invoice:1"]
    assert sources("posted_from=2026-04-01") == ["payment:1"]
    assert sources("posted_before=2026-04-01&is_reversal=true") == [f"entry:{entry.pk}"]
    assert sources("event=captured&order_by=posted_on") == ["payment:1"]
    assert client.get(f"{BASE}/entries?customer=1").status_code == 400


def test_the_trial_balance(as_role, books):
    make_entry(books, sale("100.00"))
    make_entry(books, sale("50.00"), posted_on=date(2026, 4, 1))
    make_entry(books, sale("700", "JPY"), posted_on=date(2026, 4, 1))
    client = as_role(FC)

    def shown(query: str) -> tuple[list, list]:
        body = client.get(f"{BASE}/trial-balance?entity={books.pk}{query}").json()
        rows = [(row["code"], row["debit"], row["credit"], row["balance"]) for row in body["accounts"]]
        return rows, body["totals"]

    rows, totals = shown("&currency=EUR&as_of=2026-03-31")
    assert rows == [("1100", "100.00", "0.00", "100.00"), ("4000", "0.00", "100.00", "-100.00")]
    assert totals == [{"currency": "EUR", "debit": "100.00", "credit": "100.00"}]
    assert shown("")[1] == [
        {"currency": "EUR", "debit": "150.00", "credit": "150.00"},
        {"currency": "JPY", "debit": "700", "credit": "700"},
    ]
    assert client.get(f"{BASE}/trial-balance").status_code == 400
    assert client.get(f"{BASE}/trial-balance?entity={books.pk}&currency=eur").status_code == 400
    assert client.get(f"{BASE}/trial-balance?entity={books.pk}&as_of=today").status_code == 400


def test_accounts_are_listed_by_code(as_role, entry):
    results = as_role(BO).get(f"{BASE}/accounts").json()["results"]
    assert [row["code"] for row in results] == sorted(row["code"] for row in results)
    assert next(row for row in results if row["code"] == RECEIVABLE.code)["normal_side"] == "debit"


def test_nothing_in_the_books_is_written_over_the_wire(as_role, entry):
    client = as_role(FC)
    for path in reads(entry):
        for method in (client.post, client.put, client.patch, client.delete):
            assert method(path, {}, format="json").status_code == 405
    assert entry.lines.get(account__code="1100").debit == Decimal("100.00")
