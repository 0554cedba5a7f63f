"""The arithmetic of EN 16931-1:2017, table 27 (business rules BR-CO-10 … BR-CO-18), over random invoices.

The oracle is fractions and whole minor units, not the decimals the code computes with. Document level
allowances and charges (BG-20, BG-21; BR-CO-11, BR-CO-12) do not exist here: a discount is an allowance of its
line (BG-27), so that a line's net (BT-131) is gross − allowance.
"""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from billing.entities.models import BillingEntity
from billing.invoicing.discounts.services.application import DiscountTable, Granted, in_order
from billing.invoicing.drafting.services.composition import Composed, compose
from billing.invoicing.invoices.core.draft_lines import DraftLine
from billing.invoicing.models import Discount, DiscountGrant, Invoice, InvoiceTax, TaxExemption, TaxRate
from billing.invoicing.services.taxing import TaxTable

SELLER = UUID(int=9)
MINOR_UNITS = {"JPY": 1, "EUR": 100, "KWD": 1000}
JANUARY, FEBRUARY = date(2026, 1, 1), date(2026, 2, 1)

# Halves of a minor unit are as likely as anything else, in nets and in taxes.
exacts = st.one_of(
    st.decimals(min_value=0, max_value=10**6, places=6),
    st.integers(0, 10**6).map(lambda n: Decimal(n) / 2000),
)
percents = st.one_of(
    st.decimals(min_value=0, max_value=100, places=4), st.sampled_from([Decimal(50), Decimal("12.5")])
)
categories = st.sampled_from(["S", "S", "Z", "E"])
customers = st.sampled_from(
    [
        ("DE", "", False),
        ("DE", "", True),
        ("FR", "FR40303265045", False),
        ("US", "", False),
        ("IC", "", False),  # of a seller there
        ("EA", "", False),
    ]
)


@st.composite
def draft_lines(draw) -> list[DraftLine]:
    made = []
    for number in range(draw(st.integers(min_value=1, max_value=12))):
        may_wait = bool(made) and draw(st.booleans())
        tax_inclusive = draw(st.booleans())
        made.append(
            DraftLine(
                line_id=UUID(int=number + 1),
                customer_id=UUID(int=1),
                currency="",
                invoice_key="usage:2026-01-01",
                kind="usage",
                product_id=UUID(int=2),
                tax_category=draw(categories),
                gl_code="",
                description="",
                quantity=Decimal(1),
                unit="",
                unit_price=None,
                exact=draw(exacts) * (-1 if may_wait else 1),
                service_starts_on=JANUARY,
                service_ends_on=FEBRUARY,
                derivation={},
                owed_on=JANUARY,
                in_stream=not may_wait and not tax_inclusive and draw(st.booleans()),
                may_wait=may_wait,
                tax_inclusive=tax_inclusive,
                is_goods=draw(st.booleans()),
            )
        )
    return made


@st.composite
def discounts(draw) -> Granted:
    """In memory, of the one customer by the one seller: so nothing of it is read from the database."""
    is_percent = draw(st.booleans())
    discount = Discount(
        seller_id=SELLER,
        code="D",
        name="Discount",
        kind="percent" if is_percent else "amount",
        percent=draw(st.decimals("0.0001", 100, places=4)) if is_percent else None,
        duration=draw(st.sampled_from(["once", "forever"])),
    )
    granted = Granted(DiscountGrant(discount=discount, customer_id=UUID(int=1), starts_on=JANUARY))
    units = draw(st.integers(1, 10**8))
    vars(granted)["amounts"] = {
        currency: Decimal(units) / minor for currency, minor in MINOR_UNITS.items() if not is_percent
    }
    vars(granted)["products"] = frozenset()
    return granted


def composed(lines, customer, percent, currency, granted=()) -> Composed:
    """An invoice in memory, by the code that makes every draft."""
    table_of_discounts = DiscountTable(in_order(granted))
    country, tax_id, is_exempt = customer
    buyer = BillingEntity(pk=UUID(int=1), country=country, tax_id=tax_id)
    exemption = TaxExemption(customer=buyer, country="DE", certificate="NV 1", starts_on=JANUARY)
    home = country if country in {"IC", "EA"} else "DE"
    invoice = Invoice(
        seller=BillingEntity(pk=SELLER, country=home, tax_id="DE136695976"),
        customer=buyer,
        currency=currency,
        billing_key="usage:2026-01-01",
        period_starts_on=JANUARY,
        period_ends_on=FEBRUARY,
    )
    rate = TaxRate(country=home, category="S", percent=percent, starts_on=JANUARY)
    table = TaxTable((rate,), (exemption,) if is_exempt else ())
    return compose(invoice, lines, taxes=table, discounts=table_of_discounts.begin(), as_of=FEBRUARY)[0]


def rounded(exact: Fraction, currency: str) -> int:
    """In minor units; halves away from zero."""
    scaled = abs(exact) * MINOR_UNITS[currency]
    whole = int(scaled) + (1 if scaled - int(scaled) >= Fraction(1, 2) else 0)
    return whole if exact >= 0 else -whole


def in_units(amount: Decimal, currency: str) -> int:
    units = Fraction(amount) * MINOR_UNITS[currency]
    assert units.denominator == 1, f"{amount} has parts of a minor unit of {currency}"
    return int(units)


