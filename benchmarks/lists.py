"""Lists over the API, as a client with a key asks for them, against the same rows by plain SQL and json.

Ours is the whole way through the WSGI application: middlewares, key, rate limit, reach, filters, serializer.
"""

import json
import time
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from io import BytesIO

from django.db import connection, transaction
from django.utils import timezone

from billing.access import services as access
from billing.access.models import User, UserKind
from billing.access.roles import Role
from billing.entities.models import BillingEntity, RoleGrant
from billing.entities.states import EntityState
from billing.invoicing.models import Invoice, InvoiceLine, InvoiceTax, LineKind
from billing.kernel.ids import uuid7
from billing.subscriptions.models import Product
from config.wsgi import application

API = "/api/v1/enterprise-billing/"
PAGE = 50
FIELDS = (
    "id,number,state,customer,customer_name,currency,issued_on,due_on,net_amount,tax_amount,total_amount,"
    "balance_amount"
)
INVOICES = """
    SELECT i.id, i.number, i.state, i.customer_id AS customer, c.name AS customer_name, i.currency, i.issued_on,
           i.due_on, i.net_amount, i.tax_amount, i.total_amount, i.balance_amount
    FROM invoices i JOIN billing_entities c ON c.id = i.customer_id
    WHERE c.path LIKE %s ORDER BY i.id DESC LIMIT 50
"""
LINES = """
    SELECT invoice_id, id, position, kind, product_id AS product, description, quantity, unit, unit_price, net_amount,
           currency, tax_category, tax_percent, gl_code, service_starts_on, service_ends_on, derivation
    FROM invoice_lines WHERE invoice_id = ANY(%s) ORDER BY position
"""
ENTITIES = """
    SELECT id, code, name, legal_name, state, parent_id AS parent, is_seller, is_customer, consolidation, currency,
           country, email, address, time_zone, language, payment_terms_days, fiscal_year_starts_in,
           external_reference, metadata, version, created_at, updated_at
    FROM billing_entities WHERE path LIKE %s ORDER BY created_at DESC, id DESC LIMIT 50
"""


