"""Whatever comes in, in whatever order: receivables are what is open, balances are what is not applied."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.invoicing.models import Invoice
from billing.kernel.errors import DomainError
from billing.kernel.money import total_of
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.ledger.hooks import control_total
from billing.payments import services
from billing.payments.models import Payment
from billing.payments.tests.makers import TODAY, make_customer, make_open_invoice, payment_terms
from billing.payments.tests.state import balances, everything

pytestmark = pytest.mark.django_db

CENTS = st.integers(min_value=1, max_value=12_000).map(lambda cents: Decimal(cents) / 100)
PICK = st.integers(min_value=0, max_value=99)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("invoice"), CENTS),
        st.tuples(st.just("pay what is due"), CENTS),
        st.tuples(st.just("pay one"), CENTS, PICK, CENTS),
        st.tuples(st.just("apply"), CENTS, PICK, PICK),
    ),
    min_size=1,
    max_size=8,
)


def act(kind: str, customer, amount: Decimal, *rest) -> None:
    invoices = list(Invoice.objects.filter(customer=customer).order_by("pk"))
    payments = list(Payment.objects.filter(customer=customer).order_by("pk"))
    if kind == "invoice":
        make_open_invoice(customer=customer, total=amount)
    elif kind == "pay what is due":
        services.record_payment(**payment_terms(customer=customer, amount=amount))
    elif kind == "pay one" and invoices:
        meant = [(invoices[rest[0] % len(invoices)].pk, rest[1])]
        services.record_payment(**payment_terms(customer=customer, amount=amount, applications=meant))
    elif kind == "apply" and invoices and payments:
        services.apply_payment(
            actor="test",
            payment_id=payments[rest[0] % len(payments)].pk,
            invoice_id=invoices[rest[1] % len(invoices)].pk,
            amount=amount,
            applied_on=TODAY,
        )
    as_if_committed()


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(acts=ACTS)
def test_receivables_are_what_is_open_after_any_payments_and_applications(acts):
    customer = make_customer()
    for kind, amount, *rest in acts:
        before = everything()
        try:
            act(kind, customer, amount, *rest)
        except DomainError:
            assert everything() == before

    seller = customer.parent
    owed = Invoice.objects.filter(seller=seller)
    payments = Payment.objects.filter(seller=seller)
    expected = {
        ("1000", "EUR"): total_of([payment.amount for payment in payments]),
        ("1100", "EUR"): total_of([invoice.balance_amount for invoice in owed]),
        ("2300", "EUR"): -total_of([payment.unapplied_amount for payment in payments]),
        ("4000", "EUR"): -total_of([invoice.total_amount for invoice in owed]),
    }
    assert balances(seller) == {place: net for place, net in expected.items() if net}
    assert {name: compare().count for name, compare in control_total.items() if compare().count} == {}
    assert_invariants_hold()
