package provider

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/require"
)

// valid is inputs that AWS accepts, per type, with names and references of the right form.
func valid(t *testing.T, token string) bag {
	arn := "arn:aws:iam::" + testAccount + ":role/r"
	all := map[string]bag{
		typeKmsKey:        {"description": text("data"), "enableKeyRotation": boolean(true), "policy": keyPolicy()},
		typeKmsAlias:      {"name": text("alias/expenzez-dev"), "targetKeyId": text("1234")},
		typeSecret:        {"name": text("/expenzez/dev/jwt"), "recoveryWindowInDays": number(0)},
		typeSecretPolicy:  {"secretArn": text("arn:aws:secretsmanager:eu-central-1:210987654321:secret:x-AbCdEf"), "policy": text(policyText(`{"Effect":"Deny","Principal":"*","Action":"secretsmanager:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`))},
		typeSecretVersion: {"secretId": text("x"), "secretString": text("hunter2")},
		typeTable: {
			"name": text("expenzez-dev-users"), "billingMode": text("PAY_PER_REQUEST"), "hashKey": text("pk"), "rangeKey": text("sk"),
			"attributes": list(object(bag{"name": text("pk"), "type": text("S")}), object(bag{"name": text("sk"), "type": text("S")})),
		},
		typeTablePolicy:    {"resourceArn": text("arn:aws:dynamodb:eu-central-1:210987654321:table/users"), "policy": text(policyText(`{"Effect":"Deny","Principal":"*","Action":"dynamodb:*","Resource":"*"}`))},
		typeRole:           {"name": text("expenzez-dev-auth"), "assumeRolePolicy": trust("lambda.amazonaws.com")},
		typeRolePolicy:     {"name": text("grants"), "role": text("expenzez-dev-auth"), "policy": allow("dynamodb:GetItem", "arn:aws:dynamodb:eu-central-1:210987654321:table/users")},
		typeManagedPolicy:  {"name": text("boundary"), "policy": allow("dynamodb:GetItem", "*")},
		typeRoleAttachment: {"role": text("expenzez-dev-auth"), "policyArn": text("arn:aws:iam::aws:policy/ReadOnlyAccess")},
		typeLogGroup:       {"name": text("/aws/lambda/auth"), "retentionInDays": number(30)},
		typeFunctionAlias:  {"name": text("live"), "functionName": text("auth"), "functionVersion": text("1")},
		typePermission:     {"statementId": text("api"), "action": text("lambda:InvokeFunction"), "function": text("auth"), "principal": text("apigateway.amazonaws.com")},
		typeRestAPI:        {"name": text("api"), "body": text(apiBody("auth:live")), "endpointConfiguration": object(bag{"types": text("REGIONAL")})},
		typeDeployment:     {"restApi": text("abc"), "triggers": object(bag{"body": text("sha")})},
		typeStage:          {"restApi": text("abc"), "deployment": text("def"), "stageName": text("v1")},
		typeMethodSettings: {"restApi": text("abc"), "stageName": text("v1"), "methodPath": text("*/*"), "settings": object(bag{"throttlingBurstLimit": number(20)})},
		typeGatewayAccount: {"cloudwatchRoleArn": text(arn)},
		typeUserPool:       {"name": text("users"), "mfaConfiguration": text("OPTIONAL"), "softwareTokenMfaConfiguration": object(bag{"enabled": boolean(true)}), "usernameAttributes": texts("email")},
		typeUserPoolClient: {"name": text("backend"), "userPoolId": text("eu-central-1_AbCdEfGhI"), "generateSecret": boolean(true), "explicitAuthFlows": texts("ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH")},
		typeQueue:          {"name": text("jobs"), "visibilityTimeoutSeconds": number(90)},
		typeQueuePolicy:    {"queueUrl": text("https://sqs.eu-central-1.amazonaws.com/210987654321/jobs"), "policy": text(policyText(`{"Effect":"Deny","Principal":"*","Action":"sqs:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`))},
		typeEventSource:    {"eventSourceArn": text("arn:aws:sqs:eu-central-1:210987654321:jobs"), "functionName": text("auth:live"), "functionResponseTypes": texts("ReportBatchItemFailures")},
		typeSchedule: {"name": text("nightly"), "scheduleExpression": text("rate(1 day)"), "flexibleTimeWindow": object(bag{"mode": text("OFF")}),
			"target": object(bag{"arn": text("arn:aws:lambda:eu-central-1:210987654321:function:auth:live"), "roleArn": text(arn)})},
		typeParameter: {"name": text("/expenzez/dev/url"), "type": text("String"), "value": text("https://example.com")},
	}
	if token == typeFunction {
		return bag{"name": text("auth"), "role": text(arn), "runtime": text("provided.al2023"), "handler": text("bootstrap"), "code": bundle(t, "bootstrap", "#!", 0o755)}
	}
	in, ok := all[token]
	require.True(t, ok, token)
	return in
}