def run(size: int = 100) -> list[dict]:
    """`size` // 5 requests each, of 50 rows out of 1,000. Rates are requests per second."""
    size = max(size // 5, 20)
    root = _company(1000)
    key = key_for(root, ["invoices:read", "entities:read"])
    below = [root.path + "%"]
    return [
        _compared(
            "list 50 invoices, 12 fields", size, lambda: _plain(INVOICES, below), _get("invoices", key, False)
        ),
        _compared(
            "list 50 invoices, 12 fields, with their lines",
            size,
            lambda: _plain_with_lines(below),
            _get("invoices", key, True),
        ),
        _compared("list 50 entities", size, lambda: _plain(ENTITIES, below), _get("entities", key, False)),
    ]


def _company(invoices: int) -> BillingEntity:
    """A seller, 100 customers below it, and their invoices of 3 lines each."""
    code = f"bench-{uuid7().hex}"
    common = {"state": EntityState.ACTIVE, "currency": "EUR", "country": "DE"}
    root = BillingEntity.objects.create(code=code, name=code, is_seller=True, **common)
    root.refresh_from_db()
    customers = [
        BillingEntity.objects.create(code=f"{code}-{i}", name=f"Customer {i}", parent=root, **common)
        for i in range(100)
    ]
    product = Product.objects.create(entity=root, code="bench", name="Bench")
    month = {"starts_on": date(2026, 1, 1), "ends_on": date(2026, 2, 1)}
    with transaction.atomic():
        made = Invoice.objects.bulk_create(
            Invoice(
                seller=root,
                customer=customers[i % 100],
                currency="EUR",
                billing_key=f"bench:{i}",
                net_amount=Decimal(300),
                tax_amount=Decimal(57),
                total_amount=Decimal(357),
                **{f"period_{edge}": day for edge, day in month.items()},
            )
            for i in range(invoices)
        )
        InvoiceLine.objects.bulk_create(
            InvoiceLine(
                invoice=invoice,
                position=position,
                kind=LineKind.USAGE,
                product=product,
                description=f"Item {position}",
                quantity=Decimal(400),
                unit="GB",
                unit_price=Decimal("0.25"),
                net_amount=Decimal(100),
                currency="EUR",
                tax_category="S",
                tax_percent=Decimal(19),
                gl_code="6400",
                derivation={
                    "from": "usage",
                    "exact": "100",
                    "price": {"model": "per_unit", "unit_price": "0.25"},
                },
                **{f"service_{edge}": day for edge, day in month.items()},
            )
            for invoice in made
            for position in (1, 2, 3)
        )
        InvoiceTax.objects.bulk_create(
            InvoiceTax(
                invoice=invoice,
                category="S",
                percent=Decimal(19),
                taxable_amount=Decimal(300),
                tax_amount=Decimal(57),
                currency="EUR",
            )
            for invoice in made
        )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return root


def _compared(work: str, size: int, plain: Callable[[], bytes], ours: Callable[[], bytes]) -> dict:
    assert len(json.loads(plain())["results"]) == len(json.loads(ours())["results"]) == PAGE
    plain_times, our_times = times_of(plain, size), times_of(ours, size)
    limit, reached = (Decimal(size) * 10**9 / sum(times) for times in (plain_times, our_times))
    return {
        "work": work,
        "plain_sql_per_second": round(limit),
        "ours_per_second": round(reached),
        "ratio": round(reached / limit, 2),
        "p99_ms": round(Decimal(sorted(our_times)[size * 99 // 100]) / 10**6, 1),
    }


def times_of(work: Callable[[], bytes], size: int) -> list[int]:
    """Nanoseconds of each, the first few left out."""
    for _ in range(5):
        work()
    times = []
    for _ in range(size):
        began = time.perf_counter_ns()
        work()
        times.append(time.perf_counter_ns() - began)
    return times


def _plain(query: str, parameters: list) -> bytes:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        names = [column.name for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor]
    return json.dumps({"results": rows}, default=str).encode()


def _plain_with_lines(parameters: list) -> bytes:
    with connection.cursor() as cursor:
        cursor.execute(INVOICES, parameters)
        names = [column.name for column in cursor.description]
        invoices = {row[0]: dict(zip(names, row, strict=True)) | {"lines": []} for row in cursor}
        cursor.execute(LINES, [list(invoices)])
        names = [column.name for column in cursor.description[1:]]
        for invoice_id, *line in cursor:
            invoices[invoice_id]["lines"].append(dict(zip(names, line, strict=True)))
    return json.dumps({"results": list(invoices.values())}, default=str).encode()


def _get(what: str, key: str, with_lines: bool) -> Callable[[], bytes]:
    query = "limit=50"
    if what == "invoices":
        query += f"&fields={FIELDS}" + ("&expand=lines" if with_lines else "")
    return lambda: call("GET", what, key=key, query=query)


def call(method: str, what: str, *, key: str, query: str = "", body: bytes = b"", **headers: str) -> bytes:
    """One request through the application, as a server in front of it would hand it over."""
    said = {}
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": API + what,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": f"Bearer {key}",
        "wsgi.input": BytesIO(body),
        "wsgi.url_scheme": "http",
        **headers,
    }
    answer = application(environ, lambda status, headers, exc_info=None: said.update(status=status))
    content = b"".join(answer)
    answer.close()
    assert said["status"][:2] == "20", content[:500]
    return content


def key_for(entity: BillingEntity, scopes: list[str]) -> str:
    """The key of a service account with a role over `entity`."""
    owner = User.objects.create(email=f"{uuid7().hex}@example.com", name="Owner")
    account = User.objects.create(
        email=f"{uuid7().hex}@example.com", name="Bench", kind=UserKind.SERVICE, owner=owner
    )
    RoleGrant.objects.create(
        user=account,
        role=Role.SERVICE_ACCOUNT,
        entity=entity,
        starts_on=date(2020, 1, 1),
        confirmed_at=timezone.now(),
    )
    _, text = access.create_key(
        actor="bench",
        user_id=account.pk,
        name="bench",
        scopes=scopes,
        expires_at=timezone.now() + timedelta(days=1),
    )
    return text
