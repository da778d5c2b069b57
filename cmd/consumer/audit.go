package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"aws-streaming-pipeline/operate/audit"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers/layout"
)

const auditUsage = `audit [--from T] [--to T] [--deep] [--json] ...

Proves from the manifests and the bucket that a window of batches was delivered exactly once: per shard every range of
sequence numbers begins where the one before ended, and every file is there as it was published. --deep reads the files,
counts their rows and looks at every event id. docs/operations.md says what each finding means.

Exit code: 0 sound, 1 findings, 2 could not be checked.`

// auditOptions are what the flags of audit say.
type auditOptions struct {
	from, to              moment
	deep, json, strict    bool
	bucket                string
	manifests, data, errs string
}

func auditBucket(ctx context.Context, args []string, out io.Writer) error {
	cfg := toolSettings()
	var o auditOptions
	f := newFlags("audit", auditUsage, out)
	f.Var(&o.from, "from", "first `time` of sealing: "+momentForms+"; default: the first manifest")
	f.Var(&o.to, "to", "`time` of sealing before which the window ends; default: now")
	f.BoolVar(&o.deep, "deep", false, "read the files, by way of temporary files in TMPDIR")
	f.BoolVar(&o.json, "json", false, "print the report as JSON")
	f.BoolVar(&o.strict, "strict", false, "take warnings for findings")
	f.StringVar(&o.bucket, "bucket", cfg.Bucket, "`name` of the bucket (BUCKET)")
	f.StringVar(&o.manifests, "manifest-prefix", cfg.ManifestPrefix, "`prefix` of the manifests (MANIFEST_PREFIX)")
	f.StringVar(&o.data, "prefix", layout.Fixed(cfg.Prefix), "`prefix` under which to look for files that no manifest names (from PREFIX)")
	f.StringVar(&o.errs, "error-prefix", layout.Fixed(cfg.ErrorPrefix), "the same for error files (from ERROR_PREFIX)")
	if err := parse(f, args); err != nil {
		return undone(unlessHelp(err))
	}
	if o.bucket == "" {
		return undone(errors.New("audit: there is no bucket: set BUCKET or give --bucket"))
	}
	account, err := loadAccount(ctx)
	if err != nil {
		return undone(err)
	}
	prefixes := []string{o.data}
	if cfg.ErrorPrefix != "" || o.errs != "" { // else errors lie under the data prefix
		prefixes = append(prefixes, o.errs)
	}
	report, err := audit.Run(ctx, audit.Config{
		Bucket: objects.Bucket{API: bucketClient(account, cfg), Name: o.bucket}, ManifestPrefix: o.manifests,
		From: o.from.Time, To: o.to.Time, Prefixes: prefixes, Deep: o.deep,
	})
	if err != nil {
		err = fmt.Errorf("audit did not come to its end: %w", err)
	}
	// Findings of an audit that broke off are printed, but its exit code is that of what could not be checked.
	if err = errors.Join(printReport(out, o.json, report, report.WriteText), err); err != nil {
		return undone(err)
	}
	if !report.Clean(o.strict) {
		return &exitError{exitFindings, errors.New("audit: there are findings")}
	}
	return nil
}

// printReport writes a report as JSON or as text.
func printReport(out io.Writer, asJSON bool, report any, text func(io.Writer) error) error {
	if !asJSON {
		return text(out)
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(report)
}
