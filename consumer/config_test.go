package consumer

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestLoadConfig_NamesEveryFaultAtOnce(t *testing.T) {
	for name, value := range map[string]string{
		"START_POSITION": "yesterday", "FORMAT": "xml", "FILE_SIZE": "huge", "COMMIT_INTERVAL": "soon", "PART_SIZE": "1MiB",
		"MAX_LEASES": "-1", "TIME_ZONE": "Mars/Olympus", "S3_PATH_STYLE": "maybe", "MANIFEST_PREFIX": "m/!{timestamp:yyyy}",
		"SPOOL_DIR": "/does/not/exist", "HTTP_ADDRESS": "8080", "FAN_OUT_CONSUMER": "arn:aws:kinesis:eu-west-1:123456789012:stream/trips",
	} {
		t.Setenv(name, value)
	}
	t.Setenv("BUCKET", "") // set, to nothing
	_, err := LoadConfig()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"STREAM_NAME is required", "BUCKET is required", `START_POSITION="yesterday"`, `FORMAT="xml"`, `FILE_SIZE="huge"`,
		`COMMIT_INTERVAL="soon"`, `PART_SIZE="1MiB"`, `MAX_LEASES="-1"`, `TIME_ZONE="Mars/Olympus"`, `S3_PATH_STYLE="maybe"`,
		"MANIFEST_PREFIX", "SPOOL_DIR", "HTTP_ADDRESS", `FAN_OUT_CONSUMER="arn:aws:`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s:\n%v", want, err)
		}
	}
}

// Names that AWS or a compatible store takes, although they look unusual.
func TestConfig_TakesNamesOfOtherAccountsAndStores(t *testing.T) {
	for _, adjust := range []func(*Config){
		func(c *Config) { c.CheckpointTable = "arn:aws:dynamodb:eu-west-1:123456789012:table/trips" },
		func(c *Config) {
			c.CheckpointTable = "arn:aws-us-gov:dynamodb:us-gov-west-1:123456789012:table/a.b_c-D"
		},
		func(c *Config) { c.Bucket, c.PathStyle = "tenant:bucket", true },
		func(c *Config) { c.Bucket = "logs.example.com" },
		func(c *Config) { c.Bucket = "trips--euw1-az1--x-s3" },
		func(c *Config) { c.Bucket = "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap" },
		func(c *Config) { c.Bucket = "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint:trips" },
		func(c *Config) { c.StreamARN = "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/trips" },
		func(c *Config) {
			c.Format, c.TableConfig.Table, c.CheckpointFile = "parquet", "s3://files/tables/trips", "checkpoints"
		},
		func(c *Config) {
			c.Format, c.TableConfig.Table, c.TableToken, c.TableWarehouse = "parquet", "rest://lake.example.com/v1/a.trips", "eyJh.b_-~+/==", "lake"
		},
		func(c *Config) {
			c.Format, c.TableConfig.Table = "parquet", "arn:aws-cn:s3tables:cn-north-1:123456789012:bucket/lake/a/trips"
		},
		func(c *Config) { c.TablePartition = "" },
		func(c *Config) {
			c.BackupPrefix, c.BackupFormat, c.BackupCompression = "!{firehose:random-string}/backup/", "jsonl", "zstd"
		},
		func(c *Config) { c.Prefix, c.ErrorPrefix, c.BackupPrefix = "", "", "!{timestamp:yyyy}/" },
		func(c *Config) {
			c.TableConfig.Table, c.PostgresDSN, c.PostgresUser = "postgres://db.example.com/lake/trips", " host = 10.0.0.7 user=loader", "loader"
		},
		func(c *Config) {
			c.Format, c.TableConfig.Table, c.TablePartition = "parquet", "glue://lake/trips, postgresql://[::1]:6432/lake/raw.trips", ""
			c.PostgresSecret, c.PostgresAuth, c.PostgresFailover = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:rds!db-1/lake-AbCdEf", "iam", 0
		},
	} {
		cfg := Defaults()
		cfg.Stream, cfg.Bucket = "trips", "files"
		adjust(&cfg)
		if err := cfg.Validate(); err != nil {
			t.Error(err)
		}
	}
}

