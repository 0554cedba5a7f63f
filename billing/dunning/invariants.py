"""What must hold of dunning at every moment. Each query returns the violations."""

CHECKS = {
    "D1 a step of an invoice is noticed once": """
        SELECT min(id::text) AS id, invoice_id, step_id FROM dunning_notices
        GROUP BY invoice_id, step_id HAVING count(*) > 1
    """,
    "D1 steps are those of the case's policy, about the case's invoice": """
        SELECT n.id FROM dunning_notices n
        JOIN dunning_cases c ON c.id = n.case_id JOIN dunning_steps s ON s.id = n.step_id
        WHERE s.policy_id <> c.policy_id OR c.invoice_id <> n.invoice_id OR c.customer_id <> n.customer_id
    """,
    "D2 a reminder that was taken has its letter, to its customer": """
        SELECT n.id FROM dunning_notices n JOIN dunning_steps s ON s.id = n.step_id
        LEFT JOIN dunning_mails m ON m.id = n.mail_id
        WHERE (n.outcome = 'taken' AND s.effect = 'notify') <> (m.id IS NOT NULL) OR m.customer_id <> n.customer_id
    """,
    "D3 a late fee is what its derivation comes to": """
        SELECT f.id, f.amount FROM late_fees f
        WHERE f.basis = 'interest' AND f.amount <> (
            SELECT round(sum((s->>'amount')::numeric * (s->>'days')::integer) * f.percent / 36500,
                         currency_exponent(f.currency))
            FROM jsonb_array_elements(f.derivation->'interest_periods') s
        )
    """,
    "D3 a late fee that was taken is kept, in the invoice's currency": """
        SELECT n.id FROM dunning_notices n JOIN dunning_steps s ON s.id = n.step_id
        JOIN invoices i ON i.id = n.invoice_id LEFT JOIN late_fees f ON f.notice_id = n.id
        WHERE (n.outcome = 'taken' AND s.effect = 'late_fee') <> (f.id IS NOT NULL)
           OR f.currency <> i.currency OR f.invoice_id <> n.invoice_id OR f.step_id <> n.step_id
    """,
    "D4 handed over if and only if stopped": """
        SELECT c.id FROM dunning_cases c
        WHERE c.state <> 'closed' AND (c.state = 'handed_over') <> EXISTS (
            SELECT FROM dunning_notices n JOIN dunning_steps s ON s.id = n.step_id
            WHERE n.case_id = c.id AND s.effect = 'stop' AND n.outcome = 'taken'
        )
    """,
    "D5 one policy at a time, of a seller above the customer": """
        SELECT a.id FROM dunning_assignments a
        JOIN dunning_policies p ON p.id = a.policy_id
        LEFT JOIN dunning_assignments b ON b.customer_id = a.customer_id AND b.seller_id = a.seller_id AND b.id <> a.id
         AND daterange(a.starts_on, a.ends_on) && daterange(b.starts_on, b.ends_on)
        WHERE b.id IS NOT NULL OR p.seller_id <> a.seller_id
    """,
    "D6 no letter is without an outcome for an hour": """
        SELECT id, message_id, sending_since FROM dunning_mails
        WHERE state = 'sending' AND sending_since < now() - interval '1 hour'
    """,
    "D7 nothing comes after a stop": """
        SELECT s.id FROM dunning_steps s JOIN dunning_steps after ON after.policy_id = s.policy_id
         AND after.position > s.position WHERE s.effect = 'stop'
    """,
    "D8 within an hour a case is closed if and only if its invoice is not open": """
        SELECT c.id, i.state FROM dunning_cases c JOIN invoices i ON i.id = c.invoice_id
        WHERE (c.state = 'closed') = (i.state = 'issued') AND i.updated_at < now() - interval '1 hour'
    """,
    "D9 a late fee is billed once, in full, to its customer, and not if it is waived": """
        SELECT f.id FROM late_fees f JOIN late_fee_claims k ON k.fee_id = f.id AND k.released_at IS NULL
        JOIN invoices late ON late.id = f.invoice_id
        JOIN invoice_lines l ON l.id = k.line_id JOIN invoices i ON i.id = l.invoice_id
        WHERE f.state = 'waived'
           OR (f.amount, f.currency, f.customer_id, late.seller_id, 'late_fee')
              IS DISTINCT FROM (l.net_amount, i.currency, i.customer_id, i.seller_id, l.kind)
        UNION
        SELECT fee_id FROM late_fee_claims WHERE released_at IS NULL GROUP BY fee_id HAVING count(*) > 1
    """,
    "D9 a claim is live exactly while its invoice is": """
        SELECT k.id FROM late_fee_claims k
        JOIN invoice_lines l ON l.id = k.line_id JOIN invoices i ON i.id = l.invoice_id
        WHERE (k.released_at IS NULL) = (i.state = 'void')
    """,
    "D9 a line of a late fee is one that it claims": """
        SELECT l.id FROM invoice_lines l LEFT JOIN late_fee_claims k ON k.line_id = l.id
        WHERE l.kind = 'late_fee' AND k.fee_id::text IS DISTINCT FROM l.derivation->>'fee'
    """,
}
