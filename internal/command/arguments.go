package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// takes checks that a command gets the arguments that its use names in capitals: FILE is required, [FILE] is not, and [FILE]... may
// be repeated.
func takes(use string) cobra.PositionalArgs {
	var required []string
	most := 0
	for _, word := range strings.Fields(use)[1:] {
		switch {
		case strings.HasSuffix(word, "..."):
			most = -1
		case most < 0 || word == "[flags]" || word == "[command]":
		default:
			most++
			if !strings.HasPrefix(word, "[") {
				required = append(required, word)
			}
		}
	}
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(required):
			return withHint(cmd, Usagef("%s%s is missing", path(cmd, ": "), required[len(args)]))
		case most == 0 && len(args) > 0:
			return withHint(cmd, Usagef("%stakes only flags, got %q", path(cmd, " "), args[0]))
		case most > 0 && len(args) > most:
			return withHint(cmd, Usagef("%sunexpected argument %q", path(cmd, ": "), args[most]))
		}
		return nil
	}
}

// resolve returns the arguments as cobra takes them. Flags of Go's package flag may have one dash, and scripts use them so: -schema
// becomes --schema, if the command has that flag. The name of a command that does not exist is an error.
func resolve(root *cobra.Command, args []string) ([]string, error) {
	if len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd) {
		return args, nil
	}
	args = append([]string(nil), args...)
	cmd := root
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			break
		}
		if name, ok := flagName(arg); ok {
			name, _, hasValue := strings.Cut(name, "=")
			flag := cmd.Flags().Lookup(name)
			if flag == nil && len(name) == 1 {
				flag = cmd.Flags().ShorthandLookup(name)
			}
			switch {
			case flag == nil && cmd.HasSubCommands():
				return nil, withHint(cmd, unknownFlag(cmd, arg))
			case flag == nil:
				continue // cobra reports it
			case len(name) > 1 && !strings.HasPrefix(arg, "--"):
				args[i] = "-" + arg
			}
			if !hasValue && flag.NoOptDefVal == "" {
				i++ // its value
			}
			continue
		}
		switch sub := child(cmd, arg); {
		case sub != nil:
			cmd = sub
		case cmd != root && cmd.HasSubCommands() && arg == "help":
			args[i] = "--help"
		case cmd.HasSubCommands():
			return nil, unknown(cmd, arg)
		}
	}
	return args, nil
}

// flagName returns what follows the dashes of a flag.
func flagName(arg string) (name string, ok bool) {
	name = strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-")
	return name, name != arg && name != ""
}

// child returns a subcommand; nil if no subcommand has that name.
func child(cmd *cobra.Command, name string) *cobra.Command {
	for _, sub := range cmd.Commands() {
		if sub.Name() == name || sub.HasAlias(name) {
			return sub
		}
	}
	return nil
}

// unknown is the error for a subcommand that does not exist.
func unknown(cmd *cobra.Command, name string) error {
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			names = append(names, sub.Name())
		}
	}
	if meant := Meant(name, names); meant != "" {
		return withListHint(cmd, Usagef("unknown command %q; did you mean %q?", path(cmd, " ")+name, path(cmd, " ")+meant))
	}
	if !hasOwn(cmd) {
		return withHint(cmd, Usagef("takes only flags, got %q", name))
	}
	return withListHint(cmd, Usagef("unknown command %q", path(cmd, " ")+name))
}

// hasOwn reports whether a command has subcommands other than those that all programs have.
func hasOwn(cmd *cobra.Command) bool {
	return slices.ContainsFunc(cmd.Commands(), func(sub *cobra.Command) bool {
		return cmd.HasParent() || !slices.Contains(builtIn, sub.Name())
	})
}

// path is the path of a command after the program's name, with what ends it; "" for the program itself.
func path(cmd *cobra.Command, end string) string {
	if !cmd.HasParent() {
		return ""
	}
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ") + end
}

func withListHint(cmd *cobra.Command, err error) error {
	err.(*UsageError).Hint = cmd.CommandPath() + " --help lists the commands"
	return err
}

// flagError is what a command says about a flag that it does not have, or whose value it cannot take.
func flagError(cmd *cobra.Command, err error) error {
	switch e := err.(type) {
	case *pflag.NotExistError:
		arg := "--" + e.GetSpecifiedName()
		if short := e.GetSpecifiedShortnames(); short != "" {
			arg = "-" + short
		}
		return withHint(cmd, unknownFlag(cmd, arg))
	case *pflag.ValueRequiredError:
		return withHint(cmd, Usagef("--%s: the value is missing", e.GetFlag().Name))
	case *pflag.InvalidValueError:
		return withHint(cmd, Usagef("--%s=%q: %w", e.GetFlag().Name, e.GetValue(), wanted(e)))
	}
	return withHint(cmd, Usage(err))
}

// unknownFlag is the error for a flag that a command does not have.
func unknownFlag(cmd *cobra.Command, arg string) error {
	arg, _, _ = strings.Cut(arg, "=")
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	name, _ := flagName(arg)
	if meant := Meant(name, names); meant != "" {
		return Usagef("unknown flag %s; did you mean --%s?", arg, meant)
	}
	return Usagef("unknown flag %s", arg)
}

// wants are what the flags of pflag want, by type. Other flags say it in their errors.
var wants = map[string]string{
	"bool": "true or false", "int": "a whole number", "int64": "a whole number", "uint64": "a whole number, 0 or more", "float64": "a number",
	"duration": "a duration such as 90s, 15m or 36h",
}

// wanted is what is wrong with the value of a flag.
func wanted(e *pflag.InvalidValueError) error {
	if want := wants[e.GetFlag().Value.Type()]; want != "" {
		return fmt.Errorf("want %s", want)
	}
	return e.Unwrap()
}
