"""SQL that says what a quota counts. Used where counters are rebuilt, and where they are checked."""

# Of an event `e` for a quota `q` on a meter `m`. Credits (negative quantities) give nothing back.
AMOUNT = "CASE m.aggregation WHEN 'count' THEN 1 ELSE greatest(e.quantity, 0) END"
WINDOW_START = """CASE q."window" WHEN 'day' THEN e.billed_on
    WHEN 'month' THEN date_trunc('month', e.billed_on)::date ELSE DATE '1970-01-01' END"""

COUNTED = f"""
    SELECT q.id AS quota_id, {WINDOW_START} AS starts_on, sum({AMOUNT}) AS used_quantity
    FROM quotas q JOIN meters m ON m.id = q.meter_id
        JOIN usage_events e ON e.entity_id = q.entity_id AND e.meter_id = q.meter_id
    GROUP BY 1, 2
"""  # noqa: S608


def fingerprint(row: str, *, billed_on: str = "") -> str:
    """SHA-256 of what a source said about an event, from the columns of `row`."""
    return f"""encode(sha256(convert_to(concat_ws('|',
        {row}.entity_id, {row}.meter_id, coalesce({row}.department_id::text, ''),
        to_char({row}.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
        to_char({billed_on or row + ".billed_on"}, 'YYYY-MM-DD'),
        trim_scale({row}.quantity), coalesce(trim_scale({row}.cost)::text, ''),
        {row}.currency, {row}.properties::text), 'UTF8')), 'hex')"""
