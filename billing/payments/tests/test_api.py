from uuid import uuid4

import pytest

from billing.entities.tests.makers import make_grant, make_key
from billing.invoicing.tests.makers import make_invoice
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.payments.models import Payment, PaymentApplication
from billing.payments.tests.makers import make_open_invoice, make_payment
from billing.payments.tests.state import everything

pytestmark = pytest.mark.django_db
API = "/api/v1/enterprise-billing/"


def user(role: str, entity):
    return make_grant(role=role, entity=entity).user


def once() -> dict:
    return {"Idempotency-Key": str(uuid4())}


def order_of(invoice, **overrides) -> dict:
    return {
        "customer": str(invoice.customer_id),
        "amount": "100.00",
        "currency": "EUR",
        "received_on": "2026-02-10",
        "method": "bank_transfer",
        "reference": "ZAHLUNG 4711",
    } | overrides


def test_records_a_payment_and_shows_what_it_settled(api):
    invoice = make_open_invoice(total="80.00")
    client = api(user("BO", invoice.seller))

    answer = client.post(f"{API}payments", order_of(invoice), headers=once())

    assert answer.status_code == 201
    body = answer.json()
    assert (body["amount"], body["applied_amount"], body["unapplied_amount"]) == ("100.00", "80.00", "20.00")
    assert [(a["invoice_number"], a["amount"]) for a in body["applications"]] == [(invoice.number, "80.00")]
    assert answer["Location"].endswith(f"/payments/{body['id']}")
    assert client.get(f"{API}payments/{body['id']}").json() == body
    listed = client.get(f"{API}payments?unapplied=true&invoice={invoice.pk}&search=4711").json()
    assert [row["id"] for row in listed["results"]] == [body["id"]]
    assert client.get(f"{API}payments?unapplied=false").json()["results"] == []
    assert_invariants_hold()


def test_a_repeated_request_is_answered_from_the_first_and_a_repeated_reference_too(api):
    invoice = make_open_invoice(total="80.00")
    client = api(user("BO", invoice.seller))
    key = once()

    first = client.post(f"{API}payments", order_of(invoice), headers=key)
    replayed = client.post(f"{API}payments", order_of(invoice), headers=key)
    other_key = client.post(f"{API}payments", order_of(invoice), headers=once())
    clash = client.post(f"{API}payments", order_of(invoice, amount="99.00"), headers=once())

    assert replayed["Idempotent-Replayed"] == "true"
    assert replayed.content == first.content
    assert other_key.json()["id"] == first.json()["id"]
    assert (clash.status_code, clash.json()["code"]) == (409, "payment-reference-used")
    assert Payment.objects.count() == 1


@pytest.mark.parametrize(
    ("_case", "changes", "status", "code"),
    [
        ("a JSON number", {"amount": 100}, 400, "invalid-request"),
        ("half a cent", {"amount": "100.005"}, 400, "invalid-request"),
        ("zero", {"amount": "0.00"}, 400, "invalid-request"),
        ("unknown member", {"colour": "red"}, 400, "invalid-request"),
        ("unknown method", {"method": "barter"}, 400, "invalid-request"),
        ("unknown customer", {"customer": str(uuid4())}, 400, "invalid-request"),
        ("from the future", {"received_on": "2999-01-01"}, 422, "payment-date-in-future"),
        (
            "unknown invoice",
            {"applications": [{"invoice": str(uuid4()), "amount": "1.00"}]},
            400,
            "invalid-request",
        ),
    ],
)
def test_refuses_and_changes_nothing(api, _case, changes, status, code):
    invoice = make_open_invoice(total="80.00")
    client = api(user("BO", invoice.seller))
    before = everything()

    answer = client.post(f"{API}payments", order_of(invoice, **changes), headers=once())

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert everything() == before


def test_a_key_is_required_where_money_moves(api):
    invoice = make_open_invoice(total="80.00")
    payment = make_payment(customer=invoice.customer, applications=[])
    client = api(user("BO", invoice.seller))
    before = everything()

    record = client.post(f"{API}payments", order_of(invoice))
    apply = client.post(f"{API}payments/{payment.pk}/apply", {"invoice": str(invoice.pk), "amount": "80.00"})

    assert (record.status_code, apply.status_code) == (400, 400)
    assert everything() == before


