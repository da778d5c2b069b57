-- Compares one day of what the functions wrote with its copy in trips_compact, by event_id and all columns. The day is copied if
-- missing, foreign, doubles and no_event_id are 0; delete nothing before that. doubles_in_source are surplus rows of the source.
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
    UNION ALL
    SELECT path, event_id, 'source' AS finding FROM source
    UNION ALL
    SELECT path, event_id, 'compact' AS finding FROM today
)
SELECT path,
       count_if(finding = 'source') AS source_rows,
       count_if(finding = 'compact') AS compact_rows,
       count_if(finding = 'source') - count_if(finding = 'without event_id')
           - count(DISTINCT CASE WHEN finding = 'source' THEN event_id END) AS doubles_in_source,
       count_if(finding = 'missing') AS missing,
       count_if(finding = 'foreign') AS "foreign",
       count_if(finding = 'double') AS doubles,
       count_if(finding = 'without event_id') AS no_event_id
FROM findings
GROUP BY path
ORDER BY path
