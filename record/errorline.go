package record

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Attempt describes where and when the delivery of a record failed.
type Attempt struct {
	// Count is the number of delivery attempts.
	Count int
	// Ended is when the last attempt failed, with millisecond precision.
	Ended time.Time
	// Table is the table whose columns the record does not fit; nil if there is none. Only lines of
	// FormatConversionFailed name it.
	Table *CatalogTable
}

// CatalogTable names a table of the Glue Data Catalog, with the members of Firehose's error objects. Empty fields are
// written as null.
type CatalogTable struct {
	CatalogID    string
	DatabaseName string
	TableName    string
	Region       string
	VersionID    string
	CatalogARN   string
}

// AppendErrorLine appends one line of JSON that describes which record could not be delivered and why, in the format and
// member order of Firehose's error objects, so that their readers can read these, too.
//
// A record that could not be processed, or that a database has refused (Amazon Data Firehose Developer Guide, "Transform source data"):
//
//	rawData (base64), errorCode, errorMessage, attemptsMade, arrivalTimestamp, attemptEndingTimestamp, lambdaARN
//
// A record that could not be converted (same guide, "Convert input data format"):
//
//	attemptsMade, arrivalTimestamp, lastErrorCode, lastErrorMessage, attemptEndingTimestamp, rawData, sequenceNumber,
//	subSequenceNumber, dataCatalogTable
//
// lambdaARN is there only if a function did not transform the record; the guide writes lambdaArn, the service lambdaARN.
// Timestamps are milliseconds since 1970. Our own members follow, with what else a redrive needs: shardId,
// sequenceNumber, subSequenceNumber, partNumber, partitionKey, explicitHashKey, eventId. subSequenceNumber is null if the
// record was not in an aggregate, partNumber if it was not split, and explicitHashKey if it had none. pieceNumber follows
// partNumber if a transform made several records of one. Bytes in texts that are not UTF-8 are written as U+FFFD.
func AppendErrorLine(dst []byte, r *Record, f *Fault, a Attempt) []byte {
	l := lineWriter{append(dst, '{')}
	if f.Type == FormatConversionFailed {
		l.int("attemptsMade", int64(a.Count))
		l.int("arrivalTimestamp", r.Arrival.UnixMilli())
		l.text("lastErrorCode", f.Code)
		l.text("lastErrorMessage", f.Message)
		l.int("attemptEndingTimestamp", a.Ended.UnixMilli())
		l.base64("rawData", r.Data)
		l.position(r)
		l.table(a.Table)
		l.text("shardId", r.Shard)
	} else {
		l.base64("rawData", r.Data)
		l.text("errorCode", f.Code)
		l.text("errorMessage", f.Message)
		l.int("attemptsMade", int64(a.Count))
		l.int("arrivalTimestamp", r.Arrival.UnixMilli())
		l.int("attemptEndingTimestamp", a.Ended.UnixMilli())
		if f.Function != "" {
			l.text("lambdaARN", f.Function)
		}
		l.text("shardId", r.Shard)
		l.position(r)
	}
	l.intOrNull("partNumber", r.Part, r.Split)
	if r.Pieces {
		l.int("pieceNumber", int64(r.Piece))
	}
	l.text("partitionKey", r.PartitionKey)
	l.textOrNull("explicitHashKey", r.ExplicitHashKey)
	l.name("eventId")
	return append(appendQuotedEventID(l.b, r), '}', '\n')
}

// lineWriter appends members to a JSON object.
type lineWriter struct{ b []byte }

func (l *lineWriter) name(name string) {
	if l.b[len(l.b)-1] != '{' {
		l.b = append(l.b, ',')
	}
	l.b = append(l.b, '"')
	l.b = append(l.b, name...)
	l.b = append(l.b, '"', ':')
}

func (l *lineWriter) int(name string, value int64) {
	l.name(name)
	l.b = strconv.AppendInt(l.b, value, 10)
}

func (l *lineWriter) intOrNull(name string, value int, ok bool) {
	if !ok {
		l.null(name)
		return
	}
	l.int(name, int64(value))
}

func (l *lineWriter) null(name string) {
	l.name(name)
	l.b = append(l.b, "null"...)
}

func (l *lineWriter) text(name, value string) {
	l.name(name)
	l.b = AppendJSONString(l.b, value)
}

func (l *lineWriter) textOrNull(name, value string) {
	if value == "" {
		l.null(name)
		return
	}
	l.text(name, value)
}

func (l *lineWriter) base64(name string, value []byte) {
	l.name(name)
	l.b = append(l.b, '"')
	l.b = base64.StdEncoding.AppendEncode(l.b, value)
	l.b = append(l.b, '"')
}

func (l *lineWriter) position(r *Record) {
	l.text("sequenceNumber", r.SequenceNumber)
	l.intOrNull("subSequenceNumber", r.SubSequence, r.Aggregated)
}

