"""What holds of discounts for everyone, also for raw SQL."""

import pgtrigger


def discount_of_one_seller() -> pgtrigger.Trigger:
    """It is taken off what its own seller sells."""
    return pgtrigger.Trigger(
        name="of_one_seller",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        func="""
            IF NOT EXISTS (
                SELECT FROM discounts d JOIN products p ON p.entity_id = d.seller_id
                WHERE d.id = NEW.discount_id AND p.id = NEW.product_id
            ) THEN
                RAISE EXCEPTION 'discount % and product % are not of one seller', NEW.discount_id, NEW.product_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'discount_product_of_seller';
            END IF;
            RETURN NEW;
        """,
    )


def granted_to_its_subscriber() -> pgtrigger.Trigger:
    """A grant on a subscription is the subscriber's, from the seller of both."""
    return pgtrigger.Trigger(
        name="granted_to_subscriber",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        condition=pgtrigger.Q(new__subscription_id__isnull=False),
        func="""
            IF NOT EXISTS (
                SELECT FROM subscriptions s JOIN discounts d ON d.seller_id = s.seller_id
                WHERE s.id = NEW.subscription_id AND d.id = NEW.discount_id AND s.entity_id = NEW.customer_id
            ) THEN
                RAISE EXCEPTION 'subscription % is not one of customer %', NEW.subscription_id, NEW.customer_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'discount_granted_to_subscriber';
            END IF;
            RETURN NEW;
        """,
    )


def uses_are_written_once() -> pgtrigger.Trigger:
    """What was taken off a line stays what it was; only its release is noted later."""
    return pgtrigger.Trigger(
        name="written_once",
        when=pgtrigger.Before,
        operation=pgtrigger.Update,
        func="""
            IF to_jsonb(NEW) - 'released_at' IS DISTINCT FROM to_jsonb(OLD) - 'released_at' THEN
                RAISE EXCEPTION 'use % of a discount is final', OLD.id USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        """,
    )


def discounts_are_used() -> pgtrigger.Trigger:
    """On issue: what each line is discounted by is what its uses say, of grants of the customer by the seller.

    A credit has none: it takes back what its originals were discounted by.
    """
    return pgtrigger.Trigger(
        name="discounts_on_issue",
        when=pgtrigger.After,
        operation=pgtrigger.Update | pgtrigger.Insert,
        timing=pgtrigger.Deferred,
        condition=pgtrigger.Q(new__number__isnull=False),
        func="""
            IF TG_OP = 'UPDATE' AND OLD.number IS NOT NULL THEN RETURN NULL; END IF;
            IF EXISTS (
                SELECT FROM invoice_lines l LEFT JOIN discount_uses u ON u.line_id = l.id
                WHERE l.invoice_id = NEW.id
                GROUP BY l.id
                HAVING greatest(l.discount_amount, 0) <> coalesce(sum(u.amount), 0)
            ) OR EXISTS (
                SELECT FROM invoice_lines l
                JOIN discount_uses u ON u.line_id = l.id
                JOIN discount_grants g ON g.id = u.grant_id JOIN discounts d ON d.id = g.discount_id
                WHERE l.invoice_id = NEW.id
                  AND (g.customer_id, d.seller_id, u.currency) <> (NEW.customer_id, NEW.seller_id, NEW.currency)
            ) THEN
                RAISE EXCEPTION 'the discounts of invoice % are not those of its grants', NEW.number
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_discounts_are_granted';
            END IF;
            RETURN NULL;
        """,
    )
