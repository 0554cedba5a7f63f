"""What the sample customers used: the same events and the same cloud bills every time, drawn from hashes."""

import csv
import hashlib
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from billing.usage.services import UsageReport
from config.sample import catalogue
from config.sample.company import CUSTOMERS, FIRST_MONTH, PRODUCTS, SUPPORT_HOURS, Company, Part, parts_of

SOURCE = "northwind-metering"
LATE_DAYS = range(29, 32)  # of August: their pipeline hung for three days
LATE = {"FALKEN-WERKE", "PRAIRIE-OMAHA"}
SERVICES = [
    ("AI and Machine Learning", "Speech to text", "Minutes"),
    ("Databases", "Managed PostgreSQL", "Hours"),
    ("Analytics", "Data warehouse", "TB"),
    ("Integration", "Message queue", "Requests"),
]
CHARGES_PER_BILL = 60
COLUMNS = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeDescription",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "Id",
    "ProviderName",
    "RegionId",
    "ServiceCategory",
    "ServiceName",
    "SubAccountId",
    "SubAccountName",
    "Tags",
]

Places = dict[tuple[str, str], UUID]  # (company, department or "") -> id


def draw(below: int, *what: object) -> int:
    """A number from 0 that depends on nothing but `what`."""
    digest = hashlib.sha256("|".join(map(str, what)).encode()).digest()
    return int.from_bytes(digest[:8]) % below


def month_after(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def days_of(month: date) -> list[date]:
    return [month + timedelta(days=n) for n in range((month_after(month) - month).days)]


def reports(month: date, places: Places, *, late: bool) -> Iterator[UsageReport]:
    """What is reported for a month in time, or only afterwards (`late`)."""
    for company in CUSTOMERS:
        if month < FIRST_MONTH.get(company.code, month):
            continue
        for day in days_of(month):
            is_late = company.code in LATE and month.month == 8 and day.day in LATE_DAYS
            if is_late == late:
                yield from _of_day(company, day, places)
        if not late:
            yield from _support(company, month, places)
            yield from _builds(company, month, places)


def _of_day(company: Company, day: date, places: Places) -> Iterator[UsageReport]:
    for product in PRODUCTS:
        if product.per_day:
            busy = 4 if day.weekday() < 5 else 1
            mean = product.per_day * company.size * busy // 4
            quantity = mean * 3 // 4 + draw(mean // 2, company.code, product.code, day)
            part = _part(company, product.code, day)
            yield _report(
                company,
                product.code,
                day,
                f"{quantity}.{draw(1000, 'part', company.code, day):03d}",
                part,
                places,
            )


def _part(company: Company, product: str, day: date) -> str:
    """The department that used it; one event in twenty names none."""
    if draw(20, "nobody", company.code, product, day) == 0:
        return ""
    wheel: list[Part] = [part for part in parts_of(company) for _ in range(part.weight)]
    return wheel[draw(len(wheel), "part", company.code, product, day)].code


def _support(company: Company, month: date, places: Places) -> Iterator[UsageReport]:
    if hours := SUPPORT_HOURS.get(company.code):
        yield _report(company, "SUPPORT", month.replace(day=20), hours[month.month - 8], "OPS", places)


def _builds(company: Company, month: date, places: Places) -> Iterator[UsageReport]:
    """What counts against the build minutes of a plan."""
    if mean := catalogue.BUILDERS.get(company.code):
        for day in days_of(month):
            minutes = mean // 2 + draw(mean, company.code, "BUILD", day)
            yield _report(company, "BUILD", day, str(minutes), "ENG", places)


def _report(
    company: Company, product: str, day: date, quantity: str, part: str, places: Places
) -> UsageReport:
    return UsageReport(
        source=SOURCE,
        transaction_id=f"{company.code}-{product}-{day}",
        entity_id=places[company.code, ""],
        department_id=places[company.code, part] if part else None,
        meter=product,
        occurred_at=datetime(day.year, day.month, day.day, 15, tzinfo=UTC),
        quantity=Decimal(quantity),
    )


def cloud_bill(month: date) -> bytes:
    """A bill in the FOCUS 1.0 columns: costs far below a cent, and one credit per account."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    for company in CUSTOMERS:
        if company.cloud_account:
            writer.writerows(_charge(company, month, n) for n in range(CHARGES_PER_BILL))
            writer.writerow(_credit(company, month))
    return text.getvalue().encode()


def _charge(company: Company, month: date, n: int) -> dict[str, str]:
    category, service, unit = SERVICES[n % len(SERVICES)]
    part = parts_of(company)[draw(len(parts_of(company)), "cloud", company.code, month, n)]
    quantity = 1 + draw(5000, "cloud quantity", company.code, month, n)
    unit_cost = Decimal(1 + draw(90_000, "cloud cost", company.code, n)).scaleb(-7)
    if unit == "Requests":
        unit_cost = unit_cost.scaleb(-3)
    day = month + timedelta(days=draw(28, "cloud day", company.code, month, n))
    return _row(company, month) | {
        "Id": f"{company.cloud_account}-{month:%Y%m}-{n:03d}",
        "BilledCost": f"{unit_cost * quantity:f}",
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{service} in Frankfurt",
        "ChargePeriodStart": f"{day} 00:00:00",
        "ChargePeriodEnd": f"{day + timedelta(days=1)} 00:00:00",
        "ConsumedQuantity": str(quantity),
        "ConsumedUnit": unit,
        "ServiceCategory": category,
        "ServiceName": service,
        "SubAccountId": f"{company.code}:{part.code}",
        "SubAccountName": part.name,
        "Tags": '{"environment": "production"}',
    }


def _credit(company: Company, month: date) -> dict[str, str]:
    return _row(company, month) | {
        "Id": f"{company.cloud_account}-{month:%Y%m}-credit",
        "BilledCost": f"-{1 + draw(60, 'credit', company.code, month)}.5",
        "ChargeCategory": "Credit",
        "ChargeDescription": "Volume credit",
        "ChargePeriodStart": f"{month} 00:00:00",
        "ChargePeriodEnd": f"{month_after(month)} 00:00:00",
        "ConsumedQuantity": "NULL",
        "ConsumedUnit": "NULL",
        "ServiceCategory": "Databases",
        "ServiceName": "Managed PostgreSQL",
        "SubAccountId": "NULL",
        "SubAccountName": "NULL",
        "Tags": "NULL",
    }


def _row(company: Company, month: date) -> dict[str, str]:
    return {
        "BillingAccountId": company.cloud_account,
        "BillingAccountName": company.name,
        "BillingCurrency": company.currency,
        "BillingPeriodStart": f"{month} 00:00:00",
        "BillingPeriodEnd": f"{month_after(month)} 00:00:00",
        "ProviderName": "Sample Cloud",
        "RegionId": "eu-central",
    }
