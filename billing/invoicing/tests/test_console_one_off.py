"""One-off invoices in the console: written, revised and deleted; what they come to is seen before it is saved."""

from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest
from django.urls import reverse

from billing.entities.tests.makers import make_department, make_entity, make_grant
from billing.invoicing import services
from billing.invoicing.models import Invoice, InvoiceLine
from billing.invoicing.tests.makers import AS_OF, make_draft, make_one_off, make_seller, one_off_line
from billing.kernel.models import AuditEntry
from billing.subscriptions.tests.makers import make_product

pytestmark = pytest.mark.django_db
BACKEND = "billing.entities.backends.GrantBackend"
EMPTY = {
    "product": "",
    "quantity": "1",
    "unit_price": "",
    "service_starts_on": "2024-09-01",
    "last_day": "2024-09-30",
}


@pytest.fixture
def seller():
    return make_seller()


@pytest.fixture
def customer(seller):
    return make_entity(parent=seller)


@pytest.fixture
def clerk(client, seller):
    client.force_login(make_grant(role="BO", entity=seller).user, backend=BACKEND)
    return client


def rows(*written: dict) -> dict:
    """The rows as a browser sends them: five at least, most of them empty but for what was suggested."""
    total = max(5, len(written))
    posted = {"lines-TOTAL_FORMS": str(total), "lines-INITIAL_FORMS": "0"}
    for number in range(total):
        values = EMPTY | (written[number] if number < len(written) else {})
        posted |= {f"lines-{number}-{name}": value for name, value in values.items()}
    return posted


def shown_rows(answer) -> dict:
    """What the page holds, as a browser would send it."""
    posted = {}
    for form in (answer.context["lines"].management_form, *answer.context["lines"], answer.context["form"]):
        posted |= {field.html_name: field.value() or "" for field in form}
    return {name: str(value) for name, value in posted.items()} | {
        "version": str(answer.context["invoice"].version),
        "once": uuid4().hex,
    }


def confirmed(client, address: str, posted: dict):
    """Looked at, then saved."""
    seen = client.post(address, posted | {"preview": "yes"})
    assert seen.context["seen"] is not None, seen.context["form"].errors
    answers = {"confirm": "yes", "seen": seen.context["seen"].seal, "once": uuid4().hex}
    return client.post(address, posted | answers, follow=True)


def revise_of(invoice) -> str:
    return reverse("admin:invoicing_invoice_action_revise_one_off", args=[invoice.pk])


def state_of_everything() -> tuple:
    return (
        list(Invoice.objects.order_by("pk").values("pk", "version", "total_amount", "state")),
        list(InvoiceLine.objects.order_by("pk").values("pk", "description", "net_amount")),
        AuditEntry.objects.filter(kind="verb").count(),
    )


def test_one_is_drafted_after_its_totals_were_seen_and_deleted(clerk, seller, customer):
    product, page = make_product(entity=seller), reverse("admin:invoicing_invoice_add")
    head = {"seller": seller.pk, "customer": customer.pk, "currency": "EUR"}
    written = head | rows(
        {"product": product.pk, "unit_price": "100"}, {"product": product.pk, "unit_price": "-0.5"}
    )

    incomplete = clerk.post(page, head | rows({"product": product.pk}) | {"preview": "yes"})
    assert "A line needs it." in incomplete.content.decode()
    nothing = clerk.post(page, head | rows() | {"preview": "yes"})
    assert "at least one line" in nothing.content.decode()
    unseen = clerk.post(page, written | {"confirm": "yes"})
    assert "this is not what you saw" in unseen.content.decode()
    shown = clerk.post(page, written | {"preview": "yes"})
    assert "118.41 EUR" in shown.content.decode()
    assert not Invoice.objects.exists()
    made = confirmed(clerk, page, written)

    invoice = Invoice.objects.get()
    assert "118.41 EUR" in made.content.decode()
    assert (invoice.net_amount, invoice.period_ends_on) == (Decimal("99.50"), date(2024, 10, 1))
    assert "Issue…" in made.content.decode()
    verb = reverse("admin:invoicing_invoice_action_delete_one_off", args=[invoice.pk])
    clerk.post(verb, {"confirm": "yes", "once": uuid4().hex}, follow=True)
    assert not Invoice.objects.exists()


def test_a_second_click_on_save_drafts_no_second_invoice(clerk, seller, customer):
    page = reverse("admin:invoicing_invoice_add")
    posted = {"seller": seller.pk, "customer": customer.pk, "currency": "EUR", "once": uuid4().hex} | rows(
        {"product": make_product(entity=seller).pk, "unit_price": "100"}
    )
    seal = clerk.post(page, posted | {"preview": "yes"}).context["seen"].seal

    for _ in range(2):
        answer = clerk.post(page, posted | {"confirm": "yes", "seen": seal}, follow=True)

    assert "nothing was done twice" in answer.content.decode()
    assert Invoice.objects.count() == 1


