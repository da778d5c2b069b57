-- Compares what the three paths delivered of the same records, by event_id: duplicates are surplus rows, missing are events
-- that only another path delivered. A path is exact if both are 0. Each path dates its files by its own rule (Firehose by
-- the oldest record), so events around midnight may look missing; include the day before and after to be certain.
WITH delivered AS (
    SELECT 'daemon' AS path, event_id FROM trips_daemon WHERE year = 2026 AND month = 1 AND day = 31
    UNION ALL
    SELECT 'firehose' AS path, event_id FROM trips_firehose WHERE datehour BETWEEN '2026/01/31/00' AND '2026/01/31/23'
    UNION ALL
    SELECT 'lambda' AS path, event_id FROM trips_lambda WHERE "date" = '2026-01-31'
),
events AS (
    SELECT count(DISTINCT event_id) AS known FROM delivered
)
SELECT path,
       count(*) AS records,
       count(DISTINCT event_id) AS events,
       count(*) - count(DISTINCT event_id) AS duplicates,
       max(known) - count(DISTINCT event_id) AS missing
FROM delivered CROSS JOIN events
GROUP BY path
ORDER BY path
