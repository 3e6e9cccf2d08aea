// Package local is the local cloud: the whole backend on one machine, without an AWS account. The real Pulumi engine
// deploys the same program as on AWS into an account that is an emulator, a front that answers as the AWS API and a
// resource provider; then the deployed API is served and its functions run as processes.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/expenzez/aws-backend/internal/artifact"
	"github.com/expenzez/aws-backend/internal/local/aws"
	"github.com/expenzez/aws-backend/internal/local/engine"
	"github.com/expenzez/aws-backend/internal/local/moto"
	"github.com/expenzez/aws-backend/internal/local/provider"
	"github.com/expenzez/aws-backend/stacks"
)

// Project is a checkout and one of its environments, with its configuration read and checked.
type Project struct {
	Root     string // the checkout
	Settings stacks.Settings

	config map[string]any // replaces values of Pulumi.<env>.yaml
}

// limiterBudget is how long counting a request may take here: the emulator answers in tens of milliseconds where
// DynamoDB needs two.
const limiterBudget = 5 * time.Second

// ReadProject reads the environment's configuration and reports every fault in it. Functions will be for
// architecture; nothing is started or written.
func ReadProject(root, environment string, architecture artifact.Architecture) (*Project, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	config, err := engine.ReadConfig(root, environment)
	if err != nil {
		return nil, err
	}
	p := &Project{Root: root, config: map[string]any{
		"expenzez:artifacts":    filepath.Join(root, "build", "lambda-"+string(architecture)),
		"expenzez:architecture": string(architecture),
	}}
	for key, value := range p.config {
		config[key] = value
	}
	p.Settings, err = stacks.ReadSettings(environment, engine.Lookup(config))
	if err != nil {
		return nil, fmt.Errorf("configuration of %s (Pulumi.%s.yaml):\n%w", environment, environment, err)
	}
	return p, nil
}

// HostArchitecture is what functions are built for to run on this machine.
func HostArchitecture() artifact.Architecture { return artifact.Host(runtime.GOARCH) }

// Dir is the environment's own folder in the checkout, which git ignores. Everything that is written is below it.
func (p *Project) Dir() string { return filepath.Join(p.Root, ".local", p.Settings.Environment) }

// Build builds the deployment packages of all functions.
func (p *Project) Build(ctx context.Context, functions []string) error {
	return artifact.Build(ctx, artifact.Options{
		Root: p.Root, Out: p.Settings.Artifacts, Architecture: artifact.Architecture(p.Settings.Architecture), Functions: functions,
	})
}

// Account is an empty local AWS account: an emulator as the store, and the front that is the AWS API.
// What is deployed into it lives until Close.
type Account struct {
	Front *aws.Front
	URL   string // of the front: the endpoint of every AWS service
	World *provider.World

	project *Project
	moto    *moto.Server
	stop    context.CancelFunc
	served  chan error
}

// AccountOptions say where an account keeps its files and what it tells.
type AccountOptions struct {
	Progress func(string)   // long steps of the emulator's installation; nil: none
	Mail     func(aws.Mail) // each mail that the account sends; nil: none
	Python   string         // interpreter for the emulator; empty: python3 on PATH
}

// OpenAccount starts an account for the project's environment.
func OpenAccount(ctx context.Context, p *Project, o AccountOptions) (*Account, error) {
	store, err := moto.Start(ctx, moto.Options{
		Account: p.Settings.Account, Region: p.Settings.Region, Dir: filepath.Join(p.Root, ".local"), Progress: o.Progress, Python: o.Python,
	})
	if err != nil {
		return nil, err
	}
	a := &Account{World: provider.NewWorld(), project: p, moto: store, served: make(chan error, 1)}
	a.Front, err = aws.New(aws.Config{Backend: store.URL, Account: p.Settings.Account, Region: p.Settings.Region, Mail: o.Mail})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	a.URL = "http://" + listener.Addr().String()
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	a.stop = stop
	go func() { a.served <- a.Front.Serve(serving, listener) }()
	return a, nil
}

// Close stops the account; nothing of it is left.
func (a *Account) Close() error {
	a.stop()
	return errors.Join(<-a.served, a.Front.Close(), a.moto.Close())
}

// Deployment is the engine with the local provider attached.
type Deployment struct {
	*engine.Engine
	provider *provider.Server
}

// Close detaches the provider.
func (d *Deployment) Close() error { return d.provider.Close() }

// EngineOptions vary how the engine runs.
type EngineOptions struct {
	Dir         string         // the engine's folder
	Config      map[string]any // replaces configuration, on top of what the project replaces
	Checkpoints bool           // write the state after each step
	Program     pulumi.RunFunc // nil: stacks.Deploy
}

// Engine attaches the engine to the account; several may follow each other on the same account and folder.
func (a *Account) Engine(ctx context.Context, o EngineOptions) (*Deployment, error) {
	id, secret := a.Front.AdminCredentials()
	return open(ctx, a.project, o, provider.Config{
		Endpoint: a.URL, World: a.World, Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""),
	})
}

// Planner attaches the engine to nothing: it previews, and refuses to deploy.
func Planner(ctx context.Context, p *Project, o EngineOptions) (*Deployment, error) {
	return open(ctx, p, o, provider.Config{})
}

func open(ctx context.Context, p *Project, o EngineOptions, c provider.Config) (*Deployment, error) {
	cli, err := engine.FindCLI(p.Root)
	if err != nil {
		return nil, err
	}
	c.Account, c.Region = p.Settings.Account, p.Settings.Region
	server, err := provider.Start(context.WithoutCancel(ctx), c)
	if err != nil {
		return nil, err
	}
	config := map[string]any{"expenzez:limiterBudgetMillis": strconv.FormatInt(limiterBudget.Milliseconds(), 10)}
	if c.Endpoint == "" {
		delete(config, "expenzez:limiterBudgetMillis") // a preview shows what AWS would get
	}
	for _, extra := range []map[string]any{p.config, o.Config} {
		for k, v := range extra {
			config[k] = v
		}
	}
	if o.Program == nil {
		o.Program = stacks.Deploy
	}
	e, err := engine.Open(ctx, engine.Options{
		Root: p.Root, Dir: o.Dir, Environment: p.Settings.Environment, Config: config,
		ProviderPort: server.Port(), Program: o.Program, CLI: cli, Checkpoints: o.Checkpoints,
	})
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return &Deployment{Engine: e, provider: server}, nil
}

// emptyDir makes dir an empty folder.
func emptyDir(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o700)
}

// discard is where the engine's output goes when nobody wants to see it.
func discard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}
