// Package engine runs the pinned Pulumi engine on an inline program, with the local provider attached, in a folder
// of its own. The checkout is never the engine's working directory: the engine writes into Pulumi.<stack>.yaml.
package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optrefresh"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Options say what to run and where.
type Options struct {
	Root         string             // the checkout: Pulumi.yaml and Pulumi.<env>.yaml are read from it, nothing is written
	Dir          string             // the engine's own folder, for example .local/dev
	Environment  string             // the name of the Pulumi stack
	Config       map[string]any     // configuration that replaces values of Pulumi.<env>.yaml
	ProviderPort int                // where the local provider listens
	Program      pulumi.RunFunc     // what is deployed
	CLI          auto.PulumiCommand // from FindCLI
	Checkpoints  bool               // write the state after each step, for recovery; quadratic in the number of resources
}

// Engine is one stack in one folder. It is not safe for concurrent use: the engine locks the stack.
type Engine struct {
	stack   auto.Stack
	options Options
}

// Open prepares the folder and selects the stack, creating it when the folder is new.
func Open(ctx context.Context, o Options) (*Engine, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	o.Dir = dir
	if err := prepare(o); err != nil {
		return nil, err
	}
	w, err := auto.NewLocalWorkspace(ctx, auto.WorkDir(o.Dir), auto.Program(o.Program), auto.Pulumi(o.CLI),
		auto.PulumiHome(filepath.Join(o.Dir, "home")), auto.EnvVars(environment(o, os.Environ())))
	if err != nil {
		return nil, fmt.Errorf("pulumi workspace: %w", err)
	}
	stack, err := auto.UpsertStack(ctx, o.Environment, w)
	if err != nil {
		return nil, fmt.Errorf("pulumi stack %s: %w", o.Environment, err)
	}
	return &Engine{stack: stack, options: o}, nil
}

// prepare copies the project and the stack's configuration, less what binds them to another backend's secrets.
func prepare(o Options) error {
	for _, d := range []string{o.Dir, filepath.Join(o.Dir, "home"), filepath.Join(o.Dir, "state")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	project, err := os.ReadFile(filepath.Join(o.Root, "Pulumi.yaml"))
	if err != nil {
		return fmt.Errorf("project: %w", err)
	}
	if err := os.WriteFile(filepath.Join(o.Dir, "Pulumi.yaml"), project, 0o600); err != nil {
		return err
	}
	config, err := ReadConfig(o.Root, o.Environment)
	if err != nil {
		return err
	}
	maps.Copy(config, o.Config)
	// JSON is YAML; what is written here is read only by the engine.
	stack, err := json.Marshal(map[string]any{"config": config})
	if err != nil {
		return fmt.Errorf("configuration of %s: %w", o.Environment, err)
	}
	return os.WriteFile(filepath.Join(o.Dir, "Pulumi."+o.Environment+".yaml"), stack, 0o600)
}

// passphrase encrypts secrets in a state that holds nothing real and lives as long as the local cloud.
const passphrase = "local"

// environment is what the CLI adds to or takes from the caller's environment: the user's own Pulumi settings
// (backend, organization, plugins) must not leak in.
func environment(o Options, host []string) map[string]string {
	vars := map[string]string{}
	for _, pair := range host {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "PULUMI_") {
			vars[name] = ""
		}
	}
	own := map[string]string{
		"PULUMI_HOME":                                   filepath.Join(o.Dir, "home"),
		"PULUMI_BACKEND_URL":                            "file://" + filepath.Join(o.Dir, "state"),
		"PULUMI_CONFIG_PASSPHRASE":                      passphrase,
		"PULUMI_DEBUG_PROVIDERS":                        "aws:" + strconv.Itoa(o.ProviderPort),
		"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION":   "true",
		"PULUMI_SKIP_UPDATE_CHECK":                      "true",
		"PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
	}
	if !o.Checkpoints {
		own["PULUMI_SKIP_CHECKPOINTS"] = "true"
	}
	maps.Copy(vars, own)
	return vars
}

// Changes counts the operations of an update by name: create, update, replace, delete, same …
type Changes map[string]int

// Any reports whether anything but same is among the operations.
func (c Changes) Any() bool {
	return slices.ContainsFunc(slices.Collect(maps.Keys(c)), func(op string) bool { return op != string(apitype.OpSame) && c[op] > 0 })
}

// Operation is what the engine would do to one resource.
type Operation struct {
	URN  string `json:"urn"`
	Type string `json:"type"`
	Op   string `json:"op"` // create, update, replace, delete, same …
}

