package local

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/deployment"
	"github.com/expenzez/aws-backend/internal/local/aws"
	"github.com/expenzez/aws-backend/internal/local/events"
	"github.com/expenzez/aws-backend/internal/local/gateway"
	"github.com/expenzez/aws-backend/internal/local/lambda"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/token"
)

// Options say how the local cloud runs.
type Options struct {
	Port    int               // of the API on 127.0.0.1, the status page on the next; 0: any free ports
	Secrets map[string]string // values of declared secrets, from .env
	Out     io.Writer         // progress and the engine's own diff; nil: none
	Python  string            // interpreter for the emulator; empty: python3 on PATH
}

// Cloud is a running backend.
type Cloud struct {
	URL       string // of the API
	StatusURL string // of the status page
	Demo      User

	account *Account
	runtime *lambda.Runtime
	gateway *gateway.Gateway
	events  *events.Dispatcher
	status  *status
	stop    []func() error // in order of start
}

// User is a confirmed person who can sign in.
type User struct{ Email, Password string }

// Start deploys the environment into an empty account and serves its API until Close. When it fails, nothing is left.
func Start(ctx context.Context, p *Project, o Options) (_ *Cloud, err error) {
	c := &Cloud{status: newStatus()}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	out := discard(o.Out)
	listeners, err := c.listen(o.Port)
	if err != nil {
		return nil, err
	}
	if err := c.lock(p); err != nil {
		return nil, err
	}
	var functions []string
	for _, f := range catalog.Backend().Functions() {
		functions = append(functions, f.Key)
	}
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"building the functions", func(ctx context.Context) error { return p.Build(ctx, functions) }},
		{"starting the local AWS account", func(ctx context.Context) error { return c.open(ctx, p, o) }},
		{"deploying " + p.Settings.Environment + " with the Pulumi engine", func(ctx context.Context) error { return c.deploy(ctx, p, out) }},
		{"making the signing key", func(ctx context.Context) error { return c.provision(ctx, p, o.Secrets) }},
		{"making the demo user", func(ctx context.Context) error { return c.serveAndSeed(ctx, listeners) }},
	}
	for _, s := range steps {
		if err := Step(ctx, out, s.name, s.do); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// listen takes the ports first: a taken one is known before anything is started.
func (c *Cloud) listen(port int) ([]net.Listener, error) {
	var all []net.Listener
	for i := range 2 {
		want := port
		if port != 0 {
			want += i
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(want))
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("port %d on 127.0.0.1 is taken: stop what listens there, or choose two free ports in a row with make local PORT=%d", want, port+100)
		}
		if err != nil {
			return nil, err
		}
		c.onClose(func() error { return ignoreClosed(l.Close()) })
		all = append(all, l)
	}
	c.URL, c.StatusURL = "http://"+all[0].Addr().String(), "http://"+all[1].Addr().String()
	return all, nil
}

