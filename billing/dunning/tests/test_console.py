"""Dunning in the console: policies from lines of text, pauses by the invoice's number, letters in a sandbox."""

from uuid import uuid4

import pytest
from django.urls import reverse

from billing.dunning.core.letters import render
from billing.dunning.models import DunningAssignment, DunningMail, DunningPause, DunningPolicy, LateFee
from billing.dunning.services.letter_previews import sample_letter
from billing.dunning.states import Template
from billing.dunning.tests.makers import FEE, FIRST, make_late_invoice, make_policy, run
from billing.dunning.tests.test_running import late
from billing.entities.tests.makers import make_grant
from billing.kernel.tests.frames import framed
from billing.payments.tests.makers import make_customer, make_seller

pytestmark = pytest.mark.django_db
BACKEND = "billing.entities.backends.GrantBackend"


@pytest.fixture
def seller():
    return make_seller()


@pytest.fixture
def console(client, seller):
    def sign_in(role):
        client.force_login(make_grant(role=role, entity=seller).user, backend=BACKEND)
        return client

    return sign_in


def page(model: str, name: str, *args) -> str:
    return reverse(f"admin:dunning_{model}_{name}", args=args)


def confirmed(**answers) -> dict:
    return {"confirm": "yes", "once": uuid4().hex} | answers


def terms(seller, **overrides) -> dict:
    return {
        "seller": seller.pk,
        "code": "STANDARD",
        "name": "Standard",
        "entity_class": "enterprise",
        "is_default": "on",
        "steps": "-3; notify; friendly_note\n7; notify; reminder\n\n35; late_fee; flat\n45; suspend\n60; stop",
        "amounts": "EUR; 5.00; 40.00\nUSD; 5.00",
        "interest_percent": "",
        "fee_reference": "Directive 2011/7/EU, Article 6",
    } | overrides


def test_a_controller_drafts_revises_and_activates_a_policy(console, seller):
    client = console("FC")

    client.post(page("dunningpolicy", "add"), terms(seller))

    policy = DunningPolicy.objects.get()
    steps = list(
        policy.steps.order_by("position").values_list("days_after_due", "effect", "template", "fee_basis")
    )
    assert steps == [
        (-3, "notify", "friendly_note", ""),
        (7, "notify", "reminder", ""),
        (35, "late_fee", "", "flat"),
        (45, "suspend", "", ""),
        (60, "stop", "", ""),
    ]
    assert dict(policy.amounts.values_list("currency", "fee_amount")) == {"EUR": 40, "USD": None}
    client.post(page("dunningpolicy", "action_activate", policy.pk), confirmed())
    as_it_is = client.get(page("dunningpolicy", "action_revise", policy.pk)).content.decode()
    assert "7; notify; reminder" in as_it_is
    assert "EUR; 5; 40" in as_it_is
    revised = terms(seller, steps="9; notify; reminder", amounts="EUR; 0")
    client.post(page("dunningpolicy", "action_revise", policy.pk), confirmed(**revised))
    assert dict(DunningPolicy.objects.values_list("revision", "state")) == {1: "active", 2: "draft"}
    shown = client.get(page("dunningpolicy", "change", policy.pk)).content.decode()
    assert "35 days after the due day" in shown
    assert "preview/?template=reminder" in shown


@pytest.mark.parametrize(
    ("_case", "changes", "said"),
    [
        ("no day", {"steps": "soon; notify; reminder"}, "Steps, line 1"),
        ("no effect", {"steps": "7"}, "is no effect"),
        ("too many parts", {"steps": "7; notify; reminder; x"}, "Steps, line 1"),
        ("no words", {"steps": "7; notify"}, "has a template"),
        ("no currency", {"amounts": "EURO; 5"}, "Amounts, line 1"),
        ("no number", {"amounts": "EUR; five"}, "Amounts, line 1"),
        ("infinity", {"amounts": "EUR; Infinity"}, "Amounts, line 1"),
    ],
)
def test_says_what_makes_no_policy_and_keeps_nothing(console, seller, _case, changes, said):
    answer = console("FC").post(page("dunningpolicy", "add"), terms(seller, **changes))

    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert DunningPolicy.objects.count() == 0


