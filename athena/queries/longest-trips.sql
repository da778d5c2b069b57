-- Lists the longest trips, measured along POLYLINE, a JSON text of [longitude, latitude] pairs, one every 15 seconds. Distances
-- between neighbours are great circles on a sphere of 6371 km. A trip whose positions cannot be read is left out.
WITH paths AS (
    SELECT trip_id,
           taxi_id,
           TRY(CAST(json_parse(polyline) AS ARRAY(ARRAY(DOUBLE)))) AS path
    FROM trips_daemon
    WHERE year = 2026 AND month = 1 AND day = 31
),
legs AS (
    SELECT trip_id,
           taxi_id,
           cardinality(path) AS positions,
           radians(element_at(element_at(path, n - 1), 1)) AS lon1,
           radians(element_at(element_at(path, n - 1), 2)) AS lat1,
           radians(element_at(element_at(path, n), 1)) AS lon2,
           radians(element_at(element_at(path, n), 2)) AS lat2
    FROM paths
    CROSS JOIN UNNEST(sequence(2, greatest(cardinality(path), 2))) AS leg (n)
    WHERE cardinality(path) > 1
)
SELECT trip_id,
       taxi_id,
       round(sum(2 * 6371 * asin(sqrt(power(sin((lat2 - lat1) / 2), 2)
           + cos(lat1) * cos(lat2) * power(sin((lon2 - lon1) / 2), 2)))), 3) AS kilometres,
       (max(positions) - 1) * 15 / 60.0 AS minutes
FROM legs
GROUP BY trip_id, taxi_id
ORDER BY kilometres DESC, trip_id
LIMIT 20