// lock holds the environment's folder, so that a second local cloud of the same environment does not empty it.
func (c *Cloud) lock(p *Project) error {
	if err := os.MkdirAll(filepath.Join(p.Root, ".local"), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(p.Dir()+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	c.onClose(f.Close) // closing releases the lock; the file stays, so that no two processes lock different files
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("%s runs already in this checkout: stop it with Ctrl-C first", p.Settings.Environment)
	}
	return emptyDir(p.Dir())
}

func (c *Cloud) open(ctx context.Context, p *Project, o Options) error {
	account, err := OpenAccount(ctx, p, AccountOptions{
		Progress: func(s string) { _, _ = fmt.Fprintln(discard(o.Out), "  "+s) }, Mail: c.status.mail, Python: o.Python,
	})
	if err != nil {
		return err
	}
	c.account = account
	c.onClose(account.Close)
	return nil
}

// deploy runs the engine and reads what was deployed.
func (c *Cloud) deploy(ctx context.Context, p *Project, out io.Writer) error {
	d, err := c.account.Engine(ctx, EngineOptions{Dir: filepath.Join(p.Dir(), "engine")})
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	if _, err := d.Up(ctx, out); err != nil {
		return err
	}
	export, err := d.Export(ctx)
	if err != nil {
		return err
	}
	deployed, err := deployment.Parse(export)
	if err != nil {
		return err
	}
	return c.run(p, deployed)
}

// run makes the deployed functions, the deployed API and the deployed event sources ready.
func (c *Cloud) run(p *Project, deployed *deployment.Deployment) error {
	functions, err := lambda.FromDeployment(deployed, p.Root)
	if err != nil {
		return err
	}
	dir := filepath.Join(p.Dir(), "functions")
	if err := emptyDir(dir); err != nil {
		return err
	}
	c.runtime, err = lambda.New(context.Background(), lambda.Config{
		Functions: functions, Credentials: c.account.Front.Credentials, Endpoint: c.account.URL, Dir: dir, Logs: c.status.log,
	})
	if err != nil {
		return err
	}
	c.onClose(c.runtime.Close)
	c.status.resources = deployed
	c.gateway, err = gateway.New(gateway.Config{
		Deployment: deployed, Invoker: c.runtime, OnRequest: c.status.request, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	c.events, err = events.New(events.Config{
		Deployment: deployed, Invoke: c.runtime.Invoke, Credentials: c.account.Front.Credentials, Endpoint: c.account.URL,
		Operator: c.adminConfig(p).Credentials, Log: c.status.log,
	})
	if err != nil {
		return err
	}
	c.onClose(c.events.Close) // before the functions that it invokes are stopped
	return nil
}

// provision puts the given secrets into the account and makes the signing key, as the operator does on AWS.
func (c *Cloud) provision(ctx context.Context, p *Project, values map[string]string) error {
	config := c.adminConfig(p)
	secrets := secretsmanager.NewFromConfig(config)
	for key, value := range values {
		id := p.Settings.SecretPrefix() + key
		if _, err := secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: &value}); err != nil {
			return fmt.Errorf("secret %s: %w", key, err)
		}
	}
	keys := store.NewTable(dynamodb.NewFromConfig(config), p.Settings.Name("signing-keys"))
	_, err := token.Provision(ctx, secrets, p.Settings.SecretPrefix()+"jwt", keys, time.Now())
	return err
}

func (c *Cloud) adminConfig(p *Project) sdk.Config {
	id, secret := c.account.Front.AdminCredentials()
	return sdk.Config{
		Region: p.Settings.Region, BaseEndpoint: &c.account.URL,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""),
	}
}

func (c *Cloud) serveAndSeed(ctx context.Context, listeners []net.Listener) error {
	c.serve(listeners[0], c.gateway)
	c.serve(listeners[1], c.status.handler(c.URL, c.events))
	c.events.Start()
	c.tick()
	password := make([]byte, 12)
	if _, err := rand.Read(password); err != nil {
		return err
	}
	// All four classes of characters that the pool asks for.
	c.Demo = User{Email: "demo@expenzez.example", Password: "Aa1-" + base64.RawURLEncoding.EncodeToString(password)}
	return c.Register(ctx, nil, c.Demo)
}

func (c *Cloud) serve(l net.Listener, h http.Handler) {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	c.onClose(func() error {
		err := s.Close()
		if e := <-done; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	})
}

// tick does what AWS does in the background: expired items go, and sandboxes that nobody uses.
func (c *Cloud) tick() {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(30 * time.Second)
		defer t.Stop()
		for {
			select {
			case <-stop:
				return
			case <-t.C:
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				if err := c.account.Front.Sweep(ctx); err != nil {
					c.status.log("local cloud", "expired items: "+err.Error())
				}
				cancel()
				c.runtime.Reap()
			}
		}
	}()
	c.onClose(func() error { close(stop); <-done; return nil })
}

// Mails lists what the backend has mailed, oldest first.
func (c *Cloud) Mails() []aws.Mail { return c.account.Front.Mails() }

func (c *Cloud) onClose(f func() error) { c.stop = append(c.stop, f) }

// Close stops everything in reverse order of its start. It may be called more than once.
func (c *Cloud) Close() error {
	var problems []error
	for i := len(c.stop) - 1; i >= 0; i-- {
		problems = append(problems, c.stop[i]())
	}
	c.stop = nil
	return errors.Join(problems...)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
