"""What the database itself holds of dunning, also against plain SQL."""

import pgtrigger


def of_draft_policy(table: str) -> pgtrigger.Trigger:
    """Steps and amounts are written with a draft; an active policy is what it was."""
    return pgtrigger.Trigger(
        name="of_draft_only",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        func=f"""
            IF EXISTS (SELECT FROM dunning_policies WHERE id = NEW.policy_id AND state <> 'draft') THEN
                RAISE EXCEPTION '{table} of an active policy are final' USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        """,
    )


def assigned_below_the_seller() -> pgtrigger.Trigger:
    """The policy is one of the seller's, and the customer is below the seller."""
    return pgtrigger.Trigger(
        name="below_the_seller",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        func="""
            IF NOT EXISTS (
                SELECT FROM dunning_policies p, billing_entities s, billing_entities c
                 WHERE p.id = NEW.policy_id AND p.seller_id = NEW.seller_id
                   AND s.id = NEW.seller_id AND c.id = NEW.customer_id AND c.id <> s.id AND starts_with(c.path, s.path)
            ) THEN
                RAISE EXCEPTION 'dunning policy % is not for customer %', NEW.policy_id, NEW.customer_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'dunning_assigned_below_the_seller';
            END IF;
            RETURN NEW;
        """,
    )


def notice_of_the_cases_policy() -> pgtrigger.Trigger:
    """A step of the case's own policy, about the case's own invoice, and none once it was handed over or closed."""
    return pgtrigger.Trigger(
        name="of_the_cases_policy",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        func="""
            IF NOT EXISTS (
                SELECT FROM dunning_cases c JOIN dunning_steps s ON s.policy_id = c.policy_id
                 WHERE c.id = NEW.case_id AND c.invoice_id = NEW.invoice_id AND c.customer_id = NEW.customer_id
                   AND s.id = NEW.step_id AND c.state = 'open'
            ) THEN
                RAISE EXCEPTION 'step % is none of the open case %', NEW.step_id, NEW.case_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'dunning_step_of_the_cases_policy';
            END IF;
            RETURN NEW;
        """,
    )


def case_as_the_invoice_stands() -> pgtrigger.Trigger:
    """A case is opened, handed over and reopened while its invoice is open, and closed once it is not.

    One that was handed over is reopened as that.
    """
    return pgtrigger.Trigger(
        name="as_the_invoice_stands",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert | pgtrigger.UpdateOf("state"),
        declare=[("is_open", "boolean")],
        func="""
            SELECT state = 'issued' INTO is_open FROM invoices WHERE id = NEW.invoice_id FOR NO KEY UPDATE;
            IF is_open = (NEW.state = 'closed') THEN
                RAISE EXCEPTION 'dunning case % does not go with its invoice', NEW.id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'dunning_case_as_the_invoice_stands';
            END IF;
            IF TG_OP = 'UPDATE' AND OLD.state = 'closed' AND (NEW.state = 'handed_over') <> EXISTS (
                SELECT FROM dunning_notices n JOIN dunning_steps s ON s.id = n.step_id
                 WHERE n.case_id = NEW.id AND s.effect = 'stop' AND n.outcome = 'taken'
            ) THEN
                RAISE EXCEPTION 'dunning case % is handed over if and only if it was stopped', NEW.id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'dunning_case_reopened_as_it_was';
            END IF;
            RETURN NEW;
        """,
    )


def waived_unless_billed() -> pgtrigger.Trigger:
    """A late fee that is on a live invoice, or on a draft, is not waived."""
    return pgtrigger.Trigger(
        name="waived_unless_billed",
        when=pgtrigger.Before,
        operation=pgtrigger.UpdateOf("state"),
        condition=pgtrigger.Q(new__state="waived"),
        func="""
            IF EXISTS (SELECT FROM late_fee_claims WHERE fee_id = NEW.id AND released_at IS NULL) THEN
                RAISE EXCEPTION 'late fee % is billed', NEW.id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'late_fee_waived_unless_billed';
            END IF;
            RETURN NEW;
        """,
    )


def claimed_unless_waived() -> pgtrigger.Trigger:
    """A waived late fee is on no line. The fee is locked, so that nobody waives it meanwhile."""
    return pgtrigger.Trigger(
        name="claimed_unless_waived",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        declare=[("fee_state", "text")],
        func="""
            SELECT state INTO fee_state FROM late_fees WHERE id = NEW.fee_id FOR NO KEY UPDATE;
            IF fee_state = 'waived' THEN
                RAISE EXCEPTION 'late fee % is waived', NEW.fee_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'late_fee_claimed_unless_waived';
            END IF;
            RETURN NEW;
        """,
    )


def line_has_the_fees_amount() -> pgtrigger.Trigger:
    """At COMMIT: a line bills its late fee in full, to the debtor, as what it is, by who sold to the debtor."""
    return pgtrigger.Trigger(
        name="fee_in_full",
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        timing=pgtrigger.Deferred,
        func="""
            IF EXISTS (
                SELECT FROM late_fees f JOIN invoices late ON late.id = f.invoice_id
                JOIN invoice_lines l ON l.id = NEW.line_id
                JOIN invoices i ON i.id = l.invoice_id
                WHERE f.id = NEW.fee_id
                  AND (f.amount, f.currency, f.customer_id, late.seller_id, 'late_fee')
                      IS DISTINCT FROM (l.net_amount, i.currency, i.customer_id, i.seller_id, l.kind)
            ) THEN
                RAISE EXCEPTION 'line % does not bill its late fee in full', NEW.line_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'late_fee_billed_in_full';
            END IF;
            RETURN NULL;
        """,
    )
