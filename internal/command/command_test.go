package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// program is a program of each kind of command; it notes what it runs.
func program(ran *[]string) *cobra.Command {
	note := func(name string) func(*cobra.Command, []string) error {
		return func(_ *cobra.Command, args []string) error {
			*ran = append(*ran, strings.TrimSpace(name+" "+strings.Join(args, " ")))
			return nil
		}
	}
	load := &cobra.Command{Use: "load", Short: "load", Annotations: map[string]string{Hint: "program check tries it"}}
	var schema string
	var within time.Duration
	var rows int
	var all bool
	var since Moment
	load.RunE = func(_ *cobra.Command, args []string) error {
		*ran = append(*ran, fmt.Sprintf("load %s %v %d %t", schema, within, rows, all))
		if rows < 0 {
			return Undone(Usagef("--rows=%d: want 0 or more", rows))
		}
		return nil
	}
	load.Flags().StringVar(&schema, "schema", "none", "`name` of a schema")
	load.Flags().DurationVar(&within, "within", time.Minute, "`time` to wait")
	load.Flags().IntVar(&rows, "rows", 0, "rows")
	load.Flags().BoolVar(&all, "all", false, "everything")
	load.Flags().Var(&since, "since", "begin")
	group := &cobra.Command{Use: "table", Short: "tables"}
	group.AddCommand(
		&cobra.Command{Use: "show NAME [PART]", Short: "show", RunE: note("show")},
		&cobra.Command{Use: "list [NAME]...", Short: "list", RunE: note("list")},
	)
	root := &cobra.Command{Use: "program", Short: "work", RunE: note("default"), Annotations: map[string]string{Environment: "WORD is a variable."}}
	Group(root, "Work", load, group, &cobra.Command{Use: "wait", Short: "wait", RunE: func(cmd *cobra.Command, _ []string) error {
		<-cmd.Context().Done()
		return Undone(fmt.Errorf("wait: %w", context.Cause(cmd.Context())))
	}})
	return root
}

func TestExecute_TakesOrRefusesACommandLine(t *testing.T) {
	for _, c := range []struct {
		line, ran string
		errs      string // all of it; empty for success
	}{
		{line: "", ran: "default"},
		{line: "load --schema a --within 2s --rows 3 --all", ran: "load a 2s 3 true"},
		{line: "load -schema a -within=2s -rows 3 -all", ran: "load a 2s 3 true"},
		{line: "load -rows -3", ran: "load none 1m0s -3 false", errs: "program: --rows=-3: want 0 or more\nprogram load --help shows the flags; program check tries it\n"},
		{line: "load -schema -all", ran: "load -all 1m0s 0 false"},
		{line: "load -schema help --all=false", ran: "load help 1m0s 0 false"},
		{line: "table show trips -- -all", ran: "show trips -all"},
		{line: "table list", ran: "list"},
		{line: "table list a b c", ran: "list a b c"},
		{line: "laod", errs: "program: unknown command \"laod\"; did you mean \"load\"?\nprogram --help lists the commands\n"},
		{line: "laod --schema a", errs: "program: unknown command \"laod\"; did you mean \"load\"?\nprogram --help lists the commands\n"},
		{line: "delete", errs: "program: unknown command \"delete\"\nprogram --help lists the commands\n"},
		{line: "table shwo", errs: "program: unknown command \"table shwo\"; did you mean \"table show\"?\nprogram table --help lists the commands\n"},
		{line: "help laod", errs: "program: unknown command \"laod\"; did you mean \"load\"?\nprogram --help lists the commands\n"},
		{line: "load --shema a", errs: "program: unknown flag --shema; did you mean --schema?\nprogram load --help shows the flags; program check tries it\n"},
		{line: "load -shema=secret", errs: "program: unknown flag -shema; did you mean --schema?\nprogram load --help shows the flags; program check tries it\n"},
		{line: "load -x", errs: "program: unknown flag -x\nprogram load --help shows the flags; program check tries it\n"},
		{line: "--verson", errs: "program: unknown flag --verson; did you mean --version?\nprogram --help shows the flags\n"},
		{line: "load --schema", errs: "program: --schema: the value is missing\nprogram load --help shows the flags; program check tries it\n"},
		{line: "load --within soon", errs: "program: --within=\"soon\": want a duration such as 90s, 15m or 36h\nprogram load --help shows the flags; program check tries it\n"},
		{line: "load --since soon", errs: "program: --since=\"soon\": want " + MomentForms + "\nprogram load --help shows the flags; program check tries it\n"},
		{line: "load now", errs: "program: load takes only flags, got \"now\"\nprogram load --help shows the flags; program check tries it\n"},
		{line: "table show", errs: "program: table show: NAME is missing\nprogram table show --help shows the flags\n"},
		{line: "table show a b c", errs: "program: table show: unexpected argument \"c\"\nprogram table show --help shows the flags\n"},
		{line: "version now", errs: "program: version takes only flags, got \"now\"\nprogram version --help shows the flags\n"},
	} {
		t.Run(c.line, func(t *testing.T) {
			var ran []string
			var out, errs strings.Builder
			code := Report(&errs, "program", Execute(t.Context(), program(&ran), strings.Fields(c.line), &out, &errs))
			if strings.Join(ran, ";") != c.ran || errs.String() != c.errs || out.Len() > 0 {
				t.Errorf("it runs %q, prints %q, and on stderr\n%s\nwant %q and\n%s", ran, out.String(), errs.String(), c.ran, c.errs)
			}
			if want := map[bool]int{true: 0, false: 2}[c.errs == ""]; code != want {
				t.Errorf("exit code %d, want %d", code, want)
			}
		})
	}
}

