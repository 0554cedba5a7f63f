"""Events become partitioned, and no foreign key can refer to a part of a partitioned table's key."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('invoicing', '0004_number_series_are_called_so'),
        ('usage', '0001_initial'),
    ]
    run_before = [('usage', '0002_usage_is_partitioned')]

    operations = [
        migrations.AlterField(
            model_name='usageclaim',
            name='event',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='claims', to='usage.usageevent'),
        ),
    ]
