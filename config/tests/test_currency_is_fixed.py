"""After its first document an entity keeps its currency: the apps that own documents say so to entities."""

import pytest

from billing.entities import services
from billing.entities.errors import CurrencyLocked
from billing.entities.models import BillingEntity
from billing.invoicing.tests.makers import make_draft, make_invoice
from billing.payments.tests.makers import make_payment

pytestmark = pytest.mark.django_db


def change_currency(entity: BillingEntity) -> None:
    services.update_entity(actor="test", entity_id=entity.pk, changes={"currency": "USD"})


@pytest.mark.parametrize("make", [make_invoice, make_payment])
@pytest.mark.parametrize("party", ["seller", "customer"])
def test_neither_party_of_a_document_changes_its_currency(make, party):
    entity = getattr(make(), party)

    with pytest.raises(CurrencyLocked):
        change_currency(entity)

    entity.refresh_from_db()
    assert entity.currency == "EUR"


def test_a_draft_binds_nobody():
    draft = make_draft()

    change_currency(draft.customer)

    draft.customer.refresh_from_db()
    assert draft.customer.currency == "USD"
