package command

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Environment is the annotation of a program with the part of its help about environment variables.
const Environment = "environment"

// helpWidth is the width that texts of the help are wrapped to.
const helpWidth = 120

// writeHelp writes the help of a command. It needs no templates, which cost a program size and memory.
func writeHelp(out io.Writer, cmd *cobra.Command) {
	text := &helpText{}
	about := cmd.Long
	if about == "" && cmd.Short != "" {
		about = strings.ToUpper(cmd.Short[:1]) + cmd.Short[1:] + "."
	}
	text.lines("%s\n\nUsage:", about)
	for _, line := range usageLines(cmd) {
		text.lines("  %s", line)
	}
	if cmd.Example != "" {
		text.lines("\nExamples:")
		for line := range strings.SplitSeq(strings.TrimSpace(cmd.Example), "\n") {
			text.lines("  %s", strings.TrimSpace(line))
		}
	}
	if hasOwn(cmd) {
		text.commands(cmd)
		text.flags(cmd)
	} else {
		text.flags(cmd)
		text.commands(cmd)
	}
	if !cmd.HasParent() {
		if environment := cmd.Annotations[Environment]; environment != "" {
			text.lines("\n%s", wrapped(environment, "", helpWidth))
		}
		if !strings.Contains(about, "\nExit ") { // codes of its own
			text.lines("\n%s", wrapped(exitCodes, "", helpWidth))
		}
	}
	if hasOwn(cmd) {
		text.lines("\n%s COMMAND --help shows the flags of a command and examples.", cmd.CommandPath())
	}
	io.WriteString(out, text.String()) // who asks for help has nothing to do about an error
}

// usageLines are the ways to call a command.
func usageLines(cmd *cobra.Command) (lines []string) {
	if cmd.RunE != nil || cmd.Run != nil {
		if line := cmd.UseLine(); !isGroup(cmd) {
			lines = append(lines, line)
		}
	}
	if hasOwn(cmd) {
		lines = append(lines, cmd.CommandPath()+" COMMAND [flags]")
	}
	return lines
}

// isGroup reports whether a command only has subcommands.
func isGroup(cmd *cobra.Command) bool { return cmd.HasParent() && cmd.HasSubCommands() }

type helpText struct{ strings.Builder }

func (t *helpText) lines(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) }

// commands lists the subcommands by their groups.
func (t *helpText) commands(cmd *cobra.Command) {
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	if len(names) == 0 {
		return
	}
	width := len(slices.MaxFunc(names, func(a, b string) int { return len(a) - len(b) }))
	list := func(title, group string) {
		t.lines("\n%s:", title)
		for _, sub := range cmd.Commands() {
			if sub.GroupID == group && !sub.Hidden {
				indent := strings.Repeat(" ", width+4)
				t.lines("  %-*s  %s", width, sub.Name(), wrapped(sub.Short, indent, helpWidth-len(indent)))
			}
		}
	}
	for _, g := range cmd.Groups() {
		list(g.Title, g.ID)
	}
	if !cmd.AllChildCommandsHaveGroup() {
		list("Commands", "")
	}
}

// flags lists the flags of a command: each with its kind of value, and below it what it does and its default.
func (t *helpText) flags(cmd *cobra.Command) {
	t.lines("\nFlags:")
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		short := ""
		if f.Shorthand != "" {
			short = "-" + f.Shorthand + ", "
		}
		if kind != "" {
			kind = " " + kind
		}
		if !slices.Contains([]string{"", "0", "false", "0s"}, f.DefValue) {
			usage += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		const indent = "      "
		t.lines("  %s--%s%s\n%s%s", short, f.Name, kind, indent, wrapped(usage, indent, helpWidth-len(indent)))
	})
}

// wrapped breaks a text at spaces into lines of a width; lines after the first begin with the indent. Its own line breaks stay.
func wrapped(text, indent string, width int) string {
	var b strings.Builder
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			b.WriteString("\n" + indent)
		}
		column := 0
		for word := range strings.FieldsSeq(line) {
			switch {
			case column == 0:
			case column+1+len(word) > width:
				b.WriteString("\n" + indent)
				column = 0
			default:
				b.WriteByte(' ')
				column++
			}
			b.WriteString(word)
			column += len(word)
		}
	}
	return b.String()
}
