"""Invariants of invoicing, each as the rows that break it."""

from billing.invoicing.allocation.core.segregation_of_duties import CLOSED_BY_A_MAPPER
from billing.invoicing.allocation.triggers.rules import UNSOUND
from billing.invoicing.triggers import MISPLACED

# Every table whose documents take numbers from `number_series`.
_NUMBERED = """(
    SELECT id, seller_id, series, fiscal_year, sequence, issued_on FROM invoices WHERE number IS NOT NULL
    UNION ALL
    SELECT id, seller_id, series, fiscal_year, sequence, issued_on FROM consolidated_invoices
    UNION ALL
    SELECT id, seller_id, series, fiscal_year, sequence, issued_on FROM credit_notes
)"""

CHECKS = {
    "I1 numbers of a series run from 1 without gap": f"""
        SELECT s.id, s.last, count(i.id) AS taken, max(i.sequence) AS highest
        FROM number_series s LEFT JOIN {_NUMBERED} i
          ON i.seller_id = s.seller_id AND i.series = s.series AND i.fiscal_year = s.fiscal_year
        GROUP BY s.id HAVING s.last <> count(i.id) OR s.last <> coalesce(max(i.sequence), 0)
    """,  # noqa: S608
    "I1 numbers follow the days of issue": f"""
        SELECT id FROM (
            SELECT id, issued_on, lag(issued_on) OVER (PARTITION BY seller_id, series, fiscal_year ORDER BY sequence) AS before
            FROM {_NUMBERED} documents
        ) numbered WHERE issued_on < before
    """,  # noqa: S608
    "I2 one live invoice per customer, currency and period": """
        SELECT min(id::text) AS id, count(*) FROM invoices WHERE state <> 'void'
        GROUP BY seller_id, customer_id, currency, billing_key HAVING count(*) > 1
    """,
    "X1 no day of a customer is exempt twice in a country": """
        SELECT a.id FROM tax_exemptions a JOIN tax_exemptions b
          ON b.customer_id = a.customer_id AND b.country = a.country AND b.id <> a.id
         AND daterange(a.starts_on, a.ends_on) && daterange(b.starts_on, b.ends_on)
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
    "I5 live shares make what is left of each line, void ones nothing": """
        SELECT l.id FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
        LEFT JOIN (SELECT line_id, sum(net_amount) AS net FROM cost_allocations GROUP BY 1) a ON a.line_id = l.id
        LEFT JOIN (SELECT line_id, sum(net_amount) AS net FROM credit_note_lines GROUP BY 1) c ON c.line_id = l.id
        WHERE i.number IS NOT NULL
          AND coalesce(a.net, 0) <> CASE i.state WHEN 'void' THEN 0 ELSE l.net_amount - coalesce(c.net, 0) END
    """,
    "I5 a share is of its line's invoice and currency": """
        SELECT a.id FROM cost_allocations a JOIN invoice_lines l ON l.id = a.line_id
        WHERE (a.invoice_id, a.currency) <> (l.invoice_id, l.currency)
    """,
    "I5 the shares of a credited line stay": """
        SELECT m.id FROM cost_allocations m JOIN invoices i ON i.id = m.invoice_id
        WHERE m.reverses_id IS NOT NULL AND i.state <> 'void' AND EXISTS (
            SELECT FROM cost_allocations c WHERE c.line_id = m.line_id AND c.basis = 'credit' AND c.created_at < m.created_at
        )
    """,
    "I5 shares of tax make what is left of the invoice's tax": """
        SELECT i.id FROM invoices i
        LEFT JOIN (SELECT invoice_id, sum(tax_amount) AS tax FROM cost_allocations GROUP BY 1) a ON a.invoice_id = i.id
        LEFT JOIN (SELECT invoice_id, sum(tax_amount) AS tax FROM credit_notes GROUP BY 1) c ON c.invoice_id = i.id
        WHERE i.number IS NOT NULL
          AND coalesce(a.tax, 0) <> CASE i.state WHEN 'void' THEN 0 ELSE i.tax_amount - coalesce(c.tax, 0) END
    """,
    "I5 costs passed through: lines are the exact stream rounded once": """
        SELECT l.invoice_id AS id FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
        WHERE l.derivation->>'rounding' = 'stream'
        GROUP BY l.invoice_id, i.currency
        HAVING sum(l.gross_amount) <> round(sum((l.derivation->>'exact')::numeric), currency_exponent(i.currency))
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
    "I6 what is written off and not recovered is booked as bad debt": """
        SELECT i.id FROM invoices i
        LEFT JOIN (
            SELECT e.source, sum(l.debit) - sum(l.credit) AS given_up
            FROM journal_entries e JOIN journal_lines l ON l.entry_id = e.id JOIN ledger_accounts a ON a.id = l.account_id
            WHERE a.code = '6100' GROUP BY 1
        ) b ON b.source = 'invoice:' || i.id
        WHERE coalesce(b.given_up, 0) <> i.written_off_amount
    """,
    "I6 credited is the sum of the credits applied": """
        SELECT i.id, i.credited_amount, coalesce(a.applied, 0) AS applied FROM invoices i
        LEFT JOIN (SELECT invoice_id, sum(amount) AS applied FROM credit_applications GROUP BY 1) a ON a.invoice_id = i.id
        WHERE i.credited_amount <> coalesce(a.applied, 0)
    """,
    "I8 lines and taxes make the credit note": """
        SELECT n.id FROM credit_notes n
        LEFT JOIN (SELECT credit_note_id, sum(net_amount) AS net FROM credit_note_lines GROUP BY 1) l ON l.credit_note_id = n.id
        LEFT JOIN (
            SELECT credit_note_id, sum(tax_amount) AS tax, sum(taxable_amount) AS taxable FROM credit_note_taxes GROUP BY 1
        ) t ON t.credit_note_id = n.id
        WHERE (n.net_amount, n.net_amount, n.tax_amount) IS DISTINCT FROM (l.net, t.taxable, t.tax)
    """,
    "I8 no more is credited than a line, a tax or an invoice charged": """
        SELECT l.id FROM invoice_lines l
        JOIN (SELECT line_id, sum(net_amount) AS net FROM credit_note_lines GROUP BY 1) c ON c.line_id = l.id
        WHERE abs(c.net) > abs(l.net_amount) OR sign(c.net) * sign(l.net_amount) < 0
        UNION ALL
        SELECT i.id FROM invoices i
        JOIN (SELECT invoice_id, sum(total_amount) AS total, sum(tax_amount) AS tax FROM credit_notes GROUP BY 1) c
          ON c.invoice_id = i.id
        WHERE c.total > i.total_amount OR c.tax > i.tax_amount
    """,
    "I8 an invoice credited in full has no tax left": """
        SELECT i.id FROM invoices i
        JOIN (SELECT invoice_id, sum(net_amount) AS net, sum(tax_amount) AS tax FROM credit_notes GROUP BY 1) c
          ON c.invoice_id = i.id
        WHERE c.net = i.net_amount AND c.tax <> i.tax_amount
    """,
    "I8 a credit is applied as its applications say": """
        SELECT n.id, n.applied_amount, coalesce(a.applied, 0) AS applied FROM credit_notes n
        LEFT JOIN (SELECT credit_note_id, sum(amount) AS applied FROM credit_applications GROUP BY 1) a
               ON a.credit_note_id = n.id
        WHERE n.applied_amount <> coalesce(a.applied, 0) OR n.applied_amount > n.total_amount
    """,
    "I8 a credit note is in the books once, with its revenue and tax": """
        SELECT n.id FROM credit_notes n
        LEFT JOIN (
            SELECT e.source, sum(l.debit - l.credit) FILTER (WHERE a.code IN ('4000', '4050')) AS net,
                   coalesce(sum(l.debit - l.credit) FILTER (WHERE a.code = '2200'), 0) AS tax
            FROM journal_entries e JOIN journal_lines l ON l.entry_id = e.id JOIN ledger_accounts a ON a.id = l.account_id
            WHERE e.event = 'issued' GROUP BY 1
        ) b ON b.source = 'credit_note:' || n.id
        WHERE (b.net, b.tax) IS DISTINCT FROM (n.net_amount, n.tax_amount)
    """,
    "U4 an event is billed by at most one live line": """
        SELECT event_id AS id FROM usage_claims WHERE released_at IS NULL GROUP BY event_id HAVING count(*) > 1
    """,
    "U4 the events of a line are those its derivation counted": """
        SELECT l.id FROM invoice_lines l
        LEFT JOIN (SELECT line_id, count(*) AS events FROM usage_claims GROUP BY 1) c ON c.line_id = l.id
        WHERE l.derivation->>'from' = 'usage' AND (l.derivation->>'events')::bigint <> coalesce(c.events, 0)
    """,
    "U4 a claim is live exactly while its invoice is": """
        SELECT 'event ' || k.event_id AS id FROM usage_claims k
        JOIN invoice_lines l ON l.id = k.line_id JOIN invoices i ON i.id = l.invoice_id
        WHERE (k.released_at IS NULL) = (i.state = 'void')
        UNION ALL
        SELECT 'charge ' || k.charge_id FROM charge_claims k
        JOIN invoice_lines l ON l.id = k.line_id JOIN invoices i ON i.id = l.invoice_id
        WHERE (k.released_at IS NULL) = (i.state = 'void')
    """,
    "U5 a line bills counting events of its customer, meter, group and days, and no others": """
        SELECT l.id, e.id AS event FROM usage_claims k
        JOIN usage_keys y ON y.event_id = k.event_id
        JOIN usage_events e ON e.id = y.event_id AND e.billed_on = y.billed_on
        JOIN invoice_lines l ON l.id = k.line_id JOIN invoices i ON i.id = l.invoice_id
        WHERE e.entity_id <> i.customer_id OR NOT e.counts
           OR e.billed_on < l.service_starts_on OR e.billed_on >= l.service_ends_on
           OR e.group_key <> coalesce(l.derivation->>'group_key', '')
           OR e.meter_id::text <> coalesce(l.derivation->>'meter', e.meter_id::text)
    """,
    "U6 usage billed under a subscription is covered by its item": """
        SELECT l.id, e.id AS event FROM usage_claims k
        JOIN usage_keys y ON y.event_id = k.event_id
        JOIN usage_events e ON e.id = y.event_id AND e.billed_on = y.billed_on
        JOIN invoice_lines l ON l.id = k.line_id
        LEFT JOIN subscription_items t ON t.id = (l.derivation->>'item')::uuid
        LEFT JOIN subscriptions s ON s.id = t.subscription_id
        WHERE k.released_at IS NULL AND l.derivation ? 'item'
          AND (s.entity_id IS DISTINCT FROM e.entity_id OR t.basis IS DISTINCT FROM 'usage'
               OR e.billed_on < t.starts_on OR e.billed_on >= t.ends_on
               OR (e.subscription_id IS NOT NULL AND e.subscription_id <> t.subscription_id))
    """,
    "S1 a charge is billed by at most one live line": """
        SELECT charge_id AS id FROM charge_claims WHERE released_at IS NULL GROUP BY charge_id HAVING count(*) > 1
    """,
    "S2 a line bills its charge in full, to the subscriber": """
        SELECT l.id FROM charge_claims k
        JOIN subscription_charges c ON c.id = k.charge_id JOIN subscriptions s ON s.id = c.subscription_id
        JOIN invoice_lines l ON l.id = k.line_id JOIN invoices i ON i.id = l.invoice_id
        WHERE (c.amount, c.currency, s.entity_id, s.seller_id)
              IS DISTINCT FROM (coalesce(l.inclusive_amount, l.gross_amount), l.currency, i.customer_id, i.seller_id)
           OR c.due_on > coalesce(i.issued_on, c.due_on)
    """,
    "S2 every line from a charge has claimed it": """
        SELECT l.id FROM invoice_lines l LEFT JOIN charge_claims k ON k.line_id = l.id
        WHERE l.derivation->>'from' = 'charge' AND k.charge_id::text IS DISTINCT FROM l.derivation->>'charge'
    """,
    "U7 an adjustment's exact amount is what the whole comes to, less what was billed": """
        SELECT id FROM invoice_lines WHERE derivation ? 'adjusts'
          AND (derivation->'after'->>'exact')::numeric - (derivation->'before'->>'exact')::numeric
              <> (derivation->>'exact')::numeric
    """,
    "U7 an issued adjustment adjusts issued lines": """
        SELECT l.id FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
        CROSS JOIN LATERAL jsonb_array_elements_text(l.derivation->'adjusts') a
        LEFT JOIN invoice_lines b ON b.id = a.value::uuid LEFT JOIN invoices j ON j.id = b.invoice_id
        WHERE i.number IS NOT NULL AND l.derivation ? 'adjusts' AND j.number IS NULL
    """,
    "U8 the shares of a line of usage make its exact amount": """
        SELECT l.id FROM invoice_lines l
        CROSS JOIN LATERAL (
            SELECT sum((s->>'exact')::numeric) AS exact FROM jsonb_array_elements(l.derivation->'shares') s
        ) shares
        WHERE l.derivation ? 'shares' AND shares.exact <> (l.derivation->>'exact')::numeric
    """,
    "O1 a one-off line is quantity times price, and the cost of a department of its customer": """
        SELECT l.id FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
        LEFT JOIN departments d ON d.id = (l.derivation->'shares'->0->>'department')::uuid
        WHERE l.derivation->>'from' = 'one_off'
          AND ((l.derivation->>'exact')::numeric IS DISTINCT FROM l.quantity * coalesce(l.inclusive_unit_price, l.unit_price)
               OR d.entity_id IS DISTINCT FROM
                  CASE WHEN l.derivation->'shares'->0->>'department' IS NULL THEN NULL ELSE i.customer_id END)
    """,
    "DC1 what a line is discounted by is what was taken off it, of grants of its customer by its seller": """
        SELECT l.id FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
        LEFT JOIN discount_uses u ON u.line_id = l.id
        LEFT JOIN discount_grants g ON g.id = u.grant_id LEFT JOIN discounts d ON d.id = g.discount_id
        GROUP BY l.id
        HAVING greatest(l.discount_amount, 0) <> coalesce(sum(u.amount), 0)
            OR bool_or(u.id IS NOT NULL AND (g.customer_id, d.seller_id, u.currency) <> (i.customer_id, i.seller_id, i.currency))
    """,
    "DC2 what is taken once a month, or once, is on one invoice, and no more than it is worth": """
        SELECT u.grant_id, u.period_starts_on FROM discount_uses u
        JOIN invoice_lines l ON l.id = u.line_id
        JOIN discount_grants g ON g.id = u.grant_id
        LEFT JOIN discount_amounts a ON a.discount_id = g.discount_id AND a.currency = u.currency
        WHERE u.released_at IS NULL AND u.period_starts_on IS NOT NULL
        GROUP BY u.grant_id, u.period_starts_on
        HAVING count(DISTINCT l.invoice_id) > 1 OR sum(u.amount) > max(a.amount)
    """,
    "DC3 a discount is given back exactly when its invoice is void": """
        SELECT u.id FROM discount_uses u
        JOIN invoice_lines l ON l.id = u.line_id JOIN invoices i ON i.id = l.invoice_id
        WHERE (u.released_at IS NULL) = (i.state = 'void')
    """,
    "DC4 a discount counts its grants, and an amount is worth something": """
        SELECT d.id, d.redemptions, count(DISTINCT g.id) FROM discounts d
        LEFT JOIN discount_grants g ON g.discount_id = d.id LEFT JOIN discount_amounts a ON a.discount_id = d.id
        GROUP BY d.id HAVING d.redemptions <> count(DISTINCT g.id) OR (d.kind = 'amount') <> (count(a.id) > 0)
    """,
    "DC5 nobody has a discount twice at a time": """
        SELECT a.id FROM discount_grants a JOIN discount_grants b
          ON b.discount_id = a.discount_id AND b.customer_id = a.customer_id AND b.id <> a.id
         AND b.subscription_id IS NOT DISTINCT FROM a.subscription_id
         AND daterange(a.starts_on, a.ends_on) && daterange(b.starts_on, b.ends_on)
    """,
    "T1 prices that include tax: with tax a rate comes to what was told, or one minor unit less": """
        SELECT invoice_id, tax_category, tax_percent FROM (
            SELECT l.invoice_id, l.tax_category, l.tax_percent, currency_exponent(l.currency) AS decimals,
                   sum(l.gross_amount) AS net, sum(l.inclusive_amount) AS told,
                   coalesce(sum(l.gross_amount) FILTER (WHERE l.inclusive_amount IS NULL), 0) AS beside
            FROM invoice_lines l GROUP BY 1, 2, 3, 4
        ) taxed
        WHERE told + beside + round(beside * tax_percent / 100, decimals) - net - round(net * tax_percent / 100, decimals)
              NOT IN (0, 10::numeric ^ (-decimals))
    """,
    "T2 a line at a price of the catalogue includes tax exactly if the price does": """
        SELECT l.id FROM invoice_lines l JOIN prices p ON p.id = (l.derivation->>'price')::uuid
        WHERE (l.inclusive_amount IS NOT NULL) <> p.tax_inclusive
    """,
    "T3 intra-Community supplies, IGIC and IPSI are where they can be, between parties with the tax ids they need": f"""
        SELECT i.id, t.category FROM invoice_taxes t JOIN invoices i ON i.id = t.invoice_id
        WHERE i.number IS NOT NULL AND ({MISPLACED.format(snapshot="i.snapshot")})
    """,  # noqa: S608
    "T4 only S, L and M have rates, and who pays none is told why": """
        SELECT t.id FROM (
            SELECT 'tax ' || id AS id, category, percent, exemption_reason FROM invoice_taxes
            UNION ALL
            SELECT 'credit note tax ' || id, category, percent, exemption_reason FROM credit_note_taxes
        ) t
        WHERE (category NOT IN ('S', 'L', 'M') AND percent <> 0)
           OR (category IN ('S', 'Z', 'L', 'M')) <> (exemption_reason = '')
        UNION ALL
        SELECT 'line ' || id FROM invoice_lines WHERE tax_category NOT IN ('S', 'L', 'M') AND tax_percent <> 0
    """,
    "D1 a kept document is what its checksum says, and of an issued invoice": """
        SELECT d.id FROM invoice_documents d JOIN invoices i ON i.id = d.invoice_id
        WHERE encode(sha256(d.content), 'hex') <> d.sha256 OR octet_length(d.content) <> d.size OR i.number IS NULL
        UNION ALL
        SELECT d.id FROM credit_note_documents d
        WHERE encode(sha256(d.content), 'hex') <> d.sha256 OR octet_length(d.content) <> d.size
        UNION ALL
        SELECT d.id FROM consolidated_documents d
        WHERE encode(sha256(d.content), 'hex') <> d.sha256 OR octet_length(d.content) <> d.size
    """,
    "R1 targets say where everything goes": UNSOUND.format(which="true"),
    "R2 shares by a rule name a version of their day and their customer": """
        SELECT a.id FROM cost_allocations a
        JOIN invoice_lines l ON l.id = a.line_id
        JOIN allocation_rule_versions v ON v.id = a.rule_version_id
        JOIN allocation_rules r ON r.id = v.rule_id
        JOIN billing_entities owner ON owner.id = r.entity_id
        JOIN billing_entities customer ON customer.id = a.entity_id
        WHERE a.reverses_id IS NULL AND (
              v.state = 'draft' OR l.service_starts_on < v.starts_on
              OR (l.service_starts_on >= v.ends_on AND (v.end_noted_at IS NULL OR a.created_at > v.end_noted_at) AND a.run_id IS NULL)
              OR NOT starts_with(customer.path, owner.path))
    """,
    "R3 no two GL codes for the same at one time": """
        SELECT a.id FROM gl_code_mappings a JOIN gl_code_mappings b
          ON b.entity_id = a.entity_id AND b.id <> a.id AND b.tax_category = a.tax_category
         AND b.product_id IS NOT DISTINCT FROM a.product_id AND b.department_id IS NOT DISTINCT FROM a.department_id
         AND daterange(a.starts_on, a.ends_on) && daterange(b.starts_on, b.ends_on)
    """,
    "R3 shares under a mapped GL code name the mapping": """
        SELECT a.id FROM cost_allocations a JOIN gl_code_mappings m ON m.id = a.gl_mapping_id
        WHERE a.gl_code <> m.gl_code
           OR (m.department_id IS NOT NULL AND m.department_id <> a.department_id)
    """,
    "R5 nobody closed a month whose GL codes he mapped": CLOSED_BY_A_MAPPER,
    "R4 what a run posted of a line is what it took back": """
        SELECT run_id AS id, line_id FROM cost_allocations WHERE run_id IS NOT NULL
        GROUP BY run_id, line_id HAVING sum(net_amount) <> 0 OR sum(tax_amount) <> 0
    """,
}
