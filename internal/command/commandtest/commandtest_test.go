package commandtest

import (
	"context"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func done(*cobra.Command, []string) error { return nil }

// sound is a program without a fault.
func sound() *cobra.Command {
	load := &cobra.Command{Use: "load FILE", Short: "load a file", Example: "program load a.csv --table trips", RunE: done}
	load.Flags().String("table", "", "`name` of the table")
	group := &cobra.Command{Use: "table", Short: "look at tables"}
	group.AddCommand(&cobra.Command{Use: "list [NAME]...", Short: "list tables", Example: "program table list", RunE: done})
	root := &cobra.Command{Use: "program", Short: "do something", RunE: done}
	root.AddCommand(load, group)
	return root
}

func TestFaults_FindsNoneInASoundProgram(t *testing.T) {
	if faults := Faults(t, sound); len(faults) > 0 {
		t.Errorf("%q", faults)
	}
}

// The control: each rule finds the command that breaks it.
func TestFaults_NameTheRuleThatIsBroken(t *testing.T) {
	for want, breaks := range map[string]func(root *cobra.Command){
		"there is no Short":                           func(root *cobra.Command) { root.Commands()[0].Short = "" },
		"there is no Example":                         func(root *cobra.Command) { root.Commands()[0].Example = "" },
		"Example \"program load -table trips\": want": func(root *cobra.Command) { root.Commands()[0].Example = "program load -table trips" },
		"the flag --table has no description":         func(root *cobra.Command) { root.Commands()[0].Flags().Lookup("table").Usage = "" },
		"want the beginning in lower case":            func(root *cobra.Command) { root.Short = "Does something." },
		"program load --help: opened 1 connections": func(root *cobra.Command) {
			cmd := root.Commands()[0]
			cmd.Use, cmd.DisableFlagParsing = "load [FILE]...", true // --help is an argument
			cmd.RunE = func(cmd *cobra.Command, _ []string) error {
				request, err := http.NewRequestWithContext(context.WithoutCancel(cmd.Context()), http.MethodGet, os.Getenv("AWS_ENDPOINT_URL"), nil)
				if err != nil {
					return err
				}
				response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
				if err == nil {
					response.Body.Close()
				}
				return err
			}
		},
		"program load --help: made [": func(root *cobra.Command) {
			cmd := root.Commands()[0]
			cmd.Use, cmd.DisableFlagParsing = "load [FILE]...", true
			cmd.RunE = func(*cobra.Command, []string) error { return os.WriteFile(os.Getenv("CHECKPOINT_FILE"), nil, 0o600) }
		},
		"program load --tale: prints": func(root *cobra.Command) { root.Commands()[0].FParseErrWhitelist.UnknownFlags = true },
	} {
		t.Run(want, func(t *testing.T) {
			faults := Faults(t, func() *cobra.Command {
				root := sound()
				breaks(root)
				return root
			})
			if all := strings.Join(faults, "\n"); !strings.Contains(all, want) {
				t.Errorf("it finds %q, want %q", faults, want)
			}
		})
	}
}

func TestLines_FindWhatTheProgramDoesNotHave(t *testing.T) {
	seen, faults := lines(sound(), "Run `program load FILE --table trips`, or `program` alone; a program helps.\n\n```sh\nA=b program load x -table trips   # one dash\n"+
		"bin/program laod\nprogram table list a b | program load --tabel x\n```\n`program table lst` and `program help load`, `program -h`.\n")
	want := []string{
		"program load x -table trips: -table has one dash", "program laod: there is no command laod",
		"program load --tabel x: there is no flag --tabel", "program table lst: there is no command lst",
	}
	if seen != 8 || !slices.Equal(faults, want) {
		t.Errorf("it looks at %d command lines and finds %q, want %q", seen, faults, want)
	}
}
