package athena

import (
	"fmt"

	"aws-streaming-pipeline/record/schema"
)

// Schema returns the schema of the trips.
func Schema() (*schema.Schema, error) {
	s, err := schema.Parse("trips.json", TripsSchema)
	if err != nil {
		return nil, fmt.Errorf("read schema of the trips: %w", err)
	}
	return s, nil
}

// Tables lists the tables of an output bucket. Their partitions are projected (Athena User Guide, "Partition
// projection"): they are not registered, and a query that names partitions lists only their folders.
func Tables(bucket string) []schema.Table {
	root := "s3://" + bucket + "/"
	return []schema.Table{
		{
			Name: "trips_lambda", Storage: schema.JSONLines, Location: root + "context=write_to_s3/",
			Partitions:       []schema.Partition{{Name: "date", Projection: days("yyyy-MM-dd")}},
			LocationTemplate: root + "context=write_to_s3/date=${date}/",
		},
		{
			Name: "trips_firehose", Storage: schema.JSONLines, Location: root + "context=firehose_delivery/",
			Partitions:       []schema.Partition{{Name: "datehour", Projection: hours("yyyy/MM/dd/HH")}},
			LocationTemplate: root + "context=firehose_delivery/${datehour}/",
		},
		{
			Name: "trips_daemon", Storage: schema.JSONLines, Location: root + "data/",
			Partitions:       calendar(),
			LocationTemplate: root + "data/" + calendarPath,
		},
		{
			Name: "trips_parquet", Storage: schema.ParquetFiles, Location: root + "parquet/",
			Partitions:       calendar(),
			LocationTemplate: root + "parquet/" + calendarPath,
		},
	}
}

// span is the time range for which partitions are projected. Older data needs a wider range.
const span = "NOW-2YEARS,NOW"

func days(format string) []schema.Property {
	return []schema.Property{{Key: "type", Value: "date"}, {Key: "format", Value: format}, {Key: "range", Value: span}}
}

func hours(format string) []schema.Property {
	return append(days(format), schema.Property{Key: "interval", Value: "1"}, schema.Property{Key: "interval.unit", Value: "HOURS"})
}

// calendarPath is the default of the daemon's PREFIX.
const calendarPath = "year=${year}/month=${month}/day=${day}/hour=${hour}/"

func calendar() []schema.Partition {
	return []schema.Partition{
		number("year", "2025,2035", "4"), number("month", "1,12", "2"), number("day", "1,31", "2"), number("hour", "0,23", "2"),
	}
}

// number returns a partition column of whole numbers, with leading zeros in the folder names.
func number(name, between, digits string) schema.Partition {
	return schema.Partition{Name: name, Type: "int", Projection: []schema.Property{
		{Key: "type", Value: "integer"}, {Key: "range", Value: between}, {Key: "digits", Value: digits},
	}}
}
