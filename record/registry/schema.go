package registry

import (
	"fmt"

	"aws-streaming-pipeline/record"
)

// Formats of data (AWS Glue API, DataFormat).
const (
	formatAvro     = "AVRO"
	formatJSON     = "JSON"
	formatProtobuf = "PROTOBUF"
)

// Definition is a schema version as the registry has it.
type Definition struct {
	Format string // AVRO, JSON or PROTOBUF
	Text   string
}

// codec makes JSON text of data that were written by a schema. Its errors are faults.
type codec interface {
	appendJSON(dst, data []byte, limit int) ([]byte, error)
}

// version is a schema version, or why it is of no use.
type version struct {
	codec codec // nil for data that are JSON already
	fault *record.Fault
}

// compile makes the codec of a definition.
func compile(d Definition, id string) (v *version) {
	defer func() {
		if r := recover(); r != nil {
			v = &version{fault: record.Panicked(r)}
		}
	}()
	var c codec
	var err error
	switch d.Format {
	case formatJSON:
	case formatAvro:
		c, err = parseAvro(d.Text)
	case formatProtobuf:
		c, err = parseProto(d.Text)
	default:
		err = fmt.Errorf("data format %q: want AVRO, JSON or PROTOBUF", d.Format)
	}
	if err != nil {
		return &version{fault: faultOf(record.CodeRegistrySchemaUnusable, "schema version %s: %v", id, err)}
	}
	return &version{codec: c}
}
