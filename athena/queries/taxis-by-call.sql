-- Counts trips and taxis by type of call: the query of the cost comparison in athena/README.md. It needs two narrow
-- columns of ten, and only with Parquet can Athena skip the others. Replace the table to compare.
SELECT call_type,
       count(*) AS trips,
       count(DISTINCT taxi_id) AS taxis
FROM trips_parquet
WHERE year = 2026 AND month = 1 AND day = 31
GROUP BY call_type
ORDER BY call_type
