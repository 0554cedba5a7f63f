"""What must hold in usage at every moment. Each query returns the rows that violate it."""

from billing.usage.counting import BUCKET, COUNTED, UNIQUE, fingerprint, group_key, rolled_up, uniques

CHECKS = {
    "U1 a counter is what its meter makes of the events of its window": f"""
        SELECT coalesce(held.quota_id, counted.quota_id) AS quota_id,
            held.used_quantity, counted.used_quantity AS sum
        FROM quota_counters held
        FULL JOIN ({COUNTED}) counted USING (quota_id, starts_on)
        WHERE coalesce(held.used_quantity, 0) <> coalesce(counted.used_quantity, 0)
           OR (held.latest_at, held.latest_event_id) IS DISTINCT FROM (counted.latest_at, counted.latest_event_id)
    """,  # noqa: S608
    "U2 an event has its key, and a key its event": """
        SELECT coalesce(e.id, k.event_id) AS id, k.source, k.transaction_id
        FROM usage_events e FULL JOIN usage_keys k ON k.event_id = e.id AND k.billed_on = e.billed_on
        WHERE (e.source, e.transaction_id, e.fingerprint) IS DISTINCT FROM (k.source, k.transaction_id, k.fingerprint)
    """,
    "U3 no quota that blocks is exceeded, but for what was used before it": """
        SELECT c.id, c.used_quantity, c.ceiling, q.limit_quantity
        FROM quota_counters c JOIN quotas q ON q.id = c.quota_id
        WHERE c.ceiling IS DISTINCT FROM
              CASE q.mode WHEN 'block' THEN greatest(q.limit_quantity, c.used_quantity) END
    """,
    "U4 the newest events are what their fingerprints say": f"""
        SELECT e.id FROM (SELECT * FROM usage_events ORDER BY id DESC LIMIT 10000) e
        WHERE e.fingerprint <> {fingerprint("e")}
    """,  # noqa: S608
    "U5 an event is of a seller's meter and of its own entity's department and subscription": """
        SELECT e.id FROM usage_events e
            JOIN meters m ON m.id = e.meter_id
            LEFT JOIN departments d ON d.id = e.department_id
            LEFT JOIN subscriptions s ON s.id = e.subscription_id
        WHERE d.entity_id <> e.entity_id OR s.entity_id <> e.entity_id
           OR NOT EXISTS (SELECT FROM billing_entities s WHERE s.id = m.entity_id AND s.is_seller)
    """,
    "U6 roll-ups are the sums of the events that count": f"""
        WITH held AS (
            SELECT {BUCKET}, group_values, event_count, quantity, cost, maximum, latest_at, latest_event_id,
                latest_quantity FROM usage_rollups
        ), due AS ({rolled_up("usage_events")})
        SELECT wrong.entity_id AS id, wrong.* FROM (
            (SELECT * FROM held EXCEPT ALL SELECT * FROM due) UNION ALL (SELECT * FROM due EXCEPT ALL SELECT * FROM held)
        ) wrong
    """,  # noqa: S608
    "U7 the values seen are those of the events that count": f"""
        WITH held AS (SELECT {UNIQUE} FROM usage_uniques), due AS ({uniques("usage_events")})
        SELECT wrong.entity_id AS id, wrong.* FROM (
            (SELECT * FROM held EXCEPT ALL SELECT * FROM due) UNION ALL (SELECT * FROM due EXCEPT ALL SELECT * FROM held)
        ) wrong
    """,  # noqa: S608
    "U8 an event counts, and in the group, as its meter says": f"""
        SELECT e.id FROM usage_events e JOIN meters m ON m.id = e.meter_id
        WHERE (m.filters <> '[]' OR m.group_by <> '[]' OR NOT e.counts OR e.group_values <> '{{}}')
          AND (e.counts <> NOT EXISTS (
                SELECT FROM jsonb_array_elements(m.filters) AS wanted (it)
                WHERE NOT coalesce(
                    jsonb_typeof(e.properties->(wanted.it->>'property')) IN ('string', 'number', 'boolean')
                    AND wanted.it->'values' ? (e.properties->>(wanted.it->>'property')), false))
            OR e.group_values <> CASE WHEN e.counts THEN (
                SELECT coalesce(jsonb_object_agg(grouped.by, coalesce(e.properties->>grouped.by, '')), '{{}}')
                FROM jsonb_array_elements_text(m.group_by) AS grouped (by)) ELSE '{{}}' END
            OR e.group_key <> {group_key("e.group_values")})
    """,  # noqa: S608
    "U9 every threshold a counter has reached has its alert": """
        SELECT c.id, due.percent FROM quota_counters c JOIN quotas q ON q.id = c.quota_id,
            unnest(q.thresholds) AS due (percent)
        WHERE c.used_quantity > 0 AND c.used_quantity * 100 >= q.limit_quantity * due.percent
          AND NOT EXISTS (
            SELECT FROM quota_alerts a WHERE a.quota_id = q.id AND a."window" = q."window"
              AND a.starts_on = c.starts_on AND a.threshold = due.percent
          )
    """,
}
