"""Sums and numbers that hold for everyone, also for raw SQL. Sums of children are checked at COMMIT,
under a lock on the parent: without it two transactions could each see half of the sum."""

import pgtrigger


def draft_parent_only(table: str) -> pgtrigger.Trigger:
    """Lines and taxes come, change and go only while their invoice is a draft."""
    return pgtrigger.Trigger(
        name="draft_parent_only",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
        declare=[("parent_state", "text")],
        func=f"""
            SELECT state INTO parent_state FROM invoices
             WHERE id = CASE TG_OP WHEN 'DELETE' THEN OLD.invoice_id ELSE NEW.invoice_id END FOR NO KEY UPDATE;
            IF parent_state <> 'draft' THEN
                RAISE EXCEPTION '{table} of an issued invoice are final' USING ERRCODE = 'restrict_violation';
            END IF;
            IF TG_OP = 'UPDATE' AND OLD.invoice_id <> NEW.invoice_id THEN
                RAISE EXCEPTION '{table} stay with their invoice' USING ERRCODE = 'restrict_violation';
            END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
        """,
    )


def lines_sum_to_invoice() -> pgtrigger.Trigger:
    """On issue: lines make the net, taxes make the tax (EN 16931 BR-CO-10, BR-CO-14), currencies agree,
    and every line is allocated to the cent."""
    return pgtrigger.Trigger(
        name="sums_on_issue",
        when=pgtrigger.After,
        operation=pgtrigger.Update | pgtrigger.Insert,
        timing=pgtrigger.Deferred,
        condition=pgtrigger.Q(new__number__isnull=False),
        func="""
            IF TG_OP = 'UPDATE' AND OLD.number IS NOT NULL THEN RETURN NULL; END IF;
            IF NEW.net_amount <> (SELECT coalesce(sum(net_amount), 0) FROM invoice_lines WHERE invoice_id = NEW.id)
               OR NEW.tax_amount <> (SELECT coalesce(sum(tax_amount), 0) FROM invoice_taxes WHERE invoice_id = NEW.id)
               OR NEW.net_amount <> (SELECT coalesce(sum(taxable_amount), 0) FROM invoice_taxes WHERE invoice_id = NEW.id)
            THEN
                RAISE EXCEPTION 'the lines of invoice % do not make its totals', NEW.number
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_lines_make_total';
            END IF;
            IF EXISTS (SELECT FROM invoice_lines WHERE invoice_id = NEW.id AND currency <> NEW.currency)
               OR EXISTS (SELECT FROM invoice_taxes WHERE invoice_id = NEW.id AND currency <> NEW.currency)
            THEN
                RAISE EXCEPTION 'invoice % mixes currencies', NEW.number
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_one_currency';
            END IF;
            IF EXISTS (
                SELECT FROM invoice_lines l LEFT JOIN cost_allocations a ON a.line_id = l.id
                WHERE l.invoice_id = NEW.id GROUP BY l.id HAVING coalesce(sum(a.net_amount), 0) <> l.net_amount OR count(a.id) = 0
            ) OR NEW.tax_amount <> (SELECT coalesce(sum(tax_amount), 0) FROM cost_allocations WHERE invoice_id = NEW.id)
            THEN
                RAISE EXCEPTION 'invoice % is not allocated to the cent', NEW.number
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_fully_allocated';
            END IF;
            RETURN NULL;
        """,
    )


def posted_with_their_line() -> pgtrigger.Trigger:
    """Shares are of their line's invoice and currency. Those of the issue come while it is a draft: the issue then
    checks all of them, and `sum_to_line` every later one."""
    return pgtrigger.Trigger(
        name="with_their_line",
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        referencing=pgtrigger.Referencing(new="new_rows"),
        func="""
            PERFORM FROM invoices WHERE id IN (SELECT invoice_id FROM new_rows) ORDER BY id FOR NO KEY UPDATE;
            IF EXISTS (
                SELECT FROM new_rows a JOIN invoice_lines l ON l.id = a.line_id JOIN invoices i ON i.id = a.invoice_id
                WHERE (l.invoice_id, l.currency) <> (a.invoice_id, a.currency)
                   OR (a.basis NOT IN ('manual', 'void', 'credit') AND a.run_id IS NULL AND i.state <> 'draft')
            ) THEN
                RAISE EXCEPTION 'shares are posted with the issue of their line'
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'share_posted_with_its_line';
            END IF;
            RETURN NULL;
        """,
    )


