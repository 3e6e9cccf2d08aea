package local_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/deployment"
	"github.com/expenzez/aws-backend/internal/local"
	"github.com/expenzez/aws-backend/internal/local/engine"
	"github.com/expenzez/aws-backend/internal/scenario"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/token"
	"github.com/expenzez/aws-backend/stacks"
)

var root = func() string {
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		panic(err)
	}
	return dir
}()

func functionKeys() []string {
	var all []string
	for _, f := range catalog.Backend().Functions() {
		all = append(all, f.Key)
	}
	return all
}

// project reads an environment and has its functions built; go's build cache makes the second time cheap.
func project(t *testing.T, environment string) *local.Project {
	t.Helper()
	p, err := local.ReadProject(root, environment, local.HostArchitecture())
	require.NoError(t, err)
	require.NoError(t, p.Build(t.Context(), functionKeys()))
	return p
}

func account(t *testing.T, p *local.Project) *local.Account {
	t.Helper()
	a, err := local.OpenAccount(t.Context(), p, local.AccountOptions{Progress: func(s string) { t.Log(s) }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	return a
}

func attach(t *testing.T, a *local.Account, o local.EngineOptions) *local.Deployment {
	t.Helper()
	d, err := a.Engine(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// The issue of the whole: real requests through the deployed API and the real functions.
func TestScenarioOverHTTP(t *testing.T) {
	before := gitStatus(t)
	p := project(t, "dev")
	var out bytes.Buffer
	c, err := local.Start(t.Context(), p, local.Options{Out: &out})
	require.NoError(t, err, out.String())
	failed := scenario.Run(t.Context(), c.Target(p), func(s scenario.Check) { t.Log(s.Name, s.Err) })

	page := get(t, c.StatusURL)
	require.Contains(t, page, "demo@expenzez.example", "the page shows the mails")
	require.Regexp(t, `Your verification code is [0-9]{6}`, page)
	require.Contains(t, page, "POST /v1/transactions", "the page shows the requests")
	require.Contains(t, page, "resources are deployed")

	require.NoError(t, c.Close())
	require.NoError(t, failed)
	require.Equal(t, before, gitStatus(t), "the local cloud writes nothing that git sees")
	for _, url := range []string{c.URL, c.StatusURL} {
		_, err := net.DialTimeout("tcp", strings.TrimPrefix(url, "http://"), time.Second)
		require.Error(t, err, "%s still answers", url)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url) //nolint:noctx // a page of this test's own server
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	require.Equal(t, http.StatusOK, res.StatusCode)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(text)
}

func gitStatus(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("git", "status", "--porcelain", "--", "Pulumi.yaml", "Pulumi.dev.yaml", "Pulumi.staging.yaml", "Pulumi.prod.yaml", "stacks", "cmd", ".local", "build")
	cmd.Dir = root
	out, err := cmd.Output()
	require.NoError(t, err)
	return string(out)
}

func TestGivenSecretsAreUsedAndTheStatusPageIsForThisMachineOnly(t *testing.T) {
	p := project(t, "dev")
	value, public, err := token.NewKey(time.Now())
	require.NoError(t, err)
	c, err := local.Start(t.Context(), p, local.Options{Secrets: map[string]string{"jwt": value.Reveal()}})
	require.NoError(t, err)
	jwk, err := public.JWK()
	require.NoError(t, err)
	require.Contains(t, get(t, c.URL+"/.well-known/jwks.json"), jwk.X, "the signing key is the one that was given")
	defer func() { require.NoError(t, c.Close()) }()
	for host, want := range map[string]int{"evil.example:80": 403, "localhost:1": 200} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.StatusURL, nil)
		require.NoError(t, err)
		req.Host = host
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, want, res.StatusCode, host)
	}
	require.ErrorContains(t, startError(t, p, local.Options{}), "runs already in this checkout")
}

// Each environment deploys, a second update is empty, a refresh finds no drift, and who can do what is as declared.
func TestEnvironments(t *testing.T) {
	for _, environment := range stacks.Environments() {
		t.Run(environment, func(t *testing.T) {
			p := project(t, environment)
			a := account(t, p)
			d := attach(t, a, local.EngineOptions{Dir: t.TempDir()})

			changes, err := d.Up(t.Context(), io.Discard)
			require.NoError(t, err)
			require.Positive(t, changes["create"])

			changes, err = d.Up(t.Context(), io.Discard)
			require.NoError(t, err)
			require.False(t, changes.Any(), "the second update does %v", changes)

			changes, err = d.Refresh(t.Context(), io.Discard)
			require.NoError(t, err)
			require.False(t, changes.Any(), "the refresh finds %v", changes)

			export, err := d.Export(t.Context())
			require.NoError(t, err)
			require.NotContains(t, string(export), `"plaintext"`, "an export shows no secret")
			deployed, err := deployment.Parse(export)
			require.NoError(t, err)
			require.Equal(t, declaredRows(catalog.Backend()), registeredRows(t, p, catalog.Backend(), deployed), "what the engine registered is not what is declared")
		})
	}
}

// declaredRows is the access matrix of the declaration.
func declaredRows(b service.Backend) []string {
	var all []string
	for _, r := range service.Matrix(b) {
		all = append(all, r.Function+" "+r.Action+" "+r.Resource)
	}
	slices.Sort(all)
	return all
}

// registeredRows rebuilds the access matrix from the policies that the engine registered for the functions' roles. It
// knows nothing of the declaration but the names of things. What every function may do for itself is checked to be
// for itself, and left out.
func registeredRows(t *testing.T, p *local.Project, b service.Backend, d *deployment.Deployment) []string {
	t.Helper()
	require.Empty(t, d.ByType("aws:iam/rolePolicyAttachment:RolePolicyAttachment"), "a role has permissions that this test does not read")
	names := symbolicNames(t, p, d)
	roles := map[string]string{} // physical name of the role of each function
	for _, f := range d.ByType("aws:lambda/function:Function") {
		roles[f.Text("role")] = strings.TrimPrefix(f.Text("name"), p.Settings.Name(""))
	}
	require.Len(t, roles, len(b.Functions()), "functions share a role")
	functionOf := map[string]string{}
	for _, r := range d.ByType("aws:iam/role:Role") {
		require.Empty(t, r.Text("inlinePolicies"))
		if f, ok := roles[r.Text("arn")]; ok {
			functionOf[r.ID] = f
		}
	}
	var all []string
	for _, policy := range d.ByType("aws:iam/rolePolicy:RolePolicy") {
		function, ok := functionOf[policy.Text("role")]
		if !ok {
			continue // of the gateway's account, or a schedule's
		}
		for _, s := range statements(t, policy.Text("policy")) {
			require.Equal(t, "Allow", s.Effect)
			for _, action := range s.Action {
				for _, resource := range s.Resource {
					if row, ok := s.row(t, b, function, action, resource, names); ok {
						all = append(all, row)
					}
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all) // push is one name for several applications
}

type statement struct {
	Effect    string
	Action    oneOrMore
	Resource  oneOrMore
	Condition map[string]map[string]any
}

type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte(`"`)) {
		*o = make([]string, 1)
		return json.Unmarshal(b, &(*o)[0])
	}
	return json.Unmarshal(b, (*[]string)(o))
}

func statements(t *testing.T, policy string) []statement {
	t.Helper()
	var document struct{ Statement []statement }
	require.NoError(t, json.Unmarshal([]byte(policy), &document))
	return document.Statement
}

// row is the line of the matrix for one action on one resource; false where the function serves itself.
func (s statement) row(t *testing.T, b service.Backend, function, action, resource string, names map[string]string) (string, bool) {
	t.Helper()
	context := fmt.Sprint(s.Condition)
	switch {
	case strings.HasPrefix(action, "logs:"):
		require.Contains(t, resource, "-"+function+":", "%s writes to a log of another", function)
		return "", false
	case strings.HasPrefix(action, "xray:"):
		require.Equal(t, "*", resource, "X-Ray has no resources to name")
		return "", false
	case strings.HasPrefix(action, "kms:") && strings.Contains(context, "kms:ViaService"):
		if strings.Contains(context, "kms:ViaService:[lambda.") {
			require.Contains(t, context, ":function:expenzez-", "a function decrypts an environment")
			require.Contains(t, context, "-"+function+"]", "%s decrypts the environment of another", function)
			return "", false
		}
		require.Regexp(t, `kms:ViaService:\[(dynamodb|secretsmanager|sqs)\.`, context)
		return "", false
	case strings.HasPrefix(action, "kms:"):
		require.Contains(t, context, "kms:EncryptionContext:purpose:", "direct use of a key is bound to a purpose")
		for _, k := range b.Keys {
			if strings.Contains(context, "kms:EncryptionContext:purpose:"+k.Key) || strings.Contains(context, "kms:EncryptionContext:purpose:["+k.Key+"]") {
				return function + " " + action + " key:" + k.Key, true
			}
		}
	case action == "dynamodb:ListStreams":
		require.Equal(t, "*", resource, "the action has no resource types")
		return function + " " + action + " any", true
	case strings.HasPrefix(action, "ses:"):
		require.Regexp(t, `:identity/[^*]+$`, resource)
		require.Contains(t, context, "ses:FromAddress:", "a sender is one address")
		return function + " " + action + " email", true
	case strings.HasPrefix(action, "sns:"):
		require.Regexp(t, `:endpoint/[^*]+/[^*]+/\*$`, resource, "an application's devices, and no topic")
		return function + " " + action + " push", true
	}
	name, ok := names[resource]
	require.True(t, ok, "%s may %s on %s, which is nothing that is declared", function, action, resource)
	return function + " " + action + " " + name, true
}

// symbolicNames maps ARNs of what was deployed to the names that the declaration uses.
func symbolicNames(t *testing.T, p *local.Project, d *deployment.Deployment) map[string]string {
	t.Helper()
	names := map[string]string{}
	for _, r := range d.ByType("aws:dynamodb/table:Table") {
		key := strings.TrimPrefix(r.Text("name"), p.Settings.Name(""))
		names[r.Text("arn")] = "table:" + key
		names[r.Text("streamArn")] = "stream:" + key
		indexes, _ := r.Value("globalSecondaryIndexes")
		list, _ := indexes.([]any)
		for _, i := range list {
			name, ok := deployment.Lookup(i, "name")
			require.True(t, ok)
			names[r.Text("arn")+"/index/"+name.(string)] = "index:" + key + "/" + name.(string)
		}
	}
	for _, r := range d.ByType("aws:sqs/queue:Queue") {
		key := strings.TrimPrefix(r.Text("name"), p.Settings.Name(""))
		names[r.Text("arn")] = "queue:" + key
		if function, ok := strings.CutSuffix(key, "-failures"); ok {
			names[r.Text("arn")] = "failures:" + function
		}
	}
	for _, r := range d.ByType("aws:secretsmanager/secret:Secret") {
		names[r.Text("arn")] = "secret:" + strings.TrimPrefix(r.Text("name"), p.Settings.SecretPrefix())
	}
	for _, r := range d.ByType("aws:cognito/userPool:UserPool") {
		names[r.Text("arn")] = "user-pool"
	}
	return names
}

// A changed setting changes what it must and replaces only what has no state.
func TestChangedSettingUpdatesAndReplacesAsAWSWould(t *testing.T) {
	p := project(t, "dev")
	a := account(t, p)
	dir := t.TempDir()
	d := attach(t, a, local.EngineOptions{Dir: dir})
	_, err := d.Up(t.Context(), io.Discard)
	require.NoError(t, err)

	changed := attach(t, a, local.EngineOptions{Dir: dir, Config: map[string]any{"expenzez:origins": []string{"https://new.expenzez.example"}}})
	operations, _, err := changed.Preview(t.Context(), io.Discard)
	require.NoError(t, err)
	got := map[string]string{}
	for _, o := range operations {
		if o.Op != "same" {
			got[o.Type+" "+o.URN[strings.LastIndex(o.URN, "::")+2:]] += o.Op + " "
		}
	}
	require.Equal(t, "update ", got["aws:apigateway/restApi:RestApi api"], "%v", got)
	require.Contains(t, got["aws:apigateway/deployment:Deployment api"], "replace", "a deployment is a snapshot: it cannot change")
	require.Equal(t, "update ", got["aws:lambda/function:Function auth-api"], "the function is told the origins")
	for what, op := range got {
		require.NotContains(t, what, "dynamodb", "%s %s", op, what)
		require.NotContains(t, what, "kms", "%s %s", op, what)
		require.NotContains(t, what, "authorizer", "%s %s: the authorizer does not know origins", op, what)
	}
	_, err = changed.Up(t.Context(), io.Discard)
	require.NoError(t, err)
	changes, err := changed.Up(t.Context(), io.Discard)
	require.NoError(t, err)
	require.False(t, changes.Any(), "%v", changes)
}

// In dev everything can be destroyed and nothing is left in the state or the account.
func TestDestroyLeavesNothing(t *testing.T) {
	p := project(t, "dev")
	a := account(t, p)
	d := attach(t, a, local.EngineOptions{Dir: t.TempDir()})
	_, err := d.Up(t.Context(), io.Discard)
	require.NoError(t, err)
	require.NotEmpty(t, tables(t, p, a))
	_, err = d.Destroy(t.Context(), io.Discard)
	require.NoError(t, err)

	export, err := d.Export(t.Context())
	require.NoError(t, err)
	deployed, err := deployment.Parse(export)
	require.NoError(t, err)
	for _, r := range deployed.Resources {
		require.False(t, r.Custom && strings.HasPrefix(r.Type, "aws:"), "%s is left in the state", r.URN)
	}
	require.Empty(t, tables(t, p, a))
	c := config(p, a)
	secrets, err := secretsmanager.NewFromConfig(c).ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{})
	require.NoError(t, err)
	require.Empty(t, secrets.SecretList)
	pools, err := cognitoidentityprovider.NewFromConfig(c).ListUserPools(t.Context(), &cognitoidentityprovider.ListUserPoolsInput{MaxResults: aws.Int32(10)})
	require.NoError(t, err)
	require.Empty(t, pools.UserPools)
	aliases, err := kms.NewFromConfig(c).ListAliases(t.Context(), &kms.ListAliasesInput{})
	require.NoError(t, err)
	for _, alias := range aliases.Aliases {
		require.NotContains(t, aws.ToString(alias.AliasName), "expenzez")
	}
	for _, r := range a.World.Resources() {
		// The account's setting for API Gateway's logs and its role are the account's, and stay (other APIs may use them).
		require.Contains(t, []string{"aws:apigateway/account:Account", "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"}, r.Type, "%s is left", r.ID)
		require.True(t, r.Type == "aws:apigateway/account:Account" || strings.Contains(r.ID, "api-gateway"), "%s is left", r.ID)
	}
}

// In prod data is protected twice: the engine refuses to destroy it, and the table refuses by itself.
func TestProdRefusesToLoseData(t *testing.T) {
	p := project(t, "prod")
	a := account(t, p)
	d := attach(t, a, local.EngineOptions{Dir: t.TempDir()})
	_, err := d.Up(t.Context(), io.Discard)
	require.NoError(t, err)
	before, resources := tables(t, p, a), a.World.Resources()
	require.Len(t, before, len(catalog.Backend().Tables))

	_, err = d.Destroy(t.Context(), io.Discard)
	require.ErrorContains(t, err, "protect")
	require.Equal(t, before, tables(t, p, a), "a refused destroy deletes nothing")
	require.Equal(t, resources, a.World.Resources(), "a refused destroy deletes nothing")

	_, err = dynamodb.NewFromConfig(config(p, a)).DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String(p.Settings.Name("users"))})
	require.ErrorContains(t, err, "DeletionProtectionEnabled")
	changes, err := d.Up(t.Context(), io.Discard)
	require.NoError(t, err)
	require.False(t, changes.Any(), "%v", changes)
}

