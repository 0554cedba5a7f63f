"""SQL functions that CHECK constraints of every app stand on. They hold for raw SQL too."""

import iso4217
from django.db import migrations

EXPONENTS = " ".join(
    f"WHEN '{c.code}' THEN {c.exponent}"
    for c in sorted(iso4217.Currency, key=lambda c: c.code)
    if c.exponent is not None and c.exponent != 2
)
KNOWN = ", ".join(
    f"'{c.code}'" for c in sorted(iso4217.Currency, key=lambda c: c.code) if c.exponent is not None
)

FORWARD = f"""
CREATE FUNCTION currency_exponent(currency text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN currency IN ({KNOWN}) THEN CASE currency {EXPONENTS} ELSE 2 END END
$$;
COMMENT ON FUNCTION currency_exponent IS 'Decimals of an ISO 4217 currency; NULL for an unknown code';

CREATE FUNCTION is_payable(currency text, VARIADIC amounts numeric[]) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    digits integer := currency_exponent(currency);
    amount numeric;
BEGIN
    IF digits IS NULL THEN RETURN false; END IF;
    FOREACH amount IN ARRAY amounts LOOP
        -- NaN and infinity sort above 10^15, so this refuses them too
        IF abs(amount) >= 1e15 OR amount <> round(amount, digits) THEN RETURN false; END IF;
    END LOOP;
    RETURN true;
END $$;
COMMENT ON FUNCTION is_payable IS 'Every amount is finite, below 10^15 and has no more decimals than the currency';

CREATE FUNCTION is_finite_amount(VARIADIC amounts numeric[]) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    amount numeric;
BEGIN
    FOREACH amount IN ARRAY amounts LOOP
        IF abs(amount) >= 1e16 THEN RETURN false; END IF;
    END LOOP;
    RETURN true;
END $$;
COMMENT ON FUNCTION is_finite_amount IS 'No amount is NaN, infinite or beyond what numeric(28,12) holds';
"""

BACKWARD = """
DROP FUNCTION is_finite_amount(VARIADIC numeric[]);
DROP FUNCTION is_payable(text, VARIADIC numeric[]);
DROP FUNCTION currency_exponent(text);
"""


class Migration(migrations.Migration):
    dependencies = []
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
