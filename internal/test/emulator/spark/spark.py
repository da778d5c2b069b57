"""Runs SQL statements in Spark with Iceberg's runtime, and prints the rows of each as a line of JSON.

Arguments: URL of the REST catalog, which is called lake, endpoint, region, access key and secret key of S3, and the statements.
"""
import json
import pathlib
import sys

from pyspark.sql import SparkSession

catalog, endpoint, region, access, secret, *statements = sys.argv[1:]
jars = pathlib.Path(__file__).parent / "jars"
settings = {
    "spark.master": "local[1]", "spark.driver.memory": "700m", "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false", "spark.log.level": "ERROR", "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC", "spark.sql.shuffle.partitions": "1",
    "spark.jars": ",".join(str(jar) for jar in jars.glob("*.jar")),
    "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    "spark.sql.catalog.lake": "org.apache.iceberg.spark.SparkCatalog",
    "spark.sql.catalog.lake.type": "rest",
    "spark.sql.catalog.lake.uri": catalog,
    "spark.sql.catalog.lake.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
    "spark.sql.catalog.lake.s3.endpoint": endpoint,
    "spark.sql.catalog.lake.s3.path-style-access": "true",
    "spark.sql.catalog.lake.s3.access-key-id": access,
    "spark.sql.catalog.lake.s3.secret-access-key": secret,
    "spark.sql.catalog.lake.client.region": region,
}
builder = SparkSession.builder
for name, value in settings.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
for statement in statements:
    print(json.dumps([row.asDict(recursive=True) for row in spark.sql(statement).collect()], default=str), flush=True)
