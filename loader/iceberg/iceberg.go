// Package iceberg loads batches into Apache Iceberg tables.
package iceberg

import (
	_ "github.com/apache/iceberg-go"
	_ "github.com/apache/iceberg-go/catalog/glue"
	_ "github.com/apache/iceberg-go/catalog/rest"
	_ "github.com/apache/iceberg-go/io"
	_ "github.com/apache/iceberg-go/table"
)
