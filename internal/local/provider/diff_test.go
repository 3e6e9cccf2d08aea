package provider

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/require"
)

const (
	added    = pulumirpc.PropertyDiff_ADD
	updated  = pulumirpc.PropertyDiff_UPDATE
	dropped  = pulumirpc.PropertyDiff_DELETE
	replaced = pulumirpc.PropertyDiff_UPDATE_REPLACE
)

func TestDiff(t *testing.T) {
	t.Parallel()
	type want map[string]pulumirpc.PropertyDiff_Kind
	indexed := func(names ...string) bag {
		var vs []value
		for _, n := range names {
			vs = append(vs, object(gsi(n)))
		}
		return bag{"globalSecondaryIndexes": list(vs...)}
	}
	cases := []struct {
		name, token string
		old, new    bag
		want        want
		first       bool // the old one must be deleted first
	}{
		{"key description", typeKmsKey, nil, bag{"description": text("other")}, want{"description": updated}, false},
		{"key description left to AWS", typeKmsKey, nil, bag{"description": null()}, want{}, false},
		{"key spec", typeKmsKey, bag{"enableKeyRotation": null()}, bag{"enableKeyRotation": null(), "customerMasterKeySpec": text("RSA_2048")}, want{"customerMasterKeySpec": replaced}, false},
		{"same policy in other words", typeKmsKey, nil, bag{"policy": text(`{"Statement":{"Resource":["*"],"Principal":{"AWS":["arn:aws:iam::` + testAccount + `:root"]},"Action":["kms:*"],"Effect":"Allow"},"Version":"2012-10-17"}`)}, want{}, false},
		{"other policy", typeKmsKey, nil, bag{"policy": keyPolicy(`{"Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*"}`)}, want{"policy": updated}, false},
		{"unknown policy", typeKmsKey, nil, bag{"policy": unknown()}, want{"policy": updated}, false},
		{"tag", typeKmsKey, bag{"tags": object(bag{"A": text("1"), "B": text("1")})}, bag{"tags": object(bag{"A": text("2"), "C": text("1")})},
			want{"tags.A": updated, "tags.B": dropped, "tags.C": added, "tagsAll.A": updated, "tagsAll.B": dropped, "tagsAll.C": added}, false},
		{"alias name", typeKmsAlias, nil, bag{"name": text("alias/other")}, want{"name": replaced}, false},
		{"alias target", typeKmsAlias, nil, bag{"targetKeyId": text("5678")}, want{"targetKeyId": updated}, false},
		{"secret name", typeSecret, nil, bag{"name": text("/other")}, want{"name": replaced}, false},
		{"recovery window", typeSecret, nil, bag{"recoveryWindowInDays": null()}, want{"recoveryWindowInDays": updated}, false},
		{"secret value", typeSecretVersion, nil, bag{"secretString": text("other")}, want{"secretString": replaced}, false},
		{"secret of a policy", typeSecretPolicy, nil, bag{"secretArn": text("arn:aws:secretsmanager:eu-central-1:210987654321:secret:y-AbCdEf")}, want{"secretArn": replaced}, false},
		{"table name", typeTable, nil, bag{"name": text("other")}, want{"name": replaced}, false},
		{"table key", typeTable, nil, bag{"hashKey": text("sk"), "rangeKey": text("pk")}, want{"hashKey": replaced, "rangeKey": replaced}, true},
		{"table key type", typeTable, nil, bag{"attributes": list(object(bag{"name": text("pk"), "type": text("N")}), object(bag{"name": text("sk"), "type": text("S")}))}, want{"attributes": updated}, false},
		{"attributes in other order", typeTable, nil, bag{"attributes": list(object(bag{"name": text("sk"), "type": text("S")}), object(bag{"type": text("S"), "name": text("pk")}))}, want{}, false},
		{"protection", typeTable, nil, bag{"deletionProtectionEnabled": boolean(true)}, want{"deletionProtectionEnabled": added}, false},
		{"protection said to be off", typeTable, nil, bag{"deletionProtectionEnabled": boolean(false)}, want{}, false},
		{"index added", typeTable, indexed("one"), indexed("one", "two"), want{"globalSecondaryIndexes": updated}, false},
		{"indexes in other order", typeTable, indexed("one", "two"), indexed("two", "one"), want{}, false},
		{"expiry", typeTable, nil, bag{"ttl": object(bag{"enabled": boolean(true), "attributeName": text("expires")})}, want{"ttl": added}, false},
		{"expiry off", typeTable, bag{"ttl": object(bag{"enabled": boolean(true), "attributeName": text("expires")})}, bag{"ttl": object(bag{"enabled": boolean(false), "attributeName": text("expires")})}, want{"ttl.enabled": updated}, false},
		{"recovery days", typeTable, bag{"pointInTimeRecovery": object(bag{"enabled": boolean(true), "recoveryPeriodInDays": number(7)})}, bag{"pointInTimeRecovery": object(bag{"enabled": boolean(true), "recoveryPeriodInDays": number(35)})}, want{"pointInTimeRecovery.recoveryPeriodInDays": updated}, false},
		{"stream view", typeTable, nil, bag{"streamEnabled": boolean(true), "streamViewType": text("NEW_IMAGE")}, want{"streamEnabled": added, "streamViewType": added}, false},
		{"role name", typeRole, nil, bag{"name": text("other")}, want{"name": replaced}, false},
		{"role path", typeRole, nil, bag{"path": text("/app/")}, want{"path": replaced}, true},
		{"role made up name and path", typeRole, bag{"name": null()}, bag{"name": null(), "path": text("/app/")}, want{"path": replaced}, false},
		{"trust", typeRole, nil, bag{"assumeRolePolicy": trust("apigateway.amazonaws.com")}, want{"assumeRolePolicy": updated}, false},
		{"policy", typeRolePolicy, nil, bag{"policy": allow("s3:GetObject", "*")}, want{"policy": updated}, false},
		{"actions of a policy in other order", typeRolePolicy, bag{"policy": text(policyText(`{"Effect":"Allow","Action":["s3:Get","s3:Put"],"Resource":"*"}`))},
			bag{"policy": text(policyText(`{"Effect":"Allow","Resource":["*"],"Action":["s3:Put","s3:Get"]}`))}, want{}, false},
		{"role of a policy", typeRolePolicy, nil, bag{"role": text("other")}, want{"role": replaced}, false},
		{"role of a policy is replaced", typeRolePolicy, nil, bag{"role": unknown()}, want{"role": replaced}, false},
		{"managed policy description", typeManagedPolicy, nil, bag{"description": text("x")}, want{"description": pulumirpc.PropertyDiff_ADD_REPLACE}, true},
		{"attached policy", typeRoleAttachment, nil, bag{"policyArn": text("arn:aws:iam::aws:policy/Other")}, want{"policyArn": replaced}, false},
		{"retention", typeLogGroup, nil, bag{"retentionInDays": number(7)}, want{"retentionInDays": updated}, false},
		{"log class", typeLogGroup, nil, bag{"logGroupClass": text("INFREQUENT_ACCESS")}, want{"logGroupClass": replaced}, true},
		{"code", typeFunction, bag{"code": archiveOf("a")}, bag{"code": archiveOf("b")}, want{"code": updated}, false},
		{"same code elsewhere", typeFunction, bag{"code": archiveOf("a")}, bag{"code": archiveOf("a")}, want{}, false},
		{"memory", typeFunction, nil, bag{"memorySize": number(256)}, want{"memorySize": updated}, false},
		{"no reserved executions", typeFunction, nil, bag{"reservedConcurrentExecutions": number(0)}, want{"reservedConcurrentExecutions": updated}, false},
		{"variable", typeFunction, variables(bag{"AB": text("1"), "CD": text("1")}), variables(bag{"AB": text("2"), "EF": text("1")}),
			want{"environment.variables.AB": updated, "environment.variables.CD": dropped, "environment.variables.EF": added}, false},
		{"architecture", typeFunction, bag{"architectures": texts("arm64")}, bag{"architectures": texts("x86_64")}, want{"architectures[0]": updated}, false},
		{"architecture left to AWS", typeFunction, bag{"architectures": texts("arm64")}, bag{}, want{}, false},
		{"layer added", typeFunction, bag{"layers": texts("arn:aws:lambda:eu-central-1:210987654321:layer:a:1")}, bag{"layers": texts("arn:aws:lambda:eu-central-1:210987654321:layer:a:1", "arn:aws:lambda:eu-central-1:210987654321:layer:b:1")}, want{"layers": updated}, false},
		{"empty variable", typeFunction, variables(bag{"AB": text(""), "CD": text("1")}), variables(bag{"CD": text("1")}), want{"environment.variables.AB": dropped}, false},
		{"function name", typeFunction, nil, bag{"name": text("other")}, want{"name": replaced}, false},
		{"alias version", typeFunctionAlias, nil, bag{"functionVersion": text("2")}, want{"functionVersion": updated}, false},
		{"alias function", typeFunctionAlias, nil, bag{"functionName": text("other")}, want{"functionName": replaced}, false},
		{"permission source", typePermission, nil, bag{"sourceArn": text("arn:aws:execute-api:eu-central-1:210987654321:x/*")}, want{"sourceArn": pulumirpc.PropertyDiff_ADD_REPLACE}, true},
		{"permission qualifier", typePermission, bag{"qualifier": text("live")}, bag{}, want{"qualifier": pulumirpc.PropertyDiff_DELETE_REPLACE}, false},
		{"api body", typeRestAPI, nil, bag{"body": text(apiBody("auth:next"))}, want{"body": updated}, false},
		{"api endpoint", typeRestAPI, nil, bag{"endpointConfiguration": object(bag{"types": text("EDGE")})}, want{"endpointConfiguration.types": updated}, false},
		{"deployment trigger", typeDeployment, nil, bag{"triggers": object(bag{"body": text("other")})}, want{"triggers.body": replaced}, false},
		{"stage deployment", typeStage, nil, bag{"deployment": text("ghi")}, want{"deployment": updated}, false},
		{"stage name", typeStage, nil, bag{"stageName": text("v2")}, want{"stageName": replaced}, false},
		{"throttle", typeMethodSettings, nil, bag{"settings": object(bag{"throttlingBurstLimit": number(40)})}, want{"settings.throttlingBurstLimit": updated}, false},
		{"method path", typeMethodSettings, nil, bag{"methodPath": text("users/GET")}, want{"methodPath": replaced}, false},
		{"gateway role", typeGatewayAccount, nil, bag{"cloudwatchRoleArn": text("arn:aws:iam::210987654321:role/x")}, want{"cloudwatchRoleArn": updated}, false},
		{"pool factors", typeUserPool, nil, bag{"mfaConfiguration": text("ON")}, want{"mfaConfiguration": updated}, false},
		{"pool sign-in names", typeUserPool, nil, bag{"usernameAttributes": texts("email", "phone_number")}, want{"usernameAttributes": replaced}, false},
		{"pool case", typeUserPool, bag{"usernameConfiguration": object(bag{"caseSensitive": boolean(false)})}, bag{"usernameConfiguration": object(bag{"caseSensitive": boolean(true)})}, want{"usernameConfiguration.caseSensitive": replaced}, false},
		{"client secret", typeUserPoolClient, nil, bag{"generateSecret": boolean(false)}, want{"generateSecret": replaced}, false},
		{"flows in other order", typeUserPoolClient, nil, bag{"explicitAuthFlows": texts("ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH")}, want{}, false},
		{"parameter value", typeParameter, nil, bag{"value": text("x")}, want{"value": updated}, false},
		{"parameter made plain", typeParameter, bag{"type": text("SecureString")}, bag{"type": text("String")}, want{"type": replaced}, true},
		{"parameter made secret", typeParameter, nil, bag{"type": text("SecureString")}, want{"type": updated}, false},
		{"parameter tier lowered", typeParameter, bag{"tier": text("Advanced")}, bag{"tier": text("Standard")}, want{"tier": replaced}, true},
	}
	types, c := resourceTypes(), testCloud(t)
	for _, tc := range cases {
		t.Run(tc.token+"/"+tc.name, func(t *testing.T) {
			t.Parallel()
			kind, base := types[tc.token], valid(t, tc.token)
			old, problems := kind.checked(c, &session{}, "logical", []byte("seed"), nil, with(base, tc.old))
			require.Empty(t, problems)
			new, problems := kind.checked(c, &session{}, "logical", []byte("seed"), old, with(base, tc.new))
			require.Empty(t, problems)
			got := kind.diff(old, new)
			kinds := want{}
			for path, d := range got.GetDetailedDiff() {
				kinds[path] = d.GetKind()
				require.True(t, d.GetInputDiff())
			}
			require.Equal(t, tc.want, kinds)
			require.Equal(t, tc.first, got.GetDeleteBeforeReplace())
			require.Equal(t, len(tc.want) > 0, got.GetChanges() == pulumirpc.DiffResponse_DIFF_SOME)
			require.Equal(t, replaces(tc.want), len(got.GetReplaces()) > 0)
		})
	}
}

