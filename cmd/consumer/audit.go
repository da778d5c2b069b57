package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"aws-streaming-pipeline/internal/command"
	"aws-streaming-pipeline/operate/audit"
	"aws-streaming-pipeline/operate/objects"
	"aws-streaming-pipeline/writers/layout"
)

func auditCommand() *cobra.Command {
	var o auditOptions
	cmd := &cobra.Command{
		Use: "audit", Short: "prove from the manifests and the bucket that every record was delivered once",
		Long: `Proves from the manifests and the bucket that the batches in a time window were delivered exactly once: in each shard every
range of sequence numbers begins where the previous one ended, and every file exists as it was published. --deep reads the
files, counts their rows and checks every event id. See docs/operations.md for the meaning of each finding.
"consumer policy --operator" prints the permissions that it needs.

Exit code: 0 sound, 1 findings, 2 could not be checked.`,
		Example: "consumer audit --from 2h\nconsumer audit --from 2026-01-30 --to 2026-01-31 --deep --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return auditBucket(cmd, &o) },
	}
	f := cmd.Flags()
	f.Var(&o.from, "from", "audit batches sealed at this `time` or later: "+command.MomentForms+"; default: from the first manifest")
	f.Var(&o.to, "to", "audit batches sealed before this `time`; default: now")
	f.BoolVar(&o.deep, "deep", false, "read the files, through temporary files in TMPDIR")
	f.BoolVar(&o.json, "json", false, "print the report as JSON")
	f.BoolVar(&o.strict, "strict", false, "treat warnings as findings")
	f.String("bucket", "", "`name` of the bucket; default: BUCKET")
	f.String("manifest-prefix", "", "`prefix` of the manifests; default: MANIFEST_PREFIX")
	f.String("prefix", "", "`prefix` to search for files that no manifest lists; default: the fixed part of PREFIX")
	f.String("error-prefix", "", "the same `prefix` for error files; default: the fixed part of ERROR_PREFIX")
	f.String("backup-prefix", "", "the same `prefix` for backup files; default: the fixed part of BACKUP_PREFIX")
	return cmd
}

// auditOptions are the flags of audit.
type auditOptions struct {
	from, to           command.Moment
	deep, json, strict bool
}

func auditBucket(cmd *cobra.Command, o *auditOptions) error {
	ctx, out, cfg := cmd.Context(), cmd.OutOrStdout(), toolSettings()
	bucket, manifests := flagOr(cmd, "bucket", cfg.Bucket), flagOr(cmd, "manifest-prefix", cfg.ManifestPrefix)
	data, errs, backup := flagOr(cmd, "prefix", layout.Fixed(cfg.Prefix)), flagOr(cmd, "error-prefix", layout.Fixed(cfg.ErrorPrefix)), flagOr(cmd, "backup-prefix", layout.Fixed(cfg.BackupPrefix))
	if bucket == "" {
		return command.Usagef("audit: no bucket: set BUCKET or --bucket")
	}
	account, err := loadAccount(ctx)
	if err != nil {
		return command.Undone(err)
	}
	prefixes := []string{data}
	if cfg.ErrorPrefix != "" || errs != "" { // otherwise error files are under the data prefix
		prefixes = append(prefixes, errs)
	}
	if cfg.BackupPrefix != "" || backup != "" {
		prefixes = append(prefixes, backup)
	}
	report, err := audit.Run(ctx, audit.Config{
		Bucket: objects.Bucket{API: bucketClient(account, cfg), Name: bucket}, ManifestPrefix: manifests,
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
