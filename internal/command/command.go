// Package command is what the programs with subcommands have in common: dispatch and help, flags, exit codes, questions to
// the operator.
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
)

// Command is a subcommand.
type Command struct {
	Name, About string
	Run         func(ctx context.Context, args []string, out io.Writer) error
}

// Program has subcommands. The first is run if none is named.
type Program struct {
	Name, About string
	Commands    []Command
	// Environment is the last paragraph of the help.
	Environment string
}

// Main runs the command that the process's arguments name, and ends the process.
func (p Program) Main() {
	ctx, stop := untilSignal()
	err := p.Dispatch(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.Name, err)
		os.Exit(ExitCode(err))
	}
}

// Dispatch runs the command that the arguments name.
func (p Program) Dispatch(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return p.Commands[0].Run(ctx, nil, out)
	}
	for _, c := range p.Commands {
		if c.Name == args[0] {
			return c.Run(ctx, args[1:], out)
		}
	}
	if args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		return p.usage(out)
	}
	return fmt.Errorf("unknown command %q; %s help lists the commands", args[0], p.Name)
}

func (p Program) usage(out io.Writer) error {
	fmt.Fprintf(out, "%s\n\nusage: %s [command]\n\n", p.About, p.Name)
	for _, c := range p.Commands {
		fmt.Fprintf(out, "  %-10s %s\n", c.Name, c.About)
	}
	_, err := fmt.Fprintf(out, "\n%s\n", p.Environment)
	return err
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
		os.Exit(130)
	}()
	return ctx, func() { cancel(nil) }
}

// Confirmed asks for confirmation. Only "yes" confirms.
func Confirmed(in io.Reader, out io.Writer) bool {
	fmt.Fprint(out, "\nType yes to continue: ")
	line, err := bufio.NewReader(in).ReadString('\n')
	return (err == nil || errors.Is(err, io.EOF)) && strings.TrimSpace(line) == "yes"
}
