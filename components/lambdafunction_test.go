package components_test

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/components"
	"github.com/expenzez/aws-backend/components/componenttest"
)

const functionType = "aws:lambda/function:Function"

func functionBuild(change func(*components.LambdaFunctionArgs)) componenttest.Build {
	return func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		args := &components.LambdaFunctionArgs{
			Place: place(), Name: "expenzez-test-api", Description: "Answers", Code: codeZip, MemoryMB: 256, TimeoutSeconds: 10, Key: key(),
		}
		change(args)
		return components.NewLambdaFunction(ctx, name, args, opts...)
	}
}

func TestLambdaFunction(t *testing.T) {
	t.Parallel()
	bad := badBasics(func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		return components.NewLambdaFunction(ctx, name, nil, opts...)
	}, []string{"Code", "Description", "Key", "MemoryMB", "Name", "TimeoutSeconds"}, func(p components.Place, tags map[string]string) componenttest.Build {
		return functionBuild(func(a *components.LambdaFunctionArgs) { a.Place, a.Tags = p, tags })
	})
	componenttest.Run(t, componenttest.Case{
		Type: "LambdaFunction", Outputs: []string{"aliasArn", "functionArn", "functionName", "invokeArn", "version"},
		Bad:   append(append(bad, badFunctions()...), badEnvironments()...),
		Least: functionBuild(func(*components.LambdaFunctionArgs) {}),
		Full: functionBuild(func(a *components.LambdaFunctionArgs) {
			a.Tags, a.Architecture, a.LogRetentionDays, a.LogLevel, a.NoTracing = componenttest.Tags(), "x86_64", 7, "DEBUG", true
			a.ReservedConcurrency, a.Boundary = 5, "arn:aws:iam::111122223333:policy/boundary"
			a.Grants = []components.Grant{grant("dynamodb:GetItem", table(1))}
			a.Environment = map[string]components.Text{
				"TABLE": components.Known("users"), "JWT_SECRET_NAME": components.Known("/expenzez/test/jwt"),
				"CLIENT_ID": components.Pending(pulumi.String("known-later").ToStringOutput(), long(26)),
			}
		}),
		Safe: []componenttest.Expect{
			{Type: functionType, Path: "runtime", Value: "provided.al2023"},
			{Type: functionType, Path: "handler", Value: "bootstrap"},
			{Type: functionType, Path: "architectures", Value: []any{"arm64"}},
			{Type: functionType, Path: "publish", Value: true},
			{Type: functionType, Path: "tracingConfig.mode", Value: "Active"},
			{Type: functionType, Path: "kmsKeyArn", Value: keyARN},
			{Type: functionType, Path: "loggingConfig", Value: map[string]any{
				"applicationLogLevel": "INFO", "logFormat": "JSON", "logGroup": "/aws/lambda/expenzez-test-api", "systemLogLevel": "INFO",
			}},
			{Type: functionType, Path: "reservedConcurrentExecutions"},
			{Type: functionType, Path: "environment"},
			{Type: "aws:cloudwatch/logGroup:LogGroup", Path: "retentionInDays", Value: 365.0},
			{Type: "aws:cloudwatch/logGroup:LogGroup", Path: "kmsKeyId", Value: keyARN},
			{Type: "aws:lambda/alias:Alias", Path: "functionVersion", Value: "1"},
			{Type: "aws:iam/rolePolicy:RolePolicy", Path: "policy", Value: `{"Statement":[` +
				`{"Action":["kms:Decrypt"],"Condition":{"StringEquals":{"kms:EncryptionContext:aws:lambda:FunctionArn":["arn:aws:lambda:eu-west-2:111122223333:function:expenzez-test-api"],"kms:ViaService":["lambda.eu-west-2.amazonaws.com"]}},"Effect":"Allow","Resource":["` + keyARN + `"]},` +
				`{"Action":["logs:CreateLogStream","logs:PutLogEvents"],"Effect":"Allow","Resource":["arn:aws:logs:eu-west-2:111122223333:log-group:/aws/lambda/expenzez-test-api:*"]},` +
				`{"Action":["xray:PutTelemetryRecords","xray:PutTraceSegments"],"Effect":"Allow","Resource":["*"]}],"Version":"2012-10-17"}`},
		},
		Applied: []componenttest.Expect{
			{Type: functionType, Path: "architectures", Value: []any{"x86_64"}},
			{Type: functionType, Path: "tracingConfig.mode", Value: "PassThrough"},
			{Type: functionType, Path: "reservedConcurrentExecutions", Value: 5.0},
			{Type: functionType, Path: "loggingConfig.applicationLogLevel", Value: "DEBUG"},
			{Type: functionType, Path: "environment.variables", Value: map[string]any{
				"TABLE": "users", "JWT_SECRET_NAME": "/expenzez/test/jwt", "CLIENT_ID": "known-later",
			}},
			{Type: functionType, Path: "code", Value: "archive " + codeZip},
			{Type: "aws:cloudwatch/logGroup:LogGroup", Path: "retentionInDays", Value: 7.0},
			{Type: "aws:iam/role:Role", Path: "permissionsBoundary", Value: "arn:aws:iam::111122223333:policy/boundary"},
		},
	})
}

