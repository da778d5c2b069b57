package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"aws-streaming-pipeline/checkpoint"
	benchrows "aws-streaming-pipeline/internal/test/bench/rows"
	"aws-streaming-pipeline/internal/test/emulator"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/loader/rows"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
	"aws-streaming-pipeline/writers"
	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/layout"
	"aws-streaming-pipeline/writers/parquet"
)

// load is records in a file, and an empty table for them.
type load struct {
	b      testing.TB
	server *emulator.PostgreSQLServer
	conn   *pgx.Conn // watches
	to     *Table
	batch  checkpoint.Batch
	rows   int
	bytes  int64 // of the records
}

func newLoad(b testing.TB, server *emulator.PostgreSQLServer, set benchrows.Set, format writers.Format, size int) *load {
	b.Helper()
	l := &load{b: b, server: server, conn: server.Connect(b, "postgres")}
	mustExec(b, l.conn, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
	uri, err := table.ParseURI("postgres://" + server.Address + "/postgres/trips")
	if err != nil {
		b.Fatal(err)
	}
	files := &bucket{objects: map[string][]byte{}, gets: map[string]int{}}
	l.to, err = New(Options{
		Application: "bench", URI: uri, Create: true, Bucket: files, Schema: set.Schema(),
		Connect: func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, server.DSN("postgres")) },
		Refused: RefusedFiles{Stream: "trips", Zone: time.UTC, Put: files.put, Prefix: func(string, record.OutputType, time.Time) string { return "errors/" }},
	})
	if err != nil {
		b.Fatal(err)
	}
	var records []record.Record
	for i, line := range set.Lines(size) {
		records = append(records, record.Record{SequenceNumber: fmt.Sprintf("4954%052d", i), Data: line, Arrival: time.UnixMilli(1_700_000_000_000 + int64(i))})
		l.bytes += int64(len(line))
	}
	data := encodedFile(b, format, records)
	files.objects["data/file"] = data
	l.rows = len(records)
	l.batch = checkpoint.Batch{ID: layout.NewBatchID(), Tables: []string{l.to.Name()}, Files: []checkpoint.File{
		{Bucket: "lake", Key: "data/file", Rows: int64(l.rows), Bytes: int64(len(data))},
	}}
	return l
}

// encodedFile is a file of the records in blocks as large as the format wants.
func encodedFile(b testing.TB, f writers.Format, records []record.Record) []byte {
	b.Helper()
	file := f.NewLayout()
	out := bytes.NewBuffer(file.Begin())
	block := file.NewBlock()
	place := func() {
		encoded, err := block.Encode()
		if err != nil {
			b.Fatal(err)
		}
		data, err := file.Place(encoded)
		if err != nil {
			b.Fatal(err)
		}
		out.Write(data)
		if encoded.Release != nil {
			encoded.Release()
		}
		block = file.NewBlock()
	}
	for i := range records {
		if err := block.Append(&records[i]); err != nil {
			b.Fatal(err)
		}
		if block.Full() {
			place()
		}
	}
	place()
	end, err := file.End()
	if err != nil {
		b.Fatal(err)
	}
	out.Write(end)
	return out.Bytes()
}

// append loads the batch as the loader does.
func (l *load) append() {
	l.b.Helper()
	s, err := l.to.Load(l.b.Context(), nil)
	if err != nil {
		l.b.Fatal(err)
	}
	l.batch.ID = layout.NewBatchID()
	if err := s.Append(l.b.Context(), loader.Addition{Batches: []checkpoint.Batch{l.batch}, Progress: func() {}}); err != nil {
		l.b.Fatal(err)
	}
}

// csv writes the table's rows to a file.
func (l *load) csv() string {
	l.b.Helper()
	name := filepath.Join(l.b.TempDir(), "rows.csv")
	f, err := os.Create(name)
	if err != nil {
		l.b.Fatal(err)
	}
	_, err = l.conn.PgConn().CopyTo(l.b.Context(), f, "COPY trips TO STDOUT (FORMAT csv)")
	if err := errors.Join(err, f.Close()); err != nil {
		l.b.Fatal(err)
	}
	return name
}

