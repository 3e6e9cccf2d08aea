package provider

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/require"
)

// recorder is a connection to a provider whose emulator is never needed: IAM, Lambda, API Gateway, Logs and SSM live in
// the record.
func recorder(t *testing.T) (client, *Server) {
	t.Helper()
	return connect(t, Config{Endpoint: "http://127.0.0.1:1"})
}

// deployed is a function with an alias, an API, a deployment and a stage.
type deployed struct {
	role, function, alias, api, deployment, stage made
	functionIn, apiIn, stageIn                    bag
}

func deploy(t *testing.T, c client) deployed {
	t.Helper()
	var d deployed
	d.role = c.mustCreate(typeRole, "role", valid(t, typeRole))
	d.functionIn = with(valid(t, typeFunction), bag{"role": d.role.out["arn"], "publish": boolean(true)})
	d.function = c.mustCreate(typeFunction, "function", d.functionIn)
	d.alias = c.mustCreate(typeFunctionAlias, "alias", with(valid(t, typeFunctionAlias), bag{"functionVersion": d.function.out["version"]}))
	d.apiIn = valid(t, typeRestAPI)
	d.api = c.mustCreate(typeRestAPI, "api", d.apiIn)
	d.deployment = c.mustCreate(typeDeployment, "deployment", bag{"restApi": text(d.api.id), "triggers": object(bag{"body": text("1")})})
	d.stageIn = bag{"restApi": text(d.api.id), "deployment": text(d.deployment.id), "stageName": text("v1")}
	d.stage = c.mustCreate(typeStage, "stage", d.stageIn)
	return d
}

func TestOutputs(t *testing.T) {
	t.Parallel()
	c, s := recorder(t)
	d := deploy(t, c)
	group := c.mustCreate(typeLogGroup, "group", valid(t, typeLogGroup))
	policy := c.mustCreate(typeManagedPolicy, "policy", valid(t, typeManagedPolicy))
	parameter := c.mustCreate(typeParameter, "parameter", valid(t, typeParameter))
	lambda := "arn:aws:lambda:eu-central-1:210987654321:function:auth"
	invoke := "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/" + lambda
	for _, tc := range []struct {
		of   made
		key  string
		want string
	}{
		{d.role, "arn", `^arn:aws:iam::210987654321:role/expenzez-dev-auth$`},
		{d.role, "uniqueId", `^AROA[A-Z0-9]{17}$`},
		{d.role, "createDate", `^2025-03-01T12:00:00Z$`},
		{d.function, "arn", "^" + lambda + "$"},
		{d.function, "version", `^1$`},
		{d.function, "qualifiedArn", "^" + lambda + ":1$"},
		{d.function, "invokeArn", "^" + invoke + "/invocations$"},
		{d.function, "qualifiedInvokeArn", "^" + invoke + ":1/invocations$"},
		{d.function, "codeSha256", `^[A-Za-z0-9+/]{43}=$`},
		{d.function, "lastModified", `^2025-`},
		{d.alias, "arn", "^" + lambda + ":live$"},
		{d.alias, "invokeArn", "^" + invoke + ":live/invocations$"},
		{d.api, "arn", `^arn:aws:apigateway:eu-central-1::/restapis/[a-z0-9]{10}$`},
		{d.api, "executionArn", `^arn:aws:execute-api:eu-central-1:210987654321:[a-z0-9]{10}$`},
		{d.api, "rootResourceId", `^[a-z0-9]{10}$`},
		{d.stage, "invokeUrl", `^https://[a-z0-9]{10}.execute-api.eu-central-1.amazonaws.com/v1$`},
		{d.stage, "executionArn", `^arn:aws:execute-api:eu-central-1:210987654321:[a-z0-9]{10}/v1$`},
		{d.stage, "arn", `^arn:aws:apigateway:eu-central-1::/restapis/[a-z0-9]{10}/stages/v1$`},
		{group, "arn", `^arn:aws:logs:eu-central-1:210987654321:log-group:/aws/lambda/auth$`},
		{policy, "arn", `^arn:aws:iam::210987654321:policy/boundary$`},
		{policy, "policyId", `^ANPA`},
		{parameter, "arn", `^arn:aws:ssm:eu-central-1:210987654321:parameter/expenzez/dev/url$`},
	} {
		require.Regexp(t, tc.want, getText(tc.of.out, tc.key), "%s %s", tc.of.token, tc.key)
	}
	require.Regexp(t, `^[a-z0-9]{6}$`, d.deployment.id)
	require.True(t, parameter.out["value"].IsSecret())
	require.Len(t, s.Resources(), 9)
}

