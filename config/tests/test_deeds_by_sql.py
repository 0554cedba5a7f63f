"""What needs approval and is done by plain SQL, as the role that web and worker processes have: refused at COMMIT."""

from collections.abc import Sequence

import pytest
from django.db import DatabaseError, connection, models, transaction

from approvals.models import ApprovalRuleVersion
from approvals.tests.acts import ACTS, GuardedAct
from billing.entities.models import RoleGrant
from billing.invoicing.invoices.models import CREDIT_NOTES
from billing.invoicing.models import CreditNote, Invoice
from billing.kernel.models import AuditEntry

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

FINAL = "23001"  # restrict_violation


def copied(model: type[models.Model], *, where: str = "id = %(id)s", **changes: str) -> str:
    """A row like the one of `where`, but for the columns in `changes` (SQL)."""
    columns = [
        field.column for field in model._meta.concrete_fields if not isinstance(field, models.GeneratedField)
    ]
    values = ", ".join(changes.get(column, column) for column in columns)
    table = model._meta.db_table
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} WHERE {where}"


BAD_DEBT = [
    """INSERT INTO journal_entries (id, entity_id, period_id, posted_on, source, event, description, transaction_number)
       SELECT gen_random_uuid(), entity_id, period_id, posted_on, source, 'written_off', 'by hand', 0
       FROM journal_entries WHERE source = 'invoice:' || %(id)s AND event = 'issued'""",
    """INSERT INTO journal_lines
           (entry_id, entity_id, account_id, currency, debit, credit, customer_id, product_code, gl_code,
            contract_reference)
       SELECT e.id, e.entity_id, a.id, i.currency, amount.debit, amount.credit, i.customer_id, '', '', ''
       FROM invoices i
       JOIN journal_entries e ON e.source = 'invoice:' || i.id AND e.event = 'written_off'
       JOIN (VALUES ('6100', 20000, 0), ('1100', 0, 20000)) AS amount(code, debit, credit) ON true
       JOIN ledger_accounts a ON a.entity_id = e.entity_id AND a.code = amount.code
       WHERE i.id = %(id)s""",
]
CREDITED = [
    """INSERT INTO number_series (seller_id, series, fiscal_year, last)
       SELECT seller_id, %(series)s, 2026, 1 FROM invoices WHERE id = %(id)s""",
    """INSERT INTO credit_notes
           (id, version, seller_id, customer_id, invoice_id, series, fiscal_year, sequence, number, currency, issued_on,
            net_amount, tax_amount, total_amount, applied_amount, remainder_to, reason, snapshot)
       SELECT gen_random_uuid(), 1, seller_id, customer_id, id, %(series)s, 2026, 1, 'BY-HAND-1', currency, issued_on,
              net_amount, tax_amount, total_amount, 0, 'balance', 'by hand', snapshot
       FROM invoices WHERE id = %(id)s""",
    """INSERT INTO credit_note_lines (id, credit_note_id, line_id, net_amount, currency)
       SELECT gen_random_uuid(), n.id, l.id, l.net_amount, l.currency
       FROM credit_notes n JOIN invoice_lines l ON l.invoice_id = n.invoice_id WHERE n.invoice_id = %(id)s""",
    """INSERT INTO credit_note_taxes
           (credit_note_id, category, percent, taxable_amount, tax_amount, currency, exemption_reason)
       SELECT n.id, t.category, t.percent, t.taxable_amount, t.tax_amount, t.currency, t.exemption_reason
       FROM credit_notes n JOIN invoice_taxes t ON t.invoice_id = n.invoice_id WHERE n.invoice_id = %(id)s""",
    """INSERT INTO cost_allocations
           (id, line_id, invoice_id, entity_id, department_id, gl_code, net_amount, tax_amount, currency, basis,
            gl_source, credit_note_id, reason)
       SELECT gen_random_uuid(), a.line_id, a.invoice_id, a.entity_id, a.department_id, a.gl_code, -a.net_amount,
              -a.tax_amount, a.currency, 'credit', a.gl_source, n.id, 'by hand'
       FROM credit_notes n JOIN cost_allocations a ON a.invoice_id = n.invoice_id WHERE n.invoice_id = %(id)s""",
]
NUMBERED = (
    "state = 'issued', number = 'BY-HAND-1', sequence = 1, fiscal_year = 2026, issued_on = '2026-02-01', "
    "due_on = '2026-03-01'"
)
ALLOCATED = [
    """INSERT INTO number_series (seller_id, series, fiscal_year, last)
       SELECT seller_id, series, 2026, 2 FROM invoices WHERE id = %(id)s""",
    """INSERT INTO cost_allocations
           (id, line_id, invoice_id, entity_id, department_id, gl_code, net_amount, tax_amount, currency, basis,
            gl_source, reason)
       SELECT gen_random_uuid(), l.id, i.id, i.customer_id, d.id, l.gl_code, l.net_amount, 0, l.currency, 'default',
              'product', ''
       FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.id
       JOIN departments d ON d.entity_id = i.customer_id AND d.is_default WHERE i.id = %(id)s""",
]