// usage is what a program and the server have used.
type usage struct{ wall, client, server time.Duration }

// measure runs something on an empty table, and checks that all rows are there.
func (l *load) measure(want int, run func() (client time.Duration)) usage {
	l.b.Helper()
	mustExec(l.b, l.conn, "TRUNCATE trips")
	mustExec(l.b, l.conn, "CHECKPOINT")
	server, began := l.serverCPU(), time.Now()
	client := run()
	used := usage{time.Since(began), client, l.serverCPU() - server}
	var n int
	if err := l.conn.QueryRow(l.b.Context(), "SELECT count(*) FROM trips").Scan(&n); err != nil || n != want {
		l.b.Fatalf("%d rows: want %d: %v", n, want, err)
	}
	return used
}

// least keeps the least of several runs.
func (u *usage) least(other usage) {
	if u.wall == 0 {
		*u = other
	}
	u.wall, u.client, u.server = min(u.wall, other.wall), min(u.client, other.client), min(u.server, other.server)
}

// serverCPU is the CPU time of the server's processes, with those that have ended (proc(5), /proc/pid/stat).
func (l *load) serverCPU() time.Duration {
	l.b.Helper()
	parent := stat(l.b, int(l.conn.PgConn().PID()))[1] // of the backend that watches
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		l.b.Fatal(err)
	}
	ticks := 0
	for _, name := range stats {
		pid, _ := strconv.Atoi(strings.Split(name, "/")[2])
		if fields := stat(l.b, pid); fields != nil && fields[1] == parent {
			ticks += fields[11] + fields[12]
		}
	}
	// The parent comes last: a process that ends meanwhile counts twice, which the least of several runs leaves out, instead of never.
	fields := stat(l.b, parent)
	ticks += fields[11] + fields[12] + fields[13] + fields[14]
	return time.Duration(ticks) * time.Second / 100 // USER_HZ
}

// stat returns the numbers after a process's name: its state, its parent and so on; nil if there is no such process.
func stat(b testing.TB, pid int) (fields []int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	for _, field := range strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) {
		n, _ := strconv.Atoi(field) // the state is a letter
		fields = append(fields, n)
	}
	return fields
}

// own runs something in this process.
func own(b testing.TB, run func()) func() time.Duration {
	return func() time.Duration {
		began := ownCPU(b)
		run()
		return ownCPU(b) - began
	}
}

func ownCPU(b testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// psql copies a CSV file as an operator would.
func (l *load) psql(csv string) time.Duration {
	l.b.Helper()
	c := exec.Command("psql", "--no-psqlrc", "--quiet", "--dbname", l.server.DSN("postgres"), "--command", `\copy trips FROM '`+csv+`' CSV`)
	if out, err := c.CombinedOutput(); err != nil {
		l.b.Fatalf("psql: %v: %s", err, out)
	}
	return c.ProcessState.UserTime() + c.ProcessState.SystemTime()
}

// leastShare is what loading must keep of the megabytes that \copy loads per second of CPU time, of client and server together. A
// machine that is busy with something else hardly changes it.
const leastShare = 0.7

// BenchmarkLoad_VersusCopy loads files as the loader does, rows and ledger in one transaction, and has psql \copy the same rows from a
// CSV file, in turns. x-copy is the share of its rows a second, and x-copy-cpu the share of its megabytes per second of CPU time,
// which must be leastShare.
func BenchmarkLoad_VersusCopy(b *testing.B) {
	if _, err := exec.LookPath("psql"); err != nil {
		b.Skipf("psql is not here: %v", err)
	}
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		b.Skipf("the server's CPU time is not known here: %v", err)
	}
	majors := emulator.PostgreSQLVersions
	server := emulator.PostgreSQL(b, majors[len(majors)-1], emulator.WithSettings("autovacuum = off", "max_wal_size = 4GB", "shared_buffers = 128MB"))
	for _, set := range []benchrows.Set{benchrows.Taxi, benchrows.Narrow} {
		for _, name := range []string{"jsonl", "jsonl-gzip", "jsonl-zstd", "parquet"} {
			b.Run(set.Name+"/"+name, func(b *testing.B) {
				l := newLoad(b, server, set, formatOf(b, name, set), 64<<20)
				l.append()
				csv := l.csv()
				var ours, theirs usage
				turn := func() {
					theirs.least(l.measure(l.rows, func() time.Duration { return l.psql(csv) }))
					ours.least(l.measure(l.rows, own(b, l.append)))
				}
				share := func() float64 {
					return (theirs.client + theirs.server).Seconds() / (ours.client + ours.server).Seconds()
				}
				for b.Loop() {
					turn()
				}
				for more := 0; more < 6 && share() < leastShare; more++ { // the least of more turns is nearer to what it costs
					turn()
				}
				megabytes := float64(l.bytes) / 1e6
				b.ReportMetric(float64(l.rows)/ours.wall.Seconds(), "rows/s")
				b.ReportMetric(megabytes/(ours.client+ours.server).Seconds(), "MB/cpu-s")
				b.ReportMetric(ours.client.Seconds()/float64(l.rows)*1e9, "client-ns/row")
				b.ReportMetric(ours.server.Seconds()/float64(l.rows)*1e9, "server-ns/row")
				b.ReportMetric(theirs.client.Seconds()/float64(l.rows)*1e9, "psql-ns/row")
				b.ReportMetric(theirs.server.Seconds()/float64(l.rows)*1e9, "its-server-ns/row")
				b.ReportMetric(theirs.wall.Seconds()/ours.wall.Seconds(), "x-copy")
				b.ReportMetric(share(), "x-copy-cpu")
				if share() < leastShare {
					b.Errorf("per second of CPU time the loader loads %.2f of what \\copy does: want %.1f", share(), leastShare)
				}
			})
		}
	}
}

