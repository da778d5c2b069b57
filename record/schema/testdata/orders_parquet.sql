CREATE EXTERNAL TABLE IF NOT EXISTS orders (
  `order id` bigint COMMENT 'the customer\'s number',
  `date` date,
  total decimal(12,2),
  `user` struct<name:string,`group`:string>,
  tags array<string>,
  attributes map<string,double>,
  raw string,
  at timestamp,
  `_extra` string COMMENT 'members without a column, as JSON',
  event_id string COMMENT 'sequence number of the record, and its place in an aggregate'
)
PARTITIONED BY (
  day string,
  hour int
)
STORED AS PARQUET
LOCATION 's3://bucket/orders/'
TBLPROPERTIES (
  'classification' = 'parquet',
  'projection.day.type' = 'date',
  'projection.day.range' = '2024/01/01,NOW',
  'projection.day.format' = 'yyyy/MM/dd',
  'projection.hour.type' = 'integer',
  'projection.hour.range' = '0,23',
  'projection.hour.digits' = '2',
  'projection.enabled' = 'true',
  'storage.location.template' = 's3://bucket/orders/${day}/${hour}/'
);
