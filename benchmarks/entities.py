"""Subtrees, and creating an entity over the API, each against the same by plain SQL in the same tables."""

import json
from collections.abc import Callable
from decimal import Decimal

from django.db import connection, transaction

from benchmarks.lists import call, key_for, times_of
from billing.entities import queries
from billing.entities.models import BillingEntity
from billing.entities.states import EntityState
from billing.kernel.ids import uuid7

TREE = 10_000
SUBTREE = "SELECT id, path, code, name, state FROM billing_entities WHERE path LIKE %s ORDER BY path"
CREATE = (
    """INSERT INTO billing_entities (id, code, name, legal_name, state, parent_id, path, is_seller, is_customer,
           consolidation, currency, country, tax_id, email, address, time_zone, language, payment_terms_days,
           fiscal_year_starts_in, external_reference, metadata, version)
       SELECT %(id)s, %(code)s, 'New', '', 'draft', id, '', false, true, 'standalone', 'EUR', 'DE', '', '', '{}', 'UTC',
           'en', 30, 1, '', '{}', 1 FROM billing_entities WHERE id = %(parent)s""",
    """INSERT INTO entity_relations (id, entity_id, parent_id, starts_on, version)
       VALUES (gen_random_uuid(), %(id)s, %(parent)s, current_date, 1)""",
    """INSERT INTO departments (id, entity_id, code, name, path, cost_centre, default_gl_code, is_default,
           external_reference, starts_on, metadata, headcount, version)
       VALUES (gen_random_uuid(), %(id)s, 'GENERAL', 'General', '', '', '', true, '', current_date, '{}', 0, 1)""",
    """INSERT INTO outbox_events (id, name, entity_id, payload) VALUES (gen_random_uuid(), 'entity.created', %(id)s, '{}')""",
    """INSERT INTO audit_entries (kind, action, subject_type, subject_id, entity_id, actor, request_id, ip, reason,
           detail)
       VALUES ('verb', 'entity.created', 'billing_entities', %(id)s::text, %(id)s, 'bench', '', '', '', '{}')""",
)


def run(size: int = 100) -> list[dict]:
    """A tree of 10,000 entities, read in `size` // 10 turns; then `size` entities created one by one."""
    root = _tree()
    key = key_for(root, ["entities:write", "entities:read"])
    return [
        _compared(
            f"subtree of {TREE} entities, by path",
            max(size // 10, 5),
            lambda: _plain_subtree(root),
            lambda: list(queries.subtree(root).values_list("id", "path", "code", "name", "state")),
        ),
        _compared(
            "create an entity, with key, audit and outbox",
            size,
            lambda: _plain_create(root),
            lambda: _our_create(root, key),
        ),
    ]


def _compared(work: str, turns: int, plain: Callable[[], object], ours: Callable[[], object]) -> dict:
    plain_times, our_times = times_of(plain, turns), times_of(ours, turns)
    limit, reached = (Decimal(turns) * 10**9 / sum(times) for times in (plain_times, our_times))
    return {
        "work": work,
        "plain_sql_per_second": round(limit),
        "ours_per_second": round(reached),
        "ratio": round(reached / limit, 2),
    }


def _tree() -> BillingEntity:
    """Three levels of about 21 each, the parents before their children."""
    code = f"bench-{uuid7().hex}"
    common = {"state": EntityState.ACTIVE, "currency": "EUR", "country": "DE"}
    root = BillingEntity.objects.create(code=code, name=code, is_seller=True, **common)
    level, made = [root], 1
    while made < TREE:
        below = [
            BillingEntity(
                code=f"{code}-{made + i}", name=f"Entity {made + i}", parent=level[i // 21], **common
            )
            for i in range(min(len(level) * 21, TREE - made))
        ]
        level = BillingEntity.objects.bulk_create(below)
        made += len(level)
    root.refresh_from_db()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE billing_entities")
    return root


def _plain_subtree(root: BillingEntity) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(SUBTREE, [root.path + "%"])
        return cursor.fetchall()


def _plain_create(root: BillingEntity) -> None:
    made = uuid7()
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in CREATE:
            cursor.execute(statement, {"id": made, "code": made.hex, "parent": root.pk})


def _our_create(root: BillingEntity, key: str) -> None:
    new = {"parent": str(root.pk), "code": uuid7().hex, "name": "New", "currency": "EUR", "country": "DE"}
    body = json.dumps(new).encode()
    call("POST", "entities", key=key, body=body, HTTP_IDEMPOTENCY_KEY=uuid7().hex)
