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
