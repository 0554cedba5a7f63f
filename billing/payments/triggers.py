"""What keeps payments and invoices in step, also for raw SQL."""

import pgtrigger


def applications_within_payment() -> pgtrigger.Trigger:
    """At COMMIT: the counters of both sides equal the applications, in one currency, of one seller, and
    the payer is the invoice's customer or stands above it; of an invoice in a live consolidation, that one's payer."""
    return pgtrigger.Trigger(
        name="in_step",
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        timing=pgtrigger.Deferred,
        declare=[("payment", "payments%ROWTYPE"), ("invoice", "invoices%ROWTYPE"), ("group_payer", "uuid")],
        func="""
            SELECT * INTO invoice FROM invoices WHERE id = NEW.invoice_id FOR NO KEY UPDATE;
            SELECT * INTO payment FROM payments WHERE id = NEW.payment_id FOR NO KEY UPDATE;
            IF NEW.currency <> payment.currency OR NEW.currency <> invoice.currency
               OR payment.seller_id <> invoice.seller_id
               OR NEW.applied_on < payment.received_on OR NEW.applied_on < invoice.issued_on
               OR payment.applied_amount <> (SELECT sum(amount) FROM payment_applications WHERE payment_id = NEW.payment_id)
               OR invoice.paid_amount <> (SELECT sum(amount) FROM payment_applications WHERE invoice_id = NEW.invoice_id)
            THEN
                RAISE EXCEPTION 'payment % and invoice % are not in step', NEW.payment_id, NEW.invoice_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'applications_in_step';
            END IF;
            SELECT c.payer_id INTO group_payer
              FROM consolidated_children k JOIN consolidated_invoices c ON c.id = k.consolidated_invoice_id
             WHERE k.invoice_id = NEW.invoice_id AND k.released_at IS NULL;
            IF group_payer <> payment.customer_id THEN
                RAISE EXCEPTION 'payment % is not of the payer of the consolidation', NEW.payment_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'application_by_group_payer';
            END IF;
            IF group_payer IS NULL AND NOT EXISTS (
                SELECT FROM billing_entities payer, billing_entities debtor
                 WHERE payer.id = payment.customer_id AND debtor.id = invoice.customer_id
                   AND starts_with(debtor.path, payer.path)
            ) THEN
                RAISE EXCEPTION 'payment % does not settle invoices of other customers', NEW.payment_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'application_within_customer';
            END IF;
            RETURN NULL;
        """,
    )


def applied_by_applications() -> pgtrigger.Trigger:
    """At COMMIT: what a payment says is applied is what its applications sum to, also when none came along."""
    return pgtrigger.Trigger(
        name="applied_by_applications",
        when=pgtrigger.After,
        operation=pgtrigger.Insert | pgtrigger.UpdateOf("applied_amount"),
        timing=pgtrigger.Deferred,
        func="""
            IF (SELECT applied_amount FROM payments WHERE id = NEW.id FOR NO KEY UPDATE)
               <> (SELECT coalesce(sum(amount), 0) FROM payment_applications WHERE payment_id = NEW.id)
            THEN
                RAISE EXCEPTION 'payment % is not applied as it says', NEW.id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_applied_by_applications';
            END IF;
            RETURN NULL;
        """,
    )
