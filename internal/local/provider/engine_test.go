package provider

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/local/engine"
)

// part is any resource of package aws, without its SDK: importing that would cost minutes of compiling.
type part struct {
	pulumi.CustomResourceState
	Arn       pulumi.StringOutput `pulumi:"arn"`
	Name      pulumi.StringOutput `pulumi:"name"`
	Version   pulumi.StringOutput `pulumi:"version"`
	InvokeArn pulumi.StringOutput `pulumi:"invokeArn"`
}

// stack is a small backend; its fields are what the test changes between runs.
type stackUnderTest struct {
	folder    string
	memory    int
	protected bool
	ttl       string
	trigger   string
	roleName  string
	extra     func(ctx *pulumi.Context) error
}

func register(ctx *pulumi.Context, token, name string, in pulumi.Map, opts ...pulumi.ResourceOption) (*part, error) {
	var p part
	err := ctx.RegisterResource(token, name, in, &p, opts...)
	return &p, err
}

// deploy registers everything; the first error ends it.
func (s *stackUnderTest) deploy(ctx *pulumi.Context) (failed error) {
	must := func(token, name string, in pulumi.Map, opts ...pulumi.ResourceOption) *part {
		p := &part{}
		if failed == nil {
			p, failed = register(ctx, token, name, in, opts...)
		}
		return p
	}
	str, obj := func(v string) pulumi.String { return pulumi.String(v) }, func(m pulumi.Map) pulumi.Map { return m }
	key := must(typeKmsKey, "data", obj(pulumi.Map{"enableKeyRotation": pulumi.Bool(true), "deletionWindowInDays": pulumi.Int(7), "tags": pulumi.StringMap{"Project": str("expenzez")}}))
	must(typeKmsAlias, "data", pulumi.Map{"name": str("alias/engine"), "targetKeyId": key.ID()})
	secret := must(typeSecret, "jwt", pulumi.Map{"name": str("/engine/jwt"), "kmsKeyId": key.Arn, "recoveryWindowInDays": pulumi.Int(0)})
	must(typeSecretVersion, "jwt", pulumi.Map{"secretId": secret.ID(), "secretString": pulumi.ToSecret(str("hunter2"))})
	must(typeTable, "users", pulumi.Map{
		"name": str("engine-users"), "billingMode": str("PAY_PER_REQUEST"), "hashKey": str("pk"), "deletionProtectionEnabled": pulumi.Bool(s.protected),
		"attributes":           pulumi.Array{pulumi.Map{"name": str("pk"), "type": str("S")}},
		"serverSideEncryption": pulumi.Map{"enabled": pulumi.Bool(true), "kmsKeyArn": key.Arn},
		"ttl":                  pulumi.Map{"enabled": pulumi.Bool(s.ttl != ""), "attributeName": str(s.ttl)},
	})
	role := must(typeRole, "auth", pulumi.Map{"name": str(s.roleName), "assumeRolePolicy": str(getText(bag{"p": trust("lambda.amazonaws.com")}, "p"))})
	policy := must(typeRolePolicy, "auth", pulumi.Map{"role": role.ID(), "policy": str(getText(bag{"p": allow("s3:GetObject", "*")}, "p"))})
	function := must(typeFunction, "auth", pulumi.Map{
		"role": role.Arn, "runtime": str("provided.al2023"), "handler": str("bootstrap"), "publish": pulumi.Bool(true),
		"memorySize": pulumi.Int(s.memory), "code": pulumi.NewFileArchive(filepath.Join(s.folder, "code.zip")),
		"environment": pulumi.Map{"variables": pulumi.Map{"TABLE": str("engine-users"), "TOKEN": pulumi.ToSecret(str("hunter2"))}},
	}, pulumi.DependsOn([]pulumi.Resource{policy}))
	alias := must(typeFunctionAlias, "live", pulumi.Map{"name": str("live"), "functionName": function.Name, "functionVersion": function.Version})
	body := alias.Arn.ApplyT(func(arn string) string {
		return string(bytes.ReplaceAll([]byte(apiBody("NAME")), []byte("arn:aws:lambda:eu-central-1:210987654321:function:NAME"), []byte(arn)))
	})
	api := must(typeRestAPI, "api", pulumi.Map{"body": body, "endpointConfiguration": pulumi.Map{"types": str("REGIONAL")}})
	deployment := must(typeDeployment, "api", pulumi.Map{"restApi": api.ID(), "triggers": pulumi.Map{"body": str(s.trigger)}})
	must(typeStage, "api", pulumi.Map{"restApi": api.ID(), "deployment": deployment.ID(), "stageName": str("v1")})
	pool := must(typeUserPool, "users", pulumi.Map{"usernameAttributes": pulumi.StringArray{str("email")}})
	must(typeUserPoolClient, "backend", pulumi.Map{"userPoolId": pool.ID(), "generateSecret": pulumi.Bool(true)})
	if failed == nil && s.extra != nil {
		failed = s.extra(ctx)
	}
	return failed
}

