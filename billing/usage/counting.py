"""SQL that says what a quota counts. Used where counters are rebuilt, and where they are checked."""

WINDOW_START = """CASE q."window" WHEN 'day' THEN e.billed_on
    WHEN 'month' THEN date_trunc('month', e.billed_on)::date ELSE DATE '1970-01-01' END"""

# What a quota `q` on a meter `m` counts of its events `e`. Credits and corrections (negative quantities) give nothing
# back.
AMOUNT = "greatest(e.quantity, 0)"
NEWEST = "FILTER (WHERE m.aggregation = 'latest')"
COUNTED = f"""
    SELECT q.id AS quota_id, {WINDOW_START} AS starts_on,
        CASE m.aggregation
            WHEN 'count' THEN count(*)
            WHEN 'sum' THEN sum({AMOUNT})
            WHEN 'max' THEN max({AMOUNT})
            WHEN 'latest' THEN (array_agg({AMOUNT} ORDER BY e.occurred_at DESC, e.id DESC) {NEWEST})[1]
            WHEN 'unique_count' THEN count(DISTINCT e.properties->>m.counted_property)
        END AS used_quantity,
        max(e.occurred_at) {NEWEST} AS latest_at,
        (array_agg(e.id ORDER BY e.occurred_at DESC, e.id DESC) {NEWEST})[1] AS latest_event_id
    FROM quotas q JOIN meters m ON m.id = q.meter_id
        JOIN usage_events e ON e.entity_id = q.entity_id AND e.meter_id = q.meter_id AND e.counts
    GROUP BY q.id, m.aggregation, 2
"""  # noqa: S608


def fingerprint(row: str, *, billed_on: str = "") -> str:
    """SHA-256 of what a source said about an event, from the columns of `row`.

    What is null is left out: an event without a subscription has the fingerprint it had before there were any.
    """
    return f"""encode(sha256(convert_to(concat_ws('|',
        {row}.entity_id, {row}.meter_id, coalesce({row}.department_id::text, ''),
        to_char({row}.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
        to_char({billed_on or row + ".billed_on"}, 'YYYY-MM-DD'),
        trim_scale({row}.quantity), coalesce(trim_scale({row}.cost)::text, ''),
        {row}.currency, {row}.properties::text, {row}.subscription_id::text), 'UTF8')), 'hex')"""


def group_key(values: str) -> str:
    """The digest of a group's values (jsonb, which has one text for one content); empty for no group."""
    return f"CASE {values} WHEN '{{}}' THEN '' ELSE encode(sha256(convert_to({values}::text, 'UTF8')), 'hex') END"


# The members of a bucket, in the order in which all writers lock them.
BUCKET = "entity_id, billed_on, meter_id, department_id, currency, group_key"


def rolled_up(events: str) -> str:
    """The roll-ups of what counts of these events."""
    newest = "ORDER BY occurred_at DESC, id DESC"
    return f"""
        SELECT {BUCKET}, group_values, count(*) AS event_count, sum(quantity) AS quantity, sum(cost) AS cost,
            max(quantity) AS maximum, max(occurred_at) AS latest_at,
            (array_agg(id {newest}))[1] AS latest_event_id, (array_agg(quantity {newest}))[1] AS latest_quantity
        FROM {events} WHERE counts
        GROUP BY {BUCKET}, group_values ORDER BY {BUCKET}
    """  # noqa: S608


UNIQUE = "entity_id, meter_id, value, billed_on, department_id, currency, group_key"


def uniques(events: str) -> str:
    """The values that occurred, by day, of what counts of these events."""
    return f"""
        SELECT DISTINCT e.entity_id, e.meter_id, e.properties->>m.counted_property AS value, e.billed_on,
            e.department_id, e.currency, e.group_key
        FROM {events} e JOIN meters m ON m.id = e.meter_id
        WHERE e.counts AND m.aggregation = 'unique_count'
        ORDER BY {UNIQUE}
    """  # noqa: S608
