// Command expenzez is the operations tool of the backend. See expenzez help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `expenzez operates the backend.

  expenzez local   [--env dev] [--port 8080]   run the whole backend on this machine, without an AWS account
  expenzez smoke   [--env dev]                 start it, drive the scenario over HTTP, stop
  expenzez preview --env ENV                   what an update from nothing would deploy, without credentials
  expenzez export  --env ENV                   the environment as the local cloud deploys it, as pulumi stack export
  expenzez package [--arch arm64]              build the functions' zips
  expenzez provision --env ENV                 give a fresh environment on AWS its first signing key
  expenzez access                              print the access matrix of the declaration

Run it in the checkout.
`

func main() { os.Exit(start(os.Args[1:], os.Stdout, os.Stderr)) }

// start runs a command until it ends or is interrupted, and gives the exit status: 130 where an interrupt cut short
// what would have ended by itself.
func start(args []string, out, problems io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, args, out)
	switch {
	case ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)):
		_, _ = fmt.Fprintln(problems, "\nstopped; nothing is left running")
		if err == nil {
			return 0
		}
		return 130
	case ctx.Err() != nil:
		_, _ = fmt.Fprintln(problems, "\nstopped:", err)
		return 130
	case err != nil:
		_, _ = fmt.Fprintln(problems, "expenzez:", err)
		return 1
	default:
		return 0
	}
}

// errUsage is a command line that cannot be understood.
var errUsage = errors.New("run expenzez help for what there is")

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		_, err := io.WriteString(out, usage)
		return err
	}
	commands := map[string]func(context.Context, []string, io.Writer) error{
		"local": runLocal, "smoke": runSmoke, "preview": runPreview, "export": runExport,
		"package": runPackage, "provision": runProvision, "access": runAccess,
	}
	if args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		_, err := io.WriteString(out, usage)
		return err
	}
	command, ok := commands[args[0]]
	if !ok {
		return fmt.Errorf("there is no command %q; %w", args[0], errUsage)
	}
	return command(ctx, args[1:], out)
}
