"""An entity keeps its currency once it has sent or received an issued invoice, also for raw SQL.

The rule is invoicing's, the table is not: that is why this is not a trigger of the entities app.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION entity_keeps_its_currency() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM invoices WHERE (customer_id = OLD.id OR seller_id = OLD.id) AND number IS NOT NULL) THEN
        RAISE EXCEPTION 'entity % has invoices and keeps its currency', OLD.code
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keeps_currency BEFORE UPDATE OF currency ON billing_entities
    FOR EACH ROW WHEN (NEW.currency <> OLD.currency) EXECUTE FUNCTION entity_keeps_its_currency();
"""
BACKWARD = "DROP FUNCTION entity_keeps_its_currency() CASCADE;"


class Migration(migrations.Migration):
    dependencies = [("invoicing", "0002_numbered_invoices_have_a_sequence")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
