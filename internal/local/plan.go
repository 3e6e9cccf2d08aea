package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/expenzez/aws-backend/internal/local/engine"
	"github.com/expenzez/aws-backend/stacks"
)

// Plan is what a deployment from nothing would make, as the engine says.
type Plan struct {
	Environment string             `json:"environment"`
	Account     string             `json:"account"`
	Region      string             `json:"region"`
	Changes     engine.Changes     `json:"changes"`
	Stacks      []StackPlan        `json:"stacks"`
	Resources   []engine.Operation `json:"resources"`
}

// StackPlan counts the resources of one stack against the limit.
type StackPlan struct {
	Name      string `json:"name"`
	Resources int    `json:"resources"`
	Limit     int    `json:"limit"`
}

// Preview plans a deployment into an empty account, without credentials and without starting anything but the
// engine and the provider. The engine's diff goes to out.
func Preview(ctx context.Context, p *Project, out io.Writer) (_ Plan, err error) {
	dir, err := os.MkdirTemp("", "expenzez-preview-")
	if err != nil {
		return Plan{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d, err := Planner(ctx, p, EngineOptions{Dir: dir})
	if err != nil {
		return Plan{}, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	operations, changes, err := d.Preview(ctx, discard(out))
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Environment: p.Settings.Environment, Account: p.Settings.Account, Region: p.Settings.Region, Changes: changes, Resources: operations}
	plan.Stacks = countStacks(operations)
	return plan, nil
}

// countStacks counts what is below each stack's component. The chain of parents' types is part of a URN.
func countStacks(operations []engine.Operation) []StackPlan {
	var all []StackPlan
	for _, o := range operations {
		name, ok := stackOf(o.URN)
		if !ok {
			continue
		}
		i := slices.IndexFunc(all, func(s StackPlan) bool { return s.Name == name })
		if i < 0 {
			all = append(all, StackPlan{Name: name, Limit: stacks.MaxResources})
			i = len(all) - 1
		}
		all[i].Resources++
	}
	slices.SortFunc(all, func(a, b StackPlan) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func stackOf(urn string) (string, bool) {
	parts := strings.SplitN(urn, "::", 4)
	if len(parts) != 4 {
		return "", false
	}
	for t := range strings.SplitSeq(parts[2], "$") {
		if name, ok := strings.CutPrefix(t, "expenzez:stacks:"); ok {
			return strings.ToLower(name), t != parts[2] // the component itself is not below itself
		}
	}
	return "", false
}

// Print writes the counts as a table.
func (p Plan) Print(out io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n%s, account %s, %s\n", p.Environment, p.Account, p.Region)
	for _, s := range p.Stacks {
		fmt.Fprintf(&b, "  %-14s %3d of at most %d resources\n", s.Name, s.Resources, s.Limit)
	}
	_, err := out.Write(b.Bytes())
	return err
}

// Export deploys the environment into an empty local account and gives its state as `pulumi stack export` does.
// Nothing of the account is left.
func Export(ctx context.Context, p *Project, out io.Writer) (_ []byte, err error) {
	account, err := OpenAccount(ctx, p, AccountOptions{Progress: func(s string) { _, _ = fmt.Fprintln(discard(out), "  "+s) }})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, account.Close()) }()
	dir, err := os.MkdirTemp("", "expenzez-export-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d, err := account.Engine(ctx, EngineOptions{Dir: dir})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if _, err := d.Up(ctx, discard(out)); err != nil {
		return nil, err
	}
	return d.Export(ctx)
}