func replaces(kinds map[string]pulumirpc.PropertyDiff_Kind) bool {
	for _, k := range kinds {
		if k == pulumirpc.PropertyDiff_ADD_REPLACE || k == pulumirpc.PropertyDiff_UPDATE_REPLACE || k == pulumirpc.PropertyDiff_DELETE_REPLACE {
			return true
		}
	}
	return false
}

// archiveOf is a folder-less archive with a hash of its content.
func archiveOf(content string) value {
	asset, err := resource.NewTextAsset(content)
	if err != nil {
		panic(err)
	}
	a, err := resource.NewAssetArchive(map[string]any{"bootstrap": asset})
	if err != nil {
		panic(err)
	}
	return resource.NewProperty(a)
}

func TestMoves(t *testing.T) {
	t.Parallel()
	base := bag{"publish": boolean(true), "code": archiveOf("a"), "memorySize": number(128)}
	cases := []struct {
		name   string
		change bag
		want   []string
	}{
		{"code", bag{"code": archiveOf("b")}, []string{"lastModified", "codeSha256", "sourceCodeHash", "sourceCodeSize", "version", "qualifiedArn", "qualifiedInvokeArn"}},
		{"memory", bag{"memorySize": number(256)}, []string{"lastModified", "version", "qualifiedArn", "qualifiedInvokeArn"}},
		{"tags make no version", bag{"tags": object(bag{"A": text("1")})}, []string{"lastModified"}},
		{"nothing is published", bag{"memorySize": number(256), "publish": null()}, []string{"lastModified"}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, functionMoves(base, with(base, tc.change)))
		})
	}
}