# EN 16931 BR-IC-2 to 4, BR-AF-2 to 4, BR-AG-2 to 4 (IGIC and IPSI), and where each of them can be owed at all.
MISPLACED = """
    (t.category IN ('K', 'L', 'M') AND coalesce({snapshot}->'seller'->>'tax_id', '') = '')
    OR (t.category = 'K' AND (coalesce({snapshot}->'customer'->>'tax_id', '') = ''
                              OR {snapshot}->'seller'->>'country' = {snapshot}->'customer'->>'country'))
    OR (t.category IN ('L', 'M') AND (
            {snapshot}->'seller'->>'country' <> CASE t.category WHEN 'L' THEN 'IC' ELSE 'EA' END
            OR {snapshot}->'seller'->>'country' <> {snapshot}->'customer'->>'country'))
"""


def taxed_where_it_can_be() -> pgtrigger.Trigger:
    """On issue: an intra-Community supply is between two tax ids in two countries, IGIC and IPSI are owed in their own
    territory to a seller with a tax id."""
    return pgtrigger.Trigger(
        name="taxed_where_it_can_be",
        when=pgtrigger.After,
        operation=pgtrigger.Update | pgtrigger.Insert,
        timing=pgtrigger.Deferred,
        condition=pgtrigger.Q(new__number__isnull=False),
        func=f"""
            IF TG_OP = 'UPDATE' AND OLD.number IS NOT NULL THEN RETURN NULL; END IF;
            IF EXISTS (
                SELECT FROM invoice_taxes t
                WHERE t.invoice_id = NEW.id AND ({MISPLACED.format(snapshot="NEW.snapshot")})
            ) THEN
                RAISE EXCEPTION 'invoice % bears a tax that its parties cannot owe', NEW.number
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_taxed_where_it_can_be';
            END IF;
            RETURN NULL;
        """,
    )


def allocations_sum_to_lines() -> pgtrigger.Trigger:
    """After issue: whatever is reversed, posted anew and credited, the shares of a line still make what is left
    of its net, and those of a void invoice nothing. Once something of a line is credited its shares stay: credits go
    back where the cost was."""
    return pgtrigger.Trigger(
        name="sum_to_line",
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        timing=pgtrigger.Deferred,
        declare=[("invoice", "invoices%ROWTYPE")],
        func="""
            IF NEW.basis NOT IN ('manual', 'void', 'credit') AND NEW.run_id IS NULL THEN
                RETURN NULL;  -- posted with the issue, which checks the whole invoice once
            END IF;
            SELECT * INTO invoice FROM invoices WHERE id = NEW.invoice_id FOR NO KEY UPDATE;
            IF (SELECT sum(net_amount) FROM cost_allocations WHERE line_id = NEW.line_id)
               <> (CASE invoice.state WHEN 'void' THEN 0 ELSE (SELECT net_amount FROM invoice_lines WHERE id = NEW.line_id)
                   - (SELECT coalesce(sum(net_amount), 0) FROM credit_note_lines WHERE line_id = NEW.line_id) END)
               OR (SELECT sum(tax_amount) FROM cost_allocations WHERE invoice_id = NEW.invoice_id)
               <> (CASE invoice.state WHEN 'void' THEN 0 ELSE invoice.tax_amount
                   - (SELECT coalesce(sum(tax_amount), 0) FROM credit_notes WHERE invoice_id = NEW.invoice_id) END)
            THEN
                RAISE EXCEPTION 'the shares of line % do not make its amount', NEW.line_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'line_fully_allocated';
            END IF;
            IF NEW.reverses_id IS NOT NULL AND invoice.state <> 'void'
               AND EXISTS (SELECT FROM cost_allocations WHERE line_id = NEW.line_id AND basis = 'credit')
            THEN
                RAISE EXCEPTION 'a part of line % was credited: its shares stay', NEW.line_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'credited_shares_stay';
            END IF;
            RETURN NULL;
        """,
    )


def numbered_without_gap(table: str = "invoices", prefix: str = "invoice") -> pgtrigger.Trigger:
    """At COMMIT: a new number of the table is at most its series' counter, and follows the one before it.

    A series has one table, so that nobody looks elsewhere for the number before.
    """
    return pgtrigger.Trigger(
        name="numbered_by_series",
        when=pgtrigger.After,
        operation=pgtrigger.Insert | pgtrigger.Update,
        timing=pgtrigger.Deferred,
        condition=pgtrigger.Q(new__number__isnull=False),
        func=f"""
            IF TG_OP = 'UPDATE' AND OLD.number IS NOT NULL THEN RETURN NULL; END IF;
            IF NOT EXISTS (
                SELECT FROM number_series s WHERE s.seller_id = NEW.seller_id AND s.series = NEW.series
                   AND s.fiscal_year = NEW.fiscal_year AND s.last >= NEW.sequence
            ) OR (NEW.sequence > 1 AND NOT EXISTS (
                SELECT FROM {table} p WHERE p.seller_id = NEW.seller_id AND p.series = NEW.series
                   AND p.fiscal_year = NEW.fiscal_year AND p.sequence = NEW.sequence - 1
            )) THEN
                RAISE EXCEPTION 'number % leaves a gap in its series', NEW.number
                    USING ERRCODE = 'check_violation', CONSTRAINT = '{prefix}_numbers_without_gap';
            END IF;
            RETURN NULL;
        """,
    )