const engineParts = 14

// said is what the engine prints; its two streams write at the same time.
type said struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write adds p.
func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

type engineRun struct {
	*engine.Engine
	t      *testing.T
	server *Server
	dir    string
}

// open starts a provider and an engine on the program, with a project of its own.
func open(t *testing.T, program pulumi.RunFunc, cfg Config, config map[string]any) engineRun {
	t.Helper()
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "Pulumi.yaml"), []byte("name: expenzez\nruntime: go\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(root, "Pulumi.dev.yaml"), []byte("config: {}\n"), 0o600))
	checkout, err := filepath.Abs(filepath.Join("..", "..", ".."))
	require.NoError(t, err)
	cli, err := engine.FindCLI(checkout)
	require.NoError(t, err)
	server := serve(t, cfg)
	dir := t.TempDir()
	e, err := engine.Open(t.Context(), engine.Options{
		Root: root, Dir: dir, Environment: "dev", Config: config, ProviderPort: server.Port(), Program: program, CLI: cli,
	})
	require.NoError(t, err)
	return engineRun{e, t, server, dir}
}

// run does one operation and gives its counts of changes without those that are no change.
func (r engineRun) run(operation func(context.Context, *said) (engine.Changes, error)) engine.Changes {
	r.t.Helper()
	var out said
	changes, err := operation(r.t.Context(), &out)
	require.NoError(r.t, err, out.String())
	delete(changes, "same")
	return changes
}

func (r engineRun) up() engine.Changes {
	r.t.Helper()
	return r.run(func(ctx context.Context, out *said) (engine.Changes, error) { return r.Up(ctx, out) })
}

func (r engineRun) refresh() engine.Changes {
	r.t.Helper()
	return r.run(func(ctx context.Context, out *said) (engine.Changes, error) { return r.Refresh(ctx, out) })
}

func (r engineRun) preview() engine.Changes {
	r.t.Helper()
	return r.run(func(ctx context.Context, out *said) (engine.Changes, error) {
		_, changes, err := r.Preview(ctx, out)
		return changes, err
	})
}

func newStack(t *testing.T) *stackUnderTest {
	t.Helper()
	zip := bundle(t, "bootstrap", "#!", 0o755).ArchiveValue()
	return &stackUnderTest{folder: filepath.Dir(zip.Path), memory: 256, protected: true, ttl: "expires", trigger: "1", roleName: "engine-auth"}
}

func engineConfig() map[string]any {
	return map[string]any{"aws:region": testRegion, "aws:allowedAccountIds": []string{testAccount}, "aws:defaultTags": map[string]any{"tags": map[string]string{"Environment": "dev"}}}
}

