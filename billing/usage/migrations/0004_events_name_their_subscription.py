"""The subscription an event was used under is one there is. The column stays."""

import django.db.models.deletion
from django.db import migrations, models

FORWARD = """
ALTER TABLE usage_events ADD CONSTRAINT usage_events_subscription_id_fk FOREIGN KEY (subscription_id)
    REFERENCES subscriptions (id) DEFERRABLE INITIALLY DEFERRED
"""
BACKWARD = "ALTER TABLE usage_events DROP CONSTRAINT usage_events_subscription_id_fk"


class Migration(migrations.Migration):

    dependencies = [
        ('subscriptions', '0005_license_terms_know_their_end_and_payer'),
        ('usage', '0003_meters_say_how_they_count'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACKWARD)],
            state_operations=[
                migrations.RemoveField(model_name='usageevent', name='subscription_id'),
                migrations.AddField(
                    model_name='usageevent',
                    name='subscription',
                    field=models.ForeignKey(db_index=False, help_text='What it was used under, where it was said.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='usage_events', to='subscriptions.subscription'),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name='usageevent',
            index=models.Index(condition=models.Q(('subscription__isnull', False)), fields=['subscription'], name='usage_by_subscription'),
        ),
    ]