def test_an_operator_assigns_and_pauses_but_makes_no_policy(console, seller):
    policy = make_policy(seller=seller)
    invoice = make_late_invoice(customer=make_customer(parent=seller))
    client = console("BO")

    assert client.get(page("dunningpolicy", "add")).status_code == 403
    given = {"customer": invoice.customer_id, "policy": policy.pk, "starts_on": "2026-01-01"}
    client.post(page("dunningassignment", "add"), given)
    assert DunningAssignment.objects.get().policy == policy

    given = {"invoice_number": invoice.number, "amount": "30.00", "kind": "dispute", "reason": "Wrong"}
    client.post(page("dunningpause", "add"), given)
    refused = client.post(page("dunningpause", "add"), given | {"amount": "70.01"})
    unknown = client.post(page("dunningpause", "add"), given | {"invoice_number": "INV-0"})
    pause = DunningPause.objects.get()
    assert pause.amount == 30
    assert "paused already" in refused.content.decode()
    assert "There is no invoice INV-0" in unknown.content.decode()
    client.post(page("dunningpause", "action_resume", pause.pk), confirmed(reason="Settled"))
    pause.refresh_from_db()
    assert pause.ends_on == pause.starts_on


def test_a_fee_is_shown_with_its_derivation_and_waived(console, seller):
    make_policy(seller=seller)
    make_late_invoice(customer=make_customer(parent=seller, email="a@example.com"))
    run(seller, late(FIRST))
    run(seller, late(FEE))
    fee = LateFee.objects.get()
    client = console("FC")

    assert "40.00 EUR" in client.get(page("latefee", "changelist")).content.decode()
    assert "The flat fee of the policy" in client.get(page("latefee", "change", fee.pk)).content.decode()
    client.post(page("latefee", "action_waive", fee.pk), confirmed(reason="Goodwill"))
    fee.refresh_from_db()
    assert fee.state == "waived"


def test_a_letter_is_shown_as_it_was_written_without_scripts(console, seller):
    make_policy(seller=seller)
    customer = make_customer(parent=seller, email="a@example.com", legal_name='<script>x</script>"Co')
    invoice = make_late_invoice(customer=customer)
    run(seller, late(FIRST))
    mail = DunningMail.objects.get()

    shown = console("BO").get(page("dunningmail", "change", mail.pk)).content.decode()

    assert "<iframe sandbox title=" in shown
    assert "<script>x" not in shown
    assert invoice.number in shown


@pytest.mark.parametrize("template", Template.values)
@pytest.mark.parametrize("language", ["en", "de", "fr", "es"])
def test_every_letter_is_previewed_with_made_up_and_with_real_invoices(console, seller, template, language):
    invoice = make_late_invoice(customer=make_customer(parent=seller))
    address = reverse("admin:dunning_dunningmail_preview")
    client = console("VW")
    asked = {"template": template, "language": language}

    sample = client.get(address, asked).content.decode()
    real = client.get(address, asked | {"invoice_number": invoice.number}).content.decode()

    assert "INV-2026-000041" in sample
    assert framed(client.get(address, asked)) == render(template, sample_letter(language)).html
    assert invoice.number in real
    assert "INV-2026-000041" not in real


def test_the_preview_knows_no_invoice_of_others_and_no_other_template(console, seller):
    theirs = make_late_invoice()
    address = reverse("admin:dunning_dunningmail_preview")
    client = console("VW")

    assert (
        "There is no such invoice" in client.get(address, {"invoice_number": theirs.number}).content.decode()
    )
    assert "iframe" not in client.get(address, {"template": "../../etc"}).content.decode()
    assert client.get(address).status_code == 200


def test_the_page_of_letters_leads_to_the_preview_whoever_sees_policies(console):
    letters, preview = page("dunningmail", "changelist"), reverse("admin:dunning_dunningmail_preview")
    assert preview in console("BO").get(letters).content.decode()


def test_whoever_sees_no_policies_sees_no_preview(console):
    assert console("IA").get(reverse("admin:dunning_dunningmail_preview")).status_code == 403
