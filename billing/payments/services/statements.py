from datetime import date
from uuid import UUID

from django.db import transaction

from billing.documents.core.wording import language_of
from billing.documents.services.storage import keep_document
from billing.entities.models import BillingEntity
from billing.kernel.errors import Invalid
from billing.payments.models import StatementDocument
from billing.payments.queries.statements import statement_of
from billing.payments.services.statement_document import statement_content


@transaction.atomic
def render_statement(
    *, actor: str, seller_id: UUID, customer_id: UUID, currency: str, starts_on: date, ends_on: date
) -> StatementDocument:
    """The statement of account of [starts_on, ends_on) as PDF, in the customer's language, kept as it is now.

    Asked for again it is the same document, unless something was booked into its days since. Raises Invalid.
    """
    if ends_on <= starts_on:
        raise Invalid("The period ends after it starts.")
    entities = BillingEntity.objects.in_bulk([seller_id, customer_id])
    seller, customer = entities[seller_id], entities[customer_id]
    statement = statement_of(
        seller=seller, customer=customer, currency=currency, starts_on=starts_on, ends_on=ends_on
    )
    content = statement_content(statement, language=language_of(customer.language))
    return keep_document(
        StatementDocument,
        of={
            "seller": seller,
            "customer": customer,
            "currency": currency,
            "starts_on": starts_on,
            "ends_on": ends_on,
        },
        template="statement",
        content=content,
        actor=actor,
        action="statement.rendered",
        by_content=True,
    )
