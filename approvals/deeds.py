"""Guarded acts as SQL: what was done, which rules cover it, and the consent it was done by.

Rules that depend on who asks or on a GL code, and sums over a window, are the service's.
"""

from dataclasses import dataclass

from billing.entities.editing import PAYEE

# The rules that cover a deed `d`, in force at its entity or above. A foreign amount is compared by the rate that was
# known and in force; without one it is above every bound. A fallback is a limit of kinds that always take consent.
_COVERED = """
    SELECT FROM approval_rule_versions v
    JOIN approval_rules r ON r.id = v.rule_id
    JOIN billing_entities place ON place.id = r.entity_id
    JOIN billing_entities here ON here.id = d.entity_id
    LEFT JOIN departments part ON part.id = v.department_id
    LEFT JOIN departments own ON own.id = d.department_id
    WHERE {limits} AND v.is_enabled AND {in_force}
      AND starts_with(here.path, place.path)
      AND (v.department_id IS NULL OR starts_with(own.path, part.path))
      AND NOT EXISTS (SELECT FROM jsonb_each(v.fields) wanted
                      WHERE NOT coalesce(wanted.value ? (d.fields ->> wanted.key), false))
      AND v.gl_codes = '{{}}' AND v.requesters = '{{}}'
      AND v.up_to_amount IS NULL
      AND (v.above_amount IS NULL OR v.above_amount < coalesce(
            CASE d.currency WHEN v.currency THEN d.amount ELSE round(d.amount * (
                SELECT x.rate FROM exchange_rates x
                WHERE x.from_currency = d.currency AND x.to_currency = v.currency
                  AND x.rate_on <= (d.at AT TIME ZONE 'UTC')::date AND x.created_at <= d.at
                ORDER BY x.rate_on DESC, x.id DESC LIMIT 1), currency_exponent(v.currency)) END,
            'Infinity'))
"""
_LIMITS = "r.kind = '{kind}' AND NOT r.is_fallback"
_ALWAYS = "r.kind IN ('{kind}', '')"
_NOW = "v.state = 'active'"
_THEN = """v.state IN ('active', 'ended') AND v.confirmed_at < d.at AND (v.ended_at IS NULL OR d.at < v.ended_at)"""
# The consent that was carried out by it: its outcome names it.
_CONSENTED = """
    SELECT FROM approval_effects e JOIN approval_requests q ON q.id = e.request_id
    WHERE q.kind = '{kind}' AND q.state = 'approved' AND q.entity_id = d.entity_id AND q.subject_id = d.subject_id
      AND q.amount = d.amount AND q.currency = d.currency AND e.outcome ->> '{named}' = d.name
"""


@dataclass(frozen=True, kw_only=True)
class Deed:
    """An act of a kind, as columns of SQL. `name` is what the effect's outcome has under `named`. `always` as of its
    kind (`kinds.effect`)."""

    kind: str
    named: str
    name: str
    entity: str
    subject: str
    amount: str
    currency: str
    at: str = "clock_timestamp()"
    department: str = "NULL::uuid"
    fields: str = "'{}'::jsonb"
    always: bool = False

    def unapproved(self, rows: str = "", *, then: bool = False) -> str:
        """Those of `rows` (a FROM clause) that are above a limit and not approved: by the rules in force now, or by
        those of `then`, when it was done."""
        limits = (_ALWAYS if self.always else _LIMITS).format(kind=self.kind)
        covered = _COVERED.format(limits=limits, in_force=_THEN if then else _NOW)
        consented = _CONSENTED.format(kind=self.kind, named=self.named)
        return f"""
            SELECT d.name, d.entity_id, d.amount FROM (
                SELECT {self.entity} AS entity_id, {self.subject} AS subject_id, {self.amount} AS amount,
                       {self.currency} AS currency, ({self.name})::text AS name, {self.at} AS at,
                       {self.department} AS department_id, {self.fields} AS fields {rows}
            ) AS d WHERE EXISTS ({covered}) AND NOT EXISTS ({consented})
        """  # noqa: S608  names of our own columns


