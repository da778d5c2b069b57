package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Old is a command that reads its flags with Go's package flag.
func Old(name, about string, run func(ctx context.Context, args []string, out io.Writer) error) *cobra.Command {
	return &cobra.Command{
		Use: name + " [ARGUMENT]...", Short: about, DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd.Context(), args, cmd.OutOrStdout()) },
	}
}

// Flags returns the flags of a command of a program. The usage begins with the command's name.
func Flags(program, name, usage string, out io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(out)
	f.Usage = func() {
		fmt.Fprintf(out, "usage: %s %s\n\n", program, usage)
		f.PrintDefaults()
	}
	return f
}

// ErrHelp means that help was requested and has been printed.
var ErrHelp = flag.ErrHelp

// Parse reads flags and rejects other arguments.
func Parse(f *flag.FlagSet, args []string) error {
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%s takes only flags, got %q", f.Name(), f.Arg(0))
	}
	return nil
}

// UnlessHelp turns ErrHelp into success.
func UnlessHelp(err error) error {
	if errors.Is(err, ErrHelp) {
		return nil
	}
	return err
}
