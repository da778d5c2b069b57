package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/audit"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers/layout"
)

const auditUsage = `audit [--from T] [--to T] [--deep] [--json] ...

Proves from the manifests and the bucket that the batches in a time window were delivered exactly once: in each shard every
range of sequence numbers begins where the previous one ended, and every file exists as it was published. --deep reads the
files, counts their rows and checks every event id. See docs/operations.md for the meaning of each finding.

Exit code: 0 sound, 1 findings, 2 could not be checked.`

// auditOptions are the flags of audit.
type auditOptions struct {
	from, to              command.Moment
	deep, json, strict    bool
	bucket                string
	manifests, data, errs string
	backup                string
}

func auditBucket(ctx context.Context, args []string, out io.Writer) error {
	cfg := toolSettings()
	var o auditOptions
	f := newFlags("audit", auditUsage, out)
	f.Var(&o.from, "from", "audit batches sealed at this `time` or later: "+command.MomentForms+"; default: from the first manifest")
	f.Var(&o.to, "to", "audit batches sealed before this `time`; default: now")
	f.BoolVar(&o.deep, "deep", false, "read the files, through temporary files in TMPDIR")
	f.BoolVar(&o.json, "json", false, "print the report as JSON")
	f.BoolVar(&o.strict, "strict", false, "treat warnings as findings")
	f.StringVar(&o.bucket, "bucket", cfg.Bucket, "`name` of the bucket (BUCKET)")
	f.StringVar(&o.manifests, "manifest-prefix", cfg.ManifestPrefix, "`prefix` of the manifests (MANIFEST_PREFIX)")
	f.StringVar(&o.data, "prefix", layout.Fixed(cfg.Prefix), "`prefix` to search for files that no manifest lists (from PREFIX)")
	f.StringVar(&o.errs, "error-prefix", layout.Fixed(cfg.ErrorPrefix), "the same for error files (from ERROR_PREFIX)")
	f.StringVar(&o.backup, "backup-prefix", layout.Fixed(cfg.BackupPrefix), "the same for backup files (from BACKUP_PREFIX)")
	if err := command.Parse(f, args); err != nil {
		return command.Undone(command.UnlessHelp(err))
	}
	if o.bucket == "" {
		return command.Undone(errors.New("audit: no bucket: set BUCKET or --bucket"))
	}
	account, err := loadAccount(ctx)
	if err != nil {
		return command.Undone(err)
	}
	prefixes := []string{o.data}
	if cfg.ErrorPrefix != "" || o.errs != "" { // otherwise error files are under the data prefix
		prefixes = append(prefixes, o.errs)
	}
	if cfg.BackupPrefix != "" || o.backup != "" {
		prefixes = append(prefixes, o.backup)
	}
	report, err := audit.Run(ctx, audit.Config{
		Bucket: objects.Bucket{API: bucketClient(account, cfg), Name: o.bucket}, ManifestPrefix: o.manifests,
		From: o.from.Time, To: o.to.Time, Prefixes: prefixes, Beside: cfg.Announces, Deep: o.deep,
	})
	if err != nil {
		err = fmt.Errorf("audit did not finish: %w", err)
	}
	// The findings of an unfinished audit are printed, but it exits with command.ExitUndone.
	if err = errors.Join(command.Print(out, o.json, report, report.WriteText), err); err != nil {
		return command.Undone(err)
	}
	if !report.Clean(o.strict) {
		return &command.ExitError{Code: command.ExitFindings, Err: errors.New("audit: there are findings")}
	}
	return nil
}