def written_off_as_booked() -> pgtrigger.Trigger:
    """At COMMIT: what an invoice says is written off is what the books have as its bad debt (account 6100)."""
    return pgtrigger.Trigger(
        name="written_off_as_booked",
        when=pgtrigger.After,
        operation=pgtrigger.UpdateOf("written_off_amount"),
        timing=pgtrigger.Deferred,
        func="""
            IF (SELECT written_off_amount FROM invoices WHERE id = NEW.id FOR NO KEY UPDATE) <> (
                SELECT coalesce(sum(l.debit - l.credit), 0) FROM journal_entries e
                JOIN journal_lines l ON l.entry_id = e.id JOIN ledger_accounts a ON a.id = l.account_id
                WHERE e.source = 'invoice:' || NEW.id AND a.code = '6100'
            ) THEN
                RAISE EXCEPTION 'invoice % is not written off as it says', NEW.id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_written_off_as_booked';
            END IF;
            RETURN NULL;
        """,
    )


def claims_follow_invoice(claimed: str) -> list[pgtrigger.Trigger]:
    """A claim goes with its draft, and stays with an issued invoice: released once, when that is void."""

    def trigger(name: str, operation: pgtrigger.Operation, wrong: str, **tables: str) -> pgtrigger.Trigger:
        return pgtrigger.Trigger(
            name=name,
            level=pgtrigger.Statement,
            when=pgtrigger.After,
            operation=operation,
            referencing=pgtrigger.Referencing(**tables),
            func=f"""
                IF EXISTS ({wrong}) THEN
                    RAISE EXCEPTION '% follow their invoice', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
                END IF;
                RETURN NULL;
            """,
        )

    parent = "JOIN invoice_lines l ON l.id = o.line_id JOIN invoices i ON i.id = l.invoice_id"
    return [
        trigger(
            "deleted_with_draft",
            pgtrigger.Delete,
            f"SELECT FROM old_rows o {parent} WHERE i.state <> 'draft'",
            old="old_rows",
        ),
        trigger(
            "released_with_void",
            pgtrigger.Update,
            f"""SELECT FROM old_rows o JOIN new_rows n ON n.id = o.id {parent}
                WHERE (n.{claimed}, n.line_id) <> (o.{claimed}, o.line_id)
                   OR (o.released_at IS NOT NULL AND n.released_at IS DISTINCT FROM o.released_at)
                   OR (n.released_at IS NOT NULL AND i.state <> 'void')""",
            old="old_rows",
            new="new_rows",
        ),
    ]


def document_of_issued_only() -> pgtrigger.Trigger:
    """A draft may still change, so nothing is kept of how it looked."""
    return pgtrigger.Trigger(
        name="of_issued_only",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        func="""
            IF EXISTS (SELECT FROM invoices WHERE id = NEW.invoice_id AND number IS NULL) THEN
                RAISE EXCEPTION 'a draft has no document' USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        """,
    )


def line_has_the_charges_amount() -> pgtrigger.Trigger:
    """At COMMIT: a line bills its charge at the charge's own amount, before discounts, to the subscriber; with tax
    exactly if the price includes it."""
    return pgtrigger.Trigger(
        name="charge_in_full",
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        timing=pgtrigger.Deferred,
        func="""
            IF EXISTS (
                SELECT FROM subscription_charges c
                JOIN subscriptions s ON s.id = c.subscription_id
                JOIN subscription_items t ON t.id = c.item_id
                JOIN prices p ON p.id = t.price_id
                JOIN invoice_lines l ON l.id = NEW.line_id
                JOIN invoices i ON i.id = l.invoice_id
                WHERE c.id = NEW.charge_id
                  AND (c.amount, p.tax_inclusive, c.currency, s.entity_id, s.seller_id)
                      IS DISTINCT FROM (coalesce(l.inclusive_amount, l.gross_amount), l.inclusive_amount IS NOT NULL,
                                        i.currency, i.customer_id, i.seller_id)
            ) THEN
                RAISE EXCEPTION 'line % does not bill its charge in full', NEW.line_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'charge_billed_in_full';
            END IF;
            RETURN NULL;
        """,
    )
