-- Lists the events that compact-check counts: missing in trips_compact or different there, foreign to the source, double in
-- trips_compact, or a row of the source without event_id.
WITH source AS (
    SELECT 'lambda' AS path,
           trip_id, call_type, origin_call, origin_stand, taxi_id, "timestamp", day_type, missing_data, polyline, event_id
    FROM trips_lambda WHERE "date" = '2026-01-31'
    UNION ALL
    SELECT 'firehose' AS path,
           trip_id, call_type, origin_call, origin_stand, taxi_id, "timestamp", day_type, missing_data, polyline, event_id
    FROM trips_firehose WHERE datehour BETWEEN '2026/01/31/00' AND '2026/01/31/23'
),
compact AS (
    SELECT path, trip_id, call_type, origin_call, origin_stand, taxi_id, "timestamp", day_type, missing_data, polyline, event_id
    FROM trips_compact WHERE day BETWEEN DATE '2026-01-31' - INTERVAL '1' DAY AND DATE '2026-01-31' + INTERVAL '1' DAY
),
today AS (
    SELECT path, trip_id, call_type, origin_call, origin_stand, taxi_id, "timestamp", day_type, missing_data, polyline, event_id
    FROM trips_compact WHERE day = DATE '2026-01-31'
),
findings AS (
    SELECT path, event_id, 'missing' AS finding
    FROM (SELECT * FROM source WHERE event_id IS NOT NULL EXCEPT SELECT * FROM compact) AS lost
    UNION ALL
    SELECT path, event_id, 'foreign' AS finding
    FROM (SELECT * FROM today EXCEPT SELECT * FROM source) AS surplus
    UNION ALL
    SELECT path, event_id, 'double' AS finding FROM compact GROUP BY path, event_id HAVING count(*) > 1
    UNION ALL
    SELECT path, event_id, 'without event_id' AS finding FROM source WHERE event_id IS NULL
)
SELECT path, finding, event_id
FROM findings
ORDER BY path, finding, event_id
LIMIT 100
