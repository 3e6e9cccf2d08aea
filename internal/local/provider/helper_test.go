package provider

import (
	"archive/zip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/archive"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/expenzez/aws-backend/internal/local/moto"
)

const (
	testAccount = "210987654321"
	testRegion  = "eu-central-1"
)

// theStore is one emulator for all tests of this package; tests keep apart by names.
var theStore struct {
	once sync.Once
	*moto.Server
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if theStore.Server != nil {
		if err := theStore.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func store(t *testing.T) string {
	t.Helper()
	theStore.once.Do(func() {
		theStore.Server, theStore.err = moto.Start(context.Background(), moto.Options{Account: testAccount, Region: testRegion})
	})
	require.NoError(t, theStore.err)
	return theStore.URL
}

func clock() time.Time { return time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC) }

// client is a connection to a provider, as the engine holds one per provider instance.
type client struct {
	pulumirpc.ResourceProviderClient
	t *testing.T
}

func serve(t *testing.T, cfg Config) *Server {
	t.Helper()
	cfg.Account, cfg.Region, cfg.Now = testAccount, testRegion, clock
	s, err := Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func dial(t *testing.T, s *Server) client {
	t.Helper()
	conn, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", s.Port()), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return client{pulumirpc.NewResourceProviderClient(conn), t}
}

// connect is a configured connection to a new provider.
func connect(t *testing.T, cfg Config) (client, *Server) {
	t.Helper()
	s := serve(t, cfg)
	c := dial(t, s)
	require.NoError(t, c.configure(bag{"region": text(testRegion)}))
	return c, s
}

func (c client) configure(in bag) error {
	resp, err := c.Configure(c.t.Context(), &pulumirpc.ConfigureRequest{Args: c.pack(in), AcceptSecrets: true})
	if err == nil {
		require.True(c.t, resp.GetSupportsPreview())
		require.False(c.t, resp.GetAcceptSecrets(), "the engine must unwrap secrets")
	}
	return err
}

func (c client) pack(in bag) *structpb.Struct {
	out, err := plugin.MarshalProperties(in, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true})
	require.NoError(c.t, err)
	return out
}

func (c client) unpack(in *structpb.Struct) bag {
	out, err := plugin.UnmarshalProperties(in, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true})
	require.NoError(c.t, err)
	return out
}

func urn(token, name string) string {
	return "urn:pulumi:dev::expenzez::" + token + "::" + name
}

// check returns the checked inputs and the reasons against them.
func (c client) check(token, name string, old, in bag) (bag, []string) {
	resp, err := c.Check(c.t.Context(), &pulumirpc.CheckRequest{Urn: urn(token, name), Olds: c.pack(old), News: c.pack(in), RandomSeed: []byte(name)})
	require.NoError(c.t, err)
	var reasons []string
	for _, f := range resp.GetFailures() {
		require.Empty(c.t, f.GetProperty(), "the engine would print the value")
		reasons = append(reasons, f.GetReason())
	}
	return c.unpack(resp.GetInputs()), reasons
}

// made is a resource that exists.
type made struct {
	token, name, id string
	in, out         bag
}

// create checks and creates; the inputs must be right.
func (c client) create(token, name string, in bag) (made, error) {
	c.t.Helper()
	checked, reasons := c.check(token, name, nil, in)
	require.Empty(c.t, reasons)
	resp, err := c.Create(c.t.Context(), &pulumirpc.CreateRequest{Urn: urn(token, name), Properties: c.pack(checked)})
	if err != nil {
		return made{}, err
	}
	return made{token, name, resp.GetId(), checked, c.unpack(resp.GetProperties())}, nil
}

func (c client) mustCreate(token, name string, in bag) made {
	c.t.Helper()
	m, err := c.create(token, name, in)
	require.NoError(c.t, err)
	return m
}

