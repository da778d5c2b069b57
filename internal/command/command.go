// Package command is what the command lines of all programs have in common: help, version and completion, flags, errors, exit codes,
// signals, questions to the operator. The commands themselves are those of cobra.
//
// A program builds its tree of commands with a function, and ends with Main:
//
//	func root() *cobra.Command {
//		root := &cobra.Command{Use: "consumer", Short: "Delivers a stream."}
//		command.Group(root, "Before you start", policyCommand(), ddlCommand())
//		return root
//	}
//
//	func main() { command.Main(root()) }
//
// A command says in Use which arguments it takes, in capitals: "infer FILE", "settings [NAME]...". Everything else is refused. One
// with subcommands and without RunE is a group, which does nothing by itself.
package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"aws-streaming-pipeline/internal/diagnosis"
	"aws-streaming-pipeline/internal/version"
)

// Main runs the command that the process's arguments name, and ends the process.
func Main(root *cobra.Command) {
	ctx, stop := untilSignal()
	err := Execute(ctx, root, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(Report(os.Stderr, root.Name(), err))
}

// Execute runs the command of a program that the arguments name. The tree is used up: build another one to run another command.
func Execute(ctx context.Context, root *cobra.Command, args []string, out, errs io.Writer) error {
	root.SetOut(out)
	root.SetErr(errs)
	complete(root, args)
	args, err := resolve(root, args)
	if err != nil {
		return err
	}
	if args == nil {
		args = []string{} // cobra takes nil for the arguments of the process
	}
	root.SetArgs(args)
	err = root.ExecuteContext(ctx)
	if err != nil && ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
		return &ExitError{ExitInterrupted, err}
	}
	return err
}

// Report prints the error that a program ends with, and returns its exit code. It is where all errors of services are explained (see
// diagnosis.Text): a command returns them with what it did, and no more.
func Report(errs io.Writer, program string, err error) int {
	if exit, ok := errors.AsType[*ExitError](err); err == nil || ok && exit.Err == nil {
		return ExitCode(err)
	}
	fmt.Fprintf(errs, "%s: %s\n", program, diagnosis.Text(err, diagnosis.Subject{}))
	if usage, ok := errors.AsType[*UsageError](err); ok && usage.Hint != "" {
		fmt.Fprintln(errs, usage.Hint)
	}
	return ExitCode(err)
}

// complete gives a program's commands what all programs have.
func complete(root *cobra.Command, args []string) {
	root.SilenceErrors, root.SilenceUsage = true, true // Report prints
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { writeHelp(cmd.OutOrStdout(), cmd) })
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(versionCommand())
	root.SetHelpCommand(helpCommand())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	completion(root)
	if len(root.Groups()) > 0 {
		root.AddGroup(&cobra.Group{ID: others, Title: others})
		for _, name := range builtIn {
			child(root, name).GroupID = others
		}
	}
	printVersion := root.Flags().Bool("version", false, "print the version")
	each(root, func(cmd *cobra.Command) {
		cmd.Flags().SortFlags = false
		cmd.Flags().BoolP("help", "h", false, "show this help")
		if run := cmd.RunE; run != nil {
			cmd.RunE = func(cmd *cobra.Command, args []string) error { return withHint(cmd, run(cmd, args)) }
		} else if cmd.Run == nil {
			cmd.RunE = runGroup
		}
		cmd.Args = takes(cmd.Use)
	})
	run := root.RunE
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if *printVersion {
			return writeVersion(cmd.OutOrStdout())
		}
		return run(cmd, args)
	}
}

// each calls f for a command and all below it.
func each(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, sub := range cmd.Commands() {
		each(sub, f)
	}
}

// builtIn are the commands that all programs have, and others is their group where there are groups.
var builtIn = []string{"help", "version", "completion"}

const others = "Other commands"

// Commands are listed in the order in which the program adds them.
func init() { cobra.EnableCommandSorting = false }

// completion says in our words what the commands print that cobra adds.
func completion(root *cobra.Command) {
	all := child(root, "completion")
	all.Short = "print a completion script for bash, zsh, fish or powershell"
	all.Long = "Prints a script that makes a shell complete commands, flags and values of " + root.Name() + "."
	for _, shell := range all.Commands() {
		shell.Short = "print the completion script for " + shell.Name()
		shell.Example = fmt.Sprintf("%s completion %s > completion.%s", root.Name(), shell.Name(), shell.Name())
	}
}

// Group adds commands to a program under a title in its help.
func Group(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, cmd := range commands {
		cmd.GroupID = title
	}
	root.AddCommand(commands...)
}

// runGroup is what a command does that only has subcommands.
func runGroup(cmd *cobra.Command, _ []string) error {
	writeHelp(cmd.ErrOrStderr(), cmd)
	return &ExitError{Code: ExitUsage}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "print the version", RunE: func(cmd *cobra.Command, _ []string) error {
		return writeVersion(cmd.OutOrStdout())
	}}
}

func writeVersion(out io.Writer) error {
	_, err := fmt.Fprintln(out, version.String())
	return err
}

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]...", Short: "show the help of the program, or of a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about := cmd.Root()
			for _, name := range args {
				sub := child(about, name)
				if sub == nil {
					return unknown(about, name)
				}
				about = sub
			}
			return about.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
			about := cmd.Root()
			for _, name := range args {
				if about = child(about, name); about == nil {
					return nil, cobra.ShellCompDirectiveNoFileComp
				}
			}
			for _, sub := range about.Commands() {
				names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// untilSignal returns a context that the first SIGTERM or SIGINT cancels. The second ends the process at once.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		s := <-signals
		cancel(fmt.Errorf("got %v", s))
		<-signals
		os.Exit(ExitInterrupted)
	}()
	return ctx, func() { cancel(nil) }
}

// Asker is where a command asks for confirmation; nil if the answer is yes.
func Asker(cmd *cobra.Command, yes bool) io.Reader {
	if yes {
		return nil
	}
	return cmd.InOrStdin()
}

// Confirmed asks for confirmation. Only "yes" confirms.
func Confirmed(in io.Reader, out io.Writer) bool {
	fmt.Fprint(out, "\nType yes to continue: ")
	line, err := bufio.NewReader(in).ReadString('\n')
	return (err == nil || errors.Is(err, io.EOF)) && strings.TrimSpace(line) == "yes"
}
