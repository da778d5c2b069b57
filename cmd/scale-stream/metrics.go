package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"aws-streaming-pipeline/internal/scaling"
)

// metricReader is the part of the CloudWatch client that the function calls.
type metricReader interface {
	GetMetricData(context.Context, *cloudwatch.GetMetricDataInput, ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error)
}

// series are the stream's metrics, each with the field of a minute that holds its values.
var series = []struct {
	id, name, statistic string
	add                 func(*scaling.Minute, float64)
}{
	{"bytes", "IncomingBytes", "Sum", func(m *scaling.Minute, v float64) { m.Bytes = v }},
	{"records", "IncomingRecords", "Sum", func(m *scaling.Minute, v float64) { m.Records = v }},
	{"rejected", "WriteProvisionedThroughputExceeded", "Sum", func(m *scaling.Minute, v float64) { m.Rejected = v }},
	{"lag", "GetRecords.IteratorAgeMilliseconds", "Maximum", func(m *scaling.Minute, v float64) { m.Lag = time.Duration(v) * time.Millisecond }},
	{"reads", "ReadProvisionedThroughputExceeded", "Sum", func(m *scaling.Minute, v float64) { m.ReadsThrottled = v }},
}

// readMinutes returns CloudWatch's data about the stream's full minutes, in chronological order. Minutes without data are
// missing.
func readMinutes(ctx context.Context, client metricReader, stream string, from, to time.Time) ([]scaling.Minute, error) {
	in := &cloudwatch.GetMetricDataInput{
		StartTime: aws.Time(from.Truncate(time.Minute)), EndTime: aws.Time(to.Truncate(time.Minute)),
		ScanBy: types.ScanByTimestampAscending,
	}
	for _, s := range series {
		in.MetricDataQueries = append(in.MetricDataQueries, types.MetricDataQuery{
			Id: aws.String(s.id),
			MetricStat: &types.MetricStat{
				Metric: &types.Metric{
					Namespace: aws.String("AWS/Kinesis"), MetricName: aws.String(s.name),
					Dimensions: []types.Dimension{{Name: aws.String("StreamName"), Value: aws.String(stream)}},
				},
				Period: aws.Int32(60), Stat: aws.String(s.statistic),
			},
		})
	}
	minutes := make(map[int64]*scaling.Minute)
	for {
		out, err := client.GetMetricData(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("get metrics of stream %s: %w", stream, err)
		}
		for _, result := range out.MetricDataResults {
			collect(minutes, result)
		}
		if out.NextToken == nil {
			break
		}
		in.NextToken = out.NextToken
	}
	list := make([]scaling.Minute, 0, len(minutes))
	for _, m := range minutes {
		list = append(list, *m)
	}
	slices.SortFunc(list, func(a, b scaling.Minute) int { return cmp.Compare(a.Start.Unix(), b.Start.Unix()) })
	return list, nil
}

// collect puts the values of one metric into their minutes.
func collect(minutes map[int64]*scaling.Minute, result types.MetricDataResult) {
	for _, s := range series {
		if s.id != aws.ToString(result.Id) {
			continue
		}
		for i, at := range result.Timestamps {
			if i >= len(result.Values) {
				return
			}
			m := minutes[at.Unix()]
			if m == nil {
				m = &scaling.Minute{Start: at.UTC()}
				minutes[at.Unix()] = m
			}
			s.add(m, result.Values[i])
		}
	}
}
