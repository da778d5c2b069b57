-- What each of the three paths made of the same records, by event_id: duplicates are rows too many, missing are events
-- that another path delivered. A path is exact where both are 0. Each path dates a file by its own rule (Firehose by
-- its oldest record), so events around midnight may show as missing; a day before and after makes that certain.
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
