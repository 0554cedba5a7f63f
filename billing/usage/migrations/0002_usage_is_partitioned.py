"""Events are partitioned by the month they are billed in; that each is recorded once, `usage_keys` says.

A unique index on a partitioned table must contain the partition's column, and (source, transaction_id) is unique
whatever the day. The events are copied: on a large installation this takes the time of reading and writing them once.
"""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

FILL_KEYS = """
INSERT INTO usage_keys (event_id, source, transaction_id, billed_on, fingerprint)
SELECT id, source, transaction_id, billed_on, fingerprint FROM usage_events
"""

# Runs as the owner of the tables, because the application may make none. It makes only what is missing, months of
# 1900 to 2999, at most 1200 in a call. ATTACH locks the parent in SHARE UPDATE EXCLUSIVE mode: reading and recording
# go on meanwhile. Triggers for rows are inherited by a partition, those for statements are not.
MAKE_FUNCTION = """
CREATE FUNCTION ensure_usage_partitions(first_day date, last_day date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    month date := date_trunc('month', first_day::timestamp);
    part name;
    made integer := 0;
BEGIN
    IF first_day IS NULL OR last_day IS NULL OR first_day < DATE '1900-01-01' OR last_day >= DATE '3000-01-01'
       OR last_day - first_day > 36600 THEN
        RAISE EXCEPTION 'no partitions from % to %', first_day, last_day USING ERRCODE = 'invalid_parameter_value';
    END IF;
    WHILE month <= last_day LOOP
        part := 'usage_events_' || to_char(month, 'YYYY_MM');
        IF NOT EXISTS (
            SELECT FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
            WHERE inhparent = 'usage_events'::regclass AND c.relname = part
        ) THEN
            PERFORM pg_advisory_xact_lock(hashtext('usage partitions'));
            -- Asked again, of the table and not of a cache: whoever held the lock may have made it.
            IF NOT EXISTS (
                SELECT FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
                WHERE inhparent = 'usage_events'::regclass AND c.relname = part
            ) THEN
                EXECUTE format('CREATE TABLE %I (LIKE usage_events INCLUDING ALL)', part);
                EXECUTE format('CREATE TRIGGER pgtrigger_never_truncated_3c90e BEFORE TRUNCATE ON %I'
                    ' FOR EACH STATEMENT EXECUTE FUNCTION pgtrigger_never_truncated_3c90e()', part);
                EXECUTE format('ALTER TABLE usage_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                    part, month, (month + interval '1 month')::date);
                made := made + 1;
            END IF;
        END IF;
        month := month + interval '1 month';
    END LOOP;
    RETURN made;
END $$;
REVOKE ALL ON FUNCTION ensure_usage_partitions FROM PUBLIC;
COMMENT ON FUNCTION ensure_usage_partitions IS 'Makes the missing partitions of usage_events; says how many';
"""
DROP_FUNCTION = "DROP FUNCTION ensure_usage_partitions(date, date)"

KEYS_AND_INDEXES = """
ALTER TABLE usage_events ADD CONSTRAINT usage_events_entity_id_fk FOREIGN KEY (entity_id)
    REFERENCES billing_entities (id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE usage_events ADD CONSTRAINT usage_events_meter_id_fk FOREIGN KEY (meter_id)
    REFERENCES meters (id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE usage_events ADD CONSTRAINT usage_events_department_id_fk FOREIGN KEY (department_id)
    REFERENCES departments (id) DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX usage_by_entity_and_day ON usage_events (entity_id, billed_on, meter_id);
CREATE INDEX usage_events_meter_id ON usage_events (meter_id);
CREATE INDEX usage_events_department_id ON usage_events (department_id);
"""
PARTITION = f"""
ALTER TABLE usage_events RENAME TO usage_events_whole;
CREATE TABLE usage_events (LIKE usage_events_whole INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
    PARTITION BY RANGE (billed_on);
SELECT ensure_usage_partitions(month, month)
FROM (SELECT DISTINCT date_trunc('month', billed_on)::date AS month FROM usage_events_whole ORDER BY 1) used;
INSERT INTO usage_events SELECT * FROM usage_events_whole;
DROP TABLE usage_events_whole;
ALTER TABLE usage_events ADD PRIMARY KEY (id, billed_on);
{KEYS_AND_INDEXES}
"""
GATHER = f"""
ALTER TABLE usage_events RENAME TO usage_events_partitioned;
CREATE TABLE usage_events (LIKE usage_events_partitioned INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
INSERT INTO usage_events SELECT * FROM usage_events_partitioned;
DROP TABLE usage_events_partitioned;
ALTER TABLE usage_events ADD PRIMARY KEY (id);
{KEYS_AND_INDEXES}
"""


