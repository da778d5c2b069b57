-- Copies what Firehose wrote on one day to the Iceberg table trips_compact. Of rows with the same event_id it copies one,
-- and none that the table has already, so it can run again after an error. Run one such statement at a time, then compact-check.
INSERT INTO trips_compact
SELECT trip_id, call_type, origin_call, origin_stand, taxi_id, "timestamp", day_type, missing_data, polyline, event_id,
       'firehose' AS path, DATE '2026-01-31' AS day
FROM (
    SELECT *, row_number() OVER (PARTITION BY event_id ORDER BY trip_id) AS copy
    FROM trips_firehose
    WHERE datehour BETWEEN '2026/01/31/00' AND '2026/01/31/23' AND event_id IS NOT NULL
) AS source
WHERE copy = 1 AND NOT EXISTS (
    SELECT 1 FROM trips_compact AS there
    WHERE there.path = 'firehose'
      AND there.day BETWEEN DATE '2026-01-31' - INTERVAL '1' DAY AND DATE '2026-01-31' + INTERVAL '1' DAY
      AND there.event_id = source.event_id
)