def test_more_rows_keep_what_was_written(clerk, seller):
    page, product = reverse("admin:invoicing_invoice_add"), make_product(entity=seller)

    answer = clerk.post(page, rows({"product": product.pk, "unit_price": "12.5"}) | {"more": "yes"})

    lines = list(answer.context["lines"])
    assert (len(lines), lines[0]["unit_price"].value(), lines[9]["quantity"].value()) == (10, "12.5", "1")
    assert lines[9]["unit_price"].value() is None


def test_more_rows_are_never_more_than_an_invoice_has_lines(clerk):
    posted = {"lines-TOTAL_FORMS": str(services.ONE_OFF_LINES_MAX - 2), "lines-INITIAL_FORMS": "0"}

    answer = clerk.post(reverse("admin:invoicing_invoice_add"), posted | {"more": "yes"})

    assert len(answer.context["lines"].forms) == services.ONE_OFF_LINES_MAX


def test_a_draft_is_opened_as_it_was_written(clerk, seller, customer):
    department = make_department(entity=customer)
    product = make_product(entity=seller)
    draft = make_one_off(
        seller,
        customer,
        lines=[
            one_off_line(product, quantity="2.5", unit_price="-3", description="Goodwill"),
            one_off_line(product, unit_price="119", tax_inclusive=True, department_id=department.pk),
        ],
        issue_on=date(2999, 1, 1),
    )

    page = clerk.get(reverse("admin:invoicing_invoice_change", args=[draft.pk]))
    assert revise_of(draft) in page.content.decode()
    answer = clerk.get(revise_of(draft))

    first, second, empty = answer.context["lines"]
    assert first.initial | {"product": None} == {
        "product": None,
        "description": "Goodwill",
        "department": "",
        "tax_inclusive": False,
        "quantity": "2.5",
        "unit_price": "-3",
        "service_starts_on": date(2024, 9, 1),
        "last_day": date(2024, 9, 30),
    }
    assert (second.initial["tax_inclusive"], second.initial["department"]) == (True, str(department.pk))
    assert empty["product"].value() is None
    assert answer.context["form"]["issue_on"].value() == date(2999, 1, 1)


def test_lines_are_changed_left_out_and_added_after_the_totals_were_seen(clerk, seller, customer):
    product = make_product(entity=seller)
    lines = [one_off_line(product, unit_price=price, description=price) for price in ("100", "50")]
    draft = make_one_off(seller, customer, lines=lines)
    posted = shown_rows(clerk.get(revise_of(draft)))
    posted |= {
        "lines-0-unit_price": "80",
        "lines-1-DELETE": "on",
        "lines-2-product": str(product.pk),
        "lines-2-description": "Travel",
        "lines-2-unit_price": "7",
        "lines-2-service_starts_on": "2024-09-03",
        "lines-2-last_day": "2024-09-03",
    }
    before = state_of_everything()

    seen = clerk.post(revise_of(draft), posted | {"preview": "yes"})
    totals = seen.context["seen"].tables[0].rows
    assert totals == [
        ["As it stands", "150.00 EUR", "28.50 EUR", "178.50 EUR"],
        ["With these lines", "87.00 EUR", "16.53 EUR", "103.53 EUR"],
        ["Difference", "-63.00 EUR", "-11.97 EUR", "-74.97 EUR"],
    ]
    assert state_of_everything() == before
    other = posted | {"lines-0-unit_price": "81", "confirm": "yes", "seen": seen.context["seen"].seal}
    assert "this is not what you saw" in clerk.post(revise_of(draft), other).content.decode()
    assert state_of_everything() == before
    confirmed(clerk, revise_of(draft), posted)

    draft.refresh_from_db()
    assert draft.total_amount == Decimal("103.53")
    assert [line.description for line in draft.lines.order_by("position")] == ["100", "Travel"]
    assert AuditEntry.objects.filter(action="invoice.revised", subject_id=str(draft.pk)).count() == 1


def test_what_somebody_else_changed_meanwhile_is_shown_and_not_overwritten(clerk, seller, customer):
    product = make_product(entity=seller)
    draft = make_one_off(seller, customer, lines=[one_off_line(product, unit_price="100")])
    posted = shown_rows(clerk.get(revise_of(draft))) | {"lines-0-unit_price": "80"}
    seal = clerk.post(revise_of(draft), posted | {"preview": "yes"}).context["seen"].seal
    rival = make_grant(role="BO", entity=seller).user
    services.revise_one_off_invoice(
        actor=f"user:{rival.pk}",
        invoice_id=draft.pk,
        lines=[one_off_line(product, unit_price="60", description="Theirs")],
        as_of=AS_OF,
    )
    before = state_of_everything()

    answer = clerk.post(revise_of(draft), posted | {"confirm": "yes", "seen": seal})

    text = answer.content.decode()
    assert f"{rival} changed this invoice" in text
    assert "Theirs" in text
    assert answer.context["seen"] is None
    assert answer.context["lines"].forms[0]["unit_price"].value() == "80"
    assert state_of_everything() == before

    again = posted | {"version": str(answer.context["invoice"].version)}
    confirmed(clerk, revise_of(draft), again)
    draft.refresh_from_db()
    assert draft.net_amount == Decimal("80.00")


