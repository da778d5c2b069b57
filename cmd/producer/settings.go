package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"time"

	"aws-streaming-pipeline/producer"
)

// settings are the command line.
type settings struct {
	csv      string // path, "-" for standard input
	generate int64  // number of trips, 0 for none
	seed     uint64
	writeCSV string // path, "-" for standard output

	endpointURL string
	region      string
	verbose     bool

	repeat, maxRecordKiB int
	pace                 bool
	onBadRow             string

	producer producer.Config
}

// flagOf names the flag that sets a field of producer.Config.
var flagOf = map[string]string{
	"Stream": "stream", "Skip": "skip", "PartitionKey": "partition-key", "Rate": "rate", "InFlight": "in-flight",
}

const help = `Sends the rows of a CSV, or generated taxi trips, to a Kinesis data stream, one JSON object per row.

All values are sent as strings, with the CSV's header as names. Rows may arrive out of order, and a row may be sent twice
if a response from Kinesis is lost: a unique column, such as TRIP_ID, identifies duplicates.

Permissions: kinesis:PutRecords, and kinesis:ListShards unless --pace=false.

Exit status:
  0    every row was sent
  1    an error ended the run, some rows were not sent
  2    invalid settings, nothing was sent
  3    every row was sent except bad ones, which were reported and skipped
  130  interrupted (SIGINT, SIGTERM), some rows were not sent; a second signal ends the program at once
After 1 and 130 the report shows the --skip to continue with.`

var (
	toggle   = kind[bool]{"", "true or false", strconv.ParseBool}
	whole    = kind[int64]{"N", "a whole number", func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }}
	count    = kind[int]{"N", "a whole number", strconv.Atoi}
	seed     = kind[uint64]{"N", "a whole number, 0 or more", func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) }}
	fraction = kind[float64]{"ROWS", "a number", func(s string) (float64, error) { return strconv.ParseFloat(s, 64) }}
	span     = kind[time.Duration]{"TIME", "a duration over 0, such as 30s or 5m", positiveTime}
)

// name is a text that is used unchanged.
func name(argument string) kind[string] {
	return kind[string]{argument: argument, parse: func(s string) (string, error) { return s, nil }}
}

func newSettings() *settings {
	s := &settings{seed: 1, repeat: 1, maxRecordKiB: producer.DefaultMaxRecordBytes >> 10, pace: true, onBadRow: "skip"}
	c := &s.producer
	c.PartitionKey, c.InFlight, c.GiveUpAfter, c.DrainFor = "TRIP_ID", producer.DefaultInFlight, producer.DefaultGiveUpAfter, producer.DefaultDrainFor
	return s
}

// add defines the flags.
func (s *settings) add(f *flags) {
	c := &s.producer
	add(f, &s.csv, "csv", name("FILE"), "CSV file with a header to send; - reads standard input")
	add(f, &s.generate, "generate", whole, "generate N taxi trips instead; N and --seed determine them")
	add(f, &s.seed, "seed", seed, "seed of the generated trips")
	add(f, &s.writeCSV, "write-csv", name("FILE"), "write the generated trips to a CSV file and send nothing; - writes to standard output")
	add(f, &s.repeat, "repeat", count, "send the rows N times, 0 for no end")
	add(f, &c.Skip, "skip", whole, "start after the first N rows, counting bad rows and the rows of every repetition")
	add(f, &s.onBadRow, "on-bad-row", name("skip|fail"), "report and skip rows that cannot be sent (wrong number of cells, faulty quotes, too large), or stop at the first one")
	add(f, (*string)(&c.Stream), "stream", name("NAME"), "name or ARN of the stream")
	add(f, &c.PartitionKey, "partition-key", name("COLUMN"), "column whose value is the partition key; empty for the row's number")
	add(f, &c.Rate, "rate", fraction, "rows per second, 0 for as many as the stream accepts")
	add(f, &s.pace, "pace", toggle, "keep within each shard's limits of 1 MiB and 1,000 records per second; --pace=false sends as fast as Kinesis responds")
	add(f, &s.maxRecordKiB, "max-record-kib", count, "largest record, data and key; up to 10240 if the stream's limit was raised (UpdateMaxRecordSize)")
	add(f, &c.InFlight, "in-flight", count, "concurrent calls")
	add(f, &c.GiveUpAfter, "give-up-after", span, "stop when the stream has accepted no record of a call for this long")
	add(f, &c.DrainFor, "drain-for", span, "time that calls in flight get after an interruption")
	add(f, &s.endpointURL, "endpoint-url", name("URL"), "Kinesis endpoint to use instead of the region's")
	add(f, &s.region, "region", name("REGION"), "AWS region; default: that of the environment or profile")
	add(f, &s.verbose, "verbose", toggle, "log every call with rejected records, and print an error in the words of the SDK, too")
}

