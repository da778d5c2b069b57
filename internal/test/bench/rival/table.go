package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	json "github.com/goccy/go-json"
	"github.com/parquet-go/parquet-go"

	"aws-streaming-pipeline/writers"
)

// rowGroup is the number of rows of a row group, DuckDB's.
const rowGroup = 122_880

type taxi struct {
	TripID      string `json:"TRIP_ID" parquet:"TRIP_ID"`
	CallType    string `json:"CALL_TYPE" parquet:"CALL_TYPE,dict"`
	OriginCall  string `json:"ORIGIN_CALL" parquet:"ORIGIN_CALL,dict"`
	OriginStand string `json:"ORIGIN_STAND" parquet:"ORIGIN_STAND,dict"`
	TaxiID      string `json:"TAXI_ID" parquet:"TAXI_ID,dict"`
	Timestamp   string `json:"TIMESTAMP" parquet:"TIMESTAMP"`
	DayType     string `json:"DAY_TYPE" parquet:"DAY_TYPE,dict"`
	MissingData string `json:"MISSING_DATA" parquet:"MISSING_DATA,dict"`
	Polyline    string `json:"POLYLINE" parquet:"POLYLINE"`
	EventID     string `json:"-" parquet:"event_id"`
}

type narrow struct {
	ID      int64     `json:"id" parquet:"id"`
	TS      time.Time `json:"ts" parquet:"ts,timestamp(microsecond)"`
	User    string    `json:"user" parquet:"user"`
	SID     string    `json:"sid" parquet:"sid"`
	Event   string    `json:"event" parquet:"event,dict"`
	Country string    `json:"country" parquet:"country,dict"`
	City    string    `json:"city" parquet:"city,dict"`
	Device  string    `json:"device" parquet:"device,dict"`
	OS      string    `json:"os" parquet:"os,dict"`
	Ver     string    `json:"ver" parquet:"ver,dict"`
	OK      bool      `json:"ok" parquet:"ok"`
	Code    int64     `json:"code" parquet:"code"`
	Dur     int64     `json:"dur" parquet:"dur"`
	Bytes   int64     `json:"bytes" parquet:"bytes"`
	Price   *float64  `json:"price" parquet:"price,optional"`
	Lat     float64   `json:"lat" parquet:"lat"`
	Lon     float64   `json:"lon" parquet:"lon"`
	Ref     string    `json:"ref" parquet:"ref,dict"`
	N       int64     `json:"n" parquet:"n"`
	New     bool      `json:"new" parquet:"new"`
	EventID string    `json:"-" parquet:"event_id"`
}

func (t *taxi) identify(id string)   { t.EventID = id }
func (n *narrow) identify(id string) { n.EventID = id }

// table is a Parquet file that is being written, for any number of shards.
type table interface {
	add(records []types.Record) error
	finish(ctx context.Context) error
}

type rows[T any, P interface {
	*T
	identify(string)
}] struct {
	file   file
	mu     sync.Mutex
	writer *parquet.GenericWriter[T]
	free   sync.Pool
}

func newTable[T any, P interface {
	*T
	identify(string)
}](f file) table {
	return &rows[T, P]{file: f, writer: parquet.NewGenericWriter[T](f, parquet.Compression(&parquet.Snappy), parquet.MaxRowsPerRowGroup(rowGroup))}
}

func (t *rows[T, P]) add(records []types.Record) error {
	held, _ := t.free.Get().(*[]T)
	if held == nil || cap(*held) < len(records) {
		held = new(make([]T, len(records)))
	}
	defer t.free.Put(held)
	batch := (*held)[:len(records)]
	clear(batch)
	for i := range records {
		if err := json.Unmarshal(records[i].Data, &batch[i]); err != nil {
			return fmt.Errorf("record %s: %w", aws.ToString(records[i].SequenceNumber), err)
		}
		P(&batch[i]).identify(aws.ToString(records[i].SequenceNumber))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := t.writer.Write(batch)
	return err
}

func (t *rows[T, P]) finish(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.writer.Close(); err != nil {
		return err
	}
	return t.file.publish(ctx)
}

// file is an object that is being uploaded.
type file struct {
	io.Writer
	publish func(context.Context) error
}

func (s site) newFile(ctx context.Context, key string) (file, error) {
	spec := writers.ObjectSpec{Key: key, Metadata: map[string]string{writers.MetadataBatchID: key}}
	u, err := s.sink.Begin(ctx, spec)
	if err != nil {
		return file{}, err
	}
	return file{u, func(ctx context.Context) error {
		staged, err := u.Finish(ctx)
		if err == nil {
			_, err = s.sink.Publish(ctx, staged, key)
		}
		return err
	}}, nil
}