func (c client) diff(m made, in bag) *pulumirpc.DiffResponse {
	c.t.Helper()
	checked, reasons := c.check(m.token, m.name, m.in, in)
	require.Empty(c.t, reasons)
	resp, err := c.Diff(c.t.Context(), &pulumirpc.DiffRequest{Urn: urn(m.token, m.name), Id: m.id, Olds: c.pack(m.out), OldInputs: c.pack(m.in), News: c.pack(checked)})
	require.NoError(c.t, err)
	return resp
}

func (c client) update(m made, in bag, preview bool) (made, error) {
	c.t.Helper()
	checked, reasons := c.check(m.token, m.name, m.in, in)
	require.Empty(c.t, reasons)
	resp, err := c.Update(c.t.Context(), &pulumirpc.UpdateRequest{Urn: urn(m.token, m.name), Id: m.id, Olds: c.pack(m.out),
		OldInputs: c.pack(m.in), News: c.pack(checked), Preview: preview})
	if err != nil {
		return m, err
	}
	return made{m.token, m.name, m.id, checked, c.unpack(resp.GetProperties())}, nil
}

func (c client) mustUpdate(m made, in bag) made {
	c.t.Helper()
	m, err := c.update(m, in, false)
	require.NoError(c.t, err)
	return m
}

// read refreshes; false when the resource is gone.
func (c client) read(m made) (made, bool) {
	c.t.Helper()
	resp, err := c.Read(c.t.Context(), &pulumirpc.ReadRequest{Urn: urn(m.token, m.name), Id: m.id, Properties: c.pack(m.out), Inputs: c.pack(m.in)})
	require.NoError(c.t, err)
	if resp.GetId() == "" {
		return made{}, false
	}
	return made{m.token, m.name, resp.GetId(), c.unpack(resp.GetInputs()), c.unpack(resp.GetProperties())}, true
}

func (c client) remove(m made) error {
	c.t.Helper()
	_, err := c.Delete(c.t.Context(), &pulumirpc.DeleteRequest{Urn: urn(m.token, m.name), Id: m.id, Properties: c.pack(m.out), OldInputs: c.pack(m.in)})
	return err
}

// steady says that reading and diffing against the same program shows nothing.
func (c client) steady(m made, in bag) {
	c.t.Helper()
	now, found := c.read(m)
	require.True(c.t, found)
	require.Equal(c.t, m.in, now.in, "inputs drift")
	require.Equal(c.t, m.out, now.out, "outputs drift")
	require.Empty(c.t, c.diff(now, in).GetDetailedDiff())
}

// with is a copy of b with some entries replaced; null removes one.
func with(b, more bag) bag {
	out := b.Copy()
	for k, v := range more {
		if v.IsNull() {
			delete(out, k)
			continue
		}
		out[k] = v
	}
	return out
}

func null() value { return resource.NewNullProperty() }

// bundle writes a zip with one file and returns it as the archive that a program would pass.
func bundle(t *testing.T, name, content string, mode os.FileMode) value {
	t.Helper()
	path := filepath.Join(t.TempDir(), "code.zip")
	f, err := os.Create(path)
	require.NoError(t, err)
	z := zip.NewWriter(f)
	header := &zip.FileHeader{Name: name, Method: zip.Deflate}
	header.SetMode(mode)
	w, err := z.CreateHeader(header)
	require.NoError(t, err)
	_, err = w.Write([]byte(content))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.NoError(t, f.Close())
	a, err := archive.FromPath(path)
	require.NoError(t, err)
	require.NoError(t, a.EnsureHash())
	return resource.NewProperty(a)
}

func policyText(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

func trust(service string) value {
	return text(policyText(`{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}`))
}

func allow(action, resource string) value {
	return text(policyText(`{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}`))
}

func keyPolicy(more ...string) value {
	root := `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + testAccount + `:root"},"Action":"kms:*","Resource":"*"}`
	return text(policyText(append([]string{root}, more...)...))
}
