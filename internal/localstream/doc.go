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
// It speaks the AWS JSON 1.1 protocol over plain HTTP, and for GetRecords also the form in CBOR that the AWS SDK for Java
// uses, by stream name and by ARN, and answers as the Kinesis API
// reference and the page "Quotas and limits" of the developer guide describe: CreateStream, DeleteStream,
// DescribeStream, DescribeStreamSummary, ListStreams, ListShards, GetShardIterator, GetRecords, PutRecord, PutRecords,
// SplitShard, MergeShards, UpdateShardCount, UpdateMaxRecordSize and the two that change the retention period; for
// enhanced fan-out RegisterStreamConsumer, DescribeStreamConsumer, ListStreamConsumers, DeregisterStreamConsumer and
// SubscribeToShard, whose events are pushed over HTTP/1.1, which is what a [Server] speaks, as well as over HTTP/2, where
// a [Kinesis] handles the requests of another server. A conformance suite runs against it and against independent
// emulators.
//
// # Go access
//
// [Kinesis.CreateStream], [Kinesis.Put], [Kinesis.Shards], [Kinesis.Records] and [Kinesis.Release] work without HTTP
// and without faults and rate limits: to fill a stream before a test and to see what it holds after.
//
// # Memory
//
// Records live in memory and are bounded by Options.MaxBytes; Options.WhenFull says what gives way, see [Policy].
// What is gone from memory behaves as if its retention period were over: a reader continues with the oldest record
// that is left.
//
// # Faults
//
// [Faults] plants throttling, failures, lost and late requests and answers, expired iterators and incomplete listings
// into the calls by HTTP, breaks the event streams of subscriptions, and counts what was hit.
//
// # What is not here
//
// Encryption, tags, policies and authorization; dry runs; account-wide rate limits, and those on operations other than
// puts, GetRecords and SubscribeToShard.
package localstream
