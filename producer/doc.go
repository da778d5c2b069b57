// Package producer sends the rows of a table to a Kinesis data stream, one JSON object a row.
//
// Rows come from a Source: a CSV with a header, or taxi trips made up from a seed. All values are strings under the
// header's names, in the order of the columns; whoever reads the stream gives them types.
//
// The order of the rows is not kept: calls run side by side, and a record that the stream refused is sent again after
// its neighbours. Delivery is at least once: when the answer to a call is lost, its records may be in the stream and
// are sent again all the same. A column that is unique in the set, as TRIP_ID, tells such doubles.
//
// Memory does not grow with the table: it is bounded by the calls in flight, each of 5 MiB or of one larger
// record, and by the longest row.
package producer