func badFunctions() []componenttest.Bad {
	cases := []struct {
		name      string
		change    func(*components.LambdaFunctionArgs)
		arguments []string
	}{
		{"name with dot", func(a *components.LambdaFunctionArgs) { a.Name = "a.b" }, []string{"Name"}},
		{"name too long", func(a *components.LambdaFunctionArgs) { a.Name = long(65) }, []string{"Name"}},
		{"description too long", func(a *components.LambdaFunctionArgs) { a.Description = long(257) }, []string{"Description"}},
		{"architecture", func(a *components.LambdaFunctionArgs) { a.Architecture = "amd64" }, []string{"Architecture"}},
		{"memory low", func(a *components.LambdaFunctionArgs) { a.MemoryMB = 127 }, []string{"MemoryMB"}},
		{"memory high", func(a *components.LambdaFunctionArgs) { a.MemoryMB = 10241 }, []string{"MemoryMB"}},
		{"timeout zero", func(a *components.LambdaFunctionArgs) { a.TimeoutSeconds = 0 }, []string{"TimeoutSeconds"}},
		{"timeout high", func(a *components.LambdaFunctionArgs) { a.TimeoutSeconds = 901 }, []string{"TimeoutSeconds"}},
		{"concurrency", func(a *components.LambdaFunctionArgs) { a.ReservedConcurrency = -1 }, []string{"ReservedConcurrency"}},
		{"log level", func(a *components.LambdaFunctionArgs) { a.LogLevel = "VERBOSE" }, []string{"LogLevel"}},
		{"retention", func(a *components.LambdaFunctionArgs) { a.LogRetentionDays = 8 }, []string{"LogRetentionDays"}},
		{"boundary", func(a *components.LambdaFunctionArgs) { a.Boundary = "boundary" }, []string{"Boundary"}},
		{"no code", func(a *components.LambdaFunctionArgs) { a.Code = "" }, []string{"Code"}},
		{"code missing", func(a *components.LambdaFunctionArgs) { a.Code = "testdata/none.zip" }, []string{"Code"}},
		{"code is a folder", func(a *components.LambdaFunctionArgs) { a.Code = "testdata" }, []string{"Code"}},
		{"code is no zip", func(a *components.LambdaFunctionArgs) { a.Code = "components.go" }, []string{"Code"}},
		{"grant", func(a *components.LambdaFunctionArgs) {
			a.Grants = []components.Grant{grant("dynamodb:*", components.Known("*"))}
		}, []string{"Grants[0].Actions[0]", "Grants[0].Resources[0]"}},
		{"everything at once", func(a *components.LambdaFunctionArgs) {
			a.Name, a.Code, a.MemoryMB, a.LogLevel, a.Key = "", "none", 1, "x", components.Known(strings.Replace(keyARN, ":key/", ":alias/", 1))
			a.Environment = map[string]components.Text{"TZ": components.Known("UTC")}
		}, []string{"Code", `Environment["TZ"]`, "Key", "LogLevel", "MemoryMB", "Name"}},
	}
	var bad []componenttest.Bad
	for _, c := range cases {
		bad = append(bad, componenttest.Bad{Name: c.name, Build: functionBuild(c.change), Arguments: c.arguments})
	}
	return bad
}

func badEnvironments() []componenttest.Bad {
	cases := map[string]components.Text{
		"AWS_REGION": components.Known("eu-west-2"), "AWS_SESSION_TOKEN": components.Known("x"), "LAMBDA_TASK_ROOT": components.Known("/"),
		"_HANDLER": components.Known("x"), "TZ": components.Known("UTC"), "A": components.Known("x"), "1A": components.Known("x"), "A-B": components.Known("x"), "": components.Known("x"),
		"JWT_SECRET": components.Known("hunter2"), "PASSWORD": components.Known("hunter2"), "openai_api_key": components.Known("x"), "STRIPE_APIKEY": components.Known("x"),
		"GITHUB_TOKEN": components.Known("x"), "SIGNING_PRIVATE_KEY": components.Known("x"), "DB_CREDENTIALS": components.Known("x"),
		"HARMLESS_ACCESS": components.Known("AKIA" + strings.Repeat("A", 16)), "HARMLESS_PEM": components.Known("-----BEGIN EC " + "PRIVATE KEY-----"),
		"HARMLESS_STRIPE": components.Known("sk_live_" + strings.Repeat("a1", 12)), "HARMLESS_JWT": components.Known("eyJhbGciOiJub25l" + "In0.eyJzdWIiOiIxIn0."),
		"NOTHING": {}, "EMPTY": components.Known(""),
	}
	var bad []componenttest.Bad
	for name, value := range cases {
		bad = append(bad, componenttest.Bad{Name: "environment " + name, Arguments: []string{fmt.Sprintf("Environment[%q]", name)},
			Build: functionBuild(func(a *components.LambdaFunctionArgs) { a.Environment = map[string]components.Text{name: value} })})
	}
	pending := components.Pending(pulumi.String("short").ToStringOutput(), long(4090))
	return append(bad, componenttest.Bad{Name: "environment may become too large", Arguments: []string{"Environment"},
		Build: functionBuild(func(a *components.LambdaFunctionArgs) { a.Environment = map[string]components.Text{"LONG": pending} })})
}

