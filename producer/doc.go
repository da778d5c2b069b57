// Package producer sends the rows of a table to a Kinesis data stream, one JSON object per row.
//
// Rows come from a Source: a CSV with a header, or taxi trips generated from a seed. All values are strings, named by the
// header and in the order of the columns; readers of the stream convert them to types.
//
// The order of the rows is not kept: calls are concurrent, and a record that the stream rejects is sent again after its
// neighbours. Delivery is at least once: when the response to a call is lost, its records may be in the stream already and
// are sent again. A unique column, such as TRIP_ID, identifies duplicates.
//
// Memory does not grow with the table: it is bounded by the calls in flight, each of 5 MiB or of one larger record, and by
// the longest row.
package producer
