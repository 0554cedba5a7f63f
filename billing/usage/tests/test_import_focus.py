import csv
import io
from collections import defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from billing.entities.models import BillingEntity, Department
from billing.entities.tests.makers import make_entity
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.subscriptions.models import Price, Product
from billing.usage import services
from billing.usage.errors import MarkUpAlreadySet, UnusableFile
from billing.usage.models import Meter, UsageEvent

SAMPLE = Path(settings.SHARED) / "data" / "focus_1_0_sample.csv"
AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
ROW = {
    "BilledCost": "1.25",
    "BillingAccountId": "acct-1",
    "BillingAccountName": "Northwind",
    "BillingCurrency": "USD",
    "BillingPeriodStart": "2025-03-01 00:00:00",
    "BillingPeriodEnd": "2025-04-01 00:00:00",
    "ChargePeriodStart": "2025-03-09 22:00:00",
    "ChargePeriodEnd": "2025-03-09 23:00:00",
    "ChargeCategory": "Usage",
    "ConsumedQuantity": "2.5",
    "ConsumedUnit": "GB",
    "ProviderName": "Cloud",
    "ServiceCategory": "Storage",
    "ServiceName": "Blob",
    "SkuId": "NULL",
    "SubAccountId": "sub-1",
    "SubAccountName": "Web shop",
    "Tags": '{"env": "prod"}',
}


def focus_file(*rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(ROW), quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(ROW | row for row in rows)
    return io.BytesIO(text.getvalue().encode())


def imported(file, seller, refusals=None, **options):
    return services.import_usage(
        actor="test",
        file=file,
        wanted=services.Import(format="focus", seller_id=seller.pk, **options),
        as_of=AS_OF,
        on_refusal=(refusals if refusals is not None else []).append,
    )


def counted(totals):
    return totals.accepted, totals.duplicates, totals.conflicts, totals.rejected


@pytest.mark.django_db
def test_a_charge_becomes_an_event_with_everything_it_needs():
    seller = make_entity(is_seller=True)

    totals = imported(focus_file({}), seller, mark_up=Decimal(5), gl_code="6400")

    assert counted(totals) == (1, 0, 0, 0)
    event = UsageEvent.objects.select_related("entity", "department", "meter__product").get()
    assert (
        event.entity.name,
        event.entity.external_reference,
        event.entity.currency,
        event.entity.state,
    ) == (
        "Northwind",
        "acct-1",
        "USD",
        "active",
    )
    assert event.entity.parent_id == seller.pk
    assert (event.department.name, event.department.external_reference) == ("Web shop", "sub-1")
    product = event.meter.product
    assert (event.meter.code, product.code, product.name, product.gl_code) == (
        "focus-storage",
        "focus-storage",
        "Storage",
        "6400",
    )
    price = Price.objects.get(product=product)
    assert (price.model, price.currency, price.markup_percent, price.number) == ("pass_through", "USD", 5, 1)
    assert (event.quantity, event.cost, event.currency) == (Decimal("2.5"), Decimal("1.25"), "USD")
    assert (event.occurred_at, event.billed_on) == (
        datetime(2025, 3, 9, 22, tzinfo=UTC),
        date(2025, 3, 9),
    )
    assert event.source == "focus:Cloud:acct-1"
    assert event.properties["Tags"] == {"env": "prod"}
    assert "SkuId" not in event.properties
    assert_invariants_hold()


@pytest.mark.django_db
def test_importing_twice_is_importing_once():
    seller = make_entity(is_seller=True)
    rows = [{}, {}, {"BilledCost": "2"}]  # two identical rows are two charges

    first, second = imported(focus_file(*rows), seller), imported(focus_file(*rows), seller)

    assert (counted(first), counted(second)) == ((3, 0, 0, 0), (0, 3, 0, 0))
    assert UsageEvent.objects.count() == 3
    assert (Product.objects.count(), Price.objects.count(), Meter.objects.count()) == (1, 1, 1)
    assert BillingEntity.objects.filter(parent=seller).count() == 1


@pytest.mark.django_db
def test_the_order_of_columns_does_not_make_another_charge():
    seller = make_entity(is_seller=True)
    imported(focus_file({}), seller)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=sorted(ROW, reverse=True))
    writer.writeheader()
    writer.writerow(ROW)

    assert counted(imported(io.BytesIO(text.getvalue().encode()), seller)) == (0, 1, 0, 0)


