package firehose

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"aws-streaming-pipeline/consumer/transform/function"
)

// processing sets how payloads are opened and split (API reference, "Processor" and "ProcessorParameter").
func (m *importer) processing(p *node) {
	if p == nil || off(p) || !m.known(p) {
		return
	}
	p.get("Enabled").text()
	seen := make(map[string]bool)
	for _, processor := range p.get("Processors").list() {
		if !m.known(processor) {
			continue
		}
		kind := processor.get("Type")
		if seen[kind.text()] {
			m.leave(processor, fmt.Sprintf("it is another processor %q, and the daemon has one of each", kind.text()))
			processor.skip()
			continue
		}
		seen[kind.text()] = true
		parameters := make(map[string]*node)
		for _, parameter := range processor.get("Parameters").list() {
			name := parameter.get("ParameterName").text()
			if value := parameter.get("ParameterValue"); value != nil {
				parameters[name] = value
			}
		}
		switch kind.text() {
		case "AppendDelimiterToRecord":
			m.delimiter(processor, parameters["Delimiter"])
		case "RecordDeAggregation":
			m.split(processor, parameters["SubRecordType"], parameters["Delimiter"])
		case "MetadataExtraction":
			m.metadata(parameters["MetadataExtractionQuery"], parameters["JsonParsingEngine"])
		case "Decompression":
			m.decompression(processor, parameters["CompressionFormat"])
		case "CloudWatchLogProcessing":
			m.logEvents(processor, parameters["DataMessageExtraction"])
		case "Lambda":
			m.lambda(processor, parameters)
		default:
			m.leave(processor, fmt.Sprintf("the processor %q has no equal that this release of consumer knows", kind.text()))
		}
		for _, name := range slices.Sorted(maps.Keys(parameters)) {
			if n := parameters[name]; !n.read && n != m.query {
				m.leave(n, fmt.Sprintf("the parameter %s=%q of %s has no equal", name, n.value, kind.text()))
			}
		}
	}
}

// delimiter sets APPEND_DELIMITER. The parameter is optional and a line feed, which clients escape more than once.
func (m *importer) delimiter(processor, delimiter *node) {
	switch delimiter.text() {
	case "", "\n", `\n`, `\\n`:
	default:
		m.leave(delimiter, fmt.Sprintf("the delimiter is %q, and the daemon appends line feeds only", delimiter.value))
		return
	}
	if m.Value("FORMAT") != "firehose" {
		m.note(processor, "Parquet has no delimiters")
		return
	}
	m.set("APPEND_DELIMITER", "true", processor.at, "")
}

// split sets SPLIT_RECORDS. A delimiter is in base64 (AWS CDK API Reference, "RecordDeAggregationProcessorOptions").
func (m *importer) split(processor, kind, delimiter *node) {
	switch kind.text() {
	case "JSON":
		m.set("SPLIT_RECORDS", "json", processor.at, "without Firehose's limit of 500 per record")
	case "DELIMITED":
		text := delimiter.text()
		if decoded, err := base64.StdEncoding.DecodeString(text); err == nil {
			text = string(decoded)
		}
		if text != "\n" && text != `\n` {
			m.leave(processor, fmt.Sprintf("the delimiter is %q, and SPLIT_RECORDS knows JSON values and lines", text))
			return
		}
		m.set("SPLIT_RECORDS", "lines", processor.at, "without Firehose's limit of 500 per record; blank lines are left out")
	default:
		m.wrong(first(kind, processor), "a SubRecordType of JSON or DELIMITED")
	}
}

// metadata keeps the query for the prefix, which needs its keys.
func (m *importer) metadata(query, engine *node) {
	if engine != nil && !engine.is("JQ-1.6") {
		m.leave(engine, fmt.Sprintf("the engine is %q, and PARTITION_QUERY is a jq program", engine.value))
	}
	if m.known(query) {
		m.query = query
	}
}

// decompression sets OPEN_GZIP.
func (m *importer) decompression(processor, format *node) {
	if format != nil && !format.is("GZIP") {
		m.leave(processor, fmt.Sprintf("the compression of the payloads is %q, and the daemon opens gzip only", format.value))
		return
	}
	m.set("OPEN_GZIP", "true", processor.at, "payloads without compression are delivered, too; corrupt ones go to processing-failed, not to decompression-failed")
}

// logEvents sets SPLIT_LOG_EVENTS.
func (m *importer) logEvents(processor, extraction *node) {
	if !extraction.is("true") {
		m.note(processor, "it extracts no messages, so payloads are delivered whole")
		return
	}
	m.set("SPLIT_LOG_EVENTS", "message", processor.at, "messages that CloudWatch Logs sends as a test (CONTROL_MESSAGE) are delivered whole")
}

// lambda sets TRANSFORM and how the function is called. Firehose calls it by a role, the daemon by its own.
func (m *importer) lambda(processor *node, parameters map[string]*node) {
	arn := parameters["LambdaArn"]
	if missing(m, arn, processor, "LambdaArn", "TRANSFORM") {
		processor.skip()
		return
	}
	if _, err := function.ParseARN(arn.text()); err != nil {
		m.wrong(arn, function.WantARN)
		processor.skip()
		return
	}
	m.set("TRANSFORM", "lambda:"+arn.text(), arn.at, "the daemon's role needs lambda:InvokeFunction; docs/transforms.md lists the differences")
	parameters["RoleArn"].skip()
	if size := parameters["BufferSizeInMBs"]; size != nil {
		const low, high = 0.2, 3
		mb, err := strconv.ParseFloat(size.text(), 64)
		if !(err == nil && mb >= low && mb <= high) {
			m.wrong(size, "a number from 0.2 to 3")
		} else {
			m.set("TRANSFORM_BUFFER_SIZE", size.text()+"MiB", size.at, "")
		}
	}
	if retries := parameters["NumberOfRetries"]; retries != nil {
		n := m.number(retries, 0, 100, 3)
		m.set("TRANSFORM_RETRIES", strconv.Itoa(n), retries.at, "for calls with which the function fails; others are repeated until they reach it")
	}
	if interval := parameters["BufferIntervalInSeconds"]; interval != nil {
		m.readInterval(interval, m.number(interval, 0, 900, 60))
	}
}

// readInterval sets how long records of a shard wait for a call. A shard of 2 MB/s fills an answer of GetRecords, which holds
// 10 MB, in 5 s: longer intervals would hold it back.
func (m *importer) readInterval(interval *node, seconds int) {
	const most = 5
	if seconds == 0 {
		return // the default is as soon as may be
	}
	note := ""
	if seconds > most {
		note = fmt.Sprintf("Firehose waits for up to %d s; more than %d s would hold back a busy shard", seconds, most)
	}
	m.set("READ_INTERVAL", fmt.Sprint(min(seconds, most), "s"), interval.at, note)
}

// first returns the first node that is there.
func first(nodes ...*node) *node {
	for _, n := range nodes {
		if n != nil {
			return n
		}
	}
	return nil
}
