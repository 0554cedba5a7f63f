"""What keeps payments and invoices in step, also for raw SQL."""

import pgtrigger


def applications_within_payment() -> pgtrigger.Trigger:
    """At COMMIT: the counters of both sides equal the applications, in one currency and one relationship."""
    return pgtrigger.Trigger(
        name="in_step",
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        timing=pgtrigger.Deferred,
        declare=[("payment", "payments%ROWTYPE"), ("invoice", "invoices%ROWTYPE")],
        func="""
            SELECT * INTO invoice FROM invoices WHERE id = NEW.invoice_id FOR NO KEY UPDATE;
            SELECT * INTO payment FROM payments WHERE id = NEW.payment_id FOR NO KEY UPDATE;
            IF NEW.currency <> payment.currency OR NEW.currency <> invoice.currency
               OR payment.seller_id <> invoice.seller_id
               OR payment.applied_amount <> (SELECT sum(amount) FROM payment_applications WHERE payment_id = NEW.payment_id)
               OR invoice.paid_amount <> (SELECT sum(amount) FROM payment_applications WHERE invoice_id = NEW.invoice_id)
            THEN
                RAISE EXCEPTION 'payment % and invoice % are not in step', NEW.payment_id, NEW.invoice_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'applications_in_step';
            END IF;
            RETURN NULL;
        """,
    )
