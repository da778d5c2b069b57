CREATE EXTERNAL TABLE IF NOT EXISTS taxi.trips (
  trip_id string COMMENT 'identifier of the trip, unique up to the file\'s own duplicates',
  call_type string COMMENT 'how the taxi was asked for: A from the central, B at a stand, C otherwise',
  origin_call bigint COMMENT 'telephone number that called the central, of call type A',
  origin_stand bigint COMMENT 'taxi stand, of call type B',
  taxi_id bigint COMMENT 'identifier of the driver',
  `timestamp` bigint COMMENT 'start of the trip in seconds since 1970 UTC; from_unixtime turns it into a timestamp',
  day_type string COMMENT 'A an ordinary day, B a holiday, C the day before a holiday',
  missing_data boolean COMMENT 'whether positions are missing',
  polyline string COMMENT 'positions every 15 seconds as a JSON text [[longitude, latitude], ...]',
  `_extra` string COMMENT 'members without a column, as JSON',
  event_id string COMMENT 'sequence number of the record, and its place in an aggregate'
)
STORED AS PARQUET
LOCATION 's3://bucket/trips/'
TBLPROPERTIES (
  'classification' = 'parquet'
);
