package emulator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Tools returns the environment for commands that use the AWS CLI (aws), cfn-lint or, from Python, sqlglot, in the versions that
// tools/requirements.txt pins, and the folder of the commands. It has no credentials, region or endpoint of the machine. Without
// the tools the test is skipped, like those that need an emulator.
func Tools(tb testing.TB) (env []string, bin string) {
	tb.Helper()
	dir := fetched(tb, toolsBundle, "AWS CLI, cfn-lint and sqlglot", "python3")
	bin = filepath.Join(dir, "lib", "bin")
	return []string{
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"),
		"PYTHONPATH=" + filepath.Join(dir, "lib"),
		"PYTHONDONTWRITEBYTECODE=1",
		"HOME=" + tb.TempDir(),
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey, "AWS_PAGER=",
	}, bin
}

// ShellCheck returns a command that runs ShellCheck, a linter for shell scripts. Without it the test is skipped.
func ShellCheck(tb testing.TB, args ...string) *exec.Cmd {
	tb.Helper()
	dir := fetched(tb, shellBundle, "ShellCheck", "python3")
	return exec.CommandContext(tb.Context(), filepath.Join(dir, "lib", "bin", "shellcheck"), args...)
}

// Validator returns a command that runs a Node.js script with AWS's own CloudFormation validator
// (@aws/cloudformation-validate). Without it the test is skipped.
func Validator(tb testing.TB, script string, args ...string) *exec.Cmd {
	tb.Helper()
	dir := fetched(tb, validatorBundle, "@aws/cloudformation-validate", "node")
	cmd := exec.CommandContext(tb.Context(), "node", append([]string{script}, args...)...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(dir, "node_modules"))
	return cmd
}

// SAM returns a command that runs a Python script with AWS's translator of SAM templates (aws-sam-translator), which
// CloudFormation runs for Transform: AWS::Serverless-2016-10-31. Without it the test is skipped.
func SAM(tb testing.TB, script string, args ...string) *exec.Cmd {
	tb.Helper()
	dir := fetched(tb, samBundle, "the translator of SAM", "python3")
	cmd := exec.CommandContext(tb.Context(), "python3", append([]string{script}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(dir, "lib"), "PYTHONDONTWRITEBYTECODE=1", "AWS_DEFAULT_REGION=eu-west-1", "AWS_EC2_METADATA_DISABLED=true")
	return cmd
}

// CDK returns a command that runs an app of the AWS CDK, which writes its templates to a folder. Without the CDK's library the
// test is skipped.
func CDK(tb testing.TB, app, folder string) *exec.Cmd {
	tb.Helper()
	dir := fetched(tb, cdkBundle, "the AWS CDK", "node")
	cmd := exec.CommandContext(tb.Context(), "node", app)
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(dir, "node_modules"), "CDK_OUTDIR="+folder)
	return cmd
}

// fetched returns the folder of a bundle, or skips the test.
func fetched(tb testing.TB, bundle Bundle, what, runtime string) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), fetchBound)
	defer cancel()
	_, err := exec.LookPath(runtime)
	var dir string
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	} else {
		dir, err = bundle.Fetch(ctx)
	}
	if errors.Is(err, ErrUnavailable) {
		leaveOut(tb, what, err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}
