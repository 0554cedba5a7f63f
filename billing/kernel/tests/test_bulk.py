from datetime import date
from decimal import Decimal

import pytest

from billing.entities.tests.makers import make_entity
from billing.invoicing.models import Invoice
from billing.invoicing.tests.makers import make_draft
from billing.kernel.bulk import update_rows

pytestmark = pytest.mark.django_db


def test_every_kind_of_column_is_stored_as_bulk_update_would():
    drafts = [make_draft(), make_draft()]
    other = make_entity()
    for number, draft in enumerate(drafts):
        draft.customer, draft.due_on = other, date(2026, 1, 1 + number)
        draft.net_amount = draft.total_amount = Decimal(number)
        draft.tax_amount = Decimal(0)
        draft.snapshot, draft.failure = {"n": [number, None]}, None if number else {"code": "x"}

    update_rows(
        drafts, ["customer", "due_on", "net_amount", "tax_amount", "total_amount", "snapshot", "failure"]
    )

    for draft in drafts:
        stored = Invoice.objects.get(pk=draft.pk)
        for name in ("customer_id", "due_on", "net_amount", "total_amount", "snapshot", "failure"):
            assert getattr(stored, name) == getattr(draft, name), name


def test_it_is_one_statement_and_touches_no_other_row(django_assert_num_queries):
    first, second = make_draft(), make_draft()
    first.due_on = date(2026, 1, 1)

    with django_assert_num_queries(1):
        update_rows([first], ["due_on"])
    with django_assert_num_queries(0):
        update_rows([], ["due_on"])

    assert Invoice.objects.get(pk=second.pk).due_on is None
