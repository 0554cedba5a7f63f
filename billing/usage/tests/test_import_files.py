import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing.entities.tests.makers import make_department
from billing.usage import services
from billing.usage.errors import UnusableFile
from billing.usage.models import UsageEvent
from billing.usage.tests.makers import make_customer, make_meter

HEADER = "source,transaction_id,entity,department,meter,occurred_at,quantity,cost,currency,properties"


def imported(content, meter, file_format="csv", refusals=None):
    return services.import_usage(
        actor="test",
        file=io.BytesIO(content if isinstance(content, bytes) else content.encode()),
        wanted=services.Import(format=file_format, seller_id=meter.entity_id),
        as_of=datetime(2024, 9, 15, 12, tzinfo=UTC),
        on_refusal=(refusals if refusals is not None else []).append,
    )


def counted(totals):
    return totals.accepted, totals.duplicates, totals.conflicts, totals.rejected


@pytest.mark.django_db
def test_a_csv_names_entities_and_departments_by_code_or_id():
    meter = make_meter()
    customer = make_customer(meter)
    department = make_department(entity=customer)
    when = "2024-09-15T00:00:00Z"
    content = "\n".join(
        [
            HEADER,
            f'csv,1,{customer.code.lower()},{department.code},{meter.code},{when},2,0.5,USD,"{{""k"": 1.10}}"',
            f"csv,2,{customer.pk},{department.pk},{meter.code},{when},3,,,",
            f"csv,3,nobody,,{meter.code},{when},3,,,",
            f"csv,4,{customer.code}",
        ]
    )
    refusals = []

    first, second = imported(content, meter, refusals=refusals), imported(content, meter)

    assert (counted(first), counted(second)) == ((2, 0, 0, 2), (0, 2, 0, 2))
    assert [(refusal.line, refusal.outcome.code) for refusal in refusals] == [
        (4, "invalid-event"),
        (5, "invalid-event"),
    ]
    one, two = UsageEvent.objects.order_by("transaction_id")
    assert (one.entity_id, one.department_id, one.cost, one.properties) == (
        customer.pk,
        department.pk,
        Decimal("0.5"),
        {"k": "1.10"},
    )
    assert (two.department_id, two.cost) == (department.pk, None)


@pytest.mark.django_db
def test_json_lines_are_read_like_the_api():
    meter = make_meter()
    customer = make_customer(meter)
    row = {
        "source": "jsonl",
        "transaction_id": "1",
        "entity": customer.code,
        "meter": meter.code,
        "occurred_at": "2024-09-15T00:00:00Z",
        "quantity": "1",
    }
    lines = [
        json.dumps(row),
        "",
        json.dumps(row | {"quantity": "2"}),
        '{"a": 1, "a": 2}',
        json.dumps(row | {"transaction_id": "n", "quantity": 1}),
        json.dumps(row | {"transaction_id": "\x00"}),
        json.dumps(row | {"transaction_id": "p", "properties": {"x": 1}}).replace("1}}", "Infinity}}"),
        "[" * 100_000,
    ]
    refusals = []

    totals = imported("\n".join(lines), meter, "jsonl", refusals)

    assert counted(totals) == (1, 0, 1, 5)
    assert [refusal.line for refusal in sorted(refusals, key=lambda refusal: refusal.line)] == [
        3,
        4,
        5,
        6,
        7,
        8,
    ]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("file_format", "content"),
    [
        ("csv", b""),
        ("csv", b"\xff"),
        ("csv", b"source,transaction_id\n1,2\n"),
        ("csv", f"{HEADER},colour\n".encode()),
        ("csv", f"{HEADER},cost\n".encode()),
        ("csv", f"{HEADER}\n".encode()),
        ("jsonl", b"\n\n"),
        ("jsonl", b"source,transaction_id\n"),
        ("jsonl", b"[]\n"),
    ],
)
def test_refuses_a_file_it_cannot_read(file_format, content):
    with pytest.raises(UnusableFile):
        imported(content, make_meter(), file_format)

    assert not UsageEvent.objects.exists()


@pytest.mark.django_db
def test_a_file_reaches_only_what_its_seller_sells_to():
    meter, other = make_meter(), make_meter()
    customer = make_customer(other)
    content = f"{HEADER}\ncsv,1,{customer.pk},,{other.code},2024-09-15T00:00:00Z,1,,,\n"
    refusals = []

    assert counted(imported(content, meter, refusals=refusals)) == (0, 0, 0, 1)
    assert refusals[0].outcome.code == "unknown-entity"