// complete sets what follows from the flags, and records all their faults.
func (s *settings) complete(f *flags) {
	c := &s.producer
	c.Repeat = s.repeat
	if s.repeat == 0 {
		c.Repeat = producer.Forever
	}
	c.MaxRecordBytes = s.maxRecordKiB << 10
	c.Unpaced = !s.pace
	c.FailOnBadRow = s.onBadRow == "fail"

	s.checkSource(f)
	if s.repeat < 0 {
		f.fault("repeat", strconv.Itoa(s.repeat), "a number of times, 0 for no end")
	}
	if s.onBadRow != "skip" && s.onBadRow != "fail" {
		f.fault("on-bad-row", s.onBadRow, "skip or fail")
	}
	if s.maxRecordKiB < 1 || s.maxRecordKiB > 10240 {
		f.fault("max-record-kib", strconv.Itoa(s.maxRecordKiB), "1 to 10240")
	}
	if c.InFlight == 0 {
		f.fault("in-flight", "0", "at least 1 call")
	}
	if s.endpointURL != "" && !validURL(s.endpointURL) {
		f.fault("endpoint-url", s.endpointURL, "a URL such as http://127.0.0.1:4567")
	}
	if s.writeCSV == "" {
		s.checkProducer(f)
	}
}

// checkSource records the faults of the settings that select the rows.
func (s *settings) checkSource(f *flags) {
	switch {
	case s.csv == "" && s.generate == 0:
		f.fault("csv", "", "a file, or --generate with a number of trips")
	case s.csv != "" && s.generate != 0:
		f.fault("generate", strconv.FormatInt(s.generate, 10), "nothing if --csv is set")
	case s.csv == "-" && s.producer.Repeat != 1:
		f.fault("repeat", strconv.Itoa(max(0, s.producer.Repeat)), "1, since standard input can be read only once")
	case s.csv != "" && s.csv != "-":
		if info, err := os.Stat(s.csv); err != nil {
			f.fault("csv", s.csv, "a file that can be read: "+err.Error())
		} else if info.IsDir() {
			f.fault("csv", s.csv, "a file, not a directory")
		}
	}
	if s.generate < 0 || s.generate > producer.MaxTrips {
		f.fault("generate", strconv.FormatInt(s.generate, 10), fmt.Sprintf("1 to %d trips", int64(producer.MaxTrips)))
	}
	if s.writeCSV != "" && s.generate == 0 {
		f.fault("write-csv", s.writeCSV, "--generate as well")
	}
}

// checkProducer records the faults that the producer finds, under the names of the flags.
func (s *settings) checkProducer(f *flags) {
	c := s.producer
	c.Source = func() (producer.Source, error) { return nil, nil } // a stand-in: send sets the real one
	c.Repeat, c.MaxRecordBytes = 1, 0                              // checked in the flags' own units
	f.faults = append(f.faults, inFlags(c.Validate())...)
}

// inFlags returns the faults of a producer.Config under the names of the flags.
func inFlags(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	var faults []error
	for _, err := range joined.Unwrap() {
		var fault producer.Fault
		if errors.As(err, &fault) && flagOf[fault.Field] != "" {
			fault.Field = "--" + flagOf[fault.Field]
			err = fault
		}
		faults = append(faults, err)
	}
	return faults
}

func validURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