def _changed(before: str, after: str) -> str:
    """The fields of a change of payee data, from two rows as JSON."""
    names = ", ".join(f"'{name}'" for name in sorted(PAYEE))
    return f"""(SELECT coalesce(jsonb_object_agg(name, 'changed'), '{{}}') FROM unnest(ARRAY[{names}]) AS name
        WHERE {before} -> name IS DISTINCT FROM {after} -> name)"""  # noqa: S608


NEW_CREDIT_NOTE = Deed(
    kind="credit_note",
    named="credit_note",
    name="NEW.id",
    entity="NEW.customer_id",
    subject="NEW.invoice_id",
    amount="NEW.total_amount",
    currency="NEW.currency",
)
# What the row says at COMMIT counts, too: what is written off in parts, in one transaction, is judged as a whole. What is
# done and undone there was done.
WRITTEN_OFF = """
    greatest(NEW.written_off_amount, (SELECT written_off_amount FROM invoices WHERE id = NEW.id))
      - OLD.written_off_amount
"""
_TO_BE_PAID_BACK = (
    "CASE {row}.remainder_to WHEN 'refund' THEN {row}.total_amount - {row}.applied_amount ELSE 0 END"
)
# All that is left, whenever it has become more.
PAID_BACK = _TO_BE_PAID_BACK.format(row="NEW")
PAID_BACK_BEFORE = f"CASE TG_OP WHEN 'INSERT' THEN 0 ELSE {_TO_BE_PAID_BACK.format(row='OLD')} END"
# Booked by an entry, which the outcome names, too. At COMMIT the version tells it from an earlier one.
NEW_WRITE_OFF = Deed(
    kind="write_off",
    named="version",
    name="NEW.version",
    entity="NEW.customer_id",
    subject="NEW.id",
    amount=WRITTEN_OFF,
    currency="NEW.currency",
)
NEW_INVOICE = Deed(
    kind="invoice",
    named="invoice",
    name="NEW.id",
    entity="NEW.customer_id",
    subject="NEW.id",
    amount="NEW.total_amount",
    currency="NEW.currency",
)
NEW_REOPENING = Deed(
    kind="period_reopening",
    named="version",
    name="NEW.version",
    entity="NEW.entity_id",
    subject="NEW.id",
    amount="0::numeric",
    currency="(SELECT currency FROM billing_entities WHERE id = NEW.entity_id)",
)
NEW_PAY_BACK = Deed(
    kind="pay_back",
    named="version",
    name="NEW.version",
    entity="NEW.customer_id",
    subject="NEW.id",
    amount=PAID_BACK,
    currency="NEW.currency",
)

NEW_GRANT = Deed(
    kind="role_grant",
    named="grant",
    name="NEW.id",
    entity="NEW.entity_id",
    subject="NEW.id",
    amount="0::numeric",
    currency="(SELECT currency FROM billing_entities WHERE id = NEW.entity_id)",
    department="NEW.department_id",
    fields="jsonb_build_object('role', NEW.role)",
)
NEW_PAYEE_DATA = Deed(
    kind="payee_data",
    named="version",
    name="NEW.version",
    entity="NEW.id",
    subject="NEW.id",
    amount="0::numeric",
    currency="OLD.currency",
    fields=_changed("to_jsonb(OLD)", "to_jsonb(NEW)"),
    always=True,
)

