package care

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"
	"github.com/apache/iceberg-go/table/compaction"

	"aws-streaming-pipeline/writers/layout"
)

// Compaction says which files are compacted.
type Compaction struct {
	// Target is the size of the files that are made, in bytes.
	Target int64
	// Quiet leaves out partitions with a file from a batch that began later than this long ago.
	Quiet time.Duration
	// Most bounds the bytes that are read in one run; 0 sets no bound.
	Most int64
	// Now is the current time.
	Now time.Time
}

// CompactionPlan is what a run would do.
type CompactionPlan struct {
	Partitions int   `json:"partitions"`
	Files      int   `json:"files"` // to be replaced
	Bytes      int64 `json:"bytes"` // of Files
	// Left is the number of partitions that have small files and are left for another run.
	Left int `json:"left"`

	groups []table.CompactionTaskGroup
}

// PlanCompaction finds the small files of partitions that have become quiet.
func PlanCompaction(ctx context.Context, t *table.Table, c Compaction) (*CompactionPlan, error) {
	cfg := compaction.DefaultConfig()
	cfg.TargetFileSizeBytes, cfg.MinFileSizeBytes, cfg.MaxFileSizeBytes = c.Target, c.Target*3/4, c.Target*9/5
	cfg.MinInputFiles = 2
	found, err := compaction.Analyze(ctx, t, cfg)
	if err != nil {
		return nil, fmt.Errorf("plan a compaction: %w", err)
	}
	busy := c.busyPartitions(found.Groups)
	p := &CompactionPlan{}
	partitions := map[string]bool{}
	slices.SortStableFunc(found.Groups, func(a, b compaction.Group) int { return strings.Compare(a.PartitionKey, b.PartitionKey) })
	for _, g := range found.Groups {
		if busy[g.PartitionKey] || c.Most > 0 && p.Bytes+g.TotalSizeBytes > c.Most {
			p.Left++
			continue
		}
		partitions[g.PartitionKey] = true
		p.Files += len(g.Tasks)
		p.Bytes += g.TotalSizeBytes
		p.groups = append(p.groups, table.CompactionTaskGroup{PartitionKey: g.PartitionKey, Tasks: g.Tasks, TotalSizeBytes: g.TotalSizeBytes})
	}
	p.Partitions = len(partitions)
	return p, nil
}

// busyPartitions are those that still get files.
func (c Compaction) busyPartitions(groups []compaction.Group) map[string]bool {
	busy := map[string]bool{}
	for _, g := range groups {
		for _, task := range g.Tasks {
			_, key, _ := strings.Cut(strings.TrimPrefix(task.File.FilePath(), "s3://"), "/")
			file, ours := layout.ParseFile(key)
			if began, ok := layout.BatchTime(file.Batch); ours && ok && c.Now.Sub(began) < c.Quiet {
				busy[g.PartitionKey] = true
			}
		}
	}
	return busy
}

// Compact rewrites the files of a plan in one commit. Rows and their order within a file are kept. It reads and writes in
// this process: for large tables there are engines for it (docs/tables.md). If somebody else removes one of the files
// meanwhile, nothing changes and the error says so.
func Compact(ctx context.Context, t *table.Table, c Compaction, p *CompactionPlan) (*table.RewriteResult, error) {
	if len(p.groups) == 0 {
		return &table.RewriteResult{}, nil
	}
	txn := t.NewTransaction()
	result, err := txn.RewriteDataFiles(ctx, p.groups, table.RewriteDataFilesOptions{
		GroupOptions: []table.CompactionGroupOption{table.WithCompactionTargetFileSize(c.Target)},
	})
	if err != nil {
		return nil, fmt.Errorf("compact: %w", err)
	}
	if _, err := txn.Commit(ctx); err != nil {
		return nil, fmt.Errorf("compact: %w", err)
	}
	return result, nil
}
