"""What makes a consolidated invoice the sum of its children, for everyone, also for raw SQL.

The order of writing is held too: the document, its children, its totals. Who has totals takes no more
children, and each of them is judged in one statement, however many they are.
"""

import pgtrigger


def children_as_issued() -> pgtrigger.Trigger:
    """A child is an open invoice of the seller, issued within the period, with the invoice's own amounts."""
    return pgtrigger.Trigger(
        name="as_issued",
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        referencing=pgtrigger.Referencing(new="new_rows"),
        func="""
            PERFORM id FROM invoices WHERE id IN (SELECT invoice_id FROM new_rows) ORDER BY id FOR NO KEY UPDATE;
            IF EXISTS (
                SELECT FROM new_rows n
                JOIN invoices i ON i.id = n.invoice_id
                LEFT JOIN consolidated_invoices c ON c.id = n.consolidated_invoice_id
                WHERE c.state IS DISTINCT FROM 'issued' OR i.state <> 'issued' OR n.released_at IS NOT NULL
                   OR (n.customer_id, n.currency, n.net_amount, n.tax_amount, n.total_amount, c.seller_id)
                      IS DISTINCT FROM (i.customer_id, i.currency, i.net_amount, i.tax_amount, i.total_amount, i.seller_id)
                   OR n.settled_before_amount <> i.total_amount - i.balance_amount
                   OR i.issued_on < c.period_starts_on OR i.issued_on >= c.period_ends_on OR i.issued_on > c.issued_on
                   OR EXISTS (SELECT FROM consolidated_totals t WHERE t.consolidated_invoice_id = n.consolidated_invoice_id)
            ) THEN
                RAISE EXCEPTION 'a child of a consolidation is not the invoice it names'
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'consolidated_child_as_issued';
            END IF;
            RETURN NULL;
        """,
    )


def released_with_void() -> pgtrigger.Trigger:
    """A child is released once, when its consolidation is void, and nothing of it was settled in between."""
    return pgtrigger.Trigger(
        name="released_with_void",
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=pgtrigger.Update,
        referencing=pgtrigger.Referencing(old="old_rows", new="new_rows"),
        func="""
            PERFORM id FROM invoices WHERE id IN (SELECT invoice_id FROM new_rows) ORDER BY id FOR NO KEY UPDATE;
            IF EXISTS (
                SELECT FROM old_rows o
                JOIN new_rows n ON n.id = o.id
                JOIN consolidated_invoices c ON c.id = o.consolidated_invoice_id
                JOIN invoices i ON i.id = o.invoice_id
                WHERE n.released_at IS DISTINCT FROM o.released_at
                  AND (o.released_at IS NOT NULL OR c.state <> 'void'
                       OR o.settled_before_amount <> i.total_amount - i.balance_amount)
            ) THEN
                RAISE EXCEPTION 'the children of a consolidation are released when it is void'
                    USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NULL;
        """,
    )


def totals_of_children() -> pgtrigger.Trigger:
    """A total is the sum of the children in its currency, converted child by child at a rate that was known."""
    return pgtrigger.Trigger(
        name="of_children",
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        referencing=pgtrigger.Referencing(new="new_rows"),
        func="""
            IF EXISTS (
                SELECT FROM new_rows t
                LEFT JOIN consolidated_invoices c ON c.id = t.consolidated_invoice_id
                CROSS JOIN LATERAL (
                    SELECT count(*) AS children, sum(net_amount) AS net, sum(tax_amount) AS tax, sum(total_amount) AS total,
                           sum(converted_amount) AS converted,
                           bool_and(converted_amount = round(total_amount * t.rate, currency_exponent(c.currency))) AS rounded_once
                    FROM consolidated_children
                    WHERE consolidated_invoice_id = t.consolidated_invoice_id AND currency = t.currency
                ) k
                WHERE (t.child_count, t.net_amount, t.tax_amount, t.total_amount, t.converted_amount, t.converted_currency)
                      IS DISTINCT FROM (k.children, k.net, k.tax, k.total, k.converted, c.currency)
                   OR k.rounded_once IS NOT TRUE
                   OR CASE WHEN t.currency = c.currency THEN t.rate <> 1 ELSE NOT EXISTS (
                        SELECT FROM exchange_rates r
                        WHERE r.id = t.exchange_rate_id AND r.rate_on < c.period_ends_on AND r.rate_on <= c.issued_on
                          AND (r.from_currency, r.to_currency, r.rate, r.rate_on, r.source)
                              = (t.currency, c.currency, t.rate, t.rate_on, t.rate_source)
                      ) END
            ) THEN
                RAISE EXCEPTION 'a total of a consolidation is not the sum of its children'
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'consolidated_totals_of_children';
            END IF;
            RETURN NULL;
        """,
    )


def consolidated_in_full() -> pgtrigger.Trigger:
    """At COMMIT: an issued one has a total for the children of each currency, a void one no live child."""
    return pgtrigger.Trigger(
        name="in_full",
        when=pgtrigger.After,
        operation=pgtrigger.Insert | pgtrigger.Update,
        timing=pgtrigger.Deferred,
        declare=[("now", "consolidated_invoices%ROWTYPE")],
        func="""
            SELECT * INTO now FROM consolidated_invoices WHERE id = NEW.id;
            IF now.state = 'void' THEN
                IF EXISTS (SELECT FROM consolidated_children WHERE consolidated_invoice_id = now.id AND released_at IS NULL) THEN
                    RAISE EXCEPTION 'the void consolidation % keeps its children', now.number
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'void_consolidation_releases';
                END IF;
            ELSIF NOT EXISTS (
                SELECT FROM consolidated_totals WHERE consolidated_invoice_id = now.id
                HAVING sum(child_count) = now.child_count AND sum(converted_amount) = now.converted_amount
            ) OR now.child_count <> (
                SELECT count(*) FROM consolidated_children WHERE consolidated_invoice_id = now.id AND released_at IS NULL
            ) THEN
                RAISE EXCEPTION 'the consolidation % is not the sum of its children', now.number
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'consolidated_in_full';
            END IF;
            RETURN NULL;
        """,
    )


def not_voided_in_consolidation() -> pgtrigger.Trigger:
    """An invoice in a live consolidation is void only after that is."""
    return pgtrigger.Trigger(
        name="not_voided_in_consolidation",
        when=pgtrigger.Before,
        operation=pgtrigger.UpdateOf("state"),
        condition=pgtrigger.Q(new__state="void"),
        func="""
            IF EXISTS (SELECT FROM consolidated_children WHERE invoice_id = NEW.id AND released_at IS NULL) THEN
                RAISE EXCEPTION 'invoice % is part of a consolidated invoice', NEW.number USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        """,
    )