class Migration(migrations.Migration):

    dependencies = [
        ('entities', '0003_departments_stay_in_their_entity'),
        ('usage', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='UsageKey',
            fields=[
                ('event_id', models.UUIDField(primary_key=True, serialize=False)),
                ('source', models.CharField(max_length=100)),
                ('transaction_id', models.CharField(max_length=200)),
                ('billed_on', models.DateField(help_text='Says in which partition the event is.')),
                ('fingerprint', models.CharField(help_text='SHA-256 of the content: a repeat must be the same.', max_length=64)),
            ],
            options={
                'db_table': 'usage_keys',
                'default_permissions': (),
            },
        ),
        migrations.RunSQL(FILL_KEYS, migrations.RunSQL.noop),
        pgtrigger.migrations.AddTrigger(
            model_name='usagekey',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';", hash='22a3f66d9d14a9510431be9fcc8aa239a9dc47b5', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_609ff', table='usage_keys', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='usagekey',
            trigger=pgtrigger.compiler.Trigger(name='never_truncated', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION '% is never truncated', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';", hash='fabc0c2def3b75259f770704bb47f9f99bf3a1f6', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_never_truncated_dc4b0', table='usage_keys', when='BEFORE')),
        ),
        migrations.RemoveConstraint(
            model_name='usageevent',
            name='one_event_per_transaction',
        ),
        migrations.AddConstraint(
            model_name='usagekey',
            constraint=models.UniqueConstraint(fields=('source', 'transaction_id'), name='one_event_per_transaction'),
        ),
        migrations.AlterField(
            model_name='usageevent',
            name='entity',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='usage_events', to='entities.billingentity'),
        ),
        pgtrigger.migrations.RemoveTrigger(model_name='usageevent', name='append_only'),
        pgtrigger.migrations.RemoveTrigger(model_name='usageevent', name='never_truncated'),
        migrations.RunSQL(MAKE_FUNCTION, DROP_FUNCTION),
        migrations.RunSQL(PARTITION, GATHER),
        pgtrigger.migrations.AddTrigger(
            model_name='usageevent',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';", hash='61de0991d017e1c616ed2e22c133b8c7fb31e81f', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_7b21e', table='usage_events', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='usageevent',
            trigger=pgtrigger.compiler.Trigger(name='never_truncated', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION '% is never truncated', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';", hash='e52a784728470b2c57d1a53025afac32e3b1379c', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_never_truncated_3c90e', table='usage_events', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='usageevent',
            trigger=pgtrigger.compiler.Trigger(name='has_its_key', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n            IF EXISTS (\n                SELECT FROM new_rows n LEFT JOIN usage_keys k ON k.event_id = n.id\n                WHERE (k.source, k.transaction_id, k.billed_on, k.fingerprint)\n                      IS DISTINCT FROM (n.source, n.transaction_id, n.billed_on, n.fingerprint)\n            ) THEN\n                RAISE EXCEPTION 'a usage event has its key' USING ERRCODE = 'restrict_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='d2e3df9dc0cb4e8046b537620c1b5852d0b5c984', level='STATEMENT', operation='INSERT', pgid='pgtrigger_has_its_key_916fc', referencing='REFERENCING NEW TABLE AS new_rows ', table='usage_events', when='AFTER')),
        ),
    ]
