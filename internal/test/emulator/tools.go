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

// Tools returns the environment of commands that use the AWS CLI (aws), cfn-lint or, from Python, sqlglot, in the
// versions that tools/requirements.txt pins, and the folder in which the commands lie. No credentials, region or
// endpoint of the machine reach them. Without the tools the test is left out, as those that need an emulator are.
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

// ShellCheck returns a command that runs ShellCheck, which finds faults in shell scripts. Without it the test is left out.
func ShellCheck(tb testing.TB, args ...string) *exec.Cmd {
	tb.Helper()
	dir := fetched(tb, shellBundle, "ShellCheck", "python3")
	return exec.CommandContext(tb.Context(), filepath.Join(dir, "lib", "bin", "shellcheck"), args...)
}

// Validator returns a command that runs a script of node with AWS's own CloudFormation validator
// (@aws/cloudformation-validate) at hand. Without it the test is left out.
func Validator(tb testing.TB, script string, args ...string) *exec.Cmd {
	tb.Helper()
	dir := fetched(tb, validatorBundle, "@aws/cloudformation-validate", "node")
	cmd := exec.CommandContext(tb.Context(), "node", append([]string{script}, args...)...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(dir, "node_modules"))
	return cmd
}

// fetched returns the folder of a bundle, or leaves the test out.
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
