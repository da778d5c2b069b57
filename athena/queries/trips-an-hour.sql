-- Counts trips per hour by type of call, over the daemon's files for one day of arrival.
SELECT date_trunc('hour', from_unixtime("timestamp")) AS hour,
       call_type,
       count(*) AS trips,
       count(DISTINCT taxi_id) AS taxis
FROM trips_daemon
WHERE year = 2026 AND month = 1 AND day = 31
GROUP BY 1, 2
ORDER BY 1, 2
