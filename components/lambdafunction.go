package components

import (
	"archive/zip"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// liveAlias is the alias that every caller uses, so that a version can be
// published before traffic reaches it.
const liveAlias = "live"

// LambdaFunctionArgs are the arguments of a LambdaFunction.
type LambdaFunctionArgs struct {
	Place Place
	Tags  map[string]string
	// Name is the physical name, at most 64 characters. Required.
	Name string
	// Description says what the function does. Required.
	Description string
	// Code is the path of a zip with an executable "bootstrap" at its root. Required.
	Code string
	// Architecture is "arm64" or "x86_64"; empty means arm64.
	Architecture string
	// MemoryMB is 128 to 10240. Required.
	MemoryMB int
	// TimeoutSeconds is 1 to 900. Required.
	TimeoutSeconds int
	// Environment is what the function reads at its start: names and ids of
	// things, never secrets. Lambda allows 4 KB in all.
	Environment map[string]Text
	// Key is the ARN of the customer managed key for the environment and the
	// log group. Required.
	Key Text
	// Grants are what the function may do beyond writing its own log and its traces.
	Grants []Grant
	// Boundary is the ARN of the role's permissions boundary; empty is none.
	Boundary string
	// LogRetentionDays is how long log events are kept; 0 means 365.
	LogRetentionDays int
	// LogLevel is the least level of the function's own events that are kept:
	// "TRACE", "DEBUG", "INFO", "WARN", "ERROR" or "FATAL"; empty means INFO.
	LogLevel string
	// NoTracing turns X-Ray tracing and its permission off.
	NoTracing bool
	// ReservedConcurrency limits and guarantees the number of instances; 0
	// leaves it to the account's pool.
	ReservedConcurrency int
	// Sources invoke the function with batches of messages or records; the role
	// may read them without further grants.
	Sources []EventSource
	// Schedules invoke the function at times.
	Schedules []Schedule
}

// LambdaFunction is a Go function on provided.al2023 with a role, a log group
// and the alias "live" of its own. The log group and the permissions exist
// before the function does.
type LambdaFunction struct {
	pulumi.ResourceState

	FunctionArn  pulumi.StringOutput `pulumi:"functionArn"`
	FunctionName pulumi.StringOutput `pulumi:"functionName"`
	Version      pulumi.StringOutput `pulumi:"version"`
	AliasArn     pulumi.StringOutput `pulumi:"aliasArn"`
	// InvokeArn is the ARN by which API Gateway invokes the alias.
	InvokeArn pulumi.StringOutput `pulumi:"invokeArn"`

	args  LambdaFunctionArgs
	role  *LeastPrivilegeRole
	log   *LogGroup
	alias *lambda.Alias
}

// ARN is the unqualified ARN, known before deployment.
func (f *LambdaFunction) ARN() string {
	return f.args.Place.ARN("lambda", "function:"+f.args.Name)
}

// LiveARN is the ARN of the alias, known before deployment.
func (f *LambdaFunction) LiveARN() string { return f.ARN() + ":" + liveAlias }

// invokeURI is InvokeArn, known before deployment.
func (f *LambdaFunction) invokeURI() string {
	p := f.args.Place
	return "arn:" + p.partition() + ":apigateway:" + p.Region + ":lambda:path/2015-03-31/functions/" + f.LiveARN() + "/invocations"
}

// Role is the function's role, for its row of the access matrix.
func (f *LambdaFunction) Role() *LeastPrivilegeRole { return f.role }

// NewLambdaFunction makes the function with its role, log group and alias.
func NewLambdaFunction(ctx *pulumi.Context, name string, args *LambdaFunctionArgs, opts ...pulumi.ResourceOption) (*LambdaFunction, error) {
	if args == nil {
		args = &LambdaFunctionArgs{}
	}
	c := begin("LambdaFunction", name, args.Place, args.Tags)
	args.check(c)
	if err := c.err(); err != nil {
		return nil, err
	}
	f := &LambdaFunction{args: *args}
	parent, err := register(ctx, "LambdaFunction", name, pulumi.Map{
		"place": args.Place.inputs(), "name": pulumi.String(args.Name), "architecture": pulumi.String(args.architecture()),
		"memoryMB": pulumi.Int(args.MemoryMB), "timeoutSeconds": pulumi.Int(args.TimeoutSeconds),
		"environmentBytes": pulumi.Int(args.environmentSize()), "reservedConcurrency": pulumi.Int(args.ReservedConcurrency),
		"sources": pulumi.Int(len(args.Sources)), "schedules": pulumi.Int(len(args.Schedules)),
	}, f, opts)
	if err != nil {
		return nil, err
	}
	if err := f.build(ctx, name, parent); err != nil {
		return nil, fmt.Errorf("LambdaFunction %q: %w", name, err)
	}
	return f, ctx.RegisterResourceOutputs(f, pulumi.Map{
		"functionArn": f.FunctionArn, "functionName": f.FunctionName, "version": f.Version, "aliasArn": f.AliasArn, "invokeArn": f.InvokeArn,
	})
}

func (f *LambdaFunction) build(ctx *pulumi.Context, name string, parent pulumi.ResourceOption) error {
	var err error
	if f.log, err = NewLogGroup(ctx, name, f.args.logGroup(), parent); err != nil {
		return err
	}
	if f.role, err = NewLeastPrivilegeRole(ctx, name, f.args.role(), parent); err != nil {
		return err
	}
	first := append([]pulumi.Resource{f.log.group}, f.role.policies...)
	function, err := lambda.NewFunction(ctx, name, f.args.inputs(f.role.RoleArn), parent, pulumi.DependsOn(first))
	if err != nil {
		return err
	}
	f.alias, err = lambda.NewAlias(ctx, name, &lambda.AliasArgs{
		Name: pulumi.String(liveAlias), Description: pulumi.String("What callers invoke"),
		FunctionName: function.Name, FunctionVersion: function.Version,
	}, parent)
	if err != nil {
		return err
	}
	f.FunctionArn, f.FunctionName, f.Version = function.Arn, function.Name, function.Version
	f.AliasArn, f.InvokeArn = f.alias.Arn, f.alias.InvokeArn
	return f.attach(ctx, name, parent)
}

func (a *LambdaFunctionArgs) inputs(role pulumi.StringInput) *lambda.FunctionArgs {
	in := &lambda.FunctionArgs{
		Name:          pulumi.String(a.Name),
		Description:   pulumi.String(a.Description),
		Runtime:       pulumi.String("provided.al2023"),
		Handler:       pulumi.String("bootstrap"),
		Architectures: pulumi.ToStringArray([]string{a.architecture()}),
		Code:          pulumi.NewFileArchive(a.Code),
		MemorySize:    pulumi.Int(a.MemoryMB),
		Timeout:       pulumi.Int(a.TimeoutSeconds),
		Role:          role,
		KmsKeyArn:     a.Key.ptr(),
		Publish:       pulumi.Bool(true),
		TracingConfig: lambda.FunctionTracingConfigArgs{Mode: pulumi.String("Active")},
		LoggingConfig: lambda.FunctionLoggingConfigArgs{
			LogFormat: pulumi.String("JSON"), LogGroup: pulumi.String(a.logGroupName()),
			ApplicationLogLevel: pulumi.String(a.logLevel()), SystemLogLevel: pulumi.String("INFO"),
		},
		Tags: pulumi.ToStringMap(a.Tags),
	}
	if a.NoTracing {
		in.TracingConfig = lambda.FunctionTracingConfigArgs{Mode: pulumi.String("PassThrough")}
	}
	if a.ReservedConcurrency > 0 {
		in.ReservedConcurrentExecutions = pulumi.Int(a.ReservedConcurrency)
	}
	if len(a.Environment) > 0 {
		variables := pulumi.StringMap{}
		for k, v := range a.Environment {
			variables[k] = v.Input()
		}
		in.Environment = lambda.FunctionEnvironmentArgs{Variables: variables}
	}
	return in
}

func (a *LambdaFunctionArgs) logGroupName() string { return "/aws/lambda/" + a.Name }

func (a *LambdaFunctionArgs) logGroup() *LogGroupArgs {
	return &LogGroupArgs{Place: a.Place, Tags: a.Tags, Name: a.logGroupName(), RetentionDays: a.LogRetentionDays, Key: a.Key}
}

// role adds to the grants what every function needs: its own log group, its
// traces, and the key of its environment, bound to this very function.
func (a *LambdaFunctionArgs) role() *LeastPrivilegeRoleArgs {
	grants := append(logGrants(a.Place, a.logGroupName()), keyGrants(a.Place, a.Key, KeyUse{
		Service: "lambda", Context: map[string]Text{"aws:lambda:FunctionArn": Known(a.Place.ARN("lambda", "function:"+a.Name))},
	}, "kms:Decrypt")...)
	if !a.NoTracing {
		grants = append(grants, Grant{
			Actions: []string{"xray:PutTelemetryRecords", "xray:PutTraceSegments"}, Resources: known("*"), Reason: "X-Ray has no resource types for them",
		})
	}
	for _, s := range a.Sources {
		grants = append(grants, s.grants()...)
	}
	return &LeastPrivilegeRoleArgs{
		Place: a.Place, Tags: a.Tags, Name: a.Name, Description: "Runs the function " + a.Name, Service: "lambda.amazonaws.com",
		Grants: append(slices.Clone(a.Grants), grants...), Boundary: a.Boundary,
	}
}

func (a *LambdaFunctionArgs) architecture() string {
	if a.Architecture == "" {
		return "arm64"
	}
	return a.Architecture
}

func (a *LambdaFunctionArgs) logLevel() string {
	if a.LogLevel == "" {
		return "INFO"
	}
	return a.LogLevel
}

// environmentSize is what Lambda measures: the environment as a JSON object.
func (a *LambdaFunctionArgs) environmentSize() int {
	shapes := map[string]string{}
	for k, v := range a.Environment {
		shapes[k] = v.shape
	}
	return len(canonicalJSON(shapes))
}

var functionNamePattern = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

func (a *LambdaFunctionArgs) check(c *checker) {
	c.pattern("Name", a.Name, functionNamePattern, "1 to 64 letters, digits or _-", "rename the function")
	if n := len(a.Description); n == 0 || n > 256 {
		c.add("Description", a.Description, "must have 1 to 256 characters", "say what the function does")
	}
	c.oneOf("Architecture", a.architecture(), "arm64", "x86_64")
	c.between("MemoryMB", a.MemoryMB, 128, 10240, "Lambda API, CreateFunction")
	c.between("TimeoutSeconds", a.TimeoutSeconds, 1, 900, "Lambda API, CreateFunction")
	c.key("Key", a.Key)
	c.retention("LogRetentionDays", a.LogRetentionDays)
	c.oneOf("LogLevel", a.logLevel(), "DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN")
	if a.ReservedConcurrency < 0 {
		c.add("ReservedConcurrency", a.ReservedConcurrency, "must not be negative", "set 0 to leave it to the account's pool")
	}
	c.boundary(a.Boundary)
	if problem := codeProblem(a.Code); problem != "" {
		c.add("Code", a.Code, problem, "build the function (make package)")
	}
	a.checkEnvironment(c)
	a.checkEvents(c)
	checkGrants(c, a.Grants, a.role().Grants)
}

// Limits of a zip that is sent with the request, and of what is in it (Lambda
// Developer Guide, "Lambda quotas").
const (
	zipLimit      = 50 << 20
	unzippedLimit = 250 << 20
)

// codeProblem says why Lambda could not run the zip, or is empty.
func codeProblem(path string) string {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return "must be an existing zip file"
	}
	if info.Size() > zipLimit {
		return fmt.Sprintf("has %d bytes, the limit is %d", info.Size(), zipLimit)
	}
	archive, err := zip.OpenReader(path)
	if err != nil {
		return "must be a zip file"
	}
	defer archive.Close()
	var unzipped uint64
	executable := false
	for _, f := range archive.File {
		unzipped += f.UncompressedSize64
		executable = executable || (f.Name == "bootstrap" && f.Mode()&0o111 != 0)
	}
	switch {
	case !executable:
		return `must have an executable file "bootstrap" at its root`
	case unzipped > unzippedLimit:
		return fmt.Sprintf("unzips to %d bytes, the limit is %d", unzipped, unzippedLimit)
	}
	return ""
}

