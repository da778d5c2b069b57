package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/checkpoint/local"
	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/awshttp"
	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/internal/localbucket"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers/layout"
)

// planted is the password of the database, which nothing may show.
const planted = "s3cr3t-of-the-database"

// pair is an Iceberg table and a table in PostgreSQL, of the same stream.
type pair struct {
	t      *testing.T
	server *emulator.PostgreSQLServer
	client *s3.Client
	store  string // file
	page   string // URL
	log    string // file
	uri    string // of the table in PostgreSQL
}

func newPair(t *testing.T) *pair {
	t.Helper()
	dir := t.TempDir()
	bucket, err := localbucket.Start("127.0.0.1:0", dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bucket.Close() })
	server := emulator.PostgreSQL(t, 18, emulator.WithAccess("host all loader 127.0.0.1/32 scram-sha-256"))
	if _, err := server.Connect(t, "postgres").Exec(t.Context(), "CREATE ROLE loader LOGIN PASSWORD '"+planted+"'; GRANT CREATE ON SCHEMA public TO loader"); err != nil {
		t.Fatal(err)
	}
	address := emulator.FreeAddress(t)
	p := &pair{t: t, server: server, store: filepath.Join(dir, "checkpoints.db"), page: "http://" + address, log: filepath.Join(dir, "log"),
		uri: "postgres://" + server.Address + "/postgres/public.trips"}
	for name, value := range map[string]string{
		"STREAM_NAME": "stream", "BUCKET": "bucket", "APPLICATION_NAME": "trips", "FORMAT": "parquet", "TABLE": lake + "," + p.uri, "LOAD_INTERVAL": "1s",
		"POSTGRES_DSN": "user=loader password=" + planted, "POSTGRES_TLS": "disable", "POSTGRES_FAILOVER_WINDOW": "0s",
		"CHECKPOINT_FILE": p.store, "S3_PATH_STYLE": "true", "LOADER_HTTP_ADDRESS": address, "LOG_LEVEL": "debug",
		"AWS_ENDPOINT_URL_S3": bucket.URL(), "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret",
	} {
		t.Setenv(name, value)
	}
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = log
	t.Cleanup(func() { os.Stderr = stderr; log.Close() })
	account, err := awshttp.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.client = s3.NewFromConfig(account, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := p.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: new("bucket")}); err != nil {
		t.Fatal(err)
	}
	return p
}

// publish delivers a batch of one file with rows, for both tables. Both find what they need in it: Iceberg its description, and PostgreSQL
// its rows.
func (p *pair) publish(n int) checkpoint.Batch {
	p.t.Helper()
	var b checkpoint.Batch
	withStore(p.t, p.store, func(store *local.Store) {
		item, err := store.Table(p.t.Context(), lake)
		if err != nil {
			p.t.Fatal(err)
		}
		var d table.Definition
		if err := json.Unmarshal(item.Definition, &d); err != nil {
			p.t.Fatal(err)
		}
		b = p.commit(store, d, n)
	})
	return b
}

func (p *pair) commit(store *local.Store, d table.Definition, n int) checkpoint.Batch {
	p.t.Helper()
	var text bytes.Buffer
	for i := range n {
		fmt.Fprintf(&text, `{"id":%d,"_arrived_at":%q,"event_id":"%d"}`+"\n", i, time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), 100+i)
	}
	id := layout.NewBatchID()
	b := publishFile(p.t, store, d, id, checkpoint.File{
		Bucket: "bucket", Key: layout.File{Name: "data/stream", Clock: time.Now().UTC(), Batch: id, Extension: ".parquet"}.Key(), Rows: int64(n), Bytes: int64(text.Len()),
	}, p.uri, lake)
	p.put(b.Files[0].Key, text.Bytes())
	b.Created = time.Now().UTC()
	manifest, err := layout.EncodeManifest(b)
	if err != nil {
		p.t.Fatal(err)
	}
	p.put(layout.ManifestPlace(b, "bucket", "manifests/").Key, manifest)
	return b
}

