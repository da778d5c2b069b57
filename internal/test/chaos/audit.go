package chaos

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// verdict is the result of the audit.
type verdict struct {
	sent        int
	data        int // records found under the data prefix
	errors      int // records found under the error prefix
	transformed int // records among data that a daemon has transformed
	lost        []string
	double      []string
	misplaced   []string // delivered, but in the error prefix, or the other way round
	strange     []string // found and never sent
	faults      []string // of manifests and objects
	files       int
	batches     int
	tabled      int // records that the table has to have

	where map[string][]string // objects of each id, but backups
	kept  map[string]int      // times that each id is in backups
}

// ok reports whether every record is there once and the manifests agree.
func (v *verdict) ok() bool {
	return len(v.lost)+len(v.double)+len(v.misplaced)+len(v.strange)+len(v.faults) == 0
}

// inspect reads all buckets and looks for every record that was accepted.
func inspect(ctx context.Context, b buckets, accepted map[string]place, manifested bool) (*verdict, error) {
	v := &verdict{sent: len(accepted), where: map[string][]string{}, kept: map[string]int{}}
	sizes := map[string]int64{}
	rows := map[string]int64{}
	for _, prefix := range []string{dataPrefix, errorPrefix, backupPrefix} {
		if err := v.read(ctx, b, prefix, accepted, sizes, rows); err != nil {
			return nil, err
		}
	}
	v.files = len(sizes)
	v.count(accepted)
	if !manifested {
		return v, nil
	}
	_, err := v.manifested(ctx, b, sizes, rows)
	return v, err
}

// inspectTable looks for every record that was accepted in the data files, whose ids are known by object, and in the error
// prefix; and then for those of batches with a table among the ids of the table's rows.
func inspectTable(ctx context.Context, b buckets, accepted map[string]place, files map[string][]string, table []string) (*verdict, error) {
	v := &verdict{sent: len(accepted), where: map[string][]string{}, kept: map[string]int{}}
	rows := map[string]int64{}
	sizes, err := b.list(ctx, dataPrefix)
	if err != nil {
		return nil, err
	}
	for object, ids := range files {
		rows[object] = int64(len(ids))
		for _, id := range ids {
			v.data++
			v.found(id, inData, object, accepted)
		}
	}
	for _, prefix := range []string{errorPrefix, backupPrefix} {
		if err := v.read(ctx, b, prefix, accepted, sizes, rows); err != nil {
			return nil, err
		}
	}
	v.files = len(sizes)
	v.count(accepted)
	manifests, err := v.manifested(ctx, b, sizes, rows)
	if err != nil {
		return nil, err
	}
	v.load(manifests, files, table)
	return v, nil
}

