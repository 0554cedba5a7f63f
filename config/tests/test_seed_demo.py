"""The sample company: the same to the cent every time, loaded once, and only into an empty database."""

import io
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Count, Sum

from approvals.models import ApprovalRequest, ApprovalRule
from billing.access.models import ApiKey, User
from billing.access.services import use_key
from billing.dunning.models import DunningMail, DunningRun, LateFee
from billing.entities.models import BillingEntity
from billing.entities.tests.makers import make_entity
from billing.invoicing.models import (
    AllocationRun,
    BillingRunItem,
    ConsolidatedInvoice,
    ConsolidatedTotal,
    CostAllocation,
    CreditNote,
    GLCodeMapping,
    Invoice,
    InvoiceLine,
    UsageClaim,
)
from billing.kernel.models import AuditEntry
from billing.kernel.tests.commits import as_if_committed
from billing.payments.models import Payment
from billing.subscriptions.models import LicenseAssignment, Plan, Subscription
from billing.usage.models import QuotaCounter, UsageEvent
from config.sample import accounts, loading

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

# (issued on, currency): invoices, net, tax, still open
TOTALS = {
    ("2026-09-01", "EUR"): (9, "32617.72", "3638.81", "2404.28"),
    ("2026-09-01", "USD"): (5, "26874.52", "0.00", "0.00"),
    ("2026-10-01", "EUR"): (9, "33691.62", "3808.20", "2300.86"),
    ("2026-10-01", "USD"): (4, "17407.58", "0.00", "5468.21"),
    ("2026-11-01", "EUR"): (7, "32469.07", "3633.04", "35887.91"),
    ("2026-11-01", "USD"): (5, "25912.03", "0.00", "25912.03"),
}
COUNTS = {
    BillingEntity: 14,
    User: 11,
    ApprovalRule: 2,
    ApprovalRequest: 2,
    UsageEvent: 3047,
    UsageClaim: 2954,  # the rest is of the customer who cannot be billed
    Invoice: 39,
    CostAllocation: 433,
    Payment: 25,
    ApiKey: 1,
    ConsolidatedInvoice: 1,
    AllocationRun: 1,
    GLCodeMapping: 1,
    Plan: 3,
    Subscription: 6,
    LicenseAssignment: 15,
}


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path):
    settings.VAR = tmp_path


def seed() -> str:
    said = io.StringIO()
    call_command("seed_demo", stdout=said, stderr=io.StringIO())
    as_if_committed()
    return said.getvalue()


def assert_all_there() -> None:
    rows = Invoice.objects.values("issued_on", "currency").annotate(
        count=Count("pk"), net=Sum("net_amount"), tax=Sum("tax_amount"), left=Sum("balance_amount")
    )
    found = {
        (str(row["issued_on"]), row["currency"]): (
            row["count"],
            *(f"{row[amount]:.2f}" for amount in ("net", "tax", "left")),
        )
        for row in rows
    }
    assert found == TOTALS
    assert {model: model.objects.count() for model in COUNTS} == COUNTS


@pytest.mark.django_db(transaction=True)  # verify_ledger reads in a transaction of its own
def test_the_sample_company_is_the_same_to_the_cent_and_sound(tmp_path):
    said = seed()

    assert_all_there()
    [failed] = BillingRunItem.objects.filter(state="failed").select_related("customer")
    assert (failed.customer.code, failed.failure["code"]) == ("SAKURA", "price-missing")
    assert [counter.used_quantity for counter in QuotaCounter.objects.all()] == [Decimal("38.5")]
    assert sum(payment.unapplied_amount for payment in Payment.objects.all()) == 100
    assert CostAllocation.objects.filter(basis="manual", reverses=None, net_amount__gt=0).count() == 2
    totals = ConsolidatedTotal.objects.order_by("currency").values_list("currency", "total_amount")
    assert dict(totals) == {"EUR": Decimal("10096.56"), "USD": Decimal("3749.53")}
    run = AllocationRun.objects.get()
    assert (run.state, run.lines_moved) == ("finished", 1)
    assert CostAllocation.objects.filter(gl_code="6470", entity__code="PRAIRIE-OMAHA").exists()
    assert DunningRun.objects.get().items.filter(state="failed").count() == 0
    assert DunningMail.objects.filter(template="final_notice").exists()
    assert set(LateFee.objects.values_list("basis", "state")) == {
        ("flat", "to_be_billed"),
        ("interest", "to_be_billed"),
    }
    discounted = InvoiceLine.objects.filter(discount_amount__gt=0)
    assert {line.invoice.customer.code for line in discounted} == {"BOREAL-FR"}
    [note] = CreditNote.objects.select_related("customer")
    assert (note.customer.code, note.net_amount, note.unapplied_amount) == ("FALKEN-WERKE", 180, 0)
    states = Subscription.objects.order_by("reference").values_list("reference", "state")
    assert dict(states) == {
        "NW-ALPINUM": "trialing",
        "NW-BOREAL-FR": "active",
        "NW-FALKEN-BERLIN": "paused",
        "NW-FALKEN-WIEN": "canceled",
        "NW-PRAIRIE-LABS": "active",
        "NW-PRAIRIE-OMAHA": "active",
    }
    call_command("verify_ledger", stdout=io.StringIO())
    call_command("verify_invariants", stdout=io.StringIO())

    key = accounts.key_file().read_text().strip()
    assert use_key(presented=key, ip="127.0.0.1").user.email == "metering@northwind.example"
    password = accounts.password_file().read_text().strip()
    assert User.objects.get(email="fiona@northwind.example").check_password(password)
    assert key in said
    assert password in said
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}

    lines = AuditEntry.objects.count()
    assert seed() == said
    assert_all_there()
    assert AuditEntry.objects.count() == lines


@pytest.mark.django_db(transaction=True)  # what is credited was issued in a transaction before
@pytest.mark.parametrize(
    "step", ["_departments", "_bill", "_move_cost", "_discount", "_credit", "_divide", "_consolidate"]
)
def test_loading_goes_on_where_it_was_stopped(monkeypatch, step):
    class Killed(BaseException):
        pass

    def die(self, *args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(loading._Loading, step, die)
        with pytest.raises(Killed):
            seed()

    seed()
    assert_all_there()


def test_a_database_with_other_data_is_left_alone(tmp_path):
    make_entity()
    with pytest.raises(CommandError, match="holds other data"):
        seed()
    assert BillingEntity.objects.count() == 1
    assert User.objects.count() == 0
    assert list(tmp_path.iterdir()) == []


def test_production_gets_no_sample_data(settings, tmp_path):
    settings.DEMO_ALLOWED = False
    with pytest.raises(CommandError, match="production"):
        seed()
    assert BillingEntity.objects.count() == 0
    assert list(tmp_path.iterdir()) == []