// Preview shows what an update would do, writing the engine's own diff to out. Operations are sorted by URN.
func (e *Engine) Preview(ctx context.Context, out io.Writer) ([]Operation, Changes, error) {
	w := &lockedWriter{w: out}
	stream := make(chan events.EngineEvent)
	collected := make(chan []Operation, 1)
	go func() {
		var all []Operation
		for ev := range stream {
			if pre := ev.ResourcePreEvent; pre != nil {
				all = append(all, Operation{URN: pre.Metadata.URN, Type: pre.Metadata.Type, Op: string(pre.Metadata.Op)})
			}
		}
		slices.SortFunc(all, func(a, b Operation) int { return strings.Compare(a.URN, b.URN) })
		collected <- all
	}()
	res, err := e.stack.Preview(ctx, optpreview.ProgressStreams(w), optpreview.ErrorProgressStreams(w), optpreview.Diff(),
		optpreview.SuppressProgress(), optpreview.EventStreams(stream))
	if err != nil {
		return nil, nil, failure("preview", err)
	}
	changes := Changes{}
	for op, n := range res.ChangeSummary {
		changes[string(op)] = n
	}
	return <-collected, changes, nil
}

// Up deploys the program, writing the engine's progress to out.
func (e *Engine) Up(ctx context.Context, out io.Writer) (Changes, error) {
	w := &lockedWriter{w: out}
	res, err := e.stack.Up(ctx, optup.ProgressStreams(w), optup.ErrorProgressStreams(w), optup.SuppressProgress(), optup.SuppressOutputs())
	if err != nil {
		return nil, failure("up", err)
	}
	return changesOf(res.Summary.ResourceChanges), nil
}

// Refresh reads what is really there into the state.
func (e *Engine) Refresh(ctx context.Context, out io.Writer) (Changes, error) {
	w := &lockedWriter{w: out}
	res, err := e.stack.Refresh(ctx, optrefresh.ProgressStreams(w), optrefresh.ErrorProgressStreams(w), optrefresh.SuppressProgress())
	if err != nil {
		return nil, failure("refresh", err)
	}
	return changesOf(res.Summary.ResourceChanges), nil
}

// Destroy deletes everything. It plans first, as the command does: the plan fails where something is protected, while
// the deletion itself would already have begun with the rest.
func (e *Engine) Destroy(ctx context.Context, out io.Writer) (Changes, error) {
	w := &lockedWriter{w: out}
	if _, err := e.stack.PreviewDestroy(ctx, optdestroy.ProgressStreams(w), optdestroy.ErrorProgressStreams(w), optdestroy.SuppressProgress()); err != nil {
		return nil, failure("destroy", err)
	}
	res, err := e.stack.Destroy(ctx, optdestroy.ProgressStreams(w), optdestroy.ErrorProgressStreams(w), optdestroy.SuppressProgress())
	if err != nil {
		return nil, failure("destroy", err)
	}
	return changesOf(res.Summary.ResourceChanges), nil
}

// Cancel releases the lock that a killed update left on the stack.
func (e *Engine) Cancel(ctx context.Context) error { return e.stack.Cancel(ctx) }

// Outputs are the stack's exported values; secret ones are left out.
func (e *Engine) Outputs(ctx context.Context) (map[string]any, error) {
	outputs, err := e.stack.Outputs(ctx)
	if err != nil {
		return nil, failure("output", err)
	}
	all := map[string]any{}
	for k, v := range outputs {
		if !v.Secret {
			all[k] = v.Value
		}
	}
	return all, nil
}

// Export is the state as `pulumi stack export` gives it: secret values are ciphertext. (The Automation API's own
// export shows them.)
func (e *Engine) Export(ctx context.Context) ([]byte, error) {
	out, stderr, _, err := e.options.CLI.Run(ctx, e.options.Dir, nil, nil, nil, pairs(environment(e.options, os.Environ())),
		"stack", "export", "--stack", e.options.Environment)
	if err != nil {
		return nil, fmt.Errorf("pulumi stack export: %w: %s", err, strings.TrimSpace(stderr))
	}
	return []byte(out), nil
}

func pairs(vars map[string]string) []string {
	var all []string
	for name, value := range vars {
		all = append(all, name+"="+value)
	}
	slices.Sort(all)
	return all
}

func changesOf(counts *map[string]int) Changes {
	if counts == nil {
		return Changes{}
	}
	return Changes(*counts)
}

// failure keeps what the engine said: the automation error already holds its output.
func failure(operation string, err error) error {
	return fmt.Errorf("pulumi %s: %w", operation, err)
}

// ErrNoCLI says that no usable pulumi was found.
var ErrNoCLI = errors.New("no pulumi CLI of version 3.259.0 or newer: run make tools, which builds the pinned one into build/tools/bin")

// FindCLI finds the pinned CLI that make tools builds below root, else one on PATH that is new enough.
func FindCLI(root string) (auto.PulumiCommand, error) {
	options := []*auto.PulumiCommandOptions{{Root: filepath.Join(root, "build", "tools"), Version: minimumCLI}, {Version: minimumCLI}}
	for _, o := range options {
		if cli, err := auto.NewPulumiCommand(o); err == nil {
			return cli, nil
		}
	}
	return nil, ErrNoCLI
}

// lockedWriter lets the engine's output and its errors arrive from two goroutines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