def test_a_change_between_the_look_and_the_lock_is_refused_by_the_service(
    clerk, seller, customer, monkeypatch
):
    draft = make_one_off(seller, customer)
    posted = shown_rows(clerk.get(revise_of(draft)))
    seal = clerk.post(revise_of(draft), posted | {"preview": "yes"}).context["seen"].seal
    revise = services.revise_one_off_invoice

    def late(**given):
        Invoice.objects.filter(pk=draft.pk).update(version=draft.version + 1)
        return revise(**given)

    monkeypatch.setattr(services, "revise_one_off_invoice", late)
    answer = clerk.post(revise_of(draft), posted | {"confirm": "yes", "seen": seal})

    assert "The object is at version" in answer.content.decode()
    assert not AuditEntry.objects.filter(action="invoice.revised").exists()


def test_a_draft_issued_meanwhile_keeps_its_lines_and_the_reader_his(clerk, seller, customer):
    draft = make_one_off(seller, customer)
    posted = shown_rows(clerk.get(revise_of(draft))) | {"lines-0-unit_price": "80"}
    services.issue_invoice(actor="test", invoice_id=draft.pk, issued_on=AS_OF)
    before = state_of_everything()

    answer = clerk.post(revise_of(draft), posted | {"preview": "yes"})

    assert "can no longer be revised" in answer.content.decode()
    assert answer.context["lines"].forms[0]["unit_price"].value() == "80"
    again = posted | {"preview": "yes", "version": str(answer.context["invoice"].version)}
    assert "Void it and draft another" in clerk.post(revise_of(draft), again).content.decode()
    assert state_of_everything() == before


def test_a_line_whose_product_is_no_longer_sold_is_not_lost_unseen(clerk, seller, customer):
    product = make_product(entity=seller)
    draft = make_one_off(seller, customer, lines=[one_off_line(product)])
    product.is_active = False
    product.save()

    posted = shown_rows(clerk.get(revise_of(draft)))
    answer = clerk.post(revise_of(draft), posted | {"preview": "yes"})

    assert posted["lines-0-product"] == str(product.pk)
    assert "sells no such product" in answer.content.decode()
    assert draft.lines.count() == 1


def test_what_is_written_without_a_product_is_asked_about(clerk, seller, customer):
    draft = make_one_off(seller, customer)
    posted = shown_rows(clerk.get(revise_of(draft)))

    answer = clerk.post(revise_of(draft), posted | {"lines-1-unit_price": "10", "preview": "yes"})

    assert "Choose one, or leave the line out." in answer.content.decode()
    assert answer.context["seen"] is None


@pytest.mark.parametrize("made", [make_draft, make_one_off], ids=["metered", "issued"])
def test_only_a_draft_written_by_hand_is_revised(made, clerk, seller, customer):
    invoice = make_draft(seller=seller) if made is make_draft else make_one_off(seller, customer)
    if made is make_one_off:
        services.issue_invoice(actor="test", invoice_id=invoice.pk, issued_on=AS_OF)
    before = state_of_everything()

    page = clerk.get(reverse("admin:invoicing_invoice_change", args=[invoice.pk]))
    assert revise_of(invoice) not in page.content.decode()
    answer = clerk.get(revise_of(invoice), follow=True)

    assert "is not a draft that was written by hand" in answer.content.decode()
    assert state_of_everything() == before


@pytest.mark.parametrize("role", ["VW", "CM", "AP", "AU"])
def test_who_may_not_draft_may_not_revise(role, client, seller, customer):
    draft = make_one_off(seller, customer)
    client.force_login(make_grant(role=role, entity=seller).user, backend=BACKEND)
    before = state_of_everything()

    answers = [client.get(revise_of(draft)), client.post(revise_of(draft), rows() | {"confirm": "yes"})]

    assert {answer.status_code for answer in answers} <= {403, 404}
    assert state_of_everything() == before


def test_a_draft_out_of_reach_does_not_exist(client, seller, customer):
    draft = make_one_off(seller, customer)
    client.force_login(make_grant(role="BO", entity=make_seller()).user, backend=BACKEND)
    before = state_of_everything()

    assert client.get(revise_of(draft)).status_code == 404
    assert client.post(revise_of(draft), rows() | {"confirm": "yes"}).status_code == 404
    assert state_of_everything() == before


def test_the_list_offers_no_revision_of_many(clerk, seller, customer):
    make_one_off(seller, customer)

    text = clerk.get(reverse("admin:invoicing_invoice_changelist")).content.decode()

    assert "action_delete_one_off" in text
    assert "action_revise_one_off" not in text


def test_the_console_offers_none_to_who_may_not(client, seller):
    client.force_login(make_grant(role="AU", entity=seller).user, backend=BACKEND)

    assert client.get(reverse("admin:invoicing_invoice_add")).status_code == 403
