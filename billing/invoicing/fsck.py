"""Invariants of invoicing, each as the rows that break it."""

CHECKS = {
    "I1 numbers of a series run from 1 without gap": """
        SELECT s.id, s.last, count(i.id) AS taken, max(i.sequence) AS highest
        FROM number_series s LEFT JOIN invoices i
          ON i.seller_id = s.seller_id AND i.series = s.series AND i.fiscal_year = s.fiscal_year
        GROUP BY s.id HAVING s.last <> count(i.id) OR s.last <> coalesce(max(i.sequence), 0)
    """,
    "I1 numbers follow the days of issue": """
        SELECT id FROM (
            SELECT id, issued_on, lag(issued_on) OVER (PARTITION BY seller_id, series, fiscal_year ORDER BY sequence) AS before
            FROM invoices WHERE number IS NOT NULL
        ) numbered WHERE issued_on < before
    """,
    "I2 one live invoice per customer, currency and period": """
        SELECT min(id::text) AS id, count(*) FROM invoices WHERE state <> 'void'
        GROUP BY seller_id, customer_id, currency, billing_key HAVING count(*) > 1
    """,
    "I4 lines make the net, taxes the tax": """
        SELECT i.id FROM invoices i
        LEFT JOIN (SELECT invoice_id, sum(net_amount) AS net FROM invoice_lines GROUP BY 1) l ON l.invoice_id = i.id
        LEFT JOIN (SELECT invoice_id, sum(tax_amount) AS tax, sum(taxable_amount) AS taxable FROM invoice_taxes GROUP BY 1) t
          ON t.invoice_id = i.id
        WHERE i.net_amount <> coalesce(l.net, 0) OR i.tax_amount <> coalesce(t.tax, 0) OR i.net_amount <> coalesce(t.taxable, 0)
    """,
    "I4 tax is percent of the taxable amount, rounded once": """
        SELECT id FROM invoice_taxes
        WHERE tax_amount <> round(taxable_amount * percent / 100, currency_exponent(currency))
    """,
    "I5 live shares make each line, void ones nothing": """
        SELECT l.id FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
        LEFT JOIN (SELECT line_id, sum(net_amount) AS net FROM cost_allocations GROUP BY 1) a ON a.line_id = l.id
        WHERE i.number IS NOT NULL
          AND coalesce(a.net, 0) <> CASE i.state WHEN 'void' THEN 0 ELSE l.net_amount END
    """,
    "I5 shares of tax make the invoice's tax": """
        SELECT i.id FROM invoices i
        LEFT JOIN (SELECT invoice_id, sum(tax_amount) AS tax FROM cost_allocations GROUP BY 1) a ON a.invoice_id = i.id
        WHERE i.number IS NOT NULL
          AND coalesce(a.tax, 0) <> CASE i.state WHEN 'void' THEN 0 ELSE i.tax_amount END
    """,
    "I5 costs passed through: lines are the exact stream rounded once": """
        SELECT l.invoice_id AS id FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
        WHERE l.derivation->>'rounding' = 'stream'
        GROUP BY l.invoice_id, i.currency
        HAVING sum(l.net_amount) <> round(sum((l.derivation->>'exact')::numeric), currency_exponent(i.currency))
    """,
    "I6 an issued invoice is booked once, with its total": """
        SELECT i.id FROM invoices i
        LEFT JOIN journal_entries e ON e.source = 'invoice:' || i.id AND e.event = 'issued'
        LEFT JOIN (
            SELECT l.entry_id, sum(l.debit) - sum(l.credit) AS receivable
            FROM journal_lines l JOIN ledger_accounts a ON a.id = l.account_id WHERE a.code = '1100' GROUP BY 1
        ) r ON r.entry_id = e.id
        WHERE i.number IS NOT NULL AND coalesce(r.receivable, 0) <> i.total_amount
    """,
    "U4 an event is billed by at most one live line": """
        SELECT event_id AS id FROM usage_claims WHERE released_at IS NULL GROUP BY event_id HAVING count(*) > 1
    """,
    "U4 the events of a line are those its derivation counted": """
        SELECT l.id FROM invoice_lines l
        LEFT JOIN (SELECT line_id, count(*) AS events FROM usage_claims GROUP BY 1) c ON c.line_id = l.id
        WHERE l.derivation->>'from' = 'usage' AND (l.derivation->>'events')::bigint <> coalesce(c.events, 0)
    """,
}
