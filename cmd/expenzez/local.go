package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/local"
	"github.com/expenzez/aws-backend/internal/scenario"
)

// parse reads the flags of a command. No further arguments are allowed.
func parse(name string, args []string, define func(*flag.FlagSet)) error {
	flags := flag.NewFlagSet("expenzez "+name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	define(flags)
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%s: %w; %w", name, err, errUsage)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%s: takes no argument %q; %w", name, flags.Arg(0), errUsage)
	}
	return nil
}

func runLocal(ctx context.Context, args []string, out io.Writer) error {
	var environment string
	var port int
	if err := parse("local", args, func(f *flag.FlagSet) {
		f.StringVar(&environment, "env", "dev", "")
		f.IntVar(&port, "port", 8080, "")
	}); err != nil {
		return err
	}
	if port < 1 || port > 65534 {
		return fmt.Errorf("local: port %d: must be 1 to 65534, since the status page takes the next one", port)
	}
	project, err := local.ReadProject(".", environment, local.HostArchitecture())
	if err != nil {
		return err
	}
	secrets, err := readSecrets(project.Root)
	if err != nil {
		return err
	}
	cloud, err := local.Start(ctx, project, local.Options{Port: port, Secrets: secrets, Out: out})
	if err != nil {
		return err
	}
	if _, err := io.WriteString(out, welcome(cloud)); err != nil {
		return errors.Join(err, cloud.Close())
	}
	<-ctx.Done()
	return cloud.Close()
}

func readSecrets(root string) (map[string]string, error) {
	var known []string
	for _, s := range catalog.Backend().Secrets {
		known = append(known, s.Key)
	}
	return local.ReadSecrets(root, known)
}

// welcome is what a newcomer needs: where it is, who to be, and three commands that work when pasted.
func welcome(c *local.Cloud) string {
	return fmt.Sprintf(`
The API is at   %[1]s
Status page     %[2]s   (resources, requests, logs, mails)
Demo user       %[3]s   password %[4]s

Try it:

TOKEN=$(curl -s %[1]s/v1/auth/login -H 'Content-Type: application/json' -d '{"email":"%[3]s","password":"%[4]s"}' | sed 's/.*"accessToken":"\([^"]*\)".*/\1/')
curl -s %[1]s/v1/transactions -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -H "Idempotency-Key: first-one-$RANDOM" -d '{"amount":"-4.20","currency":"EUR","category":"coffee","date":"2026-01-15"}'
curl -s "%[1]s/v1/transactions?month=2026-01" -H "Authorization: Bearer $TOKEN"

Ctrl-C stops it and leaves nothing behind.
`, c.URL, c.StatusURL, c.Demo.Email, c.Demo.Password)
}

func runSmoke(ctx context.Context, args []string, out io.Writer) (err error) {
	var environment string
	if err := parse("smoke", args, func(f *flag.FlagSet) { f.StringVar(&environment, "env", "dev", "") }); err != nil {
		return err
	}
	project, err := local.ReadProject(".", environment, local.HostArchitecture())
	if err != nil {
		return err
	}
	cloud, err := local.Start(ctx, project, local.Options{Out: quiet(out)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cloud.Close()) }()
	passed := 0
	err = scenario.Run(ctx, cloud.Target(project), func(c scenario.Check) {
		mark := "ok  "
		if c.Err != nil {
			mark = "FAIL"
		} else {
			passed++
		}
		_, _ = fmt.Fprintln(out, mark, c.Name)
	})
	if err == nil {
		_, err = fmt.Fprintf(out, "%d steps, all as promised\n", passed)
	}
	return err
}

// quiet lets only the steps through, not the engine's list of resources.
func quiet(out io.Writer) io.Writer { return stepsOnly{out} }

type stepsOnly struct{ out io.Writer }

func (s stepsOnly) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		if slices.ContainsFunc([]string{"• ", "  done in", "  deploying", "  building", "  starting"}, func(p string) bool { return strings.HasPrefix(line, p) }) {
			if _, err := io.WriteString(s.out, line); err != nil {
				return 0, err
			}
		}
	}
	return len(b), nil
}
