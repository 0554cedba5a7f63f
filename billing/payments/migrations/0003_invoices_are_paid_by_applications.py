"""At COMMIT: what an invoice says is paid is what payments were applied to it, also for raw SQL.

The rule is this app's, the table is not: that is why this is not a trigger of the invoicing app.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION invoice_paid_by_applications() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Fresh figures: the row may have been updated again since this was queued.
    IF (SELECT paid_amount FROM invoices WHERE id = NEW.id)
       <> (SELECT coalesce(sum(amount), 0) FROM payment_applications WHERE invoice_id = NEW.id)
    THEN
        RAISE EXCEPTION 'invoice % is not paid as it says', NEW.number
            USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_paid_by_applications';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER paid_by_applications AFTER UPDATE ON invoices DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.paid_amount <> OLD.paid_amount) EXECUTE FUNCTION invoice_paid_by_applications();
"""
BACKWARD = "DROP FUNCTION invoice_paid_by_applications() CASCADE;"


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0002_applications_have_a_day"),
        ("invoicing", "0004_number_series_are_called_so"),
    ]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
