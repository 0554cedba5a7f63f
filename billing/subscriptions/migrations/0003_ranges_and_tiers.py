"""Ranges of one uuid, for exclusion constraints without an extension; and what tiers of a price look like."""

from django.db import migrations

FORWARD = """
CREATE TYPE uuidrange AS RANGE (subtype = uuid);

CREATE FUNCTION are_price_tiers(tiers jsonb) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    tier jsonb;
    upper_end numeric := 0;
    position integer := 0;
BEGIN
    IF jsonb_typeof(tiers) <> 'array' OR jsonb_array_length(tiers) = 0 THEN RETURN false; END IF;
    FOR tier IN SELECT * FROM jsonb_array_elements(tiers) LOOP
        position := position + 1;
        IF jsonb_typeof(tier) <> 'object'
           OR (SELECT array_agg(key ORDER BY key) FROM jsonb_object_keys(tier) key)
              IS DISTINCT FROM ARRAY['flat_amount', 'unit_price', 'up_to']
           OR tier->>'unit_price' !~ '^[0-9]{1,16}([.][0-9]{1,12})?$'
           OR tier->>'flat_amount' !~ '^[0-9]{1,16}([.][0-9]{1,12})?$'
           OR tier->>'unit_price' IS NULL OR tier->>'flat_amount' IS NULL
        THEN RETURN false; END IF;
        -- only the last tier is open, and each begins where the one before it ends
        IF (position = jsonb_array_length(tiers)) <> (tier->>'up_to' IS NULL) THEN RETURN false; END IF;
        IF tier->>'up_to' IS NOT NULL THEN
            IF tier->>'up_to' !~ '^[0-9]{1,16}([.][0-9]{1,12})?$' OR (tier->>'up_to')::numeric <= upper_end
            THEN RETURN false; END IF;
            upper_end := (tier->>'up_to')::numeric;
        END IF;
    END LOOP;
    RETURN true;
END $$;
COMMENT ON FUNCTION are_price_tiers IS 'An array of {up_to, unit_price, flat_amount}, ascending, the last one open';
"""

BACKWARD = """
DROP FUNCTION are_price_tiers(jsonb);
DROP TYPE uuidrange;
"""


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0002_prices_have_a_figure")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