// One stack through its life on the real engine.
func TestEngine(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	r := open(t, s.deploy, Config{Endpoint: store(t)}, engineConfig())
	behind, err := newCloud(Config{Account: testAccount, Region: testRegion, Endpoint: store(t)})
	require.NoError(t, err)

	require.Equal(t, engine.Changes{"create": engineParts + 1}, r.preview())
	require.Empty(t, r.server.Resources(), "a preview makes nothing")
	require.Equal(t, engine.Changes{"create": engineParts + 1}, r.up())
	require.Len(t, r.server.Resources(), engineParts)
	require.Empty(t, r.up(), "the second up is empty")
	require.Empty(t, r.refresh(), "nothing drifted")
	state, err := os.ReadFile(filepath.Join(r.dir, "state", ".pulumi", "stacks", "expenzez", "dev.json"))
	require.NoError(t, err)
	require.NotContains(t, string(state), "hunter2", "secrets are encrypted in inputs and outputs")
	require.Contains(t, string(state), "code.zip", "who runs the function finds its zip in the state")

	s.memory, s.trigger = 512, "2"
	// The function and then the alias that names its version change in place; the deployment is made anew and the stage moves.
	require.Equal(t, engine.Changes{"update": 3, "replace": 1}, r.preview())
	require.Equal(t, engine.Changes{"update": 3, "replace": 1}, r.up())
	require.Empty(t, r.up())

	s.roleName = "engine-renamed"
	require.Equal(t, engine.Changes{"update": 2, "replace": 2}, r.up(), "the role and its policy are made anew; function and alias follow")
	require.Empty(t, r.up())

	var out said
	_, err = r.Destroy(t.Context(), &out)
	require.ErrorContains(t, err, "currently protected against deletion")
	require.NotEmpty(t, r.server.Resources())
	s.protected = false
	require.NotEmpty(t, r.up(), "what went before the refusal is made again")
	require.Empty(t, r.up())

	_, err = behind.tables.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String("engine-users")})
	require.NoError(t, err)
	require.Equal(t, engine.Changes{"delete": 1}, r.refresh(), "the table went missing in the emulator")
	require.Equal(t, engine.Changes{"create": 1}, r.up())

	r.run(func(ctx context.Context, out *said) (engine.Changes, error) { return r.Destroy(ctx, out) })
	require.Empty(t, r.server.Resources())
	_, err = behind.tables.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("engine-users")})
	require.Equal(t, "ResourceNotFoundException", codeOf(err))
}

func TestEngineRefuses(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		config map[string]any
		change func(*stackUnderTest)
		want   string
	}{
		{"another account", map[string]any{"aws:region": testRegion, "aws:allowedAccountIds": []string{"111111111111"}}, func(*stackUnderTest) {}, "AWS account ID not allowed: 210987654321"},
		{"another region", map[string]any{"aws:region": "us-east-1"}, func(*stackUnderTest) {}, "the local cloud plays region eu-central-1"},
		{"inputs that AWS refuses", engineConfig(), func(s *stackUnderTest) { s.memory = 64 }, "memorySize is 64: AWS allows 128 to 10240"},
		{"a type that is not known", engineConfig(), func(s *stackUnderTest) {
			s.extra = func(ctx *pulumi.Context) error {
				_, err := register(ctx, "aws:s3/bucketV2:BucketV2", "b", pulumi.Map{})
				return err
			}
		}, "does not know the resource type aws:s3/bucketV2:BucketV2"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			tc.change(s)
			r := open(t, s.deploy, Config{}, tc.config)
			var out said
			_, _, err := r.Preview(t.Context(), &out)
			require.Error(t, err)
			require.Contains(t, fmt.Sprint(err, out.String()), tc.want)
			require.Empty(t, r.server.Resources())
		})
	}
}

// An explicit provider has tags of its own; both instances share the port.
func TestEngineWithTwoProviders(t *testing.T) {
	t.Parallel()
	r := open(t, func(ctx *pulumi.Context) error {
		var other pulumi.ProviderResourceState
		err := ctx.RegisterResource("pulumi:providers:aws", "other", pulumi.Map{
			"region": pulumi.String(testRegion), "defaultTags": pulumi.Map{"tags": pulumi.Map{"Environment": pulumi.String("other")}},
		}, &other)
		if err != nil {
			return err
		}
		if _, err = register(ctx, typeLogGroup, "other", pulumi.Map{"name": pulumi.String("other")}, pulumi.Provider(&other)); err != nil {
			return err
		}
		_, err = register(ctx, typeLogGroup, "plain", pulumi.Map{"name": pulumi.String("plain")})
		return err
	}, Config{Endpoint: store(t)}, engineConfig())
	r.up()
	require.Empty(t, r.up())
	for name, want := range map[string]string{"other": "other", "plain": "dev"} {
		group, ok := r.server.world.get(typeLogGroup, name)
		require.True(t, ok)
		require.Equal(t, map[string]string{"Environment": want}, getDictionary(group.out, "tagsAll"))
	}
}