// The measure is the JSON object, as Lambda's own message shows it.
func TestLambdaFunctionEnvironmentLimitIsExact(t *testing.T) {
	t.Parallel()
	for size, fits := range map[int]bool{4096: true, 4097: false} {
		_, err := componenttest.Record(func(ctx *pulumi.Context) error {
			_, err := functionBuild(func(a *components.LambdaFunctionArgs) {
				a.Environment = map[string]components.Text{"AB": components.Known(long(size - len(`{"AB":""}`)))}
			})(ctx, "function")
			return err
		})
		assert.Equal(t, fits, err == nil, "%d bytes: %v", size, err)
	}
}

func TestLambdaFunctionNeverShowsAValueThatLooksSecret(t *testing.T) {
	t.Parallel()
	_, err := componenttest.Record(func(ctx *pulumi.Context) error {
		_, err := functionBuild(func(a *components.LambdaFunctionArgs) {
			a.Environment = map[string]components.Text{"DB_PASSWORD": components.Known("hunter2")}
		})(ctx, "function")
		return err
	})
	require.ErrorContains(t, err, "looks like a secret")
	assert.NotContains(t, err.Error(), "hunter2")
}

func TestLambdaFunctionZip(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, name string, mode os.FileMode) string {
		path := filepath.Join(t.TempDir(), "f.zip")
		file, err := os.Create(path)
		require.NoError(t, err)
		archive := zip.NewWriter(file)
		header := &zip.FileHeader{Name: name}
		header.SetMode(mode)
		entry, err := archive.CreateHeader(header)
		require.NoError(t, err)
		_, err = io.WriteString(entry, "#!")
		require.NoError(t, err)
		require.NoError(t, archive.Close())
		require.NoError(t, file.Close())
		return path
	}
	cases := map[string]struct {
		name string
		mode os.FileMode
		good bool
	}{
		"executable":     {"bootstrap", 0o755, true},
		"not executable": {"bootstrap", 0o644, false},
		"in a folder":    {"bin/bootstrap", 0o755, false},
		"another name":   {"main", 0o755, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, c.name, c.mode)
			_, err := componenttest.Record(func(ctx *pulumi.Context) error {
				_, err := functionBuild(func(a *components.LambdaFunctionArgs) { a.Code = path })(ctx, "function")
				return err
			})
			if c.good {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, `executable file "bootstrap" at its root`)
		})
	}
}

// What the function needs exists before it: Lambda would make a log group of
// its own, and would refuse a role whose permissions are not there yet.
func TestLambdaFunctionWaits(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		_, err := functionBuild(func(*components.LambdaFunctionArgs) {})(ctx, "function")
		return err
	})
	depends := only(t, r, functionType).DependsOn
	assert.Contains(t, depends, only(t, r, "aws:cloudwatch/logGroup:LogGroup").URN)
	assert.Contains(t, depends, only(t, r, "aws:iam/rolePolicy:RolePolicy").URN)
}

func TestLambdaFunctionKnowsItsARNs(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		f, err := function(ctx, "api", 10)
		if err != nil {
			return err
		}
		ctx.Export("alias", f.AliasArn)
		ctx.Export("invoke", f.InvokeArn)
		assert.Equal(t, "arn:aws:lambda:eu-west-2:111122223333:function:api", f.ARN())
		assert.Equal(t, f.ARN()+":live", f.LiveARN())
		assert.Len(t, f.Role().Row(), 5)
		return nil
	})
	assert.Equal(t, "arn:aws:lambda:eu-west-2:111122223333:function:api:live", r.Exports["alias"])
	assert.Equal(t, "arn:aws:apigateway:eu-west-2:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-west-2:111122223333:function:api:live/invocations", r.Exports["invoke"])
}

func ExampleNewLambdaFunction() {
	r, err := componenttest.Record(func(ctx *pulumi.Context) error {
		_, err := components.NewLambdaFunction(ctx, "orders", &components.LambdaFunctionArgs{
			Place:          components.Place{Account: "111122223333", Region: "eu-west-2"},
			Name:           "shop-prod-orders",
			Description:    "Takes orders",
			Code:           "testdata/function.zip",
			MemoryMB:       256,
			TimeoutSeconds: 10,
			Key:            components.Known("arn:aws:kms:eu-west-2:111122223333:key/0a1b2c3d-0000-4000-8000-00000000abcd"),
			Environment:    map[string]components.Text{"ORDERS_TABLE": components.Known("shop-prod-orders")},
		})
		return err
	})
	fmt.Println(err, r.OfType("aws:lambda/alias:Alias")[0].Inputs["name"])
	// Output: <nil> live
}