// With everything deployed, reading shows no drift, the same program no change, and deleting leaves nothing.
func TestRecordedTypesLive(t *testing.T) {
	t.Parallel()
	c, s := recorder(t)
	d := deploy(t, c)
	c.steady(d.role, valid(t, typeRole))
	c.steady(d.function, d.functionIn)
	c.steady(d.api, d.apiIn)
	c.steady(d.stage, d.stageIn)
	for _, m := range []made{d.stage, d.deployment, d.api, d.alias, d.function, d.role} {
		require.NoError(t, c.remove(m))
		_, found := c.read(m)
		require.False(t, found)
		require.NoError(t, c.remove(m), "deleting what is gone is fine")
	}
	require.Empty(t, s.Resources())
}

func TestVersions(t *testing.T) {
	t.Parallel()
	c, _ := recorder(t)
	d := deploy(t, c)
	tagged := c.mustUpdate(d.function, with(d.functionIn, bag{"tags": object(bag{"A": text("1")})}))
	require.Equal(t, "1", getText(tagged.out, "version"), "tags make no version")
	bigger := c.mustUpdate(tagged, with(d.functionIn, bag{"memorySize": number(256)}))
	require.Equal(t, "2", getText(bigger.out, "version"))
	coded := c.mustUpdate(bigger, with(d.functionIn, bag{"memorySize": number(256), "code": bundle(t, "bootstrap", "other", 0o755)}))
	require.Equal(t, "3", getText(coded.out, "version"))
	require.NotEqual(t, getText(bigger.out, "codeSha256"), getText(coded.out, "codeSha256"))
	quiet := c.mustUpdate(coded, with(coded.in, bag{"publish": null(), "memorySize": number(512)}))
	require.Equal(t, "$LATEST", getText(quiet.out, "version"))
	_, err := c.create(typeFunctionAlias, "next", bag{"name": text("next"), "functionName": text("auth"), "functionVersion": text("4")})
	require.ErrorContains(t, err, "Function not found: arn:aws:lambda:eu-central-1:210987654321:function:auth:4")
}

// The engine sends the archives of old states without their content; a refresh must not lose where it is.
func TestReadKeepsTheCode(t *testing.T) {
	t.Parallel()
	c, _ := recorder(t)
	d := deploy(t, c)
	path := d.function.in["code"].ArchiveValue().Path
	elided := bag{"code": resource.NewProperty(&resource.Archive{Sig: resource.ArchiveSig, Hash: d.function.in["code"].ArchiveValue().Hash, Assets: map[string]any{}})}
	old := d.function
	old.in, old.out = with(old.in, elided), with(old.out, elided)
	now, found := c.read(old)
	require.True(t, found)
	require.Equal(t, path, now.in["code"].ArchiveValue().Path)
	require.Equal(t, path, now.out["code"].ArchiveValue().Path)
	now, _ = c.read(old)
	require.Equal(t, path, now.in["code"].ArchiveValue().Path, "nor the record")
}