func apiBody(function string) string {
	uri := "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-central-1:210987654321:function:" + function + "/invocations"
	return `{"openapi":"3.0.1","info":{"title":"api","version":"1"},
	"x-amazon-apigateway-request-validators":{"all":{"validateRequestBody":true,"validateRequestParameters":true}},
	"x-amazon-apigateway-request-validator":"all",
	"x-amazon-apigateway-gateway-responses":{"DEFAULT_4XX":{"responseParameters":{"gatewayresponse.header.Vary":"'Origin'"},"responseTemplates":{"application/problem+json":"{\"instance\":\"$context.requestId\"}"}}},
	"components":{
	 "schemas":{"Login":{"type":"object","required":["email"],"additionalProperties":false,"properties":{"email":{"type":"string","maxLength":254},"age":{"type":"integer","minimum":0,"exclusiveMinimum":true}}}},
	 "securitySchemes":{"token":{"type":"apiKey","name":"Authorization","in":"header","x-amazon-apigateway-authtype":"custom",
	  "x-amazon-apigateway-authorizer":{"type":"token","authorizerUri":"` + uri + `","authorizerResultTtlInSeconds":300,"identitySource":"method.request.header.Authorization","identityValidationExpression":"^Bearer .+$"}}}},
	"paths":{"/users/{id}":{"get":{"operationId":"getUser","security":[{"token":[]}],"responses":{"200":{"description":"ok"}},
	  "x-amazon-apigateway-integration":{"type":"aws_proxy","httpMethod":"POST","uri":"` + uri + `","timeoutInMillis":29000}},
	 "post":{"operationId":"login","requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Login"}}}},"responses":{"200":{"description":"ok"}},
	  "x-amazon-apigateway-integration":{"type":"aws_proxy","httpMethod":"POST","uri":"` + uri + `"}},
	 "options":{"operationId":"preflight","responses":{"204":{"description":"ok","headers":{"Vary":{"schema":{"type":"string"}}}}},
	  "x-amazon-apigateway-integration":{"type":"mock","requestTemplates":{"application/json":"{\"statusCode\":204}"},"responses":{"default":{"statusCode":"204","responseParameters":{"method.response.header.Vary":"'Origin'"}}}}}}}}`
}

// body is a REST API whose document has one text replaced.
func body(t *testing.T, old, replacement string) bag {
	t.Helper()
	before := apiBody("auth:live")
	require.Contains(t, before, old)
	return bag{"body": text(strings.Replace(before, old, replacement, 1))}
}

func long(n int) value { return text(strings.Repeat("x", n)) }

func many(n int, each func(i int) value) value {
	vs := make([]value, n)
	for i := range vs {
		vs[i] = each(i)
	}
	return list(vs...)
}

func gsi(name string) bag {
	return bag{"name": text(name), "hashKey": text("sk"), "projectionType": text("ALL")}
}

