"""A plan's prices are of products on the plan, and its products are those of its seller."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('subscriptions', '0005_license_terms_know_their_end_and_payer'),
    ]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE prices ADD CONSTRAINT price_of_a_product_on_the_plan"
            " FOREIGN KEY (plan_id, product_id) REFERENCES plan_items (plan_id, product_id)",
            "ALTER TABLE prices DROP CONSTRAINT price_of_a_product_on_the_plan",
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='planitem',
            trigger=pgtrigger.compiler.Trigger(name='of_one_seller', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n            IF NOT EXISTS (\n                SELECT FROM plans JOIN products USING (entity_id)\n                WHERE plans.id = NEW.plan_id AND products.id = NEW.product_id\n            ) THEN\n                RAISE EXCEPTION 'plan % and product % are not of one seller', NEW.plan_id, NEW.product_id\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NEW;\n        ", hash='b4e0f0b3c6664857d2886fac3e872fe5cf01a73c', operation='INSERT', pgid='pgtrigger_of_one_seller_4625c', table='plan_items', when='BEFORE')),
        ),
    ]
