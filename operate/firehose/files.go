package firehose

import (
	"fmt"
	"time"

	"aws-streaming-pipeline/record/prefix"
)

// compressions are the values of COMPRESSION for those of CompressionFormat (API reference, "ExtendedS3DestinationDescription").
var compressions = map[string]string{"UNCOMPRESSED": "none", "GZIP": "gzip", "ZIP": "zip", "Snappy": "snappy", "HADOOP_SNAPPY": "hadoop-snappy"}

// files sets the format, compression and size of files.
func (m *importer) files(destination *node, converts bool) {
	encoded := converts
	if !converts {
		m.set("FORMAT", "firehose", destination.at, "the same bytes as Firehose's: payloads are concatenated")
		encoded = m.compression(destination)
	}
	destination.get("CompressionFormat").skip() // Firehose converts to files that are compressed within
	switch extension := destination.get("FileExtension"); {
	case extension == nil:
	case extension.expression != "":
		m.leave(extension, extension.unknown())
	case prefix.ValidateExtension(extension.text()) != nil:
		m.wrong(extension, "an extension that Firehose accepts, such as .json.gz")
	default:
		m.set("FILE_EXTENSION", extension.text(), extension.at, "")
	}
	m.buffering(destination, converts, encoded)
}

// compression sets COMPRESSION, and reports whether files are compressed.
func (m *importer) compression(destination *node) bool {
	format := destination.get("CompressionFormat")
	switch value, known := compressions[format.text()]; {
	case format == nil:
		m.set("COMPRESSION", "none", from(nil, destination, "CompressionFormat", "Firehose does not compress"), "")
		return false
	case known:
		m.set("COMPRESSION", value, format.at, "")
		return value != "none"
	case format.expression != "":
		m.leave(format, "COMPRESSION is missing: "+format.unknown())
	default:
		m.wrong(format, "UNCOMPRESSED, GZIP, ZIP, Snappy or HADOOP_SNAPPY")
	}
	return false
}

// Bounds and defaults of BufferingHints (API reference). Streams that convert or partition have larger buffers (Amazon Data
// Firehose Developer Guide, "Configure buffering hints").
const (
	maxBufferMiB, defaultMiB, defaultLargeMiB = 128, 5, 128
	maxBufferSeconds, defaultSeconds          = 900, 300
)

// buffering sets when files are closed and committed.
func (m *importer) buffering(destination *node, converts, encoded bool) {
	hints := destination.get("BufferingHints")
	if !m.known(hints) {
		return
	}
	size, interval := hints.get("SizeInMBs"), hints.get("IntervalInSeconds")
	otherwise := defaultMiB
	if converts || destination.get("DynamicPartitioningConfiguration", "Enabled").is("true") {
		otherwise = defaultLargeMiB
	}
	note := ""
	if encoded {
		note = "Firehose counts the bytes before compression, FILE_SIZE those in the file: files hold more records"
	}
	parent := first(hints, &node{at: destination.place("BufferingHints")})
	if destination.attributes {
		parent = destination // Terraform has the hints side by side with the rest
	}
	if m.known(size) {
		m.set("FILE_SIZE", fmt.Sprintf("%dMiB", m.number(size, 1, maxBufferMiB, otherwise)),
			from(size, parent, "SizeInMBs", fmt.Sprintf("Firehose's default of %d MiB", otherwise)), note)
	}
	if !m.known(interval) {
		return
	}
	note = "a hint in Firehose, a bound here"
	seconds := m.number(interval, 0, maxBufferSeconds, defaultSeconds)
	if seconds == 0 {
		seconds, note = 1, "Firehose does not buffer; one second is the least here"
	}
	m.set("COMMIT_INTERVAL", duration(seconds), from(interval, parent, "IntervalInSeconds", fmt.Sprintf("Firehose's default of %d s", defaultSeconds)), note)
}

// known reports whether a value is not an expression, and otherwise names it as what is left.
func (m *importer) known(n *node) bool {
	if n == nil || n.expression == "" {
		return true
	}
	m.leave(n, n.unknown())
	return false
}

// duration writes seconds without parts that are zero, such as 5m.
func duration(seconds int) string {
	if seconds%60 == 0 {
		return fmt.Sprintf("%dm", seconds/60)
	}
	return (time.Duration(seconds) * time.Second).String()
}
