// Package firehose turns the description of an Amazon Data Firehose stream into settings of the daemon that deliver the same
// records to the same places. It makes no AWS calls.
//
// A description is what the API call DescribeDeliveryStream returns, an AWS::KinesisFirehose::DeliveryStream of a CloudFormation
// template, or an aws_kinesis_firehose_delivery_stream of a Terraform state or plan. All three become one tree with the names of
// the API, in which each value knows its place in the text that it is from.
//
// Nothing is left out silently: a value of the tree becomes a setting, is without effect on what is delivered, or is named in
// Settings.Left with the reason.
//
// What the values mean is described in the Amazon Data Firehose API Reference and Developer Guide; comments name the page.
package firehose
