-- Lists the events that do not occur exactly once on each of the three paths, with their number on each path.
WITH delivered AS (
    SELECT 'daemon' AS path, event_id FROM trips_daemon WHERE year = 2026 AND month = 1 AND day = 31
    UNION ALL
    SELECT 'firehose' AS path, event_id FROM trips_firehose WHERE datehour BETWEEN '2026/01/31/00' AND '2026/01/31/23'
    UNION ALL
    SELECT 'lambda' AS path, event_id FROM trips_lambda WHERE "date" = '2026-01-31'
)
SELECT event_id,
       count_if(path = 'daemon') AS daemon,
       count_if(path = 'firehose') AS firehose,
       count_if(path = 'lambda') AS lambda
FROM delivered
GROUP BY event_id
HAVING count_if(path = 'daemon') <> 1 OR count_if(path = 'firehose') <> 1 OR count_if(path = 'lambda') <> 1
ORDER BY event_id
LIMIT 100