func config(p *local.Project, a *local.Account) aws.Config {
	id, secret := a.Front.AdminCredentials()
	return aws.Config{Region: p.Settings.Region, BaseEndpoint: &a.URL, Credentials: credentials.NewStaticCredentialsProvider(id, secret, "")}
}

func tables(t *testing.T, p *local.Project, a *local.Account) []string {
	t.Helper()
	out, err := dynamodb.NewFromConfig(config(p, a)).ListTables(t.Context(), &dynamodb.ListTablesInput{})
	require.NoError(t, err)
	return out.TableNames
}

// An update that is interrupted in the middle is completed by the next one, on the same account.
func TestInterruptedUpdateIsCompletedByTheNext(t *testing.T) {
	p := project(t, "dev")
	a := account(t, p)
	dir := t.TempDir()
	d := attach(t, a, local.EngineOptions{Dir: dir, Checkpoints: true})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := d.Up(ctx, &interrupter{after: "dynamodb:Table", cancel: cancel})
	require.Error(t, err)
	made := len(a.World.Resources())
	require.Positive(t, made, "the update was interrupted before it did anything")

	again := attach(t, a, local.EngineOptions{Dir: dir, Checkpoints: true})
	require.NoError(t, again.Cancel(t.Context()))
	_, err = again.Up(t.Context(), io.Discard)
	require.NoError(t, err)
	require.Greater(t, len(a.World.Resources()), made, "the update was not interrupted in the middle")
	changes, err := again.Up(t.Context(), io.Discard)
	require.NoError(t, err)
	require.False(t, changes.Any(), "%v", changes)
	require.Len(t, tables(t, p, a), len(catalog.Backend().Tables))
}

