"""What is claimed has been recorded: every event has its key, and a claim refers to that."""

from django.db import migrations

FORWARD = """
ALTER TABLE usage_claims ADD CONSTRAINT usage_claim_of_a_recorded_event FOREIGN KEY (event_id)
    REFERENCES usage_keys (event_id) DEFERRABLE INITIALLY DEFERRED
"""
BACKWARD = "ALTER TABLE usage_claims DROP CONSTRAINT usage_claim_of_a_recorded_event"


class Migration(migrations.Migration):

    dependencies = [
        ('invoicing', '0005_claims_let_go_of_events'),
        ('usage', '0002_usage_is_partitioned'),
    ]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