func (l *lineWriter) table(t *CatalogTable) {
	if t == nil {
		l.null("dataCatalogTable")
		return
	}
	l.name("dataCatalogTable")
	l.b = append(l.b, '{')
	l.textOrNull("catalogId", t.CatalogID)
	l.textOrNull("databaseName", t.DatabaseName)
	l.textOrNull("tableName", t.TableName)
	l.textOrNull("region", t.Region)
	l.textOrNull("versionId", t.VersionID)
	l.textOrNull("catalogArn", t.CatalogARN)
	l.b = append(l.b, '}')
}

// AppendJSONString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func AppendJSONString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', byte(c))
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		default:
			dst = utf8.AppendRune(dst, c)
		}
	}
	return append(dst, '"')
}

// ErrorLine is a parsed line of an error object.
type ErrorLine struct {
	// Record is the record as received. Its Fault is set.
	Record  Record
	Attempt Attempt
}

// ParseErrorLine parses a line that AppendErrorLine or Firehose wrote, with or without its line feed. Firehose's lines
// lack our own members; the fields for those stay empty. The result shares no memory with the line.
func ParseErrorLine(line []byte) (ErrorLine, error) {
	var m errorMembers
	if err := json.Unmarshal(line, &m); err != nil {
		return ErrorLine{}, fmt.Errorf("parse error line: %w", err)
	}
	f, err := m.fault()
	if err != nil {
		return ErrorLine{}, fmt.Errorf("parse error line: %w", err)
	}
	if m.RawData == nil {
		return ErrorLine{}, errors.New("parse error line: no rawData")
	}
	e := ErrorLine{
		Record: Record{
			Shard:           m.ShardID,
			SequenceNumber:  m.SequenceNumber,
			PartitionKey:    m.PartitionKey,
			ExplicitHashKey: m.ExplicitHashKey,
			Arrival:         time.UnixMilli(m.ArrivalTimestamp).UTC(),
			Data:            *m.RawData,
			Fault:           f,
		},
		Attempt: Attempt{
			Count: m.AttemptsMade,
			Ended: time.UnixMilli(m.AttemptEndingTimestamp).UTC(),
			Table: (*CatalogTable)(m.DataCatalogTable),
		},
	}
	if m.SubSequenceNumber != nil {
		e.Record.Aggregated, e.Record.SubSequence = true, *m.SubSequenceNumber
	}
	if m.PartNumber != nil {
		e.Record.Split, e.Record.Part = true, *m.PartNumber
	}
	if m.PieceNumber != nil {
		e.Record.Pieces, e.Record.Piece = true, *m.PieceNumber
	}
	return e, nil
}

// errorMembers are the members of both kinds of lines.
type errorMembers struct {
	RawData                *[]byte           `json:"rawData"`
	ErrorCode              *string           `json:"errorCode"`
	ErrorMessage           string            `json:"errorMessage"`
	LastErrorCode          *string           `json:"lastErrorCode"`
	LastErrorMessage       string            `json:"lastErrorMessage"`
	AttemptsMade           int               `json:"attemptsMade"`
	ArrivalTimestamp       int64             `json:"arrivalTimestamp"`
	AttemptEndingTimestamp int64             `json:"attemptEndingTimestamp"`
	LambdaARN              string            `json:"lambdaARN"` // and lambdaArn: names are matched without regard to case
	ShardID                string            `json:"shardId"`
	SequenceNumber         string            `json:"sequenceNumber"`
	SubSequenceNumber      *int              `json:"subSequenceNumber"`
	PartNumber             *int              `json:"partNumber"`
	PieceNumber            *int              `json:"pieceNumber"`
	PartitionKey           string            `json:"partitionKey"`
	ExplicitHashKey        string            `json:"explicitHashKey"`
	DataCatalogTable       *catalogTableJSON `json:"dataCatalogTable"`
}

// catalogTableJSON is CatalogTable under Firehose's names.
type catalogTableJSON struct {
	CatalogID    string `json:"catalogId"`
	DatabaseName string `json:"databaseName"`
	TableName    string `json:"tableName"`
	Region       string `json:"region"`
	VersionID    string `json:"versionId"`
	CatalogARN   string `json:"catalogArn"`
}

// fault returns the line's Fault. The name of the member with the code determines its type.
func (m *errorMembers) fault() (*Fault, error) {
	switch {
	case m.ErrorCode != nil && m.LastErrorCode != nil:
		return nil, errors.New("both errorCode and lastErrorCode")
	case m.ErrorCode != nil && strings.HasPrefix(*m.ErrorCode, "Postgres."):
		return &Fault{Type: PostgresFailed, Code: *m.ErrorCode, Message: m.ErrorMessage}, nil
	case m.ErrorCode != nil:
		f := &Fault{Type: ProcessingFailed, Code: *m.ErrorCode, Message: m.ErrorMessage}
		if m.LambdaARN != "" {
			f.Function, f.Attempts = m.LambdaARN, m.AttemptsMade
		}
		return f, nil
	case m.LastErrorCode != nil:
		return &Fault{Type: FormatConversionFailed, Code: *m.LastErrorCode, Message: m.LastErrorMessage}, nil
	}
	return nil, errors.New("neither errorCode nor lastErrorCode")
}
