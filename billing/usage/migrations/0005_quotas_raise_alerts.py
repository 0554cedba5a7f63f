"""Quotas count every aggregation, and say when a threshold of theirs is reached."""

import billing.kernel.fields
import billing.kernel.ids
import billing.usage.models
import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from decimal import Decimal
from django.db import migrations, models


# A CHECK holds no subquery, so that thresholds ascend is said by a function.
MAKE_RULE = """
CREATE FUNCTION are_thresholds(percents smallint[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT cardinality(percents) <= 10 AND NOT EXISTS (
        SELECT FROM (
            SELECT percent, lag(percent, 1, 0::smallint) OVER (ORDER BY place) AS before
            FROM unnest(percents) WITH ORDINALITY AS given (percent, place)
        ) given WHERE percent IS NULL OR percent NOT BETWEEN 1 AND 1000 OR percent <= before
    )
$$;
COMMENT ON FUNCTION are_thresholds IS 'At most ten whole percents from 1 to 1000, ascending';
ALTER TABLE quotas ADD CONSTRAINT quota_thresholds_ascend CHECK (are_thresholds(thresholds));
"""
DROP_RULE = """
ALTER TABLE quotas DROP CONSTRAINT quota_thresholds_ascend;
DROP FUNCTION are_thresholds(smallint[]);
"""
# What had been reached when there were no alerts yet.
RECORD_REACHED = """
INSERT INTO quota_alerts (id, quota_id, "window", starts_on, threshold, limit_quantity, used_quantity)
SELECT gen_random_uuid(), q.id, q."window", c.starts_on, threshold, q.limit_quantity, c.used_quantity
FROM quota_counters c JOIN quotas q ON q.id = c.quota_id, unnest(q.thresholds) threshold
WHERE c.used_quantity > 0 AND c.used_quantity * 100 >= q.limit_quantity * threshold
"""


class Migration(migrations.Migration):

    dependencies = [
        ('usage', '0004_events_name_their_subscription'),
    ]

    operations = [
        migrations.AddField(
            model_name='quota',
            name='thresholds',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.PositiveSmallIntegerField(), blank=True, default=billing.usage.models.usual_thresholds, help_text='Percents of the limit at which an alert is raised, ascending.', size=None),
        ),
        migrations.AddField(
            model_name='quotacounter',
            name='latest_at',
            field=models.DateTimeField(help_text='When the level of a latest-level meter was so.', null=True),
        ),
        migrations.AddField(
            model_name='quotacounter',
            name='latest_event_id',
            field=models.UUIDField(null=True),
        ),
        migrations.CreateModel(
            name='QuotaAlert',
            fields=[
                ('id', models.UUIDField(default=billing.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('window', models.CharField(choices=[('day', 'Day'), ('month', 'Month'), ('ever', 'Ever')], max_length=5)),
                ('starts_on', models.DateField(help_text='The first day of the window.')),
                ('threshold', models.PositiveSmallIntegerField(help_text='Percent of the limit.')),
                ('limit_quantity', billing.kernel.fields.ExactField()),
                ('used_quantity', billing.kernel.fields.ExactField()),
                ('raised_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('quota', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='alerts', to='usage.quota')),
            ],
            options={
                'db_table': 'quota_alerts',
                'abstract': False,
                'default_permissions': ('view',),
                'constraints': [models.UniqueConstraint(fields=('quota', 'window', 'starts_on', 'threshold'), name='one_alert_per_threshold'), models.CheckConstraint(condition=billing.kernel.fields.IsFinite(models.F('limit_quantity'), models.F('used_quantity')), name='quota_alert_finite'), models.CheckConstraint(condition=models.Q(('used_quantity__gt', 0), ('used_quantity__gte', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('limit_quantity'), '*', models.F('threshold')), '/', models.Value(Decimal('100'))))), name='quota_alert_was_reached')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='quotaalert',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';", hash='7872068b8bf16e3719fa3d3d796fc0f632544621', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_1612d', table='quota_alerts', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='quotaalert',
            trigger=pgtrigger.compiler.Trigger(name='never_truncated', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION '% is never truncated', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';", hash='5d874da4fe93b040a958da37390005ad4f3452b0', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_never_truncated_c3b2a', table='quota_alerts', when='BEFORE')),
        ),
        migrations.RunSQL(MAKE_RULE, DROP_RULE),
        migrations.RunSQL(RECORD_REACHED, migrations.RunSQL.noop),
    ]
