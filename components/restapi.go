package components

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/apigateway"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// RestApiIntegration says which function answers an operation.
type RestApiIntegration struct {
	// Function answers by its alias "live". Its own timeout may not be longer
	// than the 29 seconds after which API Gateway gives up. Required.
	Function *LambdaFunction
	// TimeoutMillis is 50 to 29000; 0 means 29000.
	TimeoutMillis int
}

// RestApiAuthorizer is a Lambda authorizer for bearer tokens of three base64url
// parts in the header Authorization. A request whose header has another form
// is refused without invoking it.
type RestApiAuthorizer struct {
	// Function decides. Required.
	Function *LambdaFunction
	// ResultTTLSeconds is how long API Gateway reuses an answer for the same
	// token, 0 to 3600; 0 asks each time.
	ResultTTLSeconds int
}

// RestApiThrottle bounds all callers together.
type RestApiThrottle struct {
	Rate  float64 // steady requests per second
	Burst int     // requests at once
}

// RestApiArgs are the arguments of a RestApi.
type RestApiArgs struct {
	Place Place
	Tags  map[string]string
	// Name is the physical name, unique in the account: metrics know an API by
	// it. Required.
	Name string
	// Description says what the API is for. Required.
	Description string
	// Document is an OpenAPI 3.0 document in JSON: info, paths and
	// components.schemas. Every operation has an operationId and responses.
	// What belongs to API Gateway (extensions, securitySchemes, options
	// operations, servers) is added here and refused in the document. Required.
	Document json.RawMessage
	// Integrations are the functions that answer, by operationId. One each.
	Integrations map[string]RestApiIntegration
	// Authorizers are the security schemes that operations name in "security".
	Authorizers map[string]RestApiAuthorizer
	// Public are the operations without authorizer, by operationId, with the
	// reason. An operation that is neither here nor has a scheme is an error.
	Public map[string]string
	// Stage is the one stage's name. Required.
	Stage string
	// Origins may call from a browser, with credentials: exact https origins,
	// or http with localhost or 127.0.0.1 and a port. None is no CORS.
	Origins []string
	// AllowHeaders are what browsers may send; none means Authorization,
	// Content-Type and Idempotency-Key.
	AllowHeaders []string
	// MaxAgeSeconds is how long browsers remember a preflight, 1 to 86400; 0 means 600.
	MaxAgeSeconds int
	// Throttle holds for each method. Required.
	Throttle RestApiThrottle
	// RouteThrottles hold for single operations instead, by operationId.
	RouteThrottles map[string]RestApiThrottle
	// SourceCIDRs are the only addresses that may call; none is everyone.
	SourceCIDRs []string
	// Key is the ARN of the customer managed key of the log groups. Required.
	Key Text
	// LogRetentionDays is how long access and execution logs are kept; 0 means 365.
	LogRetentionDays int
	// CompressBytes compresses responses from that size on, 1 to 10485760; 0
	// compresses none.
	CompressBytes int
	// DisableExecuteAPI closes the default endpoint, when a custom domain is
	// in front.
	DisableExecuteAPI bool
	// Account lets API Gateway write logs at all; the stage waits for it. Nil
	// when the account was set up elsewhere.
	Account *ApiGatewayAccount
}

// RestApi is a regional REST API with one stage, defined by one OpenAPI body:
// request validation, authorizers, CORS, and errors as problem+json (RFC 9457)
// whoever makes them. Each function has one permission for the stage.
type RestApi struct {
	pulumi.ResourceState

	URL       pulumi.StringOutput `pulumi:"url"`
	RestApiID pulumi.StringOutput `pulumi:"restApiId"`
	StageName pulumi.StringOutput `pulumi:"stageName"`
	StageArn  pulumi.StringOutput `pulumi:"stageArn"`

	body string
}

// Body is the OpenAPI document with everything that API Gateway gets, in
// canonical JSON. It is known before deployment.
func (a *RestApi) Body() string { return a.body }

// BodyHash is the SHA-256 of the body in hexadecimal.
func (a *RestApi) BodyHash() string { return hash(a.body) }

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// NewRestApi makes the API, its deployment and its stage.
func NewRestApi(ctx *pulumi.Context, name string, args *RestApiArgs, opts ...pulumi.ResourceOption) (*RestApi, error) {
	if args == nil {
		args = &RestApiArgs{}
	}
	c := begin("RestApi", name, args.Place, args.Tags)
	spec := args.check(c)
	if err := c.err(); err != nil {
		return nil, err
	}
	a := &RestApi{body: args.body(spec)}
	parent, err := register(ctx, "RestApi", name, pulumi.Map{
		"place": args.Place.inputs(), "name": pulumi.String(args.Name), "stage": pulumi.String(args.Stage),
		"operations": pulumi.Int(len(spec.operations)), "bodySha256": pulumi.String(a.BodyHash()),
		"origins": pulumi.ToStringArray(sortedUnique(args.Origins)), "public": pulumi.ToStringArray(sortedKeys(args.Public)),
	}, a, opts)
	if err != nil {
		return nil, err
	}
	if err := a.build(ctx, name, args, spec, parent); err != nil {
		return nil, fmt.Errorf("RestApi %q: %w", name, err)
	}
	return a, ctx.RegisterResourceOutputs(a, pulumi.Map{
		"url": a.URL, "restApiId": a.RestApiID, "stageName": a.StageName, "stageArn": a.StageArn, "bodySha256": pulumi.String(a.BodyHash()),
	})
}