// Every part of a batch takes memory and room in what is committed.
func TestConfig_BoundsCommitSizeByTheNumberOfParts(t *testing.T) {
	for _, c := range []struct {
		commit, part Bytes
		says         string // empty for no error
	}{
		{5 << 40, 8 << 20, `COMMIT_SIZE="5TiB": want at most 625GiB, which is 80000 times PART_SIZE`},
		{625<<30 + 1, 8 << 20, "want at most 625GiB"},
		{625 << 30, 8 << 20, ""},
		{5 << 40, 128 << 20, ""},
	} {
		cfg := Defaults()
		cfg.Stream, cfg.Bucket, cfg.CommitSize, cfg.PartSize = "s", "files", c.commit, c.part
		if err := cfg.Validate(); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("COMMIT_SIZE=%s PART_SIZE=%s: %v, want %q", c.commit, c.part, err, c.says)
		}
	}
}

func TestLoadConfig_TakesDefaultsThatAreValid(t *testing.T) {
	t.Setenv("STREAM_NAME", "s")
	t.Setenv("BUCKET", "files")
	loaded, err := LoadConfig()
	if err != nil {
		t.Fatal(err)
	}
	defaults := Defaults()
	defaults.Stream, defaults.Bucket = "s", "files"
	if loaded != defaults {
		t.Errorf("envconfig and Defaults differ:\n%+v\n%+v", loaded, defaults)
	}
}

func TestBytes_ReadsSizesAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]Bytes{"0": 0, "1000": 1000, "1KiB": 1024, "128MiB": 128 << 20, "1.5GiB": 3 << 29, "5 MB": 5e6, "7B": 7} {
		var b Bytes
		if err := b.Decode(text); err != nil || b != want {
			t.Errorf("%q: got %d, %v, want %d", text, b, err, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1XB", "NaN", "1e30GiB"} {
		var b Bytes
		if err := b.Decode(text); err == nil {
			t.Errorf("%q is taken for %d", text, b)
		}
	}
}

func TestStartPosition_TakesATime(t *testing.T) {
	var p StartPosition
	if err := p.Decode("2026-01-31T12:00:00+01:00"); err != nil || !p.Time.Equal(time.Date(2026, 1, 31, 11, 0, 0, 0, time.UTC)) {
		t.Errorf("got %v, %v", p, err)
	}
}

// Every setting is set wrongly in each way that is possible for it: to nothing, without a unit, out of its bounds, misspelt.
func TestLoadConfig_SaysWhatWouldBeRight(t *testing.T) {
	text, err := os.ReadFile("testdata/wrong-settings.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	var row string
	var want []string
	check := func() {
		if row == "" {
			return
		}
		t.Run(row, func(t *testing.T) {
			t.Setenv("STREAM_NAME", "trips")
			t.Setenv("BUCKET", "files")
			for variable := range strings.SplitSeq(row, " | ") {
				name, value, _ := strings.Cut(variable, "=")
				seen[name] = true
				t.Setenv(name, value)
			}
			if _, err := LoadConfig(); err == nil || err.Error() != strings.Join(want, "\n") {
				t.Errorf("got\n%v\nwant\n%s", err, strings.Join(want, "\n"))
			}
		})
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if fault, ok := strings.CutPrefix(line, "    "); ok {
			want = append(want, fault)
		} else if !strings.HasPrefix(line, "#") {
			check()
			row, want = line, nil
		}
	}
	check()
	for _, s := range Settings() {
		if !seen[s.Name] {
			t.Errorf("%s is not among the wrong settings", s.Name)
		}
	}
}

// A setting that does not parse has no second fault, and no other has one because of it.
func TestConfig_FaultsDoNotFollowFromOthers(t *testing.T) {
	for name, value := range map[string]string{
		"STREAM_NAME": "trips", "BUCKET": "files", "FILE_SIZE": "huge", "PART_SIZE": "8", "COMMIT_SIZE": "1MiB", "S3_ENCRYPTION": "kms", "S3_KMS_KEY_ID": "alias/files",
	} {
		t.Setenv(name, value)
	}
	_, err := LoadConfig()
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("want faults of FILE_SIZE, PART_SIZE and S3_ENCRYPTION, got\n%v", err)
	}
}
