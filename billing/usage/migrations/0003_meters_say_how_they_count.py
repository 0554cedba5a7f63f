"""Aggregations, filters and groups of meters; and what counts of each day, added up as it comes."""

import billing.kernel.fields
import django.db.models.deletion
import django.db.models.lookups
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


# What was recorded so far: all of it counted, in no group.
ADD_UP = """
INSERT INTO usage_rollups (entity_id, billed_on, meter_id, department_id, currency, group_key, group_values,
    event_count, quantity, cost, maximum, latest_at, latest_event_id, latest_quantity)
SELECT entity_id, billed_on, meter_id, department_id, currency, '', '{}', count(*), sum(quantity), sum(cost),
    max(quantity), max(occurred_at), (array_agg(id ORDER BY occurred_at DESC, id DESC))[1],
    (array_agg(quantity ORDER BY occurred_at DESC, id DESC))[1]
FROM usage_events GROUP BY entity_id, billed_on, meter_id, department_id, currency
"""


class Migration(migrations.Migration):

    dependencies = [
        ('entities', '0003_departments_stay_in_their_entity'),
        ('subscriptions', '0002_prices_have_a_figure'),
        ('usage', '0002_usage_is_partitioned'),
    ]

    operations = [
        migrations.CreateModel(
            name='UsageRollup',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('billed_on', models.DateField()),
                ('currency', billing.kernel.fields.CurrencyField(blank=True, help_text='Of the cost.')),
                ('group_key', models.CharField(blank=True, max_length=64)),
                ('group_values', models.JSONField(default=dict)),
                ('event_count', models.PositiveBigIntegerField()),
                ('quantity', models.DecimalField(decimal_places=12, max_digits=40)),
                ('cost', models.DecimalField(decimal_places=12, max_digits=40, null=True)),
                ('maximum', billing.kernel.fields.ExactField()),
                ('latest_at', models.DateTimeField()),
                ('latest_event_id', models.UUIDField(help_text='Of two events of one moment, the one with the greater id.')),
                ('latest_quantity', billing.kernel.fields.ExactField()),
            ],
            options={
                'db_table': 'usage_rollups',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='UsageUnique',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('value', models.CharField(max_length=200)),
                ('billed_on', models.DateField()),
                ('currency', billing.kernel.fields.CurrencyField(blank=True)),
                ('group_key', models.CharField(blank=True, max_length=64)),
            ],
            options={
                'db_table': 'usage_uniques',
                'default_permissions': (),
            },
        ),
        migrations.RemoveConstraint(
            model_name='meter',
            name='meter_aggregation_known',
        ),
        migrations.AddField(
            model_name='meter',
            name='allows_negative',
            field=models.BooleanField(default=False, help_text='May a negative quantity correct what was reported?'),
        ),
        migrations.AddField(
            model_name='meter',
            name='counted_property',
            field=models.CharField(blank=True, help_text='Whose different values a unique count counts.', max_length=100),
        ),
        migrations.AddField(
            model_name='meter',
            name='filters',
            field=models.JSONField(blank=True, default=list, help_text='An event counts if each of these properties has one of its values.'),
        ),
        migrations.AddField(
            model_name='meter',
            name='group_by',
            field=models.JSONField(blank=True, default=list, help_text='Properties: each combination of values is counted by itself.'),
        ),
        migrations.AddField(
            model_name='meter',
            name='late_days',
            field=models.PositiveSmallIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='meter',
            name='late_policy',
            field=models.CharField(choices=[('same_invoice_if_draft', 'Same Invoice If Draft'), ('adjust_next', 'Adjust Next'), ('reject_after_days', 'Reject After Days')], default='same_invoice_if_draft', max_length=21),
        ),
        migrations.AddField(
            model_name='usageevent',
            name='counts',
            field=models.BooleanField(db_default=True, help_text="Does it match the meter's filters? Else it is kept, and nothing more."),
        ),
        migrations.AddField(
            model_name='usageevent',
            name='group_key',
            field=models.CharField(blank=True, db_default='', help_text="SHA-256 of the group's values; empty for none.", max_length=64),
        ),
        migrations.AddField(
            model_name='usageevent',
            name='group_values',
            field=models.JSONField(db_default=models.Value({}, models.JSONField()), help_text='The properties the meter groups by, as text.'),
        ),
        migrations.AddField(
            model_name='usageevent',
            name='subscription_id',
            field=models.UUIDField(help_text='The subscription it was used under, if it was said.', null=True),
        ),
        migrations.AlterField(
            model_name='meter',
            name='aggregation',
            field=models.CharField(choices=[('sum', 'Sum'), ('count', 'Count'), ('max', 'Max'), ('latest', 'Latest'), ('unique_count', 'Unique Count')], default='sum', max_length=12),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='meter',
            trigger=pgtrigger.compiler.Trigger(name='definition_stays', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n            IF (NEW.aggregation, NEW.filters, NEW.group_by, NEW.counted_property)\n               IS DISTINCT FROM (OLD.aggregation, OLD.filters, OLD.group_by, OLD.counted_property)\n               AND EXISTS (SELECT FROM usage_events WHERE meter_id = OLD.id) THEN\n                RAISE EXCEPTION 'a meter with events counts as it did' USING ERRCODE = 'restrict_violation';\n            END IF;\n            RETURN NEW;\n        ", hash='c88b08d9c7d5bc492844b324752d839e4aaaae13', operation='UPDATE OF "aggregation", "filters", "group_by", "counted_property"', pgid='pgtrigger_definition_stays_cef82', table='meters', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='meter',
            constraint=models.CheckConstraint(condition=models.Q(('aggregation__in', ['sum', 'count', 'max', 'latest', 'unique_count'])), name='meter_aggregation_known'),
        ),
        migrations.AddConstraint(
            model_name='meter',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('aggregation', 'unique_count'), models.Q(('counted_property', ''), _negated=True)), models.Q(models.Q(('aggregation', 'unique_count'), _negated=True), ('counted_property', '')), _connector='OR'), name='meter_counts_a_property_iff_unique'),
        ),
        migrations.AddConstraint(
            model_name='meter',
            constraint=models.CheckConstraint(condition=models.Q(django.db.models.lookups.Exact(billing.kernel.fields.JsonType(models.F('filters')), models.Value('array')), django.db.models.lookups.LessThanOrEqual(billing.kernel.fields.JsonLength(models.F('filters')), models.Value(10))), name='meter_filters_are_a_list'),
        ),
        migrations.AddConstraint(
            model_name='meter',
            constraint=models.CheckConstraint(condition=models.Q(django.db.models.lookups.Exact(billing.kernel.fields.JsonType(models.F('group_by')), models.Value('array')), django.db.models.lookups.LessThanOrEqual(billing.kernel.fields.JsonLength(models.F('group_by')), models.Value(5))), name='meter_groups_are_a_list'),
        ),
        migrations.AddConstraint(
            model_name='meter',
            constraint=models.CheckConstraint(condition=models.Q(('allows_negative', False), ('aggregation', 'sum'), _connector='OR'), name='meter_negative_only_in_sums'),
        ),
        migrations.AddConstraint(
            model_name='meter',
            constraint=models.CheckConstraint(condition=models.Q(('late_policy__in', ['same_invoice_if_draft', 'adjust_next', 'reject_after_days'])), name='meter_late_policy_known'),
        ),
        migrations.AddConstraint(
            model_name='meter',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('late_days__isnull', False), ('late_policy', 'reject_after_days')), models.Q(models.Q(('late_policy', 'reject_after_days'), _negated=True), ('late_days__isnull', True)), _connector='OR'), name='meter_late_days_iff_rejecting'),
        ),
        migrations.AddField(
            model_name='usagerollup',
            name='department',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='entities.department'),
        ),
        migrations.AddField(
            model_name='usagerollup',
            name='entity',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='entities.billingentity'),
        ),
        migrations.AddField(
            model_name='usagerollup',
            name='meter',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='usage.meter'),
        ),
        migrations.AddField(
            model_name='usageunique',
            name='department',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='entities.department'),
        ),
        migrations.AddField(
            model_name='usageunique',
            name='entity',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='entities.billingentity'),
        ),
        migrations.AddField(
            model_name='usageunique',
            name='meter',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='usage.meter'),
        ),
        migrations.AddConstraint(
            model_name='usagerollup',
            constraint=models.UniqueConstraint(fields=('entity', 'billed_on', 'meter', 'department', 'currency', 'group_key'), name='one_rollup_per_day', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='usagerollup',
            constraint=models.CheckConstraint(condition=models.Q(('event_count__gt', 0)), name='rollup_of_some_event'),
        ),
        migrations.AddConstraint(
            model_name='usagerollup',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('cost__isnull', True), ('currency', '')), models.Q(('cost__isnull', False), models.Q(('currency', ''), _negated=True)), _connector='OR'), name='rollup_cost_iff_currency'),
        ),
        migrations.AddConstraint(
            model_name='usagerollup',
            constraint=models.CheckConstraint(condition=billing.kernel.fields.IsFinite(models.F('maximum'), models.F('latest_quantity')), name='rollup_finite'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='usagerollup',
            trigger=pgtrigger.compiler.Trigger(name='never_deleted', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';", hash='55799bd9530635e73ac02b9179b8b1e9a2836156', operation='DELETE', pgid='pgtrigger_never_deleted_0022f', table='usage_rollups', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='usagerollup',
            trigger=pgtrigger.compiler.Trigger(name='never_truncated', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION '% is never truncated', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';", hash='a33a105e8b6e40834c33c2213258508a42f187a6', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_never_truncated_f510e', table='usage_rollups', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='usageunique',
            index=models.Index(fields=['entity', 'billed_on', 'meter'], name='unique_by_entity_and_day'),
        ),
        migrations.AddConstraint(
            model_name='usageunique',
            constraint=models.UniqueConstraint(fields=('entity', 'meter', 'value', 'billed_on', 'department', 'currency', 'group_key'), name='one_unique_per_day', nulls_distinct=False),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='usageunique',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';", hash='fdd8aa0f156b2639064b3a207d595c9cc183bd39', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_10962', table='usage_uniques', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='usageunique',
            trigger=pgtrigger.compiler.Trigger(name='never_truncated', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION '% is never truncated', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';", hash='7ac2435434cce87bf0d60b989a4d817b8a7a452c', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_never_truncated_d50c9', table='usage_uniques', when='BEFORE')),
        ),
        migrations.RunSQL(ADD_UP, migrations.RunSQL.noop),
    ]
