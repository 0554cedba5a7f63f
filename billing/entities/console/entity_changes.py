"""Changing companies in the console: contact data, and whom the money goes to."""

from django import forms
from django.conf import settings
from django.http import HttpRequest

from billing.entities import services
from billing.entities.editing import BANK_LENGTH_MAX, time_zones
from billing.entities.models import BillingEntity, Consolidation
from billing.entities.states import EntityState
from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.money import currencies

ADDRESS = ("line1", "line2", "postal_code", "city", "region", "country")


class _Changes(forms.Form):
    """`version` is the one that was shown: what somebody else changed meanwhile is not overwritten."""

    version = forms.IntegerField(widget=forms.HiddenInput)


class ContactForm(_Changes):
    name = forms.CharField(max_length=200)
    email = forms.EmailField(required=False)
    line1 = forms.CharField(max_length=200, required=False, label="Address, line 1")
    line2 = forms.CharField(max_length=200, required=False, label="Address, line 2")
    postal_code = forms.CharField(max_length=200, required=False)
    city = forms.CharField(max_length=200, required=False)
    region = forms.CharField(max_length=200, required=False)
    country = forms.CharField(
        max_length=2, required=False, label="Country of the address", help_text="Two letters. Empty: its own."
    )
    language = forms.ChoiceField(choices=settings.LANGUAGES, help_text="Of documents and mails.")
    time_zone = forms.ChoiceField(choices=[(name, name) for name in sorted(time_zones())])
    payment_terms_days = forms.IntegerField(min_value=0, max_value=365)
    external_reference = forms.CharField(max_length=200, required=False)


class LegalForm(_Changes):
    legal_name = forms.CharField(max_length=200, required=False, help_text="Empty: its name.")
    tax_id = forms.CharField(max_length=32, required=False)
    iban = forms.CharField(max_length=42, required=False, label="IBAN", help_text="Where to pay to.")
    bic = forms.CharField(max_length=11, required=False, label="BIC")
    bank = forms.CharField(max_length=BANK_LENGTH_MAX, required=False, label="Name of the bank")
    country = forms.CharField(max_length=2, help_text="Two letters (ISO 3166-1).")
    currency = forms.ChoiceField(
        choices=[(code, code) for code in currencies()], help_text="Fixed with the first document."
    )
    is_seller = forms.BooleanField(required=False)
    is_customer = forms.BooleanField(required=False)
    consolidation = forms.ChoiceField(choices=Consolidation.choices)
    fiscal_year_starts_in = forms.IntegerField(min_value=1, max_value=12, help_text="Month, 1 to 12.")


def _contact_as_it_is(form: forms.Form, entities: list[BillingEntity]) -> None:
    [entity] = entities
    form.initial = _facts(form, entity) | {"country": ""} | entity.address


def _legal_as_it_is(form: forms.Form, entities: list[BillingEntity]) -> None:
    [entity] = entities
    form.initial = _facts(form, entity) | entity.bank_account


def _facts(form: forms.Form, entity: BillingEntity) -> dict:
    return {name: getattr(entity, name) for name in form.fields if hasattr(entity, name)}


def _change_contact(request: HttpRequest, entity: BillingEntity, *, version: int, **given) -> None:
    address = {part: given.pop(part).strip() for part in ADDRESS}
    _change(
        request, entity, version, given | {"address": {part: text for part, text in address.items() if text}}
    )


def _change_legal(request: HttpRequest, entity: BillingEntity, *, version: int, **given) -> None:
    account = {part: given.pop(part).strip() for part in ("iban", "bic", "bank")}
    _change(request, entity, version, given | {"bank_account": account})


def _change(request: HttpRequest, entity: BillingEntity, version: int, changes: dict) -> None:
    services.update_entity(actor=actor_of(request), entity_id=entity.pk, changes=changes, version=version)


def _is_not_closed(entity: BillingEntity) -> bool:
    return entity.state != EntityState.CLOSED


CHANGE_CONTACT = ConsoleAction(
    name="change_contact",
    description="Change contact…",
    effect="New documents and mails go by it. What is issued stays as it is.",
    permission="entities.update_entity",
    run=_change_contact,
    form=ContactForm,
    prepare=_contact_as_it_is,
    icon="edit",
    of_one=True,
    applies=_is_not_closed,
)
CHANGE_LEGAL = ConsoleAction(
    name="change_legal",
    description="Change payee and tax data…",
    effect="New documents go by it. What is issued stays as it is. A second person agrees to another payee, tax id or"
    " account of an active company, wherever there is a rule to ask by.",
    permission="entities.update_entity_legal",
    asks="approvals.request_payee_data",
    run=_change_legal,
    form=LegalForm,
    prepare=_legal_as_it_is,
    icon="account_balance",
    of_one=True,
    applies=_is_not_closed,
)
