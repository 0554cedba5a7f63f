"""How a line is divided among departments: to the cent, and in the same way whatever order things come in."""

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.entities.models import BillingEntity, Department
from billing.invoicing.allocation.services.allocation import Policy, allocate
from billing.invoicing.models import Invoice, InvoiceLine, InvoiceTax

CUSTOMER = BillingEntity(pk=UUID(int=1), code="ACME")
DEPARTMENTS = [
    Department(pk=UUID(int=number), entity=CUSTOMER, code=f"D{number}", default_gl_code="6400")
    for number in range(1, 9)
]


def divided(
    net: str, exact: dict[int, str], *, tax: str = "0", currency="EUR", order=None
) -> dict[int, tuple]:
    """Net and tax of each department's share of one line, by the department's number."""
    invoice = Invoice(pk=UUID(int=9), customer=CUSTOMER, currency=currency)
    percent = Decimal(tax) * 100 / Decimal(net) if Decimal(net) else Decimal(0)
    line = InvoiceLine(
        pk=UUID(int=10),
        invoice=invoice,
        net_amount=Decimal(net),
        tax_category="S",
        tax_percent=percent,
        derivation={
            "from": "usage",
            "shares": [{"department": str(UUID(int=d)), "exact": exact[d]} for d in order or exact],
        },
    )
    row = InvoiceTax(category="S", percent=percent, taxable_amount=line.net_amount, tax_amount=Decimal(tax))
    policy = Policy(departments={CUSTOMER.pk: DEPARTMENTS})
    shares = allocate(invoice, lines=[line], taxes=[row], policy=policy)
    return {share.department_id.int: (share.net_amount, share.tax_amount) for share in shares}


@pytest.mark.parametrize(
    ("_case", "net", "exact", "nets"),
    [
        ("a cent, 95 to 5", "0.01", {1: "0.0095", 2: "0.0005"}, ["0.01", "0.00"]),
        (
            "a hundred over three",
            "100.00",
            dict.fromkeys((1, 2, 3), "33.333333333333333333333333"),
            ["33.34", "33.33", "33.33"],
        ),
        (
            "a credit of a hundred over three",
            "-100.00",
            dict.fromkeys((1, 2, 3), "-33.333333333333333333333333"),
            ["-33.34", "-33.33", "-33.33"],
        ),
        ("a credit of a cent, 95 to 5", "-0.01", {1: "-0.0095", 2: "-0.0005"}, ["-0.01", "0.00"]),
    ],
)
def test_a_line_is_divided_by_largest_remainder(_case, net, exact, nets):
    shares = divided(net, exact)

    assert [shares[number][0] for number in sorted(shares)] == [Decimal(amount) for amount in nets]


@st.composite
def divisions(draw) -> tuple[str, dict[int, str], str, str]:
    """Whole units, so that equal remainders are frequent, cut into sevenths of a minor unit."""
    currency, places = draw(st.sampled_from([("JPY", 0), ("EUR", 2), ("KWD", 3)]))
    numbers = draw(st.lists(st.integers(1, 8), min_size=1, max_size=8, unique=True))
    sign = draw(st.sampled_from([1, -1]))
    step = Decimal(1).scaleb(-places - 1)
    exact = {number: sign * step * draw(st.integers(0, 99)) for number in numbers}
    unit = Decimal(1).scaleb(-places)
    net = sum(exact.values(), Decimal(0)).quantize(unit, rounding="ROUND_HALF_UP")
    tax = (net * draw(st.integers(0, 30)) / 100).quantize(unit, rounding="ROUND_HALF_UP")
    return str(net), {number: str(amount) for number, amount in exact.items()}, str(tax), currency


@given(divisions(), st.randoms(use_true_random=False))
def test_the_order_things_come_in_changes_nothing(division, random):
    net, exact, tax, currency = division
    order = random.sample(sorted(exact), len(exact))

    first = divided(net, exact, tax=tax, currency=currency, order=sorted(exact))

    assert divided(net, exact, tax=tax, currency=currency, order=order) == first
    assert sum(share[0] for share in first.values()) == Decimal(net)
    assert sum(share[1] for share in first.values()) == Decimal(tax)