@pytest.mark.django_db
def test_a_charge_outside_of_its_billing_period_is_billed_on_its_first_day():
    imported(focus_file({"ChargePeriodStart": "2025-02-28 22:00:00"}), make_entity(is_seller=True))

    assert UsageEvent.objects.get().billed_on == date(2025, 3, 1)


@pytest.mark.django_db
def test_missing_names_and_sub_accounts_have_defaults():
    imported(
        focus_file({"BillingAccountName": "NULL", "SubAccountId": "", "SubAccountName": "NULL"}),
        make_entity(is_seller=True),
    )

    event = UsageEvent.objects.select_related("entity").get()
    assert (event.entity.name, event.department) == ("acct-1", None)


@pytest.mark.django_db
def test_sub_accounts_may_be_entities_that_roll_up():
    seller = make_entity(is_seller=True)
    rows = [{}, {"SubAccountId": "NULL"}]

    imported(focus_file(*rows), seller, sub_accounts="entities")
    imported(focus_file(*rows), seller, sub_accounts="entities")

    parent = BillingEntity.objects.get(external_reference="acct-1")
    child = BillingEntity.objects.get(external_reference="sub-1")
    assert (child.parent_id, child.consolidation, child.name) == (parent.pk, "roll_up", "Web shop")
    assert set(UsageEvent.objects.values_list("entity_id", "department_id")) == {
        (child.pk, None),
        (parent.pk, None),
    }


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"BilledCost": "0.0000000000001"}, "too-many-decimals"),
        ({"BilledCost": "1e999"}, "too-large"),
        ({"BilledCost": "NaN"}, "invalid-event"),
        ({"BilledCost": "NULL"}, "invalid-event"),
        ({"BillingCurrency": "ZZZ"}, "invalid-event"),
        ({"BillingAccountId": "NULL"}, "invalid-event"),
        ({"ChargePeriodStart": "yesterday"}, "invalid-event"),
        ({"ServiceName": "a\x00b"}, "invalid-event"),
        ({"ChargePeriodStart": "2199-01-01 00:00:00"}, "timestamp-in-future"),
    ],
)
def test_a_row_that_cannot_be_recorded_is_listed_and_never_rounded(row, code):
    refusals = []

    totals = imported(focus_file(row, {}), make_entity(is_seller=True), refusals)

    assert counted(totals) == (1, 0, 0, 1)
    assert [(refusal.line, refusal.outcome.code) for refusal in refusals] == [(2, code)]
    assert UsageEvent.objects.get().cost == Decimal("1.25")


@pytest.mark.django_db
def test_a_quantity_finer_than_stored_keeps_its_text_and_its_cost():
    imported(focus_file({"ConsumedQuantity": "-0.000000301748514"}), make_entity(is_seller=True))

    event = UsageEvent.objects.get()
    assert (event.quantity, event.cost) == (Decimal("-0.000000301749"), Decimal("1.25"))
    assert event.properties["ConsumedQuantity"] == "-0.000000301748514"


@pytest.mark.django_db
def test_another_mark_up_is_a_new_version_from_the_files_period_on():
    seller = make_entity(is_seller=True)
    imported(focus_file({}), seller, mark_up=Decimal(5))
    imported(focus_file({}), seller)  # says nothing about it
    imported(focus_file({}), seller, mark_up=Decimal("5.0"))

    april = {"BillingPeriodStart": "2025-04-01 00:00:00", "BillingPeriodEnd": "2025-05-01 00:00:00"}
    imported(focus_file(april), seller, mark_up=Decimal(7))

    assert list(Price.objects.order_by("number").values_list("markup_percent", "starts_on")) == [
        (5, date(2000, 1, 1)),
        (7, date(2025, 4, 1)),
    ]
    with pytest.raises(MarkUpAlreadySet):
        imported(focus_file({"BilledCost": "9"}), seller, mark_up=Decimal(8))
    assert (Price.objects.count(), UsageEvent.objects.count()) == (2, 2)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        focus_file({}).getvalue() + "é".encode()[:1],
        b"BilledCost,BillingAccountId\n1,2\n",
        focus_file().getvalue(),
        focus_file({}).getvalue() + b'"an open quote',
    ],
    ids=["empty", "no-utf-8", "cut-in-a-character", "other-header", "no-rows", "open-quote"],
)
def test_refuses_a_file_it_cannot_read_and_changes_nothing(content):
    seller = make_entity(is_seller=True)

    with pytest.raises(UnusableFile):
        imported(io.BytesIO(content), seller)

    assert not UsageEvent.objects.exists()
    assert not Product.objects.exists()
    assert not BillingEntity.objects.exclude(pk=seller.pk).exists()