// interrupter cancels when the engine says that something of a kind was created.
type interrupter struct {
	after  string
	cancel context.CancelFunc
}

func (i *interrupter) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, i.after) && strings.Contains(line, "created") {
			i.cancel()
		}
	}
	return len(b), nil
}

func TestPreviewNeedsNoAccountAndCountsStacks(t *testing.T) {
	for _, environment := range stacks.Environments() {
		p := project(t, environment)
		var diff bytes.Buffer
		plan, err := local.Preview(t.Context(), p, &diff)
		require.NoError(t, err)
		require.Contains(t, diff.String(), "aws:dynamodb/table:Table", "the engine's own diff is shown")
		var names []string
		for _, s := range plan.Stacks {
			names = append(names, s.Name)
			require.Positive(t, s.Resources)
			require.Less(t, s.Resources, s.Limit)
		}
		require.Equal(t, []string{"auth", "core", "edge", "transactions"}, names)
		for op := range plan.Changes {
			require.Equal(t, "create", op, "from nothing, everything is created")
		}
	}
}

func startError(t *testing.T, p *local.Project, o local.Options) error {
	t.Helper()
	c, err := local.Start(t.Context(), p, o)
	if err == nil {
		require.NoError(t, c.Close())
	}
	return err
}

func TestBadInputIsOneClearMessage(t *testing.T) {
	p := project(t, "dev")
	t.Run("port_taken", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		port := l.Addr().(*net.TCPAddr).Port
		require.ErrorContains(t, startError(t, p, local.Options{Port: port}), fmt.Sprintf("port %d on 127.0.0.1 is taken", port))
	})
	t.Run("no_python", func(t *testing.T) {
		require.ErrorContains(t, startError(t, p, local.Options{Python: "/nowhere/python3"}), "python")
	})
	t.Run("unknown_environment", func(t *testing.T) {
		_, err := local.ReadProject(root, "production", local.HostArchitecture())
		require.ErrorContains(t, err, `environment "production" is unknown`)
		require.ErrorContains(t, err, "dev, prod, staging")
	})
	t.Run("no_cli", func(t *testing.T) {
		empty := t.TempDir()
		t.Setenv("PATH", empty)
		_, err := engine.FindCLI(empty)
		require.ErrorIs(t, err, engine.ErrNoCLI)
	})
}

