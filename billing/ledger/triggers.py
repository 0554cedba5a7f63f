"""What makes a wrong booking impossible to commit, by anyone, from any client."""

import pgtrigger


def entry_in_open_period() -> pgtrigger.Trigger:
    """The period is open, contains the day and belongs to the books; it cannot close before we commit.

    Also notes the transaction, so that lines can only arrive together with their entry.
    """
    return pgtrigger.Trigger(
        name="in_open_period",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        declare=[("month", "accounting_periods%ROWTYPE")],
        func="""
            SELECT * INTO month FROM accounting_periods WHERE id = NEW.period_id FOR SHARE;
            IF month.state = 'closed' THEN
                RAISE EXCEPTION 'accounting period % is closed', month.starts_on
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'period_is_open';
            END IF;
            IF month.entity_id <> NEW.entity_id OR NEW.posted_on < month.starts_on OR NEW.posted_on >= month.ends_on THEN
                RAISE EXCEPTION 'entry of % does not belong into period %', NEW.posted_on, month.starts_on
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_within_period';
            END IF;
            NEW.transaction_number := pg_current_xact_id()::text::bigint;
            RETURN NEW;
        """,
    )


def entry_balances() -> pgtrigger.Trigger:
    """At COMMIT: at least two lines, debits equal credits per currency; a reversal mirrors exactly.

    One check per entry is enough because lines arrive only in the transaction of their entry.
    """
    return pgtrigger.Trigger(
        name="balances",
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        timing=pgtrigger.Deferred,
        func="""
            IF (SELECT count(*) < 2 FROM journal_lines WHERE entry_id = NEW.id) THEN
                RAISE EXCEPTION 'journal entry % has fewer than two lines', NEW.id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_has_lines';
            END IF;
            IF EXISTS (
                SELECT FROM journal_lines WHERE entry_id = NEW.id GROUP BY currency HAVING sum(debit) <> sum(credit)
            ) THEN
                RAISE EXCEPTION 'journal entry % does not balance', NEW.id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_balances';
            END IF;
            IF NEW.reverses_id IS NOT NULL AND EXISTS (
                (SELECT account_id, currency, debit, credit, customer_id, department_id, product_code, gl_code, count(*)
                   FROM journal_lines WHERE entry_id = NEW.id GROUP BY 1, 2, 3, 4, 5, 6, 7, 8)
                EXCEPT
                (SELECT account_id, currency, credit, debit, customer_id, department_id, product_code, gl_code, count(*)
                   FROM journal_lines WHERE entry_id = NEW.reverses_id GROUP BY 1, 2, 3, 4, 5, 6, 7, 8)
            ) THEN
                RAISE EXCEPTION 'journal entry % is not the mirror of %', NEW.id, NEW.reverses_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'reversal_mirrors';
            END IF;
            RETURN NULL;
        """,
    )


def lines_with_their_entry() -> pgtrigger.Trigger:
    """A line arrives in the transaction of its entry, never later, and in the same books."""
    return pgtrigger.Trigger(
        name="with_their_entry",
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        referencing=pgtrigger.Referencing(new="new_lines"),
        func="""
            IF EXISTS (
                SELECT FROM new_lines l
                JOIN journal_entries e ON e.id = l.entry_id JOIN ledger_accounts a ON a.id = l.account_id
                WHERE e.transaction_number <> pg_current_xact_id()::text::bigint
                   OR e.entity_id <> l.entity_id OR a.entity_id <> l.entity_id
            ) THEN
                RAISE EXCEPTION 'a journal line arrives with its entry and stays in its books'
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'line_belongs_to_entry';
            END IF;
            RETURN NULL;
        """,
    )


def balances_follow_lines() -> pgtrigger.Trigger:
    """Add new lines to the account balances, once per statement, in account order."""
    return pgtrigger.Trigger(
        name="moves_balances",
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        referencing=pgtrigger.Referencing(new="new_lines"),
        func="""
            INSERT INTO account_balances AS b (account_id, period_id, currency, debit, credit)
            SELECT l.account_id, e.period_id, l.currency, sum(l.debit), sum(l.credit)
            FROM new_lines l JOIN journal_entries e ON e.id = l.entry_id
            GROUP BY l.account_id, e.period_id, l.currency ORDER BY l.account_id, e.period_id, l.currency
            ON CONFLICT (account_id, period_id, currency) DO UPDATE
            SET debit = b.debit + excluded.debit, credit = b.credit + excluded.credit;
            RETURN NULL;
        """,
    )


def only_by_trigger() -> pgtrigger.Trigger:
    """Balances are written by the trigger on the lines and by nothing else."""
    return pgtrigger.Trigger(
        name="only_by_trigger",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
        func="""
            IF pg_trigger_depth() < 2 THEN
                RAISE EXCEPTION 'account balances follow the journal lines' USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        """,
    )
