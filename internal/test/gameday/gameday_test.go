package gameday

import (
	"context"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"aws-streaming-pipeline/internal/test/emulator"
)

var play = flag.Bool("gameday", false, "plant the faults, which takes some 20 minutes; otherwise only the trials are checked")

// trial is a case: an alert, the fault that it is to notice, and what somebody does who follows its page.
type trial struct {
	alert string
	fault string // what was planted, for the table
	options
	// act plants the fault, waits until the alert fires, and follows the page.
	act func(*site)
}

// Every alert fires at its fault, and ends when its page is followed word for word.
func TestGameDay(t *testing.T) {
	if !*play {
		t.Skip("LEFT OUT: the game day, which takes some 20 minutes: make gameday")
	}
	all := rules(t)
	p := newPlace(t, all)
	var mu sync.Mutex
	var rows []string
	t.Cleanup(func() {
		slices.Sort(rows)
		t.Log("\n| alert | fault | fires after | followed | green after | with the chart's times: fires, green |\n|---|---|---|---|---|---|\n" + strings.Join(rows, ""))
	})
	for _, c := range trials {
		t.Run(c.alert, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, p, c.alert, c.options)
			c.act(s)
			fire, end := delay(p.rules[c.alert])
			row := fmt.Sprintf("| %s | %s | %s | %s | %s | %s, %s |\n", c.alert, c.fault, brief(s.fired), strings.Join(s.seen, "; "), brief(s.followed),
				brief(s.fired+fire), brief(s.followed+end))
			if t.Failed() {
				row = strings.Replace(row, " |", ", FAILED |", 1)
			}
			mu.Lock()
			rows = append(rows, row)
			mu.Unlock()
		})
	}
}

func brief(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()+0.5))
	case d < 3*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()+0.5))
	}
	return fmt.Sprintf("%d h", int(d.Hours()+0.5))
}

func newPlace(t *testing.T, all []rule) *place {
	t.Helper()
	_, bin := emulator.Tools(t)
	p := &place{watch: newWatch(t, all), dynamodb: emulator.DynamoDBLocal(t).URL, moto: emulator.Moto(t).URL, binaries: map[string]string{}, aws: bin, rules: map[string]rule{}}
	for _, r := range all {
		p.rules[r.Alert] = r
	}
	if err := expire(t.Context(), p.moto); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, program := range []string{"consumer", "loader"} {
		p.binaries[program] = filepath.Join(dir, program)
		build(t, p.binaries[program], program)
	}
	return p
}

func build(t *testing.T, path, program string, options ...string) {
	t.Helper()
	args := slices.Concat([]string{"build", "-o", path}, options, []string{"../../../cmd/" + program})
	if out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", program, err, out)
	}
}

// No alert is left out.
func TestTrials_AreOnePerAlert(t *testing.T) {
	has := make(map[string]bool)
	for _, c := range trials {
		if has[c.alert] {
			t.Errorf("%s has two trials", c.alert)
		}
		has[c.alert] = true
	}
	for _, r := range rules(t) {
		if !has[r.Alert] {
			t.Errorf("%s has no trial", r.Alert)
		}
		delete(has, r.Alert)
	}
	for alert := range has {
		t.Errorf("there is no alert %s", alert)
	}
}

// expire makes the bucket in moto, which has no objects, only the lifecycle rule of our templates and a policy.
func expire(ctx context.Context, endpoint string) error {
	client := s3.New(s3.Options{Region: region, BaseEndpoint: &endpoint, UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
	if _, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		return err
	}
	if _, err := client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: aws.String(bucket), Policy: aws.String(`{"Version":"2012-10-17","Statement":[]}`)}); err != nil {
		return err
	}
	_, err := client.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: aws.String(bucket), LifecycleConfiguration: &types.BucketLifecycleConfiguration{
		Rules: []types.LifecycleRule{{
			ID: aws.String("uploads"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("")},
			AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(7)},
		}},
	}})
	return err
}