var (
	variablePattern = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]+$`)
	// secretName matches names that say their value is a secret; JWT_SECRET_ARN
	// or SESSION_TOKEN_TTL do not.
	secretName  = regexp.MustCompile(`(?i)(^|_)(SECRET|PASSWORD|PASSWD|TOKEN|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY|CREDENTIALS?)$`)
	secretValue = regexp.MustCompile(`(AKIA|ASIA)[A-Z0-9]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|\bsk[-_](live|proj|test)?[-_]?[A-Za-z0-9]{20,}|\beyJ[A-Za-z0-9_-]{10,}\.eyJ`)
)

// reserved are the names that Lambda sets itself (Lambda Developer Guide,
// "Working with Lambda environment variables").
var reserved = strings.Fields(`AWS_ACCESS_KEY AWS_ACCESS_KEY_ID AWS_DEFAULT_REGION AWS_EXECUTION_ENV AWS_LAMBDA_FUNCTION_MEMORY_SIZE
	AWS_LAMBDA_FUNCTION_NAME AWS_LAMBDA_FUNCTION_VERSION AWS_LAMBDA_INITIALIZATION_TYPE AWS_LAMBDA_LOG_GROUP_NAME
	AWS_LAMBDA_LOG_STREAM_NAME AWS_LAMBDA_RUNTIME_API AWS_REGION AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN LAMBDA_RUNTIME_DIR
	LAMBDA_TASK_ROOT TZ _HANDLER _X_AMZN_TRACE_ID`)

func (a *LambdaFunctionArgs) checkEnvironment(c *checker) {
	for _, name := range sortedKeys(a.Environment) {
		at := fmt.Sprintf("Environment[%q]", name)
		switch {
		case slices.Contains(reserved, name):
			c.add(at, name, "is reserved by Lambda", "rename it")
		case !variablePattern.MatchString(name):
			c.add(at, name, "a name has at least 2 letters, digits or _ and begins with a letter", "rename it")
		case secretName.MatchString(name), secretValue.MatchString(a.Environment[name].shape):
			c.add(at, hidden{}, "looks like a secret", "pass the secret's name, and read the value from Secrets Manager")
		case a.Environment[name].IsZero():
			c.add(at, "", "has no value", "set it or remove it")
		}
	}
	if size := a.environmentSize(); size > 4096 {
		c.add("Environment", size, "Lambda allows 4096 bytes in all", "move values to Parameter Store")
	}
}
