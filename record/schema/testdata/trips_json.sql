CREATE EXTERNAL TABLE IF NOT EXISTS trips (
  trip_id string COMMENT 'identifier of the trip, unique up to the file\'s own duplicates',
  call_type string COMMENT 'how the taxi was asked for: A from the central, B at a stand, C otherwise',
  origin_call bigint COMMENT 'telephone number that called the central, of call type A',
  origin_stand bigint COMMENT 'taxi stand, of call type B',
  taxi_id bigint COMMENT 'identifier of the driver',
  `timestamp` bigint COMMENT 'start of the trip in seconds since 1970 UTC; from_unixtime turns it into a timestamp',
  day_type string COMMENT 'A an ordinary day, B a holiday, C the day before a holiday',
  missing_data boolean COMMENT 'whether positions are missing',
  polyline string COMMENT 'positions every 15 seconds as a JSON text [[longitude, latitude], ...]',
  event_id string COMMENT 'sequence number of the record, and its place in an aggregate'
)
PARTITIONED BY (
  dt string
)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
WITH SERDEPROPERTIES (
  'case.insensitive' = 'true',
  'ignore.malformed.json' = 'false',
  'mapping.trip_id' = 'TRIP_ID',
  'mapping.call_type' = 'CALL_TYPE',
  'mapping.origin_call' = 'ORIGIN_CALL',
  'mapping.origin_stand' = 'ORIGIN_STAND',
  'mapping.taxi_id' = 'TAXI_ID',
  'mapping.timestamp' = 'TIMESTAMP',
  'mapping.day_type' = 'DAY_TYPE',
  'mapping.missing_data' = 'MISSING_DATA',
  'mapping.polyline' = 'POLYLINE'
)
STORED AS INPUTFORMAT 'org.apache.hadoop.mapred.TextInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION 's3://bucket/trips/'
TBLPROPERTIES (
  'classification' = 'json',
  'projection.dt.type' = 'date',
  'projection.dt.range' = '2013-07-01,NOW',
  'projection.dt.format' = 'yyyy-MM-dd',
  'projection.enabled' = 'true',
  'storage.location.template' = 's3://bucket/trips/dt=${dt}/'
);