func TestExecute_ShowsHelpAndVersion(t *testing.T) {
	run := func(line string) (out, errs string, code int) {
		var ran []string
		var o, e strings.Builder
		code = Report(&e, "program", Execute(t.Context(), program(&ran), strings.Fields(line), &o, &e))
		if len(ran) > 0 {
			t.Errorf("%q runs %q", line, ran)
		}
		return o.String(), e.String(), code
	}
	for about, lines := range map[string][]string{
		"the program": {"--help", "-h", "help", "-help"},
		"a command":   {"load --help", "load -h", "help load", "load -help", "load -rows 3 --help"},
		"a group":     {"table --help", "help table", "table help", "table -h"},
		"below":       {"table show --help", "help table show"},
		"the version": {"--version", "-version", "version"},
	} {
		want, _, _ := run(lines[0])
		for _, line := range lines {
			if out, errs, code := run(line); out != want || out == "" || errs != "" || code != 0 {
				t.Errorf("%s: %q prints %q and %q, exit code %d, want %q", about, line, out, errs, code, want)
			}
		}
	}
	if out, errs, code := run("table"); code != ExitUsage || out != "" || !strings.Contains(errs, "program table COMMAND") {
		t.Errorf("a group alone prints %q, %q, exit code %d", out, errs, code)
	}
	for line, parts := range map[string][]string{
		"--help":      {"Usage:\n  program [flags]\n  program COMMAND [flags]\n", "\nWork:\n  load        load\n  table       tables\n", "\nOther commands:\n", "WORD is a variable.", "Exit codes: 0 done;"},
		"load --help": {"Load.\n\nUsage:\n  program load [flags]\n", "  --schema name\n      name of a schema (default none)\n", "  --all\n      everything\n", "  -h, --help\n"},
	} {
		out, _, _ := run(line)
		for _, part := range parts {
			if !strings.Contains(out, part) {
				t.Errorf("%s lacks %q:\n%s", line, part, out)
			}
		}
		for text := range strings.Lines(out) {
			if len(text) > helpWidth+1 {
				t.Errorf("%s: the line is too long: %s", line, text)
			}
		}
	}
	for shell, mark := range map[string]string{"bash": "complete -o", "zsh": "#compdef program", "fish": "complete -c program", "powershell": "Register-ArgumentCompleter"} {
		if out, _, code := run("completion " + shell); code != 0 || !strings.Contains(out, mark) {
			t.Errorf("completion %s prints %q, exit code %d", shell, out, code)
		}
	}
	if out, _, _ := run("__complete load --sch"); !strings.HasPrefix(out, "--schema\t") {
		t.Errorf("a shell is offered %q", out)
	}
}

func TestExecute_KnowsAnInterruption(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("got terminated"))
	var ran []string
	var errs strings.Builder
	code := Report(&errs, "program", Execute(ctx, program(&ran), []string{"wait"}, &errs, &errs))
	if want := "program: wait: got terminated\n"; code != ExitInterrupted || errs.String() != want {
		t.Errorf("exit code %d, %q, want %q", code, errs.String(), want)
	}
}

// The code of an error holds through further words about it.
func TestExitCode_IsThatOfTheCause(t *testing.T) {
	plain := errors.New("no")
	for i, c := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {plain, 1}, {Undone(plain), 2}, {Usage(plain), 2}, {Undone(Usage(plain)), 2}, {Undone(nil), 0}, {Usage(nil), 0},
		{&ExitError{1, plain}, 1}, {Undone(&ExitError{1, plain}), 1}, {fmt.Errorf("x: %w", &ExitError{3, plain}), 3}, {InvalidSettings(plain), 2},
	} {
		if got := ExitCode(c.err); got != c.want {
			t.Errorf("case %d, %v: exit code %d, want %d", i, c.err, got, c.want)
		}
	}
	var errs strings.Builder
	if code := Report(&errs, "program", &ExitError{Code: 7}); code != 7 || errs.Len() > 0 {
		t.Errorf("exit code %d, says %q", code, errs.String())
	}
}

func TestWrapped_BreaksAtSpaces(t *testing.T) {
	got := wrapped("one two three\nfour a-word-that-is-too-long five", "  ", 9)
	if want := []string{"one two", "  three", "  four", "  a-word-that-is-too-long", "  five"}; !slices.Equal(strings.Split(got, "\n"), want) {
		t.Errorf("%q, want %q", got, want)
	}
}