func formatOf(b testing.TB, name string, set benchrows.Set) writers.Format {
	b.Helper()
	if name == "parquet" {
		f, err := parquet.New(parquet.Options{Schema: set.Schema(), ArrivedAt: true})
		if err != nil {
			b.Fatal(err)
		}
		return f
	}
	codec := map[string]jsonl.Compression{"jsonl": jsonl.None, "jsonl-gzip": jsonl.Gzip, "jsonl-zstd": jsonl.Zstd}[name]
	f, err := jsonl.New(jsonl.Config{Append: record.AppendArrivalLine, Compression: codec})
	if err != nil {
		b.Fatal(err)
	}
	return f
}

// BenchmarkLoad_Versus loads JSON Lines as the loader does, and as one might without it: decoded by encoding/json into maps and copied
// by pgx's CopyFrom, and row by row with INSERT, in one transaction. x is how many times as many rows a second the loader does.
func BenchmarkLoad_Versus(b *testing.B) {
	majors := emulator.PostgreSQLVersions
	server := emulator.PostgreSQL(b, majors[len(majors)-1], emulator.WithSettings("autovacuum = off", "max_wal_size = 4GB", "shared_buffers = 128MB"))
	for _, set := range []benchrows.Set{benchrows.Taxi, benchrows.Narrow} {
		for name, other := range map[string]struct {
			size int
			run  func(*load, [][]byte)
		}{"maps-CopyFrom": {32 << 20, (*load).copyMaps}, "INSERT": {4 << 20, (*load).insert}} {
			b.Run(set.Name+"/"+name, func(b *testing.B) {
				l := newLoad(b, server, set, formatOf(b, "jsonl", set), other.size)
				l.append()
				lines := bytes.Split(bytes.TrimSpace(l.to.Bucket.(*bucket).objects["data/file"]), []byte("\n"))
				ours, theirs := math.Inf(1), math.Inf(1)
				for b.Loop() {
					theirs = min(theirs, l.measure(l.rows, own(b, func() { other.run(l, lines) })).wall.Seconds())
					ours = min(ours, l.measure(l.rows, own(b, l.append)).wall.Seconds())
				}
				b.ReportMetric(float64(l.rows)/ours, "rows/s")
				b.ReportMetric(float64(l.rows)/theirs, "its-rows/s")
				b.ReportMetric(theirs/ours, "x")
			})
		}
	}
}

