// Package localstream is a Kinesis endpoint inside the process, for the demo, for tests and for benchmarks.
//
//	server, err := localstream.Start("127.0.0.1:0", localstream.Options{})
//	...
//	defer server.Close()
//	err = server.CreateStream("trips", 4)
//	client := kinesis.New(kinesis.Options{
//		BaseEndpoint: aws.String(server.URL()),
//		Region:       "us-east-1",
//		Credentials:  credentials.NewStaticCredentialsProvider("local", "local", ""),
//	})
//
// It speaks the AWS JSON 1.1 protocol over plain HTTP and, for GetRecords, also the CBOR form that the AWS SDK for Java
// uses. Streams are named by name or ARN. It follows the Kinesis API reference and the page "Quotas and limits" of the
// developer guide for CreateStream, DeleteStream, DescribeStream, DescribeStreamSummary, ListStreams, ListShards,
// GetShardIterator, GetRecords, PutRecord, PutRecords, SplitShard, MergeShards, UpdateShardCount, UpdateMaxRecordSize and
// the two operations that change the retention period. For enhanced fan-out it has RegisterStreamConsumer,
// DescribeStreamConsumer, ListStreamConsumers, DeregisterStreamConsumer and SubscribeToShard, which pushes events over
// HTTP/1.1, the protocol of a [Server], or HTTP/2, if a [Kinesis] handles the requests of another server. A conformance
// suite runs against it and against independent emulators.
//
// # Go access
//
// [Kinesis.CreateStream], [Kinesis.Put], [Kinesis.Shards], [Kinesis.Records] and [Kinesis.Release] bypass HTTP, faults
// and rate limits. They fill a stream before a test and inspect it afterwards.
//
// # Memory
//
// Records are kept in memory, up to Options.MaxBytes. Options.WhenFull says what happens when memory is full; see
// [Policy]. Records dropped from memory behave as if they had expired: a reader continues with the oldest record that is
// left.
//
// # Faults
//
// [Faults] injects throttling, failures, lost and late requests and answers, expired iterators and incomplete listings
// into calls by HTTP, breaks the event streams of subscriptions, and counts the calls it hit.
//
// # Not supported
//
// Encryption, tags, policies and authorization; dry runs; account-wide rate limits, and rate limits of operations other
// than puts, GetRecords and SubscribeToShard.
package localstream