def invoice_is(values: str) -> str:
    return f"UPDATE invoices SET {values} WHERE id = %(id)s"


def month_is(values: str) -> str:
    return f"UPDATE accounting_periods SET {values} WHERE id = %(id)s"


def note_is(values: str) -> str:
    return f"UPDATE credit_notes SET {values} WHERE id = %(id)s"


SOMEBODY = "(SELECT confirmed_by_id FROM approval_rule_versions LIMIT 1)"


def role_is(values: str) -> str:
    return f"UPDATE role_grants SET {values} WHERE id = %(id)s"


def payee_is(values: str) -> str:
    return f"UPDATE billing_entities SET {values} WHERE id = %(id)s"


WHOLE = {
    "credit_note": CREDITED,
    "write_off": [*BAD_DEBT, invoice_is("state = 'uncollectible', written_off_amount = 20000")],
    "invoice": [*ALLOCATED, invoice_is(NUMBERED)],
    "period_reopening": [month_is("state = 'open', reopened_by = 'user:x'")],
    "pay_back": [note_is("remainder_to = 'refund'")],
    "role_grant": [role_is(f"confirmed_at = now(), confirmed_by_id = {SOMEBODY}")],
    "payee_data": [payee_is("""bank_account = '{"iban": "DE89370400440532013000"}'""")],
}
ROUNDABOUT = {
    "in two parts": (
        "write_off",
        [
            *BAD_DEBT,
            invoice_is("written_off_amount = 10000"),
            invoice_is("state = 'uncollectible', written_off_amount = 20000"),
        ],
    ),
    "behind a payment that did not come": (
        "write_off",
        [
            *BAD_DEBT,
            invoice_is("state = 'uncollectible', paid_amount = 10000, written_off_amount = 10000"),
            invoice_is("state = 'issued', paid_amount = 0"),
            invoice_is("state = 'uncollectible', written_off_amount = 20000"),
        ],
    ),
    "written off and recovered": (
        "write_off",
        [
            invoice_is("state = 'uncollectible', written_off_amount = 20000"),
            invoice_is("state = 'issued', written_off_amount = 0"),
        ],
    ),
    "inserted as issued": (
        "invoice",
        [
            ALLOCATED[0],
            copied(
                Invoice,
                id="gen_random_uuid()",
                billing_key="'by hand'",
                state="'issued'",
                number="'BY-HAND-1'",
                sequence="1",
                fiscal_year="2026",
                issued_on="'2026-02-01'",
            ),
        ],
    ),
    "reopened and closed again": (
        "period_reopening",
        [
            month_is("state = 'open', reopened_by = 'user:x'"),
            month_is("state = 'closing', closing_requested_by = 'user:x', closed_by = '', reopened_by = ''"),
            month_is("state = 'closed', closed_by = 'user:y'"),
        ],
    ),
    "behind an application that is taken back": (
        "pay_back",
        [note_is("remainder_to = 'refund', applied_amount = 15000"), note_is("applied_amount = 0")],
    ),
    "while nothing is left of it": (
        "pay_back",
        [note_is("remainder_to = 'refund', applied_amount = total_amount"), note_is("applied_amount = 0")],
    ),
    "to be paid back and kept": (
        "pay_back",
        [note_is("remainder_to = 'refund'"), note_is("remainder_to = 'balance'")],
    ),
    "inserted as confirmed": (
        "role_grant",
        [copied(RoleGrant, id="gen_random_uuid()", confirmed_at="now()", confirmed_by_id=SOMEBODY)],
    ),
    "confirmed and revoked": (
        "role_grant",
        [role_is(f"confirmed_at = now(), confirmed_by_id = {SOMEBODY}"), role_is("revoked_at = now()")],
    ),
    "changed and changed back": (
        "payee_data",
        [
            payee_is("""bank_account = '{"iban": "DE89370400440532013000"}'"""),
            payee_is("bank_account = '{}'"),
        ],
    ),
    "with a new note": (
        "pay_back",
        [
            "UPDATE number_series SET last = last + 1 WHERE series = %(series)s",
            copied(
                CreditNote,
                id="gen_random_uuid()",
                remainder_to="'refund'",
                sequence="sequence + 1",
                number="'BY-HAND-2'",
            ),
        ],
    ),
}
# Below the limit, and then made greater.
GROWN = {
    "credit_note": [
        *CREDITED,
        "UPDATE credit_notes SET net_amount = 10001, total_amount = 10001 WHERE invoice_id = %(id)s",
    ],
    "invoice": [
        *ALLOCATED,
        invoice_is("net_amount = 5000, total_amount = 5000, " + NUMBERED),
        invoice_is("net_amount = 20000, total_amount = 20000"),
    ],
}


