import pytest
from django.db import IntegrityError, connection, transaction

from billing.invoicing.models import InvoiceLine, UsageClaim
from billing.invoicing.tests.makers import make_draft
from billing.kernel.ids import uuid7


@pytest.mark.django_db
def test_a_claim_of_nothing_is_refused():
    line = InvoiceLine.objects.get(invoice=make_draft())

    with (
        pytest.raises(IntegrityError, match="usage_claim_of_a_recorded_event"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        UsageClaim.objects.create(event_id=uuid7(), line=line)

    assert UsageClaim.objects.count() == 1