@pytest.mark.django_db
def test_a_dry_run_says_what_would_happen_and_changes_nothing():
    seller = make_entity(is_seller=True)

    totals = imported(focus_file({}, {}), seller, dry_run=True)

    assert counted(totals) == (2, 0, 0, 0)
    assert not UsageEvent.objects.exists()
    assert not Product.objects.exists()
    assert not BillingEntity.objects.exclude(pk=seller.pk).exists()


@pytest.mark.django_db
def test_a_run_that_stopped_half_way_is_finished_by_the_next(monkeypatch):
    monkeypatch.setattr("billing.usage.services.importing.BATCH", 2)
    seller = make_entity(is_seller=True)
    file = focus_file(*[{}] * 5)

    class Killed(Exception):
        pass

    def stop(position):
        raise Killed

    with pytest.raises(Killed):
        services.import_usage(
            actor="test",
            file=file,
            wanted=services.Import(format="focus", seller_id=seller.pk),
            as_of=AS_OF,
            progress=stop,
        )
    assert UsageEvent.objects.count() == 2

    assert counted(imported(file, seller)) == (3, 2, 0, 0)


@pytest.mark.django_db
def test_the_command_ends_with_the_counts_and_fails_if_a_row_was_refused(tmp_path, capsys):
    make_entity(is_seller=True, code="SELLER")
    path, rejects = tmp_path / "bill.csv", tmp_path / "rejects.csv"
    path.write_bytes(focus_file({}, {"BilledCost": "x"}).getvalue())

    with pytest.raises(CommandError, match="1 row"):
        call_command("import_usage", path, format="focus", seller="seller", rejects=rejects)

    output = capsys.readouterr()
    assert output.out.splitlines()[-1] == "accepted=1 duplicates=0 conflicts=0 rejected=1"
    assert "line 3: rejected (invalid-event)" in output.err
    assert len(rejects.read_text().splitlines()) == 2

    call_command("import_usage", path, format="focus", seller="SELLER", allow_rejects=True, json=True)
    assert '"duplicates": 1' in capsys.readouterr().out


@pytest.mark.django_db
def test_the_command_refuses_a_file_that_is_not_there(tmp_path):
    make_entity(is_seller=True, code="SELLER")

    with pytest.raises(CommandError, match="No such file"):
        call_command("import_usage", tmp_path / "no.csv", format="focus", seller="SELLER")


@pytest.mark.django_db
def test_a_real_bill_is_imported_to_the_last_decimal_once():
    if not SAMPLE.exists():
        pytest.skip("the FOCUS sample is not here (BILLING_SHARED names its folder)")
    with SAMPLE.open(newline="", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    expected = defaultdict(Decimal)
    for row in rows:
        key = row["BillingAccountId"], row["BillingCurrency"], row["BillingPeriodStart"][:7]
        expected[key] += Decimal(row["BilledCost"])
    seller = make_entity(is_seller=True)
    refusals = []

    with SAMPLE.open("rb") as file:
        first = imported(file, seller, refusals, mark_up=Decimal(5), gl_code="6400")
        second = imported(file, seller, refusals, mark_up=Decimal(5), gl_code="6400")

    assert refusals == []
    assert (counted(first), counted(second)) == ((len(rows), 0, 0, 0), (0, len(rows), 0, 0))
    found = defaultdict(Decimal)
    for event in UsageEvent.objects.select_related("entity"):
        found[event.entity.external_reference, event.currency, f"{event.billed_on:%Y-%m}"] += event.cost
    assert dict(found) == dict(expected)
    assert UsageEvent.objects.count() == len(rows)
    assert set(BillingEntity.objects.filter(parent=seller).values_list("external_reference", flat=True)) == {
        row["BillingAccountId"] for row in rows
    }
    sub_accounts = {(row["BillingAccountId"], row["SubAccountId"]) for row in rows} - {
        (row["BillingAccountId"], row["SubAccountId"]) for row in rows if row["SubAccountId"] in {"", "NULL"}
    }
    assert Department.objects.exclude(external_reference="").count() == len(sub_accounts)
    categories = {row["ServiceCategory"] for row in rows}
    assert set(Product.objects.values_list("name", flat=True)) == categories
    assert_invariants_hold()