_CREDIT_NOTES = Deed(
    kind="credit_note",
    named="credit_note",
    name="n.id",
    entity="n.customer_id",
    subject="n.invoice_id",
    amount="n.total_amount",
    currency="n.currency",
    at="n.created_at",
)
_WRITE_OFFS = Deed(
    kind="write_off",
    named="entry",
    name="n.id",
    entity="l.customer_id",
    subject="substr(n.source, 9)::uuid",
    amount="l.debit",
    currency="l.currency",
    at="n.created_at",
)
_INVOICES = Deed(
    kind="invoice",
    named="invoice",
    name="n.id",
    entity="n.customer_id",
    subject="n.id",
    amount="n.total_amount",
    currency="n.currency",
    at="e.created_at",
)
_REOPENINGS = Deed(
    kind="period_reopening",
    named="line",
    name="n.id",
    entity="n.entity_id",
    subject="n.subject_id::uuid",
    amount="0::numeric",
    currency="p.currency",
    at="n.at",
)
# Nothing is taken of what is to be paid back, so what is left now was left then.
_PAY_BACKS = Deed(
    kind="pay_back",
    named="line",
    name="l.id",
    entity="n.customer_id",
    subject="n.id",
    amount="n.total_amount - n.applied_amount",
    currency="n.currency",
    at="l.at",
)
_GRANTS = Deed(
    kind="role_grant",
    named="grant",
    name="n.id",
    entity="n.entity_id",
    subject="n.id",
    amount="0::numeric",
    currency="p.currency",
    at="n.confirmed_at",
    department="n.department_id",
    fields="jsonb_build_object('role', n.role)",
)
_PAYEE_DATA = Deed(
    kind="payee_data",
    named="line",
    name="n.id",
    entity="p.id",
    subject="p.id",
    amount="0::numeric",
    currency="coalesce(n.before ->> 'currency', p.currency)",
    at="n.at",
    fields=_changed("n.before", "n.after"),
    always=True,
)
# What has been done without the consent it needed then.
UNAPPROVED = {
    "credit note": _CREDIT_NOTES.unapproved("FROM credit_notes n", then=True),
    "write-off": _WRITE_OFFS.unapproved(
        """FROM journal_entries n JOIN journal_lines l ON l.entry_id = n.id JOIN ledger_accounts a ON a.id = l.account_id
           WHERE n.source LIKE 'invoice:%' AND n.event LIKE 'written\\_off%' AND a.code = '6100' AND l.debit > 0""",
        then=True,
    ),
    "invoice": _INVOICES.unapproved(
        "FROM invoices n JOIN journal_entries e ON e.source = 'invoice:' || n.id AND e.event = 'issued'",
        then=True,
    ),
    "pay-back": _PAY_BACKS.unapproved(
        """FROM credit_notes n JOIN LATERAL (
             SELECT id, at FROM audit_entries
             WHERE kind = 'row' AND subject_type = 'credit_notes' AND subject_id = n.id::text
               AND after ->> 'remainder_to' = 'refund' ORDER BY id DESC LIMIT 1) l ON true
           WHERE n.remainder_to = 'refund' AND n.total_amount > n.applied_amount""",
        then=True,
    ),
    "confirmation of a role": _GRANTS.unapproved(
        """FROM role_grants n JOIN billing_entities p ON p.id = n.entity_id
           WHERE n.confirmed_at IS NOT NULL AND n.granted_by_id IS NOT NULL""",
        then=True,
    ),
    # The trail has what differs: an entity is no draft any more if a line before says so.
    "change of payee data": _PAYEE_DATA.unapproved(
        f"""FROM audit_entries n JOIN billing_entities p ON p.id = n.subject_id::uuid
            WHERE n.kind = 'row' AND n.subject_type = 'billing_entities'
              AND n.before ?| ARRAY[{", ".join(f"'{name}'" for name in sorted(PAYEE))}]
              AND EXISTS (SELECT FROM audit_entries b
                          WHERE b.subject_type = n.subject_type AND b.subject_id = n.subject_id AND b.id < n.id
                            AND b.kind = 'row' AND b.after ->> 'state' <> 'draft')""",
        then=True,
    ),
    "reopening of a month": _REOPENINGS.unapproved(
        """FROM audit_entries n JOIN billing_entities p ON p.id = n.entity_id
           WHERE n.kind = 'row' AND n.subject_type = 'accounting_periods'
             AND n.before ->> 'state' = 'closed' AND n.after ->> 'state' <> 'closed'""",
        then=True,
    ),
}
