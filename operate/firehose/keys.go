package firehose

import (
	"fmt"
	"strings"

	"aws-streaming-pipeline/record/prefix"
)

// keys sets the prefixes, with Firehose's implicit parts written out, and the program for partition keys.
func (m *importer) keys(destination *node) {
	data, errs, zone := destination.get("Prefix"), destination.get("ErrorOutputPrefix"), destination.get("CustomTimeZone")
	for _, n := range []*node{data, errs, zone} {
		if n != nil && n.expression != "" {
			m.leave(n, n.unknown())
			m.leaveQuery("it needs the Prefix")
			return
		}
	}
	dataText, errorText, missing := prefix.Complete(data.text(), errs.text())
	if missing != nil {
		m.Left = append(m.Left, Remark{destination.place("ErrorOutputPrefix"), "it is not set, which Firehose allows only for a Prefix without expressions. The default of ERROR_PREFIX applies"})
	}
	location, err := prefix.LoadZone(zone.text())
	if err != nil {
		m.leave(zone, fmt.Sprintf("%q is not a name of the time zone database: times in prefixes are in UTC", zone.value))
		location, zone = nil, nil
	}
	taken := prefix.Config{Data: dataText, Error: errorText, Zone: location}
	switch {
	case m.query == nil:
	case strings.Contains(dataText, "!{partitionKeyFromQuery:"):
		taken.Query = m.query.text()
	default:
		m.query.text()
		m.note(m.query, "the Prefix uses no key of the query, so PARTITION_QUERY is not needed")
		m.query = nil
	}
	refused := make(map[prefix.Part]string)
	router, err := prefix.New(taken)
	if err == nil && len(router.Given()) > 0 && m.Value("TRANSFORM") == "" {
		refused[prefix.DataPart] = "want a Lambda function that gives the keys"
	}
	for _, p := range prefix.Problems(err) {
		refused[p.Part] = p.Err.Error()
	}
	if missing != nil {
		refused[prefix.ErrorPart] = missing.Error()
	}
	m.setKeys(destination, taken, refused)
	if zone != nil {
		m.set("TIME_ZONE", zone.text(), zone.at, "")
	}
}

// setKeys sets what the daemon accepts, and names what it refuses. The prefix and the query need each other.
func (m *importer) setKeys(destination *node, taken prefix.Config, refused map[prefix.Part]string) {
	data, errs := destination.get("Prefix"), destination.get("ErrorOutputPrefix")
	dataFault, queryFault := refused[prefix.DataPart], refused[prefix.QueryPart]
	switch {
	case dataFault != "":
		m.leave(data, fmt.Sprintf("%q: %s. The default of PREFIX applies", data.value, dataFault))
	case queryFault != "":
		m.leave(data, fmt.Sprintf("%q needs a query that makes its keys. The default of PREFIX applies", data.value))
	default:
		m.set("PREFIX", taken.Data, from(data, destination, "Prefix", "Firehose begins keys with the time"), "Firehose appends the time to a Prefix without expressions")
		if data == nil || data.value == taken.Data {
			m.Lines[len(m.Lines)-1].Note = ""
		}
	}
	switch {
	case m.query == nil:
	case queryFault != "":
		m.leave(m.query, fmt.Sprintf("%q: %s", m.query.value, queryFault))
	case dataFault != "":
		m.leaveQuery("it needs the Prefix")
	default:
		m.set("PARTITION_QUERY", taken.Query, m.query.at, "gojq runs it; docs/prefixes.md lists the differences from jq 1.6")
	}
	switch fault := refused[prefix.ErrorPart]; {
	case fault != "" && errs != nil:
		m.leave(errs, fmt.Sprintf("%q: %s. The default of ERROR_PREFIX applies", errs.value, fault))
	case fault == "":
		m.set("ERROR_PREFIX", taken.Error, from(errs, destination, "ErrorOutputPrefix", "Firehose uses the Prefix, the error type and the time"), "Firehose appends the error type and the time")
		if errs == nil || errs.value == taken.Error {
			m.Lines[len(m.Lines)-1].Note = ""
		}
	}
}

// leaveQuery names the query as what is left, if there is one.
func (m *importer) leaveQuery(reason string) {
	if m.query != nil {
		m.leave(m.query, fmt.Sprintf("%q: %s", m.query.value, reason))
	}
}
