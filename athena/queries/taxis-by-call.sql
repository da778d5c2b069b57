-- Trips and taxis by how the taxi was asked for: the question of the cost comparison in athena/README.md. It needs two
-- narrow columns of ten, and only Parquet lets Athena leave the others alone. Put another table in to compare.
SELECT call_type,
       count(*) AS trips,
       count(DISTINCT taxi_id) AS taxis
FROM trips_parquet
WHERE year = 2026 AND month = 1 AND day = 31
GROUP BY call_type
ORDER BY call_type