func TestFunctionFromFolderAndAssets(t *testing.T) {
	t.Parallel()
	c, _ := recorder(t)
	role := c.mustCreate(typeRole, "role", valid(t, typeRole))
	in := with(valid(t, typeFunction), bag{"role": role.out["arn"]})
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "bootstrap"), []byte("#!"), 0o700))
	for name, code := range map[string]value{"assets": archiveOf("#!"), "folder": archiveAt(folder)} {
		f := c.mustCreate(typeFunction, name, with(in, bag{"name": text(name), "code": code}))
		require.Regexp(t, `^[A-Za-z0-9+/]{43}=$`, getText(f.out, "codeSha256"))
		require.Positive(t, getNumber(f.out, "sourceCodeSize"))
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	c, _ := recorder(t)
	d := deploy(t, c)
	c.mustCreate(typeLogGroup, "group", valid(t, typeLogGroup))
	c.mustCreate(typeManagedPolicy, "policy", valid(t, typeManagedPolicy))
	c.mustCreate(typeParameter, "parameter", valid(t, typeParameter))
	c.mustCreate(typeRolePolicy, "inline", valid(t, typeRolePolicy))
	c.mustCreate(typeRoleAttachment, "attachment", valid(t, typeRoleAttachment))
	c.mustCreate(typePermission, "permission", valid(t, typePermission))
	other := c.mustCreate(typeRole, "other", bag{"name": text("other"), "assumeRolePolicy": trust("apigateway.amazonaws.com")})
	settings := bag{"restApi": text(d.api.id), "stageName": text("v1"), "methodPath": text("*/*"), "settings": object(bag{})}
	c.mustCreate(typeMethodSettings, "settings", settings)
	empty := c.mustCreate(typeRestAPI, "empty", bag{"name": text("empty")})
	logged := object(bag{"destinationArn": text("arn:aws:logs:eu-central-1:210987654321:log-group:/aws/lambda/auth"), "format": text("$context.requestId")})
	cases := []struct {
		name, token string
		in          bag
		want        string
	}{
		{"role exists", typeRole, valid(t, typeRole), "EntityAlreadyExists: Role with name expenzez-dev-auth already exists."},
		{"boundary missing", typeRole, bag{"assumeRolePolicy": trust("lambda.amazonaws.com"), "permissionsBoundary": text("arn:aws:iam::210987654321:policy/none")}, "NoSuchEntity"},
		{"managed policy missing", typeRole, bag{"assumeRolePolicy": trust("lambda.amazonaws.com"), "managedPolicyArns": texts("arn:aws:iam::210987654321:policy/none")}, "NoSuchEntity"},
		{"inline policy exists", typeRolePolicy, valid(t, typeRolePolicy), "already has an inline policy grants"},
		{"inline policy of no role", typeRolePolicy, with(valid(t, typeRolePolicy), bag{"role": text("none")}), "NoSuchEntity: The role with name none cannot be found."},
		{"inline policies too long together", typeRolePolicy, with(valid(t, typeRolePolicy), bag{"name": text("more"), "policy": allow("s3:GetObject", "arn:aws:s3:::"+strings.Repeat("x", 10100))}), "LimitExceeded: Maximum policy size of 10240 bytes exceeded for role expenzez-dev-auth"},
		{"policy exists", typeManagedPolicy, valid(t, typeManagedPolicy), "EntityAlreadyExists: A policy called boundary already exists"},
		{"attached twice", typeRoleAttachment, valid(t, typeRoleAttachment), "is already attached"},
		{"attachment of no policy", typeRoleAttachment, bag{"role": text("other"), "policyArn": text("arn:aws:iam::210987654321:policy/none")}, "does not exist or is not attachable"},
		{"attachment to no role", typeRoleAttachment, bag{"role": text("none"), "policyArn": text("arn:aws:iam::aws:policy/x")}, "NoSuchEntity"},
		{"log group exists", typeLogGroup, valid(t, typeLogGroup), "ResourceAlreadyExistsException"},
		{"function exists", typeFunction, d.functionIn, "ResourceConflictException: Function already exist: auth"},
		{"function without role", typeFunction, with(d.functionIn, bag{"name": text("f"), "role": text("arn:aws:iam::210987654321:role/none")}), "The role defined for the function does not exist"},
		{"role of another service", typeFunction, with(d.functionIn, bag{"name": text("f"), "role": other.out["arn"]}), "cannot be assumed by Lambda"},
		{"too many reserved executions", typeFunction, with(d.functionIn, bag{"name": text("f"), "reservedConcurrentExecutions": number(901)}), "below its minimum value of [100]"},
		{"alias exists", typeFunctionAlias, valid(t, typeFunctionAlias), "ResourceConflictException: Alias already exists"},
		{"alias of no function", typeFunctionAlias, with(valid(t, typeFunctionAlias), bag{"functionName": text("none")}), "ResourceNotFoundException: Function not found"},
		{"alias of no version", typeFunctionAlias, with(valid(t, typeFunctionAlias), bag{"name": text("x"), "functionVersion": text("7")}), "Function not found: arn:aws:lambda:eu-central-1:210987654321:function:auth:7"},
		{"weight on no version", typeFunctionAlias, with(valid(t, typeFunctionAlias), bag{"name": text("x"), "routingConfig": object(bag{"additionalVersionWeights": object(bag{"7": number(0.1)})})}), "function:auth:7"},
		{"weight with latest", typeFunctionAlias, bag{"name": text("x"), "functionName": text("auth"), "functionVersion": text("$LATEST"), "routingConfig": object(bag{"additionalVersionWeights": object(bag{"1": number(0.1)})})}, "$LATEST is not supported"},
		{"permission exists", typePermission, valid(t, typePermission), "The statement id (api) provided already exists"},
		{"permission on no function", typePermission, with(valid(t, typePermission), bag{"function": text("none")}), "Function not found"},
		{"permission on no alias", typePermission, with(valid(t, typePermission), bag{"qualifier": text("next")}), "Function not found"},
		{"api of no function", typeRestAPI, bag{"name": text("x"), "body": text(apiBody("none:live"))}, "the body calls arn:aws:lambda:eu-central-1:210987654321:function:none:live"},
		{"api of no alias", typeRestAPI, bag{"name": text("x"), "body": text(apiBody("auth:next"))}, "ResourceNotFoundException"},
		{"deployment of no api", typeDeployment, bag{"restApi": text("none")}, "Invalid API identifier specified"},
		{"deployment of an empty api", typeDeployment, bag{"restApi": text(empty.id)}, "The REST API doesn't contain any methods"},
		{"stage exists", typeStage, d.stageIn, "ConflictException: Stage already exists"},
		{"stage of no api", typeStage, with(d.stageIn, bag{"restApi": text("none")}), "Invalid API identifier"},
		{"stage of no deployment", typeStage, with(d.stageIn, bag{"stageName": text("v2"), "deployment": text("none")}), "Invalid Deployment identifier"},
		{"access log without account role", typeStage, with(d.stageIn, bag{"stageName": text("v2"), "accessLogSettings": logged}), "CloudWatch Logs role ARN must be set in account settings"},
		{"settings exist", typeMethodSettings, settings, "has method settings already"},
		{"settings of no stage", typeMethodSettings, with(settings, bag{"stageName": text("v9")}), "Invalid stage identifier"},
		{"settings of no api", typeMethodSettings, with(settings, bag{"restApi": text("none")}), "Invalid API identifier"},
		{"settings of no method", typeMethodSettings, with(settings, bag{"methodPath": text("orders/GET")}), "the API has no method orders/GET"},
		{"execution log without account role", typeMethodSettings, with(settings, bag{"methodPath": text("users/{id}/GET"), "settings": object(bag{"loggingLevel": text("ERROR")})}), "CloudWatch Logs role ARN must be set"},
		{"account role missing", typeGatewayAccount, bag{"cloudwatchRoleArn": text("arn:aws:iam::210987654321:role/none")}, "trust relationship"},
		{"account role of another service", typeGatewayAccount, bag{"cloudwatchRoleArn": d.role.out["arn"]}, "trust relationship"},
		{"account role without policy", typeGatewayAccount, bag{"cloudwatchRoleArn": other.out["arn"]}, "has no policy"},
		{"parameter exists", typeParameter, valid(t, typeParameter), "ParameterAlreadyExists"},
	}
	for _, tc := range cases {
		t.Run(tc.token+"/"+tc.name, func(t *testing.T) {
			_, err := c.create(tc.token, "again", tc.in)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestQuotas(t *testing.T) {
	t.Parallel()
	c, _ := recorder(t)
	d := deploy(t, c)
	for i := range maxAttached {
		c.mustCreate(typeRoleAttachment, "a", bag{"role": text(d.role.id), "policyArn": text(fmt.Sprintf("arn:aws:iam::aws:policy/p%d", i))})
	}
	_, err := c.create(typeRoleAttachment, "a", bag{"role": text(d.role.id), "policyArn": text("arn:aws:iam::aws:policy/more")})
	require.ErrorContains(t, err, "Cannot exceed quota for PoliciesPerRole: 10")

	for i := 2; i <= maxStages; i++ {
		c.mustCreate(typeStage, "s", with(d.stageIn, bag{"stageName": text(fmt.Sprintf("v%d", i))}))
	}
	_, err = c.create(typeStage, "s", with(d.stageIn, bag{"stageName": text("more")}))
	require.ErrorContains(t, err, "Maximum number of stages")

	for i := 0; err == nil || !strings.Contains(err.Error(), "PolicyLengthExceededException"); i++ {
		require.Less(t, i, 100, "20,480 bytes hold about fifty permissions")
		_, err = c.create(typePermission, "p", with(valid(t, typePermission), bag{
			"statementId": text(fmt.Sprintf("api-%d", i)), "qualifier": text("live"),
			"sourceArn": text("arn:aws:execute-api:eu-central-1:210987654321:abcdefghij/v1/GET/" + strings.Repeat("x", 100)),
		}))
	}
	_, err = c.create(typePermission, "p", with(valid(t, typePermission), bag{"statementId": text("function")}))
	require.NoError(t, err, "the function itself has a policy of its own")
}

func TestDeleteRefuses(t *testing.T) {
	t.Parallel()
	c, _ := recorder(t)
	d := deploy(t, c)
	inline := c.mustCreate(typeRolePolicy, "inline", valid(t, typeRolePolicy))
	require.ErrorContains(t, c.remove(d.role), "must delete policies first")
	require.NoError(t, c.remove(inline))
	policy := c.mustCreate(typeManagedPolicy, "policy", valid(t, typeManagedPolicy))
	attachment := c.mustCreate(typeRoleAttachment, "attachment", bag{"role": text(d.role.id), "policyArn": text(policy.id)})
	require.ErrorContains(t, c.remove(d.role), "must detach all policies first")
	require.ErrorContains(t, c.remove(policy), "Cannot delete a policy attached to entities")
	now, _ := c.read(policy)
	require.Equal(t, 1.0, getNumber(now.out, "attachmentCount"))
	require.NoError(t, c.remove(attachment))
	require.NoError(t, c.remove(policy))
	require.ErrorContains(t, c.remove(d.deployment), "Active stages pointing to this deployment must be moved or deleted")
	next := c.mustCreate(typeDeployment, "deployment", bag{"restApi": text(d.api.id), "triggers": object(bag{"body": text("2")})})
	c.mustUpdate(d.stage, with(d.stageIn, bag{"deployment": text(next.id)}))
	require.NoError(t, c.remove(d.deployment), "no stage points to it any more")
}

func TestForcedRoleTakesItsPoliciesAlong(t *testing.T) {
	t.Parallel()
	c, s := recorder(t)
	role := c.mustCreate(typeRole, "role", with(valid(t, typeRole), bag{"forceDetachPolicies": boolean(true)}))
	c.mustCreate(typeRolePolicy, "inline", valid(t, typeRolePolicy))
	c.mustCreate(typeRoleAttachment, "attachment", valid(t, typeRoleAttachment))
	require.NoError(t, c.remove(role))
	require.Empty(t, s.Resources())
}

func TestUpdateRefuses(t *testing.T) {
	t.Parallel()
	c, _ := recorder(t)
	d := deploy(t, c)
	inline := c.mustCreate(typeRolePolicy, "inline", valid(t, typeRolePolicy))
	c.mustCreate(typeRolePolicy, "more", with(valid(t, typeRolePolicy), bag{"name": text("more"), "policy": allow("s3:GetObject", "arn:aws:s3:::"+strings.Repeat("x", 9000))}))
	for _, tc := range []struct {
		name string
		of   made
		in   bag
		want string
	}{
		{"role gets a boundary that is missing", d.role, with(valid(t, typeRole), bag{"permissionsBoundary": text("arn:aws:iam::210987654321:policy/none")}), "NoSuchEntity"},
		{"role that is gone", made{typeRole, "gone", "gone", d.role.in, d.role.out}, with(valid(t, typeRole), bag{"description": text("x")}), "The role with name gone cannot be found"},
		{"function that is gone", made{typeFunction, "gone", "gone", d.function.in, d.function.out}, with(d.functionIn, bag{"memorySize": number(256)}), "Function not found"},
		{"function loses its role", d.function, with(d.functionIn, bag{"role": text("arn:aws:iam::210987654321:role/none")}), "does not exist"},
		{"alias moves to no version", d.alias, with(valid(t, typeFunctionAlias), bag{"functionVersion": text("9")}), "Function not found"},
		{"api calls no function", d.api, with(d.apiIn, bag{"body": text(apiBody("auth:next"))}), "Function not found"},
		{"stage moves to no deployment", d.stage, with(d.stageIn, bag{"deployment": text("none")}), "Invalid Deployment identifier"},
		{"inline policy grows too long", inline, with(valid(t, typeRolePolicy), bag{"policy": allow("s3:GetObject", "arn:aws:s3:::"+strings.Repeat("x", 1200))}), "LimitExceeded"},
	} {
		_, err := c.update(tc.of, tc.in, false)
		require.ErrorContains(t, err, tc.want, tc.name)
	}
	grown, err := c.update(inline, with(valid(t, typeRolePolicy), bag{"policy": allow("s3:GetObject", "arn:aws:s3:::"+strings.Repeat("x", 900))}), false)
	require.NoError(t, err, "its own old text does not count")
	require.NoError(t, c.remove(grown))
}

func TestGatewayAccountOutlivesItsResource(t *testing.T) {
	t.Parallel()
	c, s := recorder(t)
	d := deploy(t, c)
	role := c.mustCreate(typeRole, "gateway", bag{"name": text("gateway"), "assumeRolePolicy": trust("apigateway.amazonaws.com")})
	c.mustCreate(typeRoleAttachment, "push", bag{"role": text("gateway"), "policyArn": text("arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs")})
	account := c.mustCreate(typeGatewayAccount, "account", bag{"cloudwatchRoleArn": role.out["arn"]})
	require.NoError(t, c.remove(account))
	group := c.mustCreate(typeLogGroup, "access", bag{"name": text("/api/access")})
	logged := bag{"accessLogSettings": object(bag{"destinationArn": text(getText(group.out, "arn") + ":*"), "format": text("$context.requestId")})}
	c.mustUpdate(d.stage, with(d.stageIn, logged))
	_, err := c.update(d.stage, with(d.stageIn, bag{"accessLogSettings": object(bag{"destinationArn": text("arn:aws:logs:eu-central-1:210987654321:log-group:none"), "format": text("$context.requestId")})}), false)
	require.ErrorContains(t, err, "log group arn:aws:logs:eu-central-1:210987654321:log-group:none does not exist")

	account = c.mustCreate(typeGatewayAccount, "account", bag{"cloudwatchRoleArn": role.out["arn"], "resetOnDelete": boolean(true)})
	require.NoError(t, c.remove(account))
	_, err = c.update(d.stage, with(d.stageIn, logged), false)
	require.ErrorContains(t, err, "role ARN must be set in account settings")
	require.NotContains(t, s.Resources(), Resource{typeGatewayAccount, "api-gateway-account"})
}

func TestFunctionTakesItsPartsAlong(t *testing.T) {
	t.Parallel()
	c, s := recorder(t)
	d := deploy(t, c)
	c.mustCreate(typePermission, "permission", with(valid(t, typePermission), bag{"qualifier": text("live")}))
	require.NoError(t, c.remove(d.function))
	_, found := c.read(d.alias)
	require.False(t, found)
	for _, r := range s.Resources() {
		require.NotContains(t, r.Type, "aws:lambda/")
	}
}

func TestSkipDestroyKeepsIt(t *testing.T) {
	t.Parallel()
	c, s := recorder(t)
	group := c.mustCreate(typeLogGroup, "group", with(valid(t, typeLogGroup), bag{"skipDestroy": boolean(true)}))
	require.NoError(t, c.remove(group))
	require.Equal(t, []Resource{{typeLogGroup, "/aws/lambda/auth"}}, s.Resources())
}

func TestImportOfRecorded(t *testing.T) {
	t.Parallel()
	c, _ := recorder(t)
	in := with(valid(t, typeLogGroup), bag{"tags": object(bag{"A": text("1")})})
	group := c.mustCreate(typeLogGroup, "group", in)
	imported, found := c.read(made{token: typeLogGroup, name: "group", id: group.id})
	require.True(t, found)
	require.Equal(t, group.out, imported.out)
	require.Empty(t, c.diff(imported, in).GetDetailedDiff())
}

// A second server on the same world carries on where the first one ended.
func TestWorldOutlivesServer(t *testing.T) {
	t.Parallel()
	world := NewWorld()
	c, s := connect(t, Config{Endpoint: "http://127.0.0.1:1", World: world})
	role := c.mustCreate(typeRole, "role", valid(t, typeRole))
	require.NoError(t, s.Close())
	again, _ := connect(t, Config{Endpoint: "http://127.0.0.1:1", World: world})
	_, found := again.read(role)
	require.True(t, found)
	_, err := again.create(typeRole, "role", valid(t, typeRole))
	require.ErrorContains(t, err, "EntityAlreadyExists")
}

func TestSplitFunction(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]string{
		"auth":                       {"auth", ""},
		"auth:live":                  {"auth", "live"},
		"210987654321:function:auth": {"auth", ""},
		"210987654321:auth:live":     {"auth", "live"},
		"function:auth":              {"auth", ""},
		"arn:aws:lambda:eu-central-1:210987654321:function:auth":   {"auth", ""},
		"arn:aws:lambda:eu-central-1:210987654321:function:auth:7": {"auth", "7"},
	} {
		name, qualifier := splitFunction(in)
		require.Equal(t, want, [2]string{name, qualifier}, in)
	}
}

func TestPartitions(t *testing.T) {
	t.Parallel()
	for region, want := range map[string][2]string{
		"eu-central-1":  {"arn:aws:kms:eu-central-1:210987654321:x", "amazonaws.com"},
		"cn-north-1":    {"arn:aws-cn:kms:cn-north-1:210987654321:x", "amazonaws.com.cn"},
		"us-gov-east-1": {"arn:aws-us-gov:kms:us-gov-east-1:210987654321:x", "amazonaws.com"},
	} {
		c, err := newCloud(Config{Account: testAccount, Region: region})
		require.NoError(t, err)
		require.Equal(t, want, [2]string{c.arn("kms", "x"), c.dnsSuffix()})
	}
}

func TestPoliciesAllow(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, statement string
		want            bool
	}{
		{"named", `{"Effect":"Allow","Principal":{"Service":"logs.amazonaws.com"},"Action":"kms:GenerateDataKey","Resource":"*"}`, true},
		{"pattern", `{"Effect":"Allow","Principal":{"Service":["logs.amazonaws.com"]},"Action":["kms:GenerateDataKey*"],"Resource":"*"}`, true},
		{"single characters", `{"Effect":"Allow","Principal":{"Service":"logs.amazonaws.com"},"Action":"kms:GenerateDat?Key","Resource":"*"}`, true},
		{"everyone", `{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`, true},
		{"other service", `{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"kms:*","Resource":"*"}`, false},
		{"same name of another kind", `{"Effect":"Allow","Principal":{"Federated":"logs.amazonaws.com"},"Action":"kms:*","Resource":"*"}`, false},
		{"other action", `{"Effect":"Allow","Principal":{"Service":"logs.amazonaws.com"},"Action":"kms:Decrypt","Resource":"*"}`, false},
		{"dot is no wildcard", `{"Effect":"Allow","Principal":{"Service":"logs.amazonaws.com"},"Action":"kms.GenerateDataKey","Resource":"*"}`, false},
		{"denied", `{"Effect":"Deny","Principal":{"Service":"logs.amazonaws.com"},"Action":"kms:*","Resource":"*"}`, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			statements := parsePolicy(policyText(tc.statement))
			require.Len(t, statements, 1)
			require.Equal(t, tc.want, statements[0].allows("Service", "logs.amazonaws.com", "kms:GenerateDataKey"))
		})
	}
	require.Empty(t, parsePolicy(""))
	require.Empty(t, parsePolicy("{"))
}