func variables(pairs bag) bag { return bag{"environment": object(bag{"variables": object(pairs)})} }

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	bigPolicy := func(n int) value {
		return allow("s3:GetObject", "arn:aws:s3:::"+strings.Repeat("x", n))
	}
	cases := []struct {
		name, token string
		change      bag
		want        string
	}{
		{"unknown argument", typeKmsKey, bag{"keySize": number(1)}, "keySize is not an argument of this resource"},
		{"wrong kind", typeKmsKey, bag{"description": number(1)}, "description must be a string"},
		{"key deleted too soon", typeKmsKey, bag{"deletionWindowInDays": number(6)}, "deletionWindowInDays is 6: AWS allows 7 to 30"},
		{"key deleted too late", typeKmsKey, bag{"deletionWindowInDays": number(31)}, "deletionWindowInDays is 31"},
		{"rotation too often", typeKmsKey, bag{"rotationPeriodInDays": number(89)}, "rotationPeriodInDays is 89"},
		{"period without rotation", typeKmsKey, bag{"rotationPeriodInDays": number(90), "enableKeyRotation": null()}, "needs enableKeyRotation"},
		{"rotation of an asymmetric key", typeKmsKey, bag{"customerMasterKeySpec": text("RSA_2048")}, "only for keys of spec SYMMETRIC_DEFAULT"},
		{"key usage", typeKmsKey, bag{"keyUsage": text("ENCRYPT")}, `"ENCRYPT" is not one of`},
		{"key policy without lockout safety", typeKmsKey, bag{"policy": text(policyText(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":"kms:*","Resource":"*"}`))}, "would lock everyone out"},
		{"key policy too long", typeKmsKey, bag{"policy": keyPolicy(`{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"kms:Decrypt","Resource":"` + strings.Repeat("x", 32768) + `"}`)}, "AWS allows 32768"},
		{"external key without store", typeKmsKey, bag{"xksKeyId": text("x")}, "xksKeyId needs customKeyStoreId"},
		{"tag key of AWS", typeKmsKey, bag{"tags": object(bag{"aws:x": text("1")})}, "begins with aws:"},
		{"tag value too long", typeKmsKey, bag{"tags": object(bag{"x": long(257)})}, "tags.x has 257 characters"},
		{"too many tags", typeKmsKey, bag{"tags": manyTags(51)}, "tags has 51 entries"},
		{"alias without prefix", typeKmsAlias, bag{"name": text("expenzez")}, "is not alias/"},
		{"alias of AWS", typeKmsAlias, bag{"name": text("alias/aws/x")}, "keeps for its own keys"},
		{"alias without target", typeKmsAlias, bag{"targetKeyId": null()}, "targetKeyId is required"},
		{"alias with name and prefix", typeKmsAlias, bag{"namePrefix": text("alias/x")}, "name conflicts with namePrefix"},
		{"secret name", typeSecret, bag{"name": text("a b")}, `"a b" is not letters`},
		{"secret name too long", typeSecret, bag{"name": long(513)}, "has 513 characters"},
		{"recovery window between", typeSecret, bag{"recoveryWindowInDays": number(3)}, "use 0 to delete at once, or 7 to 30"},
		{"recovery window too long", typeSecret, bag{"recoveryWindowInDays": number(31)}, "use 0 to delete at once"},
		{"replica", typeSecret, bag{"replicas": list(object(bag{"region": text("eu-west-1")}))}, "plays one region"},
		{"secret policy is not JSON", typeSecretPolicy, bag{"policy": text("{")}, "policy is not well-formed JSON"},
		{"secret policy without principal", typeSecretPolicy, bag{"policy": allow("secretsmanager:*", "*")}, "exactly one of Principal and NotPrincipal"},
		{"secret policy of no ARN", typeSecretPolicy, bag{"secretArn": text("x")}, `"x" is not an ARN`},
		{"secret value missing", typeSecretVersion, bag{"secretString": null()}, "set secretString or secretBinary"},
		{"two secret values", typeSecretVersion, bag{"secretBinary": text("aGk=")}, "secretBinary conflicts with secretString"},
		{"secret value too large", typeSecretVersion, bag{"secretString": long(65537)}, "has 65537 bytes"},
		{"binary secret is not base64", typeSecretVersion, bag{"secretString": null(), "secretBinary": text("?")}, "is not base64"},
		{"table name too short", typeTable, bag{"name": text("ab")}, "name has 2 characters: AWS allows 3 to 255"},
		{"table name", typeTable, bag{"name": text("a/b/c")}, "is not letters, digits and _ . -"},
		{"table without key", typeTable, bag{"hashKey": null()}, "hashKey is required"},
		{"attribute that no key uses", typeTable, bag{"rangeKey": null()}, `define "sk", which no key`},
		{"key without attribute", typeTable, bag{"rangeKey": text("other")}, `do not define "other"`},
		{"attribute type", typeTable, bag{"attributes": list(object(bag{"name": text("pk"), "type": text("BOOL")}), object(bag{"name": text("sk"), "type": text("S")}))}, `"BOOL" is not one of S, N, B`},
		{"attribute twice", typeTable, bag{"attributes": list(object(bag{"name": text("pk"), "type": text("S")}), object(bag{"name": text("pk"), "type": text("S")}), object(bag{"name": text("sk"), "type": text("S")}))}, `define "pk" twice`},
		{"stream without view", typeTable, bag{"streamEnabled": boolean(true)}, "streamViewType is required"},
		{"stream view", typeTable, bag{"streamViewType": text("ALL")}, `"ALL" is not one of`},
		{"capacity missing", typeTable, bag{"billingMode": text("PROVISIONED")}, "readCapacity must be at least 1"},
		{"ceiling with provisioned", typeTable, bag{"billingMode": text("PROVISIONED"), "readCapacity": number(1), "writeCapacity": number(1), "onDemandThroughput": object(bag{"maxReadRequestUnits": number(10)})}, "needs billingMode PAY_PER_REQUEST"},
		{"21 indexes", typeTable, bag{"globalSecondaryIndexes": many(21, func(i int) value { return object(gsi(fmt.Sprintf("index%d", i))) })}, "globalSecondaryIndexes has 21 entries"},
		{"index name twice", typeTable, bag{"globalSecondaryIndexes": list(object(gsi("byKey")), object(gsi("byKey")))}, `repeats "byKey"`},
		{"index key without attribute", typeTable, bag{"globalSecondaryIndexes": list(object(with(gsi("byKey"), bag{"hashKey": text("email")})))}, `do not define "email"`},
		{"projection without attributes", typeTable, bag{"globalSecondaryIndexes": list(object(with(gsi("byKey"), bag{"projectionType": text("INCLUDE")})))}, "with projectionType INCLUDE"},
		{"attributes without projection", typeTable, bag{"globalSecondaryIndexes": list(object(with(gsi("byKey"), bag{"nonKeyAttributes": texts("x")})))}, "with projectionType INCLUDE"},
		{"too many projected attributes", typeTable, bag{"globalSecondaryIndexes": list(object(with(gsi("byKey"), bag{"projectionType": text("INCLUDE"), "nonKeyAttributes": many(101, func(i int) value { return text(fmt.Sprint(i)) })})))}, "101 together: AWS allows 100"},
		{"unknown field of an index", typeTable, bag{"globalSecondaryIndexes": list(object(with(gsi("byKey"), bag{"sortKey": text("x")})))}, "globalSecondaryIndexes[0].sortKey is not an argument"},
		{"recovery period", typeTable, bag{"pointInTimeRecovery": object(bag{"enabled": boolean(true), "recoveryPeriodInDays": number(36)})}, "pointInTimeRecovery.recoveryPeriodInDays is 36: AWS allows 1 to 35"},
		{"expiry without attribute", typeTable, bag{"ttl": object(bag{"enabled": boolean(true)})}, "ttl.attributeName is required"},
		{"table of another region", typeTable, bag{"replicas": list(object(bag{"regionName": text("eu-west-1")}))}, "cannot be held by the local cloud"},
		{"table key is no ARN", typeTable, bag{"serverSideEncryption": object(bag{"enabled": boolean(true), "kmsKeyArn": text("abc")})}, `serverSideEncryption.kmsKeyArn "abc" is not an ARN`},
		{"table policy without principal", typeTablePolicy, bag{"policy": allow("dynamodb:*", "*")}, "exactly one of Principal"},
		{"role name", typeRole, bag{"name": text("a/b")}, `"a/b" is not letters`},
		{"role name too long", typeRole, bag{"name": long(65)}, "name has 65 characters: AWS allows 1 to 64"},
		{"trust with resource", typeRole, bag{"assumeRolePolicy": text(policyText(`{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}`))}, "a trust policy has none"},
		{"trust without principal", typeRole, bag{"assumeRolePolicy": allow("sts:AssumeRole", "*")}, "exactly one of Principal"},
		{"trust of another action", typeRole, bag{"assumeRolePolicy": text(policyText(`{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"lambda:Invoke"}`))}, "may only have actions of sts"},
		{"trust of an invalid service", typeRole, bag{"assumeRolePolicy": trust("lambda")}, `principal "lambda", which is not a valid Service principal`},
		{"trust too long", typeRole, bag{"assumeRolePolicy": text(policyText(`{"Sid":"` + strings.Repeat("x", 2048) + `","Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}`))}, "AWS allows 2048"},
		{"session too long", typeRole, bag{"maxSessionDuration": number(43201)}, "maxSessionDuration is 43201"},
		{"boundary is no ARN", typeRole, bag{"permissionsBoundary": text("x")}, "permissionsBoundary"},
		{"role path", typeRole, bag{"path": text("app")}, "begins and ends with /"},
		{"inline policy of a role", typeRole, bag{"inlinePolicies": list(object(bag{"name": text("x"), "policy": text(policyText(`{"Effect":"Allow","Action":"s3:Get","Resource":"bucket"}`))}))}, `inlinePolicies[0].policy.Statement[0] has resource "bucket"`},
		{"11 managed policies", typeRole, bag{"managedPolicyArns": many(11, func(i int) value { return text(fmt.Sprintf("arn:aws:iam::aws:policy/p%d", i)) })}, "has 11 entries"},
		{"policy too long", typeRolePolicy, bag{"policy": bigPolicy(10240)}, "AWS allows 10240"},
		{"policy with principal", typeRolePolicy, bag{"policy": text(policyText(`{"Effect":"Allow","Principal":"*","Action":"s3:Get","Resource":"*"}`))}, "a policy of a role has none"},
		{"policy with action without service", typeRolePolicy, bag{"policy": allow("GetItem", "*")}, "actions have the form service:Action"},
		{"policy with effect", typeRolePolicy, bag{"policy": text(policyText(`{"Effect":"allow","Action":"s3:Get","Resource":"*"}`))}, `has Effect "allow"`},
		{"policy with unknown element", typeRolePolicy, bag{"policy": text(policyText(`{"Effect":"Allow","Actions":"s3:Get","Resource":"*"}`))}, "unknown field"},
		{"policy without version", typeRolePolicy, bag{"policy": text(`{"Statement":[{"Effect":"Allow","Action":"s3:Get","Resource":"*"}]}`)}, `has Version ""`},
		{"policy without statement", typeRolePolicy, bag{"policy": text(policyText())}, "has no Statement"},
		{"policy with one Sid twice", typeRolePolicy, bag{"policy": text(policyText(`{"Sid":"A","Effect":"Allow","Action":"s3:Get","Resource":"*"}`, `{"Sid":"A","Effect":"Allow","Action":"s3:Put","Resource":"*"}`))}, `repeats Sid "A"`},
		{"policy with Sid", typeRolePolicy, bag{"policy": text(policyText(`{"Sid":"a b","Effect":"Allow","Action":"s3:Get","Resource":"*"}`))}, "letters and digits only"},
		{"policy with condition operator", typeRolePolicy, bag{"policy": text(policyText(`{"Effect":"Allow","Action":"s3:Get","Resource":"*","Condition":{"StringIs":{"a:b":"c"}}}`))}, `condition operator "StringIs"`},
		{"policy with both actions", typeRolePolicy, bag{"policy": text(policyText(`{"Effect":"Allow","Action":"s3:Get","NotAction":"s3:Put","Resource":"*"}`))}, "exactly one of Action and NotAction"},
		{"policy for a role's ARN", typeRolePolicy, bag{"role": text("arn:aws:iam::1:role/x")}, "the name of a role (not its ARN)"},
		{"managed policy too long", typeManagedPolicy, bag{"policy": bigPolicy(6144)}, "AWS allows 6144"},
		{"attachment of no ARN", typeRoleAttachment, bag{"policyArn": text("ReadOnlyAccess")}, "is not an ARN"},
		{"retention", typeLogGroup, bag{"retentionInDays": number(31)}, "retentionInDays is 31: AWS allows 0, 1, 3"},
		{"log group name", typeLogGroup, bag{"name": text("a b")}, "is not letters, digits and . - _ / #"},
		{"log group name of AWS", typeLogGroup, bag{"name": text("aws/x")}, "keeps for itself"},
		{"log group key is no ARN", typeLogGroup, bag{"kmsKeyId": text("alias/x")}, "is not an ARN"},
		{"function without code", typeFunction, bag{"code": null()}, "set code, imageUri or s3Bucket"},
		{"function as image", typeFunction, bag{"code": null(), "imageUri": text("x"), "packageType": text("Image")}, "runs no images"},
		{"function without runtime", typeFunction, bag{"runtime": null()}, "runtime is required with packageType Zip"},
		{"function without handler", typeFunction, bag{"handler": null()}, "handler is required"},
		{"old runtime", typeFunction, bag{"runtime": text("go1.x")}, `"go1.x" is not one of`},
		{"memory", typeFunction, bag{"memorySize": number(127)}, "memorySize is 127: AWS allows 128 to 10240"},
		{"timeout", typeFunction, bag{"timeout": number(901)}, "timeout is 901"},
		{"architecture", typeFunction, bag{"architectures": texts("arm")}, `architectures[0] "arm" is not one of`},
		{"two architectures", typeFunction, bag{"architectures": texts("arm64", "x86_64")}, "architectures has 2 entries"},
		{"reserved variable", typeFunction, variables(bag{"AWS_REGION": text("x")}), "sets AWS_REGION, which Lambda keeps"},
		{"variable name", typeFunction, variables(bag{"1X": text("x")}), `has the name "1X"`},
		{"environment too large", typeFunction, variables(bag{"VALUE": long(4096)}), "bytes: AWS allows 4096"},
		{"log level with text format", typeFunction, bag{"loggingConfig": object(bag{"logFormat": text("Text"), "applicationLogLevel": text("INFO")})}, "needs logFormat JSON"},
		{"snap start", typeFunction, bag{"snapStart": object(bag{"applyOn": text("PublishedVersions")})}, "is not available for runtime provided.al2023"},
		{"function name", typeFunction, bag{"name": long(65)}, "name has 65 characters"},
		{"role is no ARN", typeFunction, bag{"role": text("auth")}, `role "auth" is not an ARN`},
		{"code without bootstrap", typeFunction, bag{"code": bundle(t, "main", "x", 0o755)}, "has no file bootstrap at its root"},
		{"bootstrap is not executable", typeFunction, bag{"code": bundle(t, "bootstrap", "x", 0o644)}, "is not executable"},
		{"code is missing", typeFunction, bag{"code": archiveAt("no/such.zip")}, "build the function first"},
		{"code is a folder without bootstrap", typeFunction, bag{"code": archiveAt(t.TempDir())}, "has no file bootstrap"},
		{"alias version", typeFunctionAlias, bag{"functionVersion": text("live")}, "is not $LATEST or a version number"},
		{"alias is a number", typeFunctionAlias, bag{"name": text("12")}, "an alias cannot be a number"},
		{"two weights", typeFunctionAlias, bag{"routingConfig": object(bag{"additionalVersionWeights": object(bag{"2": number(0.1), "3": number(0.1)})})}, "has 2 entries"},
		{"weight", typeFunctionAlias, bag{"routingConfig": object(bag{"additionalVersionWeights": object(bag{"2": number(10)})})}, "is 10: AWS allows 0 to 1"},
		{"permission action", typePermission, bag{"action": text("invoke")}, "is not an action of lambda"},
		{"permission without principal", typePermission, bag{"principal": null()}, "principal is required"},
		{"permission source", typePermission, bag{"sourceArn": text("api")}, "sourceArn"},
		{"statement id", typePermission, bag{"statementId": text("a b")}, "is not letters, digits, - and _"},
		{"api policy too long", typeRestAPI, bag{"policy": text(policyText(`{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"` + strings.Repeat("x", 8192) + `"}`))}, "AWS allows 8192"},
		{"compression", typeRestAPI, bag{"minimumCompressionSize": text("10485761")}, "AWS allows -1 to 10485760"},
		{"endpoint", typeRestAPI, bag{"endpointConfiguration": object(bag{"types": text("LOCAL")})}, `"LOCAL" is not one of`},
		{"private endpoints", typeRestAPI, bag{"endpointConfiguration": object(bag{"types": text("REGIONAL"), "vpcEndpointIds": texts("vpce-1")})}, "needs types PRIVATE"},
		{"deprecated stage of a deployment", typeDeployment, bag{"stageName": text("v1")}, "use aws.apigateway.Stage"},
		{"stage name", typeStage, bag{"stageName": text("v 1")}, "is not letters, digits, - and _"},
		{"log format without id", typeStage, bag{"accessLogSettings": object(bag{"destinationArn": text("arn:aws:logs:eu-central-1:210987654321:log-group:x"), "format": text(`{"ip":"$context.identity.sourceIp"}`)})}, "must have $context.requestId"},
		{"log format of two lines", typeStage, bag{"accessLogSettings": object(bag{"destinationArn": text("arn:aws:logs:eu-central-1:210987654321:log-group:x"), "format": text("$context.requestId\n")})}, "must be one line"},
		{"cache size", typeStage, bag{"cacheClusterSize": text("1")}, "is not one of"},
		{"method path", typeMethodSettings, bag{"methodPath": text("users/me")}, "is not */* or PATH/METHOD"},
		{"log level", typeMethodSettings, bag{"settings": object(bag{"loggingLevel": text("DEBUG")})}, `settings.loggingLevel "DEBUG"`},
		{"gateway role", typeGatewayAccount, bag{"cloudwatchRoleArn": text("role")}, "is not an ARN"},
		{"factors missing", typeUserPool, bag{"softwareTokenMfaConfiguration": null()}, "mfaConfiguration is OPTIONAL"},
		{"password too short", typeUserPool, bag{"passwordPolicy": object(bag{"minimumLength": number(5)})}, "passwordPolicy.minimumLength is 5"},
		{"names and aliases", typeUserPool, bag{"aliasAttributes": texts("email")}, "aliasAttributes conflicts with usernameAttributes"},
		{"required custom attribute", typeUserPool, bag{"schemas": list(object(bag{"name": text("plan"), "attributeDataType": text("String"), "required": boolean(true)}))}, "cannot be true for the custom attribute"},
		{"attribute name", typeUserPool, bag{"schemas": list(object(bag{"name": long(21), "attributeDataType": text("String")}))}, "schemas[0].name has 21 characters"},
		{"same attribute twice", typeUserPool, bag{"schemas": list(object(bag{"name": text("a"), "attributeDataType": text("String")}), object(bag{"name": text("a"), "attributeDataType": text("Number")}))}, `repeats the attribute "a"`},
		{"message without code", typeUserPool, bag{"emailVerificationMessage": text("your code")}, "has no {####}"},
		{"message twice", typeUserPool, bag{"emailVerificationMessage": text("{####}"), "verificationMessageTemplate": object(bag{"emailMessage": text("{####}")})}, "conflicts with verificationMessageTemplate.emailMessage"},
		{"pool protection", typeUserPool, bag{"deletionProtection": text("ON")}, `"ON" is not one of ACTIVE, INACTIVE`},
		{"sender without key", typeUserPool, bag{"lambdaConfig": object(bag{"customEmailSender": object(bag{"lambdaArn": text("arn:aws:lambda:eu-central-1:210987654321:function:x"), "lambdaVersion": text("V1_0")})})}, "customEmailSender needs lambdaConfig.kmsKeyId"},
		{"flow", typeUserPoolClient, bag{"explicitAuthFlows": texts("ALLOW_PASSWORD")}, `"ALLOW_PASSWORD" is not one of`},
		{"old and new flows", typeUserPoolClient, bag{"explicitAuthFlows": texts("ALLOW_USER_SRP_AUTH", "USER_PASSWORD_AUTH")}, "mixes ALLOW_ flows"},
		{"rotation and refresh", typeUserPoolClient, bag{"refreshTokenRotation": object(bag{"feature": text("ENABLED")})}, "cannot be combined with refreshTokenRotation"},
		{"access token too short", typeUserPoolClient, bag{"accessTokenValidity": number(4), "tokenValidityUnits": object(bag{"accessToken": text("minutes")})}, "accessTokenValidity is 4 minutes"},
		{"id token too long", typeUserPoolClient, bag{"idTokenValidity": number(25)}, "idTokenValidity is 25 hours"},
		{"machine flow without secret", typeUserPoolClient, bag{"allowedOauthFlows": texts("client_credentials"), "generateSecret": null()}, "needs generateSecret"},
		{"oauth without scopes", typeUserPoolClient, bag{"allowedOauthFlowsUserPoolClient": boolean(true)}, "needs allowedOauthFlows and allowedOauthScopes"},
		{"pool id", typeUserPoolClient, bag{"userPoolId": text("users")}, "the id of a user pool"},
		{"parameter without value", typeParameter, bag{"value": null()}, "set value or insecureValue"},
		{"empty parameter", typeParameter, bag{"value": text("")}, "a parameter needs a value"},
		{"plain secret parameter", typeParameter, bag{"value": null(), "insecureValue": text("x"), "type": text("SecureString")}, "use value"},
		{"parameter key", typeParameter, bag{"keyId": text("x")}, "only for type SecureString"},
		{"parameter value too large", typeParameter, bag{"value": long(4097)}, "has 4097 bytes"},
		{"parameter pattern", typeParameter, bag{"allowedPattern": text("^x$")}, "does not match allowedPattern"},
		{"parameter pattern is none", typeParameter, bag{"allowedPattern": text("(")}, "is not a regular expression"},
		{"parameter name", typeParameter, bag{"name": text("a/b")}, "must begin with it"},
		{"parameter name of AWS", typeParameter, bag{"name": text("/aws/x")}, "are taken by AWS"},
		{"parameter too deep", typeParameter, bag{"name": text(strings.Repeat("/a", 16))}, "has 16 levels"},
	}
	types, c := resourceTypes(), testCloud(t)
	for _, tc := range cases {
		t.Run(tc.token[strings.LastIndex(tc.token, ":")+1:]+"/"+tc.name, func(t *testing.T) {
			t.Parallel()
			_, problems := types[tc.token].checked(c, &session{}, "logical", []byte("seed"), nil, with(valid(t, tc.token), tc.change))
			require.NotEmpty(t, problems)
			require.Contains(t, reasons(problems), tc.want)
		})
	}
}

func manyTags(n int) value {
	b := bag{}
	for i := range n {
		set(b, fmt.Sprintf("tag%d", i), text("x"))
	}
	return object(b)
}

func archiveAt(path string) value {
	a, err := resource.NewPathArchive(path)
	if err != nil {
		a = &resource.Archive{Path: path}
	}
	return resource.NewProperty(a)
}

func testCloud(t *testing.T) *cloud {
	t.Helper()
	c, err := newCloud(Config{Account: testAccount, Region: testRegion, Now: clock})
	require.NoError(t, err)
	return c
}

func reasons(problems []problem) string {
	var out []string
	for _, p := range problems {
		out = append(out, p.path+" "+p.reason)
	}
	return strings.Join(out, "\n")
}

func TestCheckAccepts(t *testing.T) {
	t.Parallel()
	c := testCloud(t)
	for token, kind := range resourceTypes() {
		t.Run(token, func(t *testing.T) {
			t.Parallel()
			in := valid(t, token)
			checked, problems := kind.checked(c, &session{}, "logical", []byte("seed"), nil, in)
			require.Empty(t, problems)
			again, problems := kind.checked(c, &session{}, "logical", []byte("other"), checked, in)
			require.Empty(t, problems)
			require.Equal(t, checked, again, "a second check is the same")
			require.Empty(t, kind.diff(checked, again).GetDetailedDiff())
		})
	}
}

// Every property may be unknown in a preview, whatever it depends on.
func TestCheckAcceptsUnknown(t *testing.T) {
	t.Parallel()
	c := testCloud(t)
	for token, kind := range resourceTypes() {
		for name := range valid(t, token) {
			t.Run(token+"/"+string(name), func(t *testing.T) {
				t.Parallel()
				in := with(valid(t, token), bag{name: unknown()})
				checked, problems := kind.checked(c, &session{}, "logical", []byte("seed"), nil, in)
				require.Empty(t, problems)
				require.True(t, isUnknown(checked[name]))
			})
		}
	}
}

func TestCheckReportsEveryProblem(t *testing.T) {
	t.Parallel()
	in := with(valid(t, typeFunction), bag{"memorySize": number(1), "timeout": number(0), "runtime": text("cobol"), "language": text("go")})
	_, problems := resourceTypes()[typeFunction].checked(testCloud(t), &session{}, "logical", nil, nil, in)
	require.Len(t, problems, 4)
}

func TestCheckNeverShowsSecrets(t *testing.T) {
	t.Parallel()
	for token, in := range map[string]bag{
		typeSecretVersion: {"secretId": text("x"), "secretString": text("hunter2"), "secretBinary": text("hunter2")},
		typeParameter:     {"name": text("/x"), "type": text("SecureString"), "value": text("hunter2"), "allowedPattern": text("^x$")},
		typeFunction:      variables(bag{"AWS_REGION": text("hunter2"), "1X": text("hunter2")}),
	} {
		_, problems := resourceTypes()[token].checked(testCloud(t), &session{}, "logical", nil, nil, in)
		require.NotEmpty(t, problems)
		require.NotContains(t, reasons(problems), "hunter2")
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		token   string
		old, in bag
		want    string
	}{
		{"made from the logical name", typeRole, nil, bag{}, `^auth-[0-9a-f]{7}$`},
		{"alias has its prefix", typeKmsAlias, nil, bag{}, `^alias/auth-[0-9a-f]{7}$`},
		{"kept once made", typeRole, bag{"name": text("auth-1234567")}, bag{}, `^auth-1234567$`},
		{"made anew after a given one", typeRole, bag{"name": text("mine")}, bag{}, `^auth-[0-9a-f]{7}$`},
		{"given wins", typeRole, bag{"name": text("auth-1234567")}, bag{"name": text("mine")}, `^mine$`},
		{"made from a prefix", typeRole, nil, bag{"namePrefix": text("team-")}, `^team-[0-9a-f]{8}$`},
		{"kept with its prefix", typeRole, bag{"name": text("team-12345678")}, bag{"namePrefix": text("team-")}, `^team-12345678$`},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			kind := resourceTypes()[tc.token]
			first, _ := kind.checked(testCloud(t), &session{}, "auth", []byte("seed"), tc.old, tc.in)
			second, problems := kind.checked(testCloud(t), &session{}, "auth", []byte("seed"), tc.old, tc.in)
			require.NotContains(t, reasons(problems), "name")
			require.Regexp(t, tc.want, getText(first, "name"))
			require.Equal(t, first["name"], second["name"], "one seed makes one name")
		})
	}
}

func TestNameTooLongForAWS(t *testing.T) {
	t.Parallel()
	_, problems := resourceTypes()[typeRole].checked(testCloud(t), &session{}, strings.Repeat("x", 64), []byte("seed"), nil, bag{"assumeRolePolicy": trust("lambda.amazonaws.com")})
	require.Contains(t, reasons(problems), `name cannot be made from`)
}

func TestNameMadeIsCheckedToo(t *testing.T) {
	t.Parallel()
	_, problems := resourceTypes()[typeRole].checked(testCloud(t), &session{}, "my/role", []byte("seed"), nil, bag{"assumeRolePolicy": trust("lambda.amazonaws.com")})
	require.Contains(t, reasons(problems), "is not letters")
}

func TestPolicyGivenAsObject(t *testing.T) {
	t.Parallel()
	document := resource.NewPropertyValue(map[string]any{"Version": "2012-10-17", "Statement": []any{
		map[string]any{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"},
	}})
	in, problems := resourceTypes()[typeManagedPolicy].checked(testCloud(t), &session{}, "p", []byte("seed"), nil, bag{"policy": document})
	require.Empty(t, problems)
	require.JSONEq(t, policyText(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`), getText(in, "policy"))
}