// checkout is a folder with a project's configuration, spoilt.
func checkout(t *testing.T, spoil func(config string) string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"Pulumi.yaml", "Pulumi.dev.yaml"} {
		content, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		text := string(content)
		if name == "Pulumi.dev.yaml" {
			text = spoil(text)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

func TestBadConfigurationIsReportedWholly(t *testing.T) {
	replaced := func(old, with string) func(string) string {
		return func(s string) string {
			require.Contains(t, s, old)
			return strings.ReplaceAll(s, old, with)
		}
	}
	cases := map[string]struct {
		spoil func(string) string
		want  []string
	}{
		"missing_key":      {replaced("  expenzez:owner: backend\n", ""), []string{"expenzez:owner is missing", "pulumi config set --stack dev expenzez:owner"}},
		"broken_key":       {replaced("expenzez:domain: api", "expenzez:domain: https://api"), []string{"expenzez:domain is \"https://api"}},
		"account_mismatch": {replaced("    - \"111111111111\"", "    - \"999999999999\""), []string{`aws:allowedAccountIds is "999999999999"`, "111111111111"}},
		"encrypted_value":  {replaced("expenzez:owner: backend", "expenzez:owner:\n    secure: AAAA"), []string{"expenzez:owner is an encrypted value"}},
		"not_yaml":         {func(string) string { return "config: [" }, []string{"Pulumi.dev.yaml"}},
		"empty":            {func(string) string { return "" }, []string{"expenzez:account is missing", "aws:region is missing", "expenzez:origins is missing"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := checkout(t, c.spoil)
			_, err := local.ReadProject(dir, "dev", local.HostArchitecture())
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
			left, globErr := filepath.Glob(filepath.Join(dir, ".local*"))
			require.NoError(t, globErr)
			require.Empty(t, left, "nothing is written for a configuration that is wrong")
		})
	}
}

func TestSecretsOfDotEnv(t *testing.T) {
	write := func(t *testing.T, content string) string {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, ".env"), []byte(content), 0o600))
		return dir
	}
	got, err := local.ReadSecrets(t.TempDir(), []string{"jwt"})
	require.NoError(t, err)
	require.Empty(t, got, "the file is optional")

	got, err = local.ReadSecrets(write(t, "# comment\n\nSECRET_JWT= abc=def \nSECRET_OPEN_AI=\n"), []string{"jwt", "open-ai"})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"jwt": "abc=def"}, got, "an empty value is none")

	_, err = local.ReadSecrets(write(t, "SECRET_JWT=hush\nDATABASE_URL=hush\nhush\n"), []string{"jwt"})
	require.ErrorContains(t, err, ".env line 2: the name is unknown; known are SECRET_JWT")
	require.ErrorContains(t, err, ".env line 3: is not NAME=value")
	require.NotContains(t, err.Error(), "hush", "a value never shows")
}