def grosses_of(done: Composed, row: InvoiceTax, currency: str) -> tuple[list[int], int, int]:
    """Of one category, before discounts: what was told with tax, the nets told without, and all nets."""
    alike = [
        line for line in done.lines if (line.tax_category, line.tax_percent) == (row.category, row.percent)
    ]
    grosses = [in_units(line.net_amount + line.discount_amount, currency) for line in alike]
    told = [in_units(line.inclusive_amount, currency) for line in alike if line.inclusive_amount is not None]
    beside = [gross for line, gross in zip(alike, grosses, strict=True) if line.inclusive_amount is None]
    return told, sum(beside), sum(grosses)


def tax_of(units: int, row: InvoiceTax, currency: str) -> int:
    return rounded(Fraction(units, MINOR_UNITS[currency]) * Fraction(row.percent) / 100, currency)


@given(
    draft_lines(),
    customers,
    percents,
    st.sampled_from(sorted(MINOR_UNITS)),
    st.lists(discounts(), max_size=3),
)
def test_the_totals_of_an_invoice_follow_from_its_lines(lines, customer, percent, currency, granted):
    done = composed(lines, customer, percent, currency, granted)
    invoice = done.invoice
    # BT-131: a line's net is its gross less its allowances, which are never more than it.
    used = {line.pk: 0 for line in done.lines}
    for use in done.uses:
        used[use.line_id] += in_units(use.amount, currency)
    for line in done.lines:
        discount = in_units(line.discount_amount, currency)
        gross = in_units(line.net_amount, currency) + discount
        assert 0 <= discount <= max(gross, 0)
        assert discount == used[line.pk]
    nets = [in_units(line.net_amount, currency) for line in done.lines]
    taxes = [in_units(row.tax_amount, currency) for row in done.taxes]
    taxable = [in_units(row.taxable_amount, currency) for row in done.taxes]

    # BR-CO-10, BR-CO-13: Σ line nets = sum of lines = total without tax (no document level allowances)
    assert in_units(invoice.net_amount, currency) == sum(nets)
    # BR-CO-14: total tax = Σ tax of the categories
    assert in_units(invoice.tax_amount, currency) == sum(taxes)
    # BR-CO-15: total with tax = total without + total tax; BR-CO-16: nothing was paid yet, all of it is due
    assert in_units(invoice.total_amount, currency) == sum(nets) + sum(taxes)
    assert invoice.total_amount >= 0
    # BR-CO-18: at least one category; BR-S-8, BR-Z-8, …: each is the sum of its lines' nets
    by_category: dict[tuple[str, Decimal], int] = {}
    for line, net in zip(done.lines, nets, strict=True):
        key = (line.tax_category, line.tax_percent)
        by_category[key] = by_category.get(key, 0) + net
    assert {(row.category, row.percent): units for row, units in zip(done.taxes, taxable, strict=True)} == (
        by_category
    )
    # BR-CO-17: tax = taxable amount × rate, rounded half up to the minor unit
    for row, tax in zip(done.taxes, taxes, strict=True):
        assert tax == rounded(Fraction(row.taxable_amount) * Fraction(row.percent) / 100, currency)
        # BR-E-10, BR-AE-10, BR-G-10, BR-IC-10: who pays none is told why; BR-S-10, BR-Z-10, BR-AF-10, BR-AG-10: nobody else
        assert bool(row.exemption_reason) == (row.category not in {"S", "Z", "L", "M"})
        assert row.category in {"S", "L", "M"} or not row.percent
        # Prices that include tax: with its tax a category comes to what was told, or one minor unit less.
        told, beside, gross = grosses_of(done, row, currency)
        most = sum(told) + beside + tax_of(beside, row, currency)
        assert most - gross - tax_of(gross, row, currency) in ({0, 1} if told else {0})


@given(draft_lines(), customers, percents, st.sampled_from(sorted(MINOR_UNITS)))
def test_each_line_is_rounded_by_itself_and_a_stream_as_a_whole(lines, customer, percent, currency):
    done = composed(lines, customer, percent, currency)
    exact_of = {line.line_id: line for line in lines}
    stream_net, stream_exact = 0, Fraction(0)

    for line in done.lines:
        made_of, net = exact_of[line.pk], in_units(line.net_amount, currency)
        if made_of.tax_inclusive:
            assert in_units(line.inclusive_amount, currency) == rounded(Fraction(made_of.exact), currency)
            continue
        assert line.inclusive_amount is None
        if made_of.in_stream:
            stream_net, stream_exact = stream_net + net, stream_exact + Fraction(made_of.exact)
        else:
            assert net == rounded(Fraction(made_of.exact), currency)
        assert abs(net - Fraction(made_of.exact) * MINOR_UNITS[currency]) < 1
    assert stream_net == rounded(stream_exact, currency)


@given(
    draft_lines(),
    customers,
    percents,
    st.sampled_from(sorted(MINOR_UNITS)),
    st.randoms(use_true_random=False),
)
def test_the_order_of_the_lines_changes_no_total(lines, customer, percent, currency, random):
    charges = [line for line in lines if not line.may_wait]
    shuffled = random.sample(charges, len(charges))

    first = composed(charges, customer, percent, currency)
    second = composed(shuffled, customer, percent, currency)

    def totals(done: Composed) -> list:
        rows = [(row.category, row.percent, row.taxable_amount, row.tax_amount) for row in done.taxes]
        return [done.invoice.net_amount, done.invoice.tax_amount, done.invoice.total_amount, rows]

    # A category holds lines of the stream and others: where a stream's odd unit falls may move between categories.
    if len({line.tax_category for line in charges if line.in_stream}) < 2:
        assert totals(first) == totals(second)
    assert first.invoice.net_amount == second.invoice.net_amount