// load checks that the table has the records of all batches with a table once, and no others.
func (v *verdict) load(manifests map[string]manifest, files map[string][]string, table []string) {
	times := map[string]int{}
	for _, id := range table {
		times[id]++
	}
	for _, m := range manifests {
		for _, f := range m.Files {
			object := f.Bucket + "/" + f.Key
			for _, id := range files[object] {
				want := min(len(m.Tables), 1)
				v.tabled += want
				if times[id] != want {
					v.faults = append(v.faults, fmt.Sprintf("%s of %s is in the table %d times, want %d (batch %s)", id, object, times[id], want, m.Batch))
				}
				delete(times, id)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(times)) {
		v.faults = append(v.faults, id+" is in the table and in no file of a batch")
	}
}

// manifested checks that manifests, objects and their rows agree.
func (v *verdict) manifested(ctx context.Context, b buckets, sizes, rows map[string]int64) (map[string]manifest, error) {
	manifests := map[string]manifest{}
	if err := b.manifests(ctx, manifests); err != nil {
		return nil, err
	}
	v.batches = len(manifests)
	v.compare(manifests, sizes, rows)
	v.join(manifests)
	return manifests, nil
}

// read counts the records in all objects of a prefix, and adds the objects' sizes and numbers of lines.
func (v *verdict) read(ctx context.Context, b buckets, prefix string, accepted map[string]place, sizes, rows map[string]int64) error {
	objects, err := b.list(ctx, prefix)
	if err != nil {
		return err
	}
	maps.Copy(sizes, objects)
	for key := range objects {
		lines, err := b.lines(ctx, key)
		if err != nil {
			return err
		}
		rows[key] = int64(len(lines))
		for _, line := range lines {
			v.take(prefix, key, line, accepted)
		}
	}
	return nil
}

// take counts the record in a line of an object.
func (v *verdict) take(prefix, key string, line []byte, accepted map[string]place) {
	found := inData
	if prefix != dataPrefix {
		found = inError
		var e struct {
			RawData string `json:"rawData"`
		}
		raw := []byte(nil)
		err := json.Unmarshal(line, &e)
		if err == nil {
			raw, err = base64.StdEncoding.DecodeString(e.RawData)
		}
		if err != nil {
			v.faults = append(v.faults, fmt.Sprintf("%s has a line that is not a record in base64: %v", key, err))
			return
		}
		line = raw
	}
	switch prefix {
	case backupPrefix:
		for _, id := range idPattern.FindAll(line, -1) {
			v.kept[string(id)]++
		}
		return
	case errorPrefix:
		v.errors++
	default:
		v.data++
		v.takeTransformed(key, line)
	}
	v.found(string(idPattern.Find(line)), found, key, accepted)
}

// transformQuery is the program of daemons that transform records. takeTransformed checks what it makes.
const transformQuery = `.transformed = .id`

// takeTransformed checks a line of a data file, which a daemon may have transformed.
func (v *verdict) takeTransformed(key string, line []byte) {
	var r struct {
		ID          string `json:"id"`
		Transformed string `json:"transformed"`
	}
	if err := json.Unmarshal(line, &r); err != nil {
		v.faults = append(v.faults, key+" has a line that is not JSON")
	}
	switch r.Transformed {
	case "":
	case r.ID:
		v.transformed++
	default:
		v.faults = append(v.faults, fmt.Sprintf("%s has record %s transformed as %s", key, r.ID, r.Transformed))
	}
}

// found notes that a record is in an object.
func (v *verdict) found(id string, found place, key string, accepted map[string]place) {
	v.where[id] = append(v.where[id], key)
	switch belongs, sent := accepted[id]; {
	case !sent:
		v.strange = append(v.strange, fmt.Sprintf("%q in %s", id, key))
	case belongs != found:
		v.misplaced = append(v.misplaced, fmt.Sprintf("%s in %s", id, key))
	}
}

// count looks up every accepted record among those that were found.
func (v *verdict) count(accepted map[string]place) {
	for id := range accepted {
		switch found := len(v.where[id]); {
		case found == 0:
			v.lost = append(v.lost, id)
		case found > 1:
			v.double = append(v.double, id)
		}
	}
	slices.Sort(v.lost)
	slices.Sort(v.double)
}

// keptOnce checks that every accepted record is in the backups once, and nothing else is.
func (v *verdict) keptOnce(accepted map[string]place) {
	for id := range accepted {
		if n := v.kept[id]; n != 1 {
			v.faults = append(v.faults, fmt.Sprintf("%s is in backups %d times", id, n))
		}
	}
	if len(v.kept) != len(accepted) {
		v.faults = append(v.faults, fmt.Sprintf("the backups have %d records, of %d that were sent", len(v.kept), len(accepted)))
	}
}

// keptTwice returns how many records are in backups more than once.
func (v *verdict) keptTwice() (n int) {
	for _, times := range v.kept {
		if times > 1 {
			n++
		}
	}
	return n
}

// compare checks that the manifests and the bucket list the same objects.
func (v *verdict) compare(manifests map[string]manifest, sizes, rows map[string]int64) {
	named := map[string]bool{}
	for _, m := range manifests {
		var inFiles, inRanges int64
		for _, f := range m.Files {
			object := f.Bucket + "/" + f.Key
			if named[object] {
				v.faults = append(v.faults, object+" is in two manifests")
			}
			named[object] = true
			if !f.Backup {
				inFiles += f.Rows
			}
			if sizes[object] != f.Bytes || rows[object] != f.Rows {
				v.faults = append(v.faults, fmt.Sprintf("%s has %d bytes and %d rows, batch %s says %d and %d",
					object, sizes[object], rows[object], m.Batch, f.Bytes, f.Rows))
			}
		}
		for _, r := range m.Ranges {
			inRanges += r.Records
		}
		if inFiles != inRanges {
			v.faults = append(v.faults, fmt.Sprintf("batch %s has %d rows in its files and %d records in its ranges", m.Batch, inFiles, inRanges))
		}
	}
	for key := range sizes {
		if !named[key] {
			v.faults = append(v.faults, key+" is in no manifest")
		}
	}
}

// join checks that the ranges of each shard join from the beginning: where one ends, the next begins.
func (v *verdict) join(manifests map[string]manifest) {
	next := map[string]map[string]string{} // by shard: start to end
	for _, m := range manifests {
		for _, r := range m.Ranges {
			if next[r.Shard] == nil {
				next[r.Shard] = map[string]string{}
			}
			if end, twice := next[r.Shard][r.Start]; twice {
				v.faults = append(v.faults, fmt.Sprintf("shard %s: two ranges begin at %s and end at %s and %s (batch %s)", r.Shard, r.Start, end, r.End, m.Batch))
			}
			next[r.Shard][r.Start] = r.End
		}
	}
	for shard, ranges := range next {
		at, steps := "TRIM_HORIZON", 0
		for end, ok := ranges[at]; ok && steps <= len(ranges); end, ok = ranges[at] {
			at = end
			steps++
		}
		if steps != len(ranges) {
			v.faults = append(v.faults, fmt.Sprintf("shard %s: %d of %d ranges join, the chain breaks at %s", shard, steps, len(ranges), at))
		}
	}
}

// evidence lists a few of the lost and the duplicated records, with the objects that contain them.
func (v *verdict) evidence() string {
	const shown = 20
	var b strings.Builder
	some := func(name string, list []string, about func(string) string) {
		for i, entry := range list {
			if i == shown {
				fmt.Fprintf(&b, "%s: %d more\n", name, len(list)-shown)
				break
			}
			fmt.Fprintf(&b, "%s: %s %s\n", name, entry, about(entry))
		}
	}
	none := func(string) string { return "" }
	some("lost", v.lost, none)
	some("double", v.double, func(id string) string { return strings.Join(v.where[id], "\n    ") })
	some("misplaced", v.misplaced, none)
	some("strange", v.strange, none)
	some("manifests", v.faults, none)
	return b.String()
}
