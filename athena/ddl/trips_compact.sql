-- The Iceberg table for what the functions wrote before: docs/compact-small-files.md. A day's rows of one path are one partition, so a
-- statement that copies a day opens one of Athena's 100 partitions.
CREATE TABLE IF NOT EXISTS trips_compact (
  trip_id string,
  call_type string,
  origin_call bigint,
  origin_stand bigint,
  taxi_id bigint,
  `timestamp` bigint,
  day_type string,
  missing_data boolean,
  polyline string,
  event_id string,
  path string COMMENT 'lambda or firehose',
  day date COMMENT 'day of the folder that the row was copied from'
)
PARTITIONED BY (path, day)
LOCATION 's3://OUTPUT_BUCKET/compact/'
TBLPROPERTIES (
  'table_type' = 'ICEBERG',
  'format' = 'parquet',
  'write_compression' = 'zstd'
);
