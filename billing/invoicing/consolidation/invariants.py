"""Invariants of consolidated invoices, each as the rows that break it."""

CHECKS = {
    "I9 an invoice is in at most one live consolidation": """
        SELECT invoice_id AS id, count(*) FROM consolidated_children WHERE released_at IS NULL
        GROUP BY invoice_id HAVING count(*) > 1
    """,
    "I9 a child is the invoice it names, of the same seller, issued within the period": """
        SELECT k.id, i.number FROM consolidated_children k
        JOIN consolidated_invoices c ON c.id = k.consolidated_invoice_id JOIN invoices i ON i.id = k.invoice_id
        WHERE (k.customer_id, k.currency, k.net_amount, k.tax_amount, k.total_amount, c.seller_id)
              IS DISTINCT FROM (i.customer_id, i.currency, i.net_amount, i.tax_amount, i.total_amount, i.seller_id)
           OR i.issued_on IS NULL OR i.issued_on < c.period_starts_on OR i.issued_on >= c.period_ends_on
           OR i.issued_on > c.issued_on OR k.settled_before_amount > i.total_amount - i.balance_amount
    """,
    "I9 a consolidation is the sum of its children, per currency": """
        SELECT c.id, coalesce(t.currency, k.currency) AS currency, t.total_amount, k.total
        FROM (
            SELECT consolidated_invoice_id, currency, count(*) AS children, sum(net_amount) AS net, sum(tax_amount) AS tax,
                   sum(total_amount) AS total
            FROM consolidated_children GROUP BY 1, 2
        ) k
        FULL JOIN consolidated_totals t
          ON t.consolidated_invoice_id = k.consolidated_invoice_id AND t.currency = k.currency
        JOIN consolidated_invoices c ON c.id = coalesce(t.consolidated_invoice_id, k.consolidated_invoice_id)
        WHERE (t.child_count, t.net_amount, t.tax_amount, t.total_amount) IS DISTINCT FROM (k.children, k.net, k.tax, k.total)
        UNION ALL
        SELECT c.id, c.currency, c.converted_amount, sum(t.converted_amount)
        FROM consolidated_invoices c LEFT JOIN consolidated_totals t ON t.consolidated_invoice_id = c.id
        GROUP BY c.id
        HAVING c.child_count IS DISTINCT FROM sum(t.child_count) OR c.converted_amount IS DISTINCT FROM sum(t.converted_amount)
    """,
    "I9 children are live exactly while their consolidation is, and not void": """
        SELECT k.id, c.number FROM consolidated_children k
        JOIN consolidated_invoices c ON c.id = k.consolidated_invoice_id JOIN invoices i ON i.id = k.invoice_id
        WHERE (k.released_at IS NULL) <> (c.state = 'issued') OR (k.released_at IS NULL AND i.state = 'void')
    """,
    "I9 from its consolidation on, a child is credited by its own credit notes and those of the payer": """
        SELECT k.id, c.number, sum(a.amount) AS by_others, k.settled_before_amount
        FROM consolidated_children k JOIN consolidated_invoices c ON c.id = k.consolidated_invoice_id
        JOIN credit_applications a ON a.invoice_id = k.invoice_id
        JOIN credit_notes n ON n.id = a.credit_note_id AND n.invoice_id <> k.invoice_id AND n.customer_id <> c.payer_id
        WHERE k.released_at IS NULL
        GROUP BY k.id, c.number HAVING sum(a.amount) > k.settled_before_amount
    """,
    "I10 each child is converted at the rate shown and rounded once, and they make the converted total": """
        SELECT t.id, t.currency, t.converted_amount, k.converted
        FROM consolidated_totals t JOIN consolidated_invoices c ON c.id = t.consolidated_invoice_id
        CROSS JOIN LATERAL (
            SELECT sum(converted_amount) AS converted,
                   bool_and(converted_amount = round(total_amount * t.rate, currency_exponent(c.currency))) AS rounded_once
            FROM consolidated_children WHERE consolidated_invoice_id = t.consolidated_invoice_id AND currency = t.currency
        ) k
        WHERE k.converted IS DISTINCT FROM t.converted_amount OR k.rounded_once IS NOT TRUE
           OR t.converted_currency <> c.currency
    """,
    "I10 a rate shown is the one recorded, known by the period's last day": """
        SELECT t.id, t.currency, t.rate, r.rate AS recorded
        FROM consolidated_totals t JOIN consolidated_invoices c ON c.id = t.consolidated_invoice_id
        LEFT JOIN exchange_rates r ON r.id = t.exchange_rate_id
        WHERE CASE WHEN t.currency = c.currency THEN t.rate <> 1 ELSE
              (r.from_currency, r.to_currency, r.rate, r.rate_on, r.source)
                  IS DISTINCT FROM (t.currency, c.currency, t.rate, t.rate_on, t.rate_source)
              OR r.rate_on >= c.period_ends_on OR r.rate_on > c.issued_on END
    """,
}