func (p *pair) put(key string, content []byte) {
	p.t.Helper()
	if _, err := p.client.PutObject(p.t.Context(), &s3.PutObjectInput{Bucket: new("bucket"), Key: &key, Body: bytes.NewReader(content)}); err != nil {
		p.t.Fatal(err)
	}
}

// rows counts those of the table in PostgreSQL; -1 if it cannot.
func (p *pair) rows() (n int) {
	conn, err := pgx.Connect(p.t.Context(), p.server.DSN("postgres"))
	if err != nil {
		return -1
	}
	defer conn.Close(context.Background())
	if conn.QueryRow(p.t.Context(), "SELECT count(*) FROM public.trips").Scan(&n) != nil {
		return -1
	}
	return n
}

// get reads from the status page; empty if it does not answer.
func (p *pair) get(path string) string {
	answer, err := http.Get(p.page + path)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%d %s", answer.StatusCode, body)
}

// loader runs a command, and returns what it prints with its error.
func (p *pair) loader(command string) (string, error) {
	var out bytes.Buffer
	err := dispatch(p.t.Context(), &out, strings.Fields(command)...)
	return out.String(), err
}

// The database is down at first: the other table is loaded meanwhile, and the page says why. Then it is loaded, audited, loses a
// batch, and gets it back. Nothing shows the password.
func TestRun_LoadsTwoTables(t *testing.T) {
	p := newPair(t)
	if err := p.server.Kill(); err != nil {
		t.Fatal(err)
	}
	runUntil(t, func() bool { return exists(t, p.client, "tables/trips/metadata/v1.metadata.json") })
	b := p.publish(3)
	var seen []string
	runUntil(t, func() bool {
		if !named(t, p.client, b.ID) || !strings.Contains(p.get("/status.json"), "connection refused") {
			return false
		}
		for _, path := range []string{"/", "/status.json", "/metrics", "/healthz", "/readyz"} {
			seen = append(seen, p.get(path))
		}
		return true
	})
	for i, want := range []string{
		"<h2>" + lake + "</h2>", `"table":"` + p.uri + `"`, `consumer_load_elected{application="trips",table="` + p.uri + `"} 1`, "200 ", "200 ",
	} {
		if !strings.Contains(seen[i], want) {
			t.Errorf("the page lacks %s:\n%s", want, seen[i])
		}
	}

	if err := p.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	runUntil(t, func() bool { return p.rows() == 3 })
	runUntil(t, func() bool {
		return strings.Contains(p.get("/metrics"), `consumer_load_waiting_batches{application="trips",table="`+p.uri+`"} 0`)
	})
	withStore(t, p.store, func(store *local.Store) {
		batches, _, err := store.Outbox(t.Context())
		if err != nil || len(batches) > 0 {
			t.Errorf("the outbox has %+v, %v", batches, err)
		}
	})

	commands := func(list ...struct{ command, says, fails string }) {
		t.Helper()
		for _, c := range list {
			out, err := p.loader(c.command)
			if !strings.Contains(out, c.says) || (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s prints\n%s\nand ends with %v, want %q and %q", c.command, out, err, c.says, c.fails)
			}
			seen = append(seen, out, fmt.Sprint(err))
		}
	}
	type c = struct{ command, says, fails string }
	commands(
		c{"audit", "sound: each file of a loaded batch is in the table exactly once", ""},
		c{"audit", "sound: each row of a loaded batch is in the table exactly once", ""},
		c{"audit --json --table " + p.uri, `"present": 3,`, ""},
		c{"audit --table " + lake, "1 batches loaded with 1 files", ""},
		c{"audit --table postgres://elsewhere/lake/trips", "", "--table postgres://elsewhere/lake/public.trips: want one of those in TABLE="},
		c{"reload --from 24h", "", "TABLE names several tables: choose one with --table, " + lake + " or " + p.uri},
		c{"rebind", "", "choose one with --table"},
		c{"reload --from 24h --table " + lake, "would add 0 files of 0 batches", ""},
		c{"reload --from 24h --table " + p.uri, "would add 0 batches with 0 files and 0 rows", ""},
	)
	admin := p.server.Connect(t, "postgres")
	if _, err := admin.Exec(t.Context(), "DELETE FROM trips; DELETE FROM pipeline_ledger"); err != nil {
		t.Fatal(err)
	}
	commands(
		c{"audit", "FINDING missing-row: batch " + b.ID + ": none of its 3 rows is in the table", "there are findings"},
		c{"reload --from-batch " + b.ID + " --table " + p.uri, "would add 1 batches with 1 files and 3 rows", ""},
		c{"reload --from-batch " + b.ID + " --table " + p.uri + " --apply", "added 1 batches with 1 files and 3 rows", ""},
		c{"audit", "3 event ids in the table", ""},
	)
	if _, err := admin.Exec(t.Context(), "DROP TABLE trips"); err != nil {
		t.Fatal(err)
	}
	commands(
		c{"audit --table " + p.uri, "", "does not exist"},
		c{"rebind --yes --table " + p.uri, "the loader describes the new table in its next round", ""},
	)
	runUntil(t, func() bool { return p.rows() == 0 })
	if err := p.server.Kill(); err != nil {
		t.Fatal(err)
	}
	commands(c{"audit", "sound: each file", "connection refused"})
	if _, err := p.loader("audit"); command.ExitCode(err) != command.ExitUndone {
		t.Errorf("an audit that cannot be done ends with code %d", command.ExitCode(err))
	}

	log, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"table":"` + lake + `"`, `"table":"` + p.uri + `"`, "connection refused"} {
		if !bytes.Contains(log, []byte(want)) {
			t.Errorf("the log lacks %s", want)
		}
	}
	for _, text := range seen {
		if strings.Contains(text, planted) {
			t.Errorf("the password is in %s", text)
		}
	}
	p.search(planted)
}

// search looks for a text in all that the program has written: the log, the objects of the bucket, and the checkpoint store.
func (p *pair) search(secret string) {
	p.t.Helper()
	files, manifests := 0, 0
	err := filepath.WalkDir(filepath.Dir(p.store), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if files++; strings.Contains(path, "/manifests/") {
			manifests++
		}
		if bytes.Contains(content, []byte(secret)) {
			p.t.Errorf("the password is in %s", path)
		}
		return err
	})
	if err != nil || files < 5 || manifests == 0 {
		p.t.Errorf("only %d files were searched, %d of them manifests: %v", files, manifests, err)
	}
}

// A wrong setting ends the program, although the other table could be loaded.
func TestRun_EndsWithTheNameOfAWrongSetting(t *testing.T) {
	p := newPair(t)
	for _, c := range []struct{ name, value, says string }{
		{"POSTGRES_DSN", "postgres://loader:" + planted + "/@localhost", "POSTGRES_DSN: "},
		{"POSTGRES_DSN", "password=" + planted, "POSTGRES_USER"},
		{"POSTGRES_CA_FILE", "/no/such/file", "POSTGRES_CA_FILE"},
	} {
		t.Run(c.says, func(t *testing.T) {
			t.Setenv("POSTGRES_TLS", "verify-full")
			t.Setenv(c.name, c.value)
			_, err := p.loader("run")
			if err == nil || !strings.Contains(err.Error(), c.says) || command.ExitCode(err) == 0 || strings.Contains(err.Error(), planted) {
				t.Errorf("it ends with %v", err)
			}
		})
	}
}

// Commands for Iceberg say so.
func TestCommands_ForIcebergRefuseATableInPostgreSQL(t *testing.T) {
	p := newPair(t)
	t.Setenv("TABLE", p.uri)
	withStore(t, p.store, func(*local.Store) {})
	for _, name := range []string{"compact", "expire", "orphans"} {
		if _, err := p.loader(name); err == nil || !strings.Contains(err.Error(), "loader "+name+" is for Apache Iceberg tables") {
			t.Errorf("%s ends with %v", name, err)
		}
	}
	cfg, err := consumer.LoadConfig()
	if err != nil || len(cfg.Tables()) != 1 {
		t.Error(cfg.Tables(), err)
	}
	if _, err := p.loader("audit"); command.ExitCode(err) != command.ExitUndone {
		t.Errorf("an audit of a table that is not there ends with %v", err)
	}
}
