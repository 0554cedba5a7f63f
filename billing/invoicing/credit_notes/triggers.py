"""What holds between credit notes and invoices for everyone, also for raw SQL. Sums are checked at COMMIT, under a
lock on the invoice: two notes over one invoice come one after the other."""

import pgtrigger


def of_a_new_credit_note() -> pgtrigger.Trigger:
    """At COMMIT: lines and taxes come with their note, none is added to it later."""
    return pgtrigger.Trigger(
        name="of_a_new_credit_note",
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        timing=pgtrigger.Deferred,
        func="""
            IF NOT EXISTS (
                SELECT FROM credit_notes n WHERE n.id = NEW.credit_note_id AND n.created_at = transaction_timestamp()
            ) THEN
                RAISE EXCEPTION '% come with their credit note', TG_TABLE_NAME
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'comes_with_its_credit_note';
            END IF;
            RETURN NULL;
        """,
    )


def lines_sum_to_credit_note() -> pgtrigger.Trigger:
    """At COMMIT: lines and taxes make the note, the shares taken back are its own, and it is the invoice's."""
    return pgtrigger.Trigger(
        name="sums_on_issue",
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        timing=pgtrigger.Deferred,
        declare=[("invoice", "invoices%ROWTYPE")],
        func="""
            SELECT * INTO invoice FROM invoices WHERE id = NEW.invoice_id FOR NO KEY UPDATE;
            IF (NEW.seller_id, NEW.customer_id, NEW.currency)
               IS DISTINCT FROM (invoice.seller_id, invoice.customer_id, invoice.currency)
               OR invoice.number IS NULL OR invoice.state = 'void'
               OR NEW.issued_on < invoice.issued_on
               OR EXISTS (SELECT FROM credit_note_lines WHERE credit_note_id = NEW.id AND currency <> NEW.currency)
               OR EXISTS (SELECT FROM credit_note_taxes WHERE credit_note_id = NEW.id AND currency <> NEW.currency)
            THEN
                RAISE EXCEPTION 'credit note % is not one of its invoice', NEW.number
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'credit_note_of_its_invoice';
            END IF;
            IF NEW.net_amount <> (SELECT coalesce(sum(net_amount), 0) FROM credit_note_lines WHERE credit_note_id = NEW.id)
               OR NEW.net_amount <> (SELECT coalesce(sum(taxable_amount), 0) FROM credit_note_taxes WHERE credit_note_id = NEW.id)
               OR NEW.tax_amount <> (SELECT coalesce(sum(tax_amount), 0) FROM credit_note_taxes WHERE credit_note_id = NEW.id)
            THEN
                RAISE EXCEPTION 'the lines of credit note % do not make its totals', NEW.number
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'credit_note_lines_make_total';
            END IF;
            IF NEW.tax_amount <> -(SELECT coalesce(sum(tax_amount), 0) FROM cost_allocations WHERE credit_note_id = NEW.id)
               OR EXISTS (
                   SELECT FROM credit_note_lines l
                   WHERE l.credit_note_id = NEW.id AND -l.net_amount <> (
                       SELECT coalesce(sum(a.net_amount), 0) FROM cost_allocations a
                       WHERE a.credit_note_id = NEW.id AND a.line_id = l.line_id
                   )
               )
            THEN
                RAISE EXCEPTION 'credit note % is not allocated to the cent', NEW.number
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'credit_note_fully_allocated';
            END IF;
            IF invoice.total_amount < (SELECT sum(total_amount) FROM credit_notes WHERE invoice_id = NEW.invoice_id)
               OR invoice.tax_amount < (SELECT sum(tax_amount) FROM credit_notes WHERE invoice_id = NEW.invoice_id)
            THEN
                RAISE EXCEPTION 'more is credited than invoice % charged', invoice.number
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'credited_within_invoice';
            END IF;
            RETURN NULL;
        """,
    )


def credited_within_invoice() -> pgtrigger.Trigger:
    """At COMMIT: a line belongs to the note's invoice, and all notes together take back at most all of it."""
    return pgtrigger.Trigger(
        name="credited_within_line",
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        timing=pgtrigger.Deferred,
        declare=[("line", "invoice_lines%ROWTYPE"), ("credited", "numeric")],
        func="""
            SELECT l.* INTO line FROM invoice_lines l WHERE l.id = NEW.line_id;
            PERFORM FROM invoices WHERE id = line.invoice_id FOR NO KEY UPDATE;
            SELECT sum(net_amount) INTO credited FROM credit_note_lines WHERE line_id = NEW.line_id;
            IF NOT EXISTS (
                   SELECT FROM credit_notes n WHERE n.id = NEW.credit_note_id AND n.invoice_id = line.invoice_id
               )
               OR sign(credited) * sign(line.net_amount) < 0 OR abs(credited) > abs(line.net_amount)
            THEN
                RAISE EXCEPTION 'more is credited than line % charged', NEW.line_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'credited_within_line';
            END IF;
            RETURN NULL;
        """,
    )
