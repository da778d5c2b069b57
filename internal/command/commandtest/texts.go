package commandtest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// CheckTexts checks that the command lines of a program that the Markdown files below a folder show are those of the program: commands
// and flags exist, and flags have two dashes. It fails if fewer than least are shown.
func CheckTexts(t *testing.T, root func() *cobra.Command, folder string, least int) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != folder {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".md" || entry.Name() == "CHANGELOG.md" { // which describes the past
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n, faults := lines(root(), string(text))
		seen += n
		for _, fault := range faults {
			t.Errorf("%s: %s", path, fault)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < least {
		t.Errorf("the texts show %d command lines, want %d or more", seen, least)
	}
}

var (
	fence = regexp.MustCompile("(?ms)^ *```([a-z]*)\n(.*?)^ *```")
	span  = regexp.MustCompile("`([^`\n]+)`")

	substitution = regexp.MustCompile(`\$\([^)]*\)`) // of a shell; another program's command line
	commandName  = regexp.MustCompile(`^-?[a-z][a-z-]*(=.*)?$`)
)

// lines counts the command lines of a program in a Markdown text, and says what is wrong with them.
func lines(root *cobra.Command, text string) (seen int, faults []string) {
	// The program is named at the beginning, after variables, by its path, or after what a shell ends a command with.
	call := regexp.MustCompile(`(?m)(?:^ *|[A-Z_]=\S+ +|(?:bin|cmd)/|\./|[|;&(] *|-- )` + root.Name() + ` +([^|;&>#)\n]*)`)
	look := func(code string) {
		for _, m := range call.FindAllStringSubmatch(substitution.ReplaceAllString(strings.ReplaceAll(code, "\\\n", " "), "VALUE"), -1) {
			words := strings.Fields(m[1])
			if len(words) > 0 && !commandName.MatchString(strings.TrimPrefix(words[0], "--")) {
				continue // a sentence
			}
			seen++
			if fault := wrongLine(root, words); fault != "" {
				faults = append(faults, fmt.Sprintf("%s %s: %s", root.Name(), strings.TrimSpace(m[1]), fault))
			}
		}
	}
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		if m[1] == "sh" || m[1] == "bash" || m[1] == "" {
			look(m[2])
		}
	}
	for _, m := range span.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		look(m[1])
	}
	return seen, faults
}

// wrongLine says which command or flag of a command line does not exist; "" if all do.
func wrongLine(root *cobra.Command, words []string) string {
	cmd := root
	for _, word := range words {
		name, isFlag := strings.CutPrefix(word, "-")
		switch {
		case isFlag && name != "" && name != "h" && !strings.HasPrefix(name, "-"):
			return word + " has one dash"
		case isFlag:
			name, _, _ = strings.Cut(strings.Trim(strings.TrimPrefix(name, "-"), `"',.`), "=")
			if name != "" && name != "h" && name != "help" && name != "version" && cmd.Flags().Lookup(name) == nil {
				return "there is no flag " + word
			}
		case cmd.HasSubCommands() && commandName.MatchString(word):
			next, _, err := cmd.Find([]string{word})
			if builtIn := cmd == root && (word == "help" || word == "version" || word == "completion"); builtIn {
				return ""
			}
			if err != nil || next == cmd {
				return "there is no command " + word
			}
			cmd = next
		}
	}
	return ""
}