def run(act: GuardedAct, statements: Sequence[str]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, {"id": str(act.subject.pk), "series": CREDIT_NOTES})


def refusal_of(act: GuardedAct, statements: Sequence[str]):
    """What the database says of it. Not a line of the audit trail is left."""
    before = AuditEntry.objects.count()
    with pytest.raises(DatabaseError) as refusal:
        run(act, statements)
    assert (AuditEntry.objects.count(), act.is_done()) == (before, False)
    return refusal.value.__cause__.diag


def test_every_kind_is_done_by_sql_here():
    assert set(WHOLE) == set(ACTS)


@pytest.mark.parametrize("kind", WHOLE)
def test_above_a_limit_it_is_refused_at_commit_and_without_one_it_is_done(app, kind):
    act = ACTS[kind]()
    assert refusal_of(act, WHOLE[kind]).constraint_name == act.constraint
    ApprovalRuleVersion.objects.update(state="ended", ended_at="2026-01-01T00:00:00Z")
    run(act, WHOLE[kind])
    assert act.is_done()


@pytest.mark.parametrize(("kind", "statements"), ROUNDABOUT.values(), ids=ROUNDABOUT)
def test_no_way_round_about_it_leads_past_the_limit(app, kind, statements):
    act = ACTS[kind]()
    assert refusal_of(act, statements).constraint_name == act.constraint


@pytest.mark.parametrize("kind", GROWN)
def test_once_it_is_done_it_does_not_grow(app, kind):
    act = ACTS[kind]()
    assert refusal_of(act, GROWN[kind]).sqlstate == FINAL


def test_a_closed_month_is_not_made_anew_as_an_open_one(app):
    act = ACTS["period_reopening"]()
    assert refusal_of(act, ["DELETE FROM accounting_periods WHERE id = %(id)s"]).sqlstate == FINAL
