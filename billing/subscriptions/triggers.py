"""What is counted in the database itself, so that raw SQL cannot go round it."""

import pgtrigger


def counts_seats() -> pgtrigger.Trigger:
    """Each assignment takes a seat and each release gives it back, under the licence's row lock.

    The CHECK on `used_seats` refuses the one too many, whoever inserts it.
    """
    return pgtrigger.Trigger(
        name="counts_seats",
        when=pgtrigger.After,
        operation=pgtrigger.Insert | pgtrigger.UpdateOf("released_at"),
        func="""
            IF TG_OP = 'INSERT' THEN
                IF NEW.released_at IS NULL THEN
                    UPDATE licenses SET used_seats = used_seats + 1 WHERE id = NEW.license_id;
                END IF;
            ELSIF OLD.released_at IS NULL AND NEW.released_at IS NOT NULL THEN
                UPDATE licenses SET used_seats = used_seats - 1 WHERE id = NEW.license_id;
            END IF;
            RETURN NULL;
        """,
    )


def of_one_seller() -> pgtrigger.Trigger:
    """A plan bundles products of the seller it belongs to, and never changes its seller."""
    return pgtrigger.Trigger(
        name="of_one_seller",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        func="""
            IF NOT EXISTS (
                SELECT FROM plans JOIN products USING (entity_id)
                WHERE plans.id = NEW.plan_id AND products.id = NEW.product_id
            ) THEN
                RAISE EXCEPTION 'plan % and product % are not of one seller', NEW.plan_id, NEW.product_id
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        """,
    )