def test_applies_what_is_left_under_the_version_that_was_read(api):
    invoice = make_open_invoice(total="80.00")
    payment = make_payment(customer=invoice.customer, applications=[])
    client = api(user("BO", invoice.seller))
    address, order = f"{API}payments/{payment.pk}/apply", {"invoice": str(invoice.pk), "amount": "80.00"}
    tag = client.get(f"{API}payments/{payment.pk}")["ETag"]

    stale = client.post(address, order, headers=once() | {"If-Match": '"99"'})
    assert (stale.status_code, PaymentApplication.objects.count()) == (412, 0)
    applied = client.post(address, order, headers=once() | {"If-Match": tag})

    assert (applied.status_code, applied.json()["unapplied_amount"]) == (200, "20.00")
    again = client.post(address, order, headers=once())
    assert again.status_code == 409
    assert_invariants_hold()


def test_payments_and_invoices_of_others_do_not_exist(api):
    mine, theirs = make_open_invoice(total="80.00"), make_open_invoice(total="80.00")
    payment = make_payment(customer=mine.customer, applications=[])
    foreign = make_payment(customer=theirs.customer, applications=[])
    client = api(user("BO", mine.seller))
    before = everything()

    assert client.get(f"{API}payments/{foreign.pk}").status_code == 404
    assert [row["id"] for row in client.get(f"{API}payments").json()["results"]] == [str(payment.pk)]
    apply_theirs = client.post(
        f"{API}payments/{payment.pk}/apply", {"invoice": str(theirs.pk), "amount": "1.00"}, headers=once()
    )
    theirs_to_mine = client.post(
        f"{API}payments/{foreign.pk}/apply", {"invoice": str(mine.pk), "amount": "1.00"}, headers=once()
    )
    record = client.post(f"{API}payments", order_of(theirs), headers=once())

    assert (apply_theirs.status_code, theirs_to_mine.status_code, record.status_code) == (400, 404, 400)
    assert everything() == before


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [
        ("VW", 200, 403), ("BO", 200, 201), ("CM", 200, 403), ("AP", 200, 403), ("FC", 200, 201),
        ("IA", 403, 403), ("AU", 200, 403), ("SY", 403, 403),
    ],
)  # fmt: skip
def test_each_role_may_what_it_may(api, role, reads, writes):
    invoice = make_open_invoice(total="80.00")
    client = api(user(role, invoice.seller))

    assert client.get(f"{API}payments").status_code == reads
    assert client.post(f"{API}payments", order_of(invoice), headers=once()).status_code == writes


def test_a_key_with_the_scope_to_write_records_without_seeing(api):
    invoice = make_open_invoice(total="80.00")
    grant = make_grant(role="SA", entity=invoice.seller)
    _, text = make_key(user=grant.user, scopes=["payments:write"])
    client = api(key=text)

    assert client.get(f"{API}payments").status_code == 403
    recorded = client.post(
        f"{API}payments",
        order_of(invoice, applications=[{"invoice": str(invoice.pk), "amount": "80.00"}]),
        headers=once(),
    )

    assert recorded.status_code == 201, recorded.json()


def test_the_timeline_of_an_invoice_tells_of_its_payments(api):
    invoice = make_open_invoice(total="80.00")
    other = make_open_invoice(customer=invoice.customer, seller=invoice.seller, total="5.00")
    operator = user("BO", invoice.seller)
    client = api(operator)
    half = {"applications": [{"invoice": str(invoice.pk), "amount": "30.00"}]}
    payment = client.post(f"{API}payments", order_of(invoice, **half), headers=once()).json()
    for settled, amount in ((other, "5.00"), (invoice, "50.00")):
        client.post(
            f"{API}payments/{payment['id']}/apply",
            {"invoice": str(settled.pk), "amount": amount},
            headers=once(),
        )

    told = client.get(f"{API}invoices/{invoice.pk}/timeline").json()["results"]

    paid = [moment for moment in told if moment["kind"] == "payment"]
    assert [(moment["detail"]["amount"], moment["who"]) for moment in paid] == [
        ("30.00", f"user:{operator.pk}"),
        ("50.00", f"user:{operator.pk}"),
    ]
    assert {"invoice.issued", "invoice.paid"} <= {m["what"] for m in told if m["kind"] == "event"}


def test_the_proof_of_an_invoice_holds_whatever_was_paid_of_it(api):
    invoice = make_invoice()
    make_payment(customer=invoice.customer, amount="10.00")
    client = api(user("AU", invoice.seller))

    assert client.get(f"{API}invoices/{invoice.pk}/allocations").json()["holds"] is True