func (a *RestApi) build(ctx *pulumi.Context, name string, args *RestApiArgs, spec apiSpec, parent pulumi.ResourceOption) error {
	api, err := apigateway.NewRestApi(ctx, name, args.restAPI(a.body), parent, pulumi.DependsOn(args.aliases()))
	if err != nil {
		return err
	}
	if err := args.permissions(ctx, name, api, parent); err != nil {
		return err
	}
	// A new body makes a new deployment before the old one goes, so that the
	// stage always points to one.
	deployment, err := apigateway.NewDeployment(ctx, name, &apigateway.DeploymentArgs{
		RestApi: api.ID(), Triggers: pulumi.StringMap{"body": pulumi.String(a.BodyHash()), "policy": pulumi.String(hash(args.policy()))},
	}, parent)
	if err != nil {
		return err
	}
	stage, err := args.stage(ctx, name, api, deployment, parent)
	if err != nil {
		return err
	}
	a.URL, a.RestApiID, a.StageName, a.StageArn = stage.InvokeUrl, api.ID().ToStringOutput(), stage.StageName, stage.Arn
	return args.methodSettings(ctx, name, api, stage, spec, parent)
}

func (args *RestApiArgs) restAPI(body string) *apigateway.RestApiArgs {
	in := &apigateway.RestApiArgs{
		Name:                      pulumi.String(args.Name),
		Description:               pulumi.String(args.Description),
		Body:                      pulumi.String(body),
		FailOnWarnings:            pulumi.Bool(true),
		DisableExecuteApiEndpoint: pulumi.Bool(args.DisableExecuteAPI),
		EndpointConfiguration:     apigateway.RestApiEndpointConfigurationArgs{Types: pulumi.String("REGIONAL")},
		Tags:                      pulumi.ToStringMap(args.Tags),
	}
	// The policy is a property of the API and never part of the body: an
	// import of the body would put an older one back (pulumi-aws#2321, #4296).
	if policy := args.policy(); policy != "" {
		in.Policy = pulumi.String(policy)
	}
	if args.CompressBytes > 0 {
		in.MinimumCompressionSize = pulumi.String(fmt.Sprint(args.CompressBytes))
	}
	return in
}

// policy is empty without SourceCIDRs: API Gateway takes only TLS, and who may
// call what is the authorizers' business.
func (args *RestApiArgs) policy() string {
	if len(args.SourceCIDRs) == 0 {
		return ""
	}
	return document([]statement{{
		Principal: everyone(), Actions: []string{"execute-api:Invoke"},
		// Written out, since the short form "execute-api:/…" comes back written out.
		Resources:  known(args.Place.ARN("execute-api", "*/"+args.Stage+"/*")),
		Conditions: []Condition{{Test: "IpAddress", Key: "aws:SourceIp", Values: known(args.SourceCIDRs...)}},
	}}, shapeOf)
}

// functions are the distinct functions, by physical name.
func (args *RestApiArgs) functions() (integrations, authorizers map[string]*LambdaFunction) {
	integrations, authorizers = map[string]*LambdaFunction{}, map[string]*LambdaFunction{}
	for _, i := range args.Integrations {
		integrations[i.Function.args.Name] = i.Function
	}
	for _, a := range args.Authorizers {
		authorizers[a.Function.args.Name] = a.Function
	}
	return integrations, authorizers
}

// aliases are what the body's URIs name.
func (args *RestApiArgs) aliases() []pulumi.Resource {
	integrations, authorizers := args.functions()
	maps.Copy(integrations, authorizers)
	var list []pulumi.Resource
	for _, name := range sortedKeys(integrations) {
		list = append(list, integrations[name].alias)
	}
	return list
}

// authorizersPart stands where a stage's name stands in the ARN of a request
// by which API Gateway asks an authorizer.
const authorizersPart = "authorizers"

// permissions let the stage invoke each function, once: a permission a route
// would fill the alias's policy of 20,480 bytes. An authorizer is invoked
// before there is a stage, and its id is not known to the program when it
// comes from the body, so its permission names all authorizers of this API.
func (args *RestApiArgs) permissions(ctx *pulumi.Context, name string, api *apigateway.RestApi, parent pulumi.ResourceOption) error {
	integrations, authorizers := args.functions()
	for _, f := range sortedKeys(integrations) {
		if err := args.permit(ctx, name, integrations[f], api, args.Stage, parent); err != nil {
			return err
		}
	}
	for _, f := range sortedKeys(authorizers) {
		if err := args.permit(ctx, name, authorizers[f], api, authorizersPart, parent); err != nil {
			return err
		}
	}
	return nil
}

