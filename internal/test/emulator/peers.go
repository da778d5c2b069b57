package emulator

import (
	"context"
	"path/filepath"
)

// The products that only the benchmark compares with, which are not among Bundles.
var (
	flinkBundle = Bundle{
		Name:  "flink",
		tool:  "mvn",
		files: []string{"pom.xml"},
		install: func(ctx context.Context, dir string) error {
			// Maven's default is to warn of a jar that does not have the checksum of its registry.
			return copyJars(ctx, dir, "lib", "--strict-checksums")
		},
	}
	polarsBundle = Bundle{
		Name:    "polars",
		tool:    "python3",
		files:   []string{"requirements.txt"},
		install: installPython,
	}
)

// Flink fetches Apache Flink with its sources and sinks for Kinesis, S3 and Parquet, and returns the folder of its jars.
func Flink(ctx context.Context) (string, error) { return folder(ctx, flinkBundle, "lib") }

// SparkJars fetches Apache Spark, and returns the folder of its jars.
func SparkJars(ctx context.Context) (string, error) {
	return folder(ctx, sparkBundle, filepath.Join("lib", "pyspark", "jars"))
}

// Polars fetches the library Polars, and returns its PYTHONPATH.
func Polars(ctx context.Context) (string, error) { return folder(ctx, polarsBundle, "lib") }

// DuckDB fetches the library DuckDB, and returns its PYTHONPATH.
func DuckDB(ctx context.Context) (string, error) { return folder(ctx, enginesBundle, "lib") }

func folder(ctx context.Context, b Bundle, name string) (string, error) {
	dir, err := b.Fetch(ctx)
	return filepath.Join(dir, name), err
}
