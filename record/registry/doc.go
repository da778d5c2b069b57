// Package registry opens payloads that name their schema: those of the serializers of the AWS Glue Schema Registry.
//
// # The frame
//
// A payload is 0x03, a byte for the compression (0x00 none, 0x05 zlib), the 16 bytes of the schema version's UUID, and the
// data (awslabs/aws-glue-schema-registry, AWSSchemaRegistryConstants and GlueSchemaRegistryDeserializerDataParser). JSON
// text never begins with 0x03, so payloads with and without a frame may share a stream.
//
// # Conversion of the data
//
// Data become one JSON text by the schema that wrote them. Nothing is validated that the serializer has validated, and no
// value is rounded.
//
// JSON Schema: the data are JSON already and are taken as they are.
//
// Avro (Apache Avro 1.12 Specification): a record is an object with its fields in the schema's order, a map is an object, an
// array an array. A union is the plain value of its branch, without the branch's name. Numbers are numbers, a float in the
// shortest form that gives the same 32 bits; NaN and infinities, for which JSON has no number, are the strings "NaN",
// "Infinity" and "-Infinity". An enum is its symbol; bytes and fixed are base64 (RFC 4648, section 4). Logical types:
//
//	decimal                        a number with all digits of its scale, such as 12.30
//	uuid                           a string, also where it is a fixed of 16 bytes
//	date                           2026-01-31
//	time-millis, time-micros       23:59:59.999, 23:59:59.999999
//	timestamp-millis, -micros,     2026-01-31T23:59:59.999Z, in UTC, with 3, 6 or 9 digits of the second
//	  -nanos
//	local-timestamp-millis, ...    2026-01-31T23:59:59.999, without a zone
//	duration                       P1M2DT3.004S (ISO 8601): months, days and milliseconds do not convert into one another
//
// A logical type that the specification does not know, or that does not suit its type, is ignored, as the specification asks.
//
// Protobuf (the ProtoJSON format of protobuf.dev, with three differences): fields have the names of the .proto file, in its
// order; 64-bit integers are numbers, since neither JSON nor the files' readers round them; a field without presence that has
// its zero value is written, since zero is the value that was sent. Fields with presence are there if they were set. Enums are
// names, or numbers that the schema does not name; bytes are base64; the well-known types have their own forms, but Any,
// which names a schema that is not there, is its type_url and value. Unknown fields and extensions have no name, and are left
// out.
//
// # Columns
//
// Definition.JSONSchema describes what Open makes of data by a JSON Schema document, from which columns are made (package
// schema). Each value fits its column and comes back from it.
//
// # Bounds
//
// Opening costs time and memory in proportion to the payload and to what comes out of it, which has a bound; nesting is bound
// by jsonscan.MaxDepth. The registry is asked once for each schema version, by all shards together.
package registry