func (args *RestApiArgs) permit(ctx *pulumi.Context, name string, f *LambdaFunction, api *apigateway.RestApi, part string, parent pulumi.ResourceOption) error {
	_, err := lambda.NewPermission(ctx, name+"-"+f.args.Name+"-"+part, &lambda.PermissionArgs{
		StatementId: pulumi.String(fitName(args.Name+"-"+part, 100)),
		Action:      pulumi.String("lambda:InvokeFunction"),
		Function:    f.FunctionName,
		Qualifier:   f.alias.Name,
		Principal:   pulumi.String("apigateway.amazonaws.com"),
		SourceArn:   pulumi.Sprintf("%s%s/%s/*", args.Place.ARN("execute-api", ""), api.ID(), part),
	}, parent)
	return err
}

// accessLogFormat has no header, query string, body or path parameter: only
// what tells one request from another and how it went.
var accessLogFormat = canonicalJSON(map[string]string{
	"requestId": "$context.requestId", "extendedRequestId": "$context.extendedRequestId", "time": "$context.requestTime",
	"ip": "$context.identity.sourceIp", "method": "$context.httpMethod", "resourcePath": "$context.resourcePath",
	"status": "$context.status", "responseLength": "$context.responseLength", "responseLatency": "$context.responseLatency",
	"integrationLatency": "$context.integration.latency", "integrationStatus": "$context.integration.status",
	"principal": "$context.authorizer.principalId", "authorizerLatency": "$context.authorizer.latency",
	"authorizerStatus": "$context.authorizer.status", "errorType": "$context.error.responseType",
	"error": "$context.error.message", "xrayTraceId": "$context.xrayTraceId",
})

func (args *RestApiArgs) stage(ctx *pulumi.Context, name string, api *apigateway.RestApi, deployment *apigateway.Deployment, parent pulumi.ResourceOption) (*apigateway.Stage, error) {
	access, err := NewLogGroup(ctx, name+"-access", args.accessLog(), parent)
	if err != nil {
		return nil, err
	}
	// API Gateway makes its execution log group by itself, without key and
	// retention, as soon as logging is on; so it has to exist before. Its name
	// holds the API's id, which a LogGroup cannot take.
	execution, err := cloudwatch.NewLogGroup(ctx, name+"-execution", logGroupInputs(
		pulumi.Sprintf("API-Gateway-Execution-Logs_%s/%s", api.ID(), args.Stage), args.LogRetentionDays, args.Key, args.Tags), parent)
	if err != nil {
		return nil, err
	}
	first := []pulumi.Resource{execution}
	if args.Account != nil {
		first = append(first, args.Account.ready...)
	}
	return apigateway.NewStage(ctx, name, &apigateway.StageArgs{
		RestApi:            api.ID(),
		Deployment:         deployment.ID(),
		StageName:          pulumi.String(args.Stage),
		AccessLogSettings:  apigateway.StageAccessLogSettingsArgs{DestinationArn: access.GroupArn, Format: pulumi.String(accessLogFormat)},
		XrayTracingEnabled: pulumi.Bool(true),
		Tags:               pulumi.ToStringMap(args.Tags),
	}, parent, pulumi.DependsOn(first))
}

func (args *RestApiArgs) accessLog() *LogGroupArgs {
	return &LogGroupArgs{
		Place: args.Place, Tags: args.Tags, Name: "/aws/apigateway/" + args.Name + "/" + args.Stage,
		RetentionDays: args.LogRetentionDays, Key: args.Key,
	}
}

// methodSettings repeat logging and metrics for each route with a throttle of
// its own: a method's settings replace the stage's.
func (args *RestApiArgs) methodSettings(ctx *pulumi.Context, name string, api *apigateway.RestApi, stage *apigateway.Stage, spec apiSpec, parent pulumi.ResourceOption) error {
	settings := func(child, path string, throttle RestApiThrottle) error {
		_, err := apigateway.NewMethodSettings(ctx, child, &apigateway.MethodSettingsArgs{
			RestApi: api.ID(), StageName: stage.StageName, MethodPath: pulumi.String(path),
			Settings: apigateway.MethodSettingsSettingsArgs{
				MetricsEnabled: pulumi.Bool(true), LoggingLevel: pulumi.String("ERROR"), DataTraceEnabled: pulumi.Bool(false),
				ThrottlingBurstLimit: pulumi.Int(throttle.Burst), ThrottlingRateLimit: pulumi.Float64(throttle.Rate),
			},
		}, parent)
		return err
	}
	if err := settings(name, "*/*", args.Throttle); err != nil {
		return err
	}
	for _, id := range sortedKeys(args.RouteThrottles) {
		if err := settings(name+"-"+id, spec.find(id).methodPath(), args.RouteThrottles[id]); err != nil {
			return err
		}
	}
	return nil
}
