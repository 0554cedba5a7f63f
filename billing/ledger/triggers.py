"""What makes a wrong booking impossible to commit, by anyone, from any client."""

import pgtrigger

from billing.kernel.advisory_locks import LEDGER_MONTHS, PERIOD_CLOSING


def entry_in_open_period() -> pgtrigger.Trigger:
    """The period is open, contains the day and belongs to the books; it cannot close before we commit.

    The lock on the row decides. The advisory one before it is only fair: row locks that are shared let newcomers
    pass, and whoever closes a busy month would wait for ever.
    Also notes the transaction, so that lines can only arrive together with their entry.
    """
    return pgtrigger.Trigger(
        name="in_open_period",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        declare=[("month", "accounting_periods%ROWTYPE")],
        func="""
            PERFORM LOCK_CLOSING;
            SELECT * INTO month FROM accounting_periods WHERE id = NEW.period_id FOR SHARE;
            IF month.state = 'closed' THEN
                RAISE EXCEPTION 'accounting period % is closed', month.starts_on
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'period_is_open';
            END IF;
            IF month.entity_id <> NEW.entity_id
               OR NEW.posted_on < month.starts_on OR NEW.posted_on >= month.ends_on THEN
                RAISE EXCEPTION 'entry of % does not belong into period %', NEW.posted_on, month.starts_on
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_within_period';
            END IF;
            NEW.transaction_number := pg_current_xact_id()::text::bigint;
            NEW.created_at := transaction_timestamp();  -- a restored cluster counts transactions anew
            RETURN NEW;
        """.replace("LOCK_CLOSING", PERIOD_CLOSING.sql("NEW.period_id", shared=True)),
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
                SELECT FROM journal_lines WHERE entry_id = NEW.id
                 GROUP BY currency HAVING sum(debit) <> sum(credit)
            ) THEN
                RAISE EXCEPTION 'journal entry % does not balance', NEW.id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_balances';
            END IF;
            IF NEW.reverses_id IS NOT NULL AND EXISTS (
                SELECT FROM (
                    SELECT account_id, currency, customer_id, department_id, product_code, gl_code,
                           contract_reference, debit, credit, 1 AS times
                      FROM journal_lines WHERE entry_id = NEW.id
                    UNION ALL
                    SELECT account_id, currency, customer_id, department_id, product_code, gl_code,
                           contract_reference, credit, debit, -1
                      FROM journal_lines WHERE entry_id = NEW.reverses_id
                ) AS both_sides
                GROUP BY account_id, currency, customer_id, department_id, product_code, gl_code,
                         contract_reference, debit, credit
                HAVING sum(times) <> 0
            ) THEN
                RAISE EXCEPTION 'journal entry % is not the mirror of %', NEW.id, NEW.reverses_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'reversal_mirrors';
            END IF;
            IF NEW.reverses_id IS NOT NULL AND EXISTS (
                SELECT FROM journal_entries WHERE id = NEW.reverses_id AND reverses_id IS NOT NULL
            ) THEN
                RAISE EXCEPTION 'journal entry % is itself a reversal', NEW.reverses_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'reversal_is_final';
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
                   OR e.created_at <> transaction_timestamp()
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
                RAISE EXCEPTION 'account balances follow the journal lines'
                    USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        """,
    )


def months_follow_each_other() -> pgtrigger.Trigger:
    """Months have no gap between them and none appears before a closed one: it would be open behind its back.

    Months are made and closed one at a time per entity, under an advisory lock that comes before row locks.
    """
    return pgtrigger.Trigger(
        name="follow_each_other",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        func="""
            PERFORM LOCK_BOOKS;
            IF EXISTS (
                SELECT FROM accounting_periods WHERE entity_id = NEW.entity_id AND starts_on = NEW.starts_on
            ) THEN
                RETURN NEW;  -- a rival made it: the unique constraint says so
            END IF;
            IF NEW.state <> 'open' THEN
                RAISE EXCEPTION 'an accounting period begins open'
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'period_begins_open';
            END IF;
            IF EXISTS (SELECT FROM accounting_periods WHERE entity_id = NEW.entity_id) AND NOT EXISTS (
                SELECT FROM accounting_periods WHERE entity_id = NEW.entity_id
                   AND (ends_on = NEW.starts_on OR starts_on = NEW.ends_on)
            ) THEN
                RAISE EXCEPTION 'accounting period % would leave a gap', NEW.starts_on
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'periods_have_no_gap';
            END IF;
            IF EXISTS (
                SELECT FROM accounting_periods
                 WHERE entity_id = NEW.entity_id AND starts_on > NEW.starts_on AND state = 'closed'
            ) THEN
                RAISE EXCEPTION 'the books before % are closed', NEW.starts_on
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'period_is_open';
            END IF;
            RETURN NEW;
        """.replace("LOCK_BOOKS", LEDGER_MONTHS.sql("NEW.entity_id")),
    )


def months_close_in_order() -> pgtrigger.Trigger:
    """The closed months are the earliest ones: a month closes after those before it and reopens first."""
    return pgtrigger.Trigger(
        name="close_in_order",
        when=pgtrigger.Before,
        operation=pgtrigger.UpdateOf("state"),
        func="""
            PERFORM LOCK_BOOKS;
            IF NEW.state = 'closed' AND EXISTS (
                SELECT FROM accounting_periods
                 WHERE entity_id = NEW.entity_id AND starts_on < NEW.starts_on AND state <> 'closed'
            ) OR OLD.state = 'closed' AND NEW.state <> 'closed' AND EXISTS (
                SELECT FROM accounting_periods
                 WHERE entity_id = NEW.entity_id AND starts_on > NEW.starts_on AND state = 'closed'
            ) THEN
                RAISE EXCEPTION 'accounting periods close in order and reopen in the opposite one'
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'periods_close_in_order';
            END IF;
            RETURN NEW;
        """.replace("LOCK_BOOKS", LEDGER_MONTHS.sql("NEW.entity_id")),
    )
