"""Ranges of one text, for exclusion constraints without an extension."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("invoicing", "0008_usage_is_rated_anew"), ("subscriptions", "0003_ranges_and_tiers")]
    operations = [
        migrations.RunSQL('CREATE TYPE textrange AS RANGE (subtype = text, collation = "C")', "DROP TYPE textrange")
    ]