// decode returns the names of a table's columns and a function that decodes a line into their values.
func (l *load) decode() (names []string, values func(line []byte) ([]any, error)) {
	l.b.Helper()
	for _, c := range l.to.ddl.Columns() {
		names = append(names, c.Name)
	}
	return names, func(line []byte) ([]any, error) {
		var members map[string]any
		if err := json.Unmarshal(line, &members); err != nil {
			return nil, err
		}
		row := make([]any, len(names))
		for i, name := range names {
			row[i] = members[name]
			if text, ok := row[i].(string); ok && (name == "ts" || name == "_arrived_at") {
				at, err := time.Parse(time.RFC3339Nano, text)
				if err != nil {
					return nil, err
				}
				row[i] = at
			}
		}
		return row, nil
	}
}

func (l *load) copyMaps(lines [][]byte) {
	names, values := l.decode()
	conn := l.server.Connect(l.b, "postgres")
	_, err := conn.CopyFrom(l.b.Context(), pgx.Identifier{"trips"}, names, pgx.CopyFromSlice(len(lines), func(i int) ([]any, error) { return values(lines[i]) }))
	if err := errors.Join(err, conn.Close(l.b.Context())); err != nil {
		l.b.Fatal(err)
	}
}

func (l *load) insert(lines [][]byte) {
	names, values := l.decode()
	conn := l.server.Connect(l.b, "postgres")
	var quoted, places []string
	for i, name := range names {
		quoted, places = append(quoted, pgx.Identifier{name}.Sanitize()), append(places, fmt.Sprintf("$%d", i+1))
	}
	statement := "INSERT INTO trips (" + strings.Join(quoted, ",") + ") VALUES (" + strings.Join(places, ",") + ")"
	err := pgx.BeginFunc(l.b.Context(), conn, func(tx pgx.Tx) error {
		for _, line := range lines {
			row, err := values(line)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(l.b.Context(), statement, row...); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, conn.Close(l.b.Context())); err != nil {
		l.b.Fatal(err)
	}
}

// BenchmarkEncode reads files and encodes their rows, without a database.
func BenchmarkEncode(b *testing.B) {
	for _, set := range []benchrows.Set{benchrows.Taxi, benchrows.Narrow} {
		for _, name := range []string{"jsonl", "parquet"} {
			b.Run(set.Name+"/"+name, func(b *testing.B) {
				s := set.Schema()
				columns := map[string]uint32{"bigint": 20, "double precision": 701, "boolean": 16, "text": 25, "timestamp with time zone": 1184}
				var targets []target
				var members []string
				for _, f := range s.Fields {
					typ := map[schema.Kind]string{schema.Int64: "bigint", schema.Double: "double precision", schema.Boolean: "boolean", schema.String: "text", schema.TimestampMicros: "timestamp with time zone"}[f.Kind]
					targets = append(targets, target{f.Name, &columnType{oid: columns[typ], name: typ, form: forms[columns[typ]]}, f})
					members = append(members, f.Name)
				}
				e, err := newEncoder(targets, s.Coerce)
				if err != nil {
					b.Fatal(err)
				}
				var records []record.Record
				size := 0
				for i, line := range set.Lines(16 << 20) {
					records = append(records, record.Record{SequenceNumber: strconv.Itoa(i), Data: line})
					size += len(line)
				}
				data := encodedFile(b, formatOf(b, name, set), records)
				files := &bucket{objects: map[string][]byte{"k": data}, gets: map[string]int{}}
				file := &checkpoint.File{Bucket: "b", Key: "k", Rows: int64(len(records)), Bytes: int64(len(data))}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				var out []byte
				for b.Loop() {
					r, err := rows.Open(b.Context(), files, file, members)
					if err != nil {
						b.Fatal(err)
					}
					for {
						row, err := r.Next()
						if err == io.EOF {
							break
						} else if err != nil {
							b.Fatal(err)
						}
						var refused *refusal
						if out, refused = e.appendRow(out[:0], row.Values); refused != nil {
							b.Fatal(refused)
						}
					}
					if err := r.Close(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/float64(len(records))*1e9, "ns/row")
			})
		}
	}
}
