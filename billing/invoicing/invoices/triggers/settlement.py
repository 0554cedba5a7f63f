"""What keeps invoices in step with what settles them, payments and credit notes alike, also for raw SQL.

Checked at COMMIT, under locks on both sides: two settlements of one invoice come one after the other."""

from dataclasses import dataclass

import pgtrigger


@dataclass(frozen=True, kw_only=True)
class Settler:
    """What settles invoices by its applications, and counts in `applied_amount` what it gave."""

    noun: str  # names the constraints
    table: str
    applications: str
    key: str  # of the applications, to the settler
    counter: str  # of the invoice: what settlers of this kind gave it
    since: str  # the settler's day: nothing is settled before it
    settles_freely: str = (
        "false"  # SQL over `settler` and `invoice`: in whatever consolidation the invoice is
    )
    settles_only: str = "true"  # SQL over both: whether the settler may settle that invoice at all


PAYMENTS = Settler(
    noun="payment",
    table="payments",
    applications="payment_applications",
    key="payment_id",
    counter="paid_amount",
    since="received_on",
)
CREDITS = Settler(
    noun="credit",
    table="credit_notes",
    applications="credit_applications",
    key="credit_note_id",
    counter="credited_amount",
    since="issued_on",
    settles_freely="settler.invoice_id = invoice.id",
    settles_only="settler.remainder_to = 'balance' OR settler.invoice_id = invoice.id",
)


def applications_in_step(of: Settler) -> pgtrigger.Trigger:
    """The counters of both sides equal the applications, in one currency, of one seller. Who settles is the invoice's
    customer or stands above it; an invoice in a live consolidation is settled by that one's payer."""
    return pgtrigger.Trigger(
        name="in_step",
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        timing=pgtrigger.Deferred,
        declare=[
            ("settler", f"{of.table}%ROWTYPE"),
            ("invoice", "invoices%ROWTYPE"),
            ("group_payer", "uuid"),
        ],
        func=f"""
            SELECT * INTO invoice FROM invoices WHERE id = NEW.invoice_id FOR NO KEY UPDATE;
            SELECT * INTO settler FROM {of.table} WHERE id = NEW.{of.key} FOR NO KEY UPDATE;
            IF NEW.currency <> settler.currency OR NEW.currency <> invoice.currency
               OR settler.seller_id <> invoice.seller_id
               OR NEW.applied_on < settler.{of.since} OR NEW.applied_on < invoice.issued_on
               OR settler.applied_amount <> (SELECT sum(amount) FROM {of.applications} WHERE {of.key} = NEW.{of.key})
               OR invoice.{of.counter} <> (SELECT sum(amount) FROM {of.applications} WHERE invoice_id = NEW.invoice_id)
            THEN
                {_refuse(of, "applications_in_step", "are not in step")}
            END IF;
            IF NOT ({of.settles_only}) THEN
                {_refuse(of, "to_be_paid_back", "do not meet: what is left is to be paid back")}
            END IF;
            SELECT c.payer_id INTO group_payer
              FROM consolidated_children k JOIN consolidated_invoices c ON c.id = k.consolidated_invoice_id
             WHERE k.invoice_id = NEW.invoice_id AND k.released_at IS NULL;
            IF group_payer <> settler.customer_id AND NOT ({of.settles_freely}) THEN
                {_refuse(of, "by_group_payer", "do not meet: the payer of the consolidation settles it")}
            END IF;
            IF group_payer IS NULL AND NOT EXISTS (
                SELECT FROM billing_entities payer, billing_entities debtor
                 WHERE payer.id = settler.customer_id AND debtor.id = invoice.customer_id
                   AND starts_with(debtor.path, payer.path)
            ) THEN
                {_refuse(of, "within_customer", "are of different customers")}
            END IF;
            RETURN NULL;
        """,  # noqa: S608
    )


def applied_by_applications(of: Settler) -> pgtrigger.Trigger:
    """What a settler says is applied is what its applications sum to, also when none came along."""
    return pgtrigger.Trigger(
        name="applied_by_applications",
        when=pgtrigger.After,
        operation=pgtrigger.Insert | pgtrigger.UpdateOf("applied_amount"),
        timing=pgtrigger.Deferred,
        func=f"""
            IF (SELECT applied_amount FROM {of.table} WHERE id = NEW.id FOR NO KEY UPDATE)
               <> (SELECT coalesce(sum(amount), 0) FROM {of.applications} WHERE {of.key} = NEW.id)
            THEN
                RAISE EXCEPTION '{of.noun} % is not applied as it says', NEW.id
                    USING ERRCODE = 'check_violation', CONSTRAINT = '{of.noun}_applied_by_applications';
            END IF;
            RETURN NULL;
        """,  # noqa: S608
    )


def credited_by_applications() -> pgtrigger.Trigger:
    """What an invoice says is credited is what credit notes were applied to it."""
    return pgtrigger.Trigger(
        name="credited_by_applications",
        when=pgtrigger.After,
        operation=pgtrigger.UpdateOf("credited_amount"),
        timing=pgtrigger.Deferred,
        func="""
            IF (SELECT credited_amount FROM invoices WHERE id = NEW.id FOR NO KEY UPDATE)
               <> (SELECT coalesce(sum(amount), 0) FROM credit_applications WHERE invoice_id = NEW.id)
            THEN
                RAISE EXCEPTION 'invoice % is not credited as it says', NEW.id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_credited_by_applications';
            END IF;
            RETURN NULL;
        """,
    )


def _refuse(of: Settler, rule: str, what: str) -> str:
    return f"""RAISE EXCEPTION '{of.noun} % and invoice % {what}', NEW.{of.key}, NEW.invoice_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = '{of.noun}_{rule}';"""
