CREATE TABLE IF NOT EXISTS lake.orders (
  order_id bigint COMMENT 'the customer\'s number',
  `date` date,
  total decimal(12,2),
  `user` struct<name:string>,
  tags array<string>,
  at timestamp,
  `_extra` string COMMENT 'members without a column, as JSON',
  event_id string COMMENT 'sequence number of the record, and its place in an aggregate'
)
PARTITIONED BY (day(at), bucket(16, order_id), `date`)
LOCATION 's3://bucket/tables/orders/'
TBLPROPERTIES (
  'table_type' = 'ICEBERG',
  'format' = 'parquet',
  'write_compression' = 'zstd'
);
