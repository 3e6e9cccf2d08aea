package provider

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/require"
)

// live is a provider on the emulator, and the emulator's own clients to look and to meddle.
func live(t *testing.T) (client, *Server, *cloud) {
	t.Helper()
	c, s := connect(t, Config{Endpoint: store(t)})
	behind, err := newCloud(Config{Account: testAccount, Region: testRegion, Endpoint: store(t)})
	require.NoError(t, err)
	return c, s, behind
}

func keyIn() bag {
	return bag{"description": text("data"), "enableKeyRotation": boolean(true), "deletionWindowInDays": number(7),
		"policy": keyPolicy(`{"Effect":"Allow","Principal":{"Service":"logs.eu-central-1.amazonaws.com"},"Action":"kms:GenerateDataKey*","Resource":"*"}`),
		"tags":   object(bag{"Project": text("expenzez")})}
}

func TestKeyLives(t *testing.T) {
	t.Parallel()
	c, s, behind := live(t)
	in := keyIn()
	key := c.mustCreate(typeKmsKey, "key", in)
	require.Regexp(t, `^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$`, key.id)
	require.Equal(t, "arn:aws:kms:eu-central-1:210987654321:key/"+key.id, getText(key.out, "arn"))
	c.steady(key, in)

	in = with(in, bag{"description": text("other"), "enableKeyRotation": boolean(false), "isEnabled": boolean(false),
		"policy": keyPolicy(), "tags": object(bag{"Owner": text("me")})})
	key = c.mustUpdate(key, in)
	c.steady(key, in)
	described, err := behind.keys.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &key.id})
	require.NoError(t, err)
	require.False(t, described.KeyMetadata.Enabled)

	_, err = behind.keys.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &key.id})
	require.NoError(t, err)
	drifted, found := c.read(key)
	require.True(t, found)
	require.Contains(t, c.diff(drifted, in).GetDetailedDiff(), "isEnabled")

	require.NoError(t, c.remove(key))
	_, found = c.read(key)
	require.False(t, found, "scheduled for deletion is gone")
	require.Empty(t, s.Resources())
}

func TestAliasLives(t *testing.T) {
	t.Parallel()
	c, _, behind := live(t)
	one, two := c.mustCreate(typeKmsKey, "one", keyIn()), c.mustCreate(typeKmsKey, "two", bag{})
	require.NotEmpty(t, getText(two.out, "policy"), "AWS gives a key a policy")
	in := bag{"name": text("alias/lives"), "targetKeyId": text(one.id)}
	alias := c.mustCreate(typeKmsAlias, "alias", in)
	require.Equal(t, "arn:aws:kms:eu-central-1:210987654321:alias/lives", getText(alias.out, "arn"))
	require.Equal(t, getText(one.out, "arn"), getText(alias.out, "targetKeyArn"))
	c.steady(alias, in)
	in = bag{"name": text("alias/lives"), "targetKeyId": two.out["arn"]}
	alias = c.mustUpdate(alias, in)
	c.steady(alias, in)

	_, err := c.create(typeKmsAlias, "again", in)
	require.ErrorContains(t, err, "already exists")
	_, err = c.create(typeKmsAlias, "nowhere", bag{"name": text("alias/x"), "targetKeyId": text("00000000-0000-4000-8000-000000000000")})
	require.ErrorContains(t, err, "KMSNotFoundException")
	_, err = behind.keys.DeleteAlias(t.Context(), &kms.DeleteAliasInput{AliasName: aws.String("alias/lives")})
	require.NoError(t, err)
	_, found := c.read(alias)
	require.False(t, found)
	require.NoError(t, c.remove(alias))
}

func TestKeysOfLogGroups(t *testing.T) {
	t.Parallel()
	c, _, behind := live(t)
	good, bad := c.mustCreate(typeKmsKey, "good", keyIn()), c.mustCreate(typeKmsKey, "bad", bag{})
	group := c.mustCreate(typeLogGroup, "group", bag{"name": text("keyed"), "kmsKeyId": good.out["arn"]})
	_, err := c.create(typeLogGroup, "other", bag{"name": text("refused"), "kmsKeyId": bad.out["arn"]})
	require.ErrorContains(t, err, "is not allowed for logs.eu-central-1.amazonaws.com")
	_, err = c.create(typeLogGroup, "other", bag{"name": text("refused"), "kmsKeyId": text("arn:aws:kms:eu-central-1:210987654321:key/00000000-0000-4000-8000-000000000000")})
	require.ErrorContains(t, err, "does not exist")
	_, err = behind.keys.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &good.id})
	require.NoError(t, err)
	_, err = c.update(group, bag{"name": text("keyed"), "kmsKeyId": good.out["arn"], "retentionInDays": number(7)}, false)
	require.ErrorContains(t, err, "KMSInvalidStateException")
}

func TestSecretLives(t *testing.T) {
	t.Parallel()
	c, s, behind := live(t)
	key := c.mustCreate(typeKmsKey, "key", bag{})
	in := bag{"name": text("/lives/jwt"), "kmsKeyId": key.out["arn"], "recoveryWindowInDays": number(0), "description": text("keys"), "tags": object(bag{"A": text("1")})}
	secret := c.mustCreate(typeSecret, "secret", in)
	require.Regexp(t, `^arn:aws:secretsmanager:eu-central-1:210987654321:secret:/lives/jwt-[A-Za-z0-9]{6}$`, secret.id)
	c.steady(secret, in)
	policyIn := bag{"secretArn": text(secret.id), "blockPublicPolicy": boolean(true), "policy": valid(t, typeSecretPolicy)["policy"]}
	policy := c.mustCreate(typeSecretPolicy, "policy", policyIn)
	c.steady(policy, policyIn)
	c.steady(secret, in)
	_, err := c.update(policy, with(policyIn, bag{"policy": text(policyText(`{"Effect":"Allow","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"}`))}), false)
	require.ErrorContains(t, err, "PublicPolicyException")

	in = with(in, bag{"description": text("other"), "tags": object(bag{"B": text("1")})})
	secret = c.mustUpdate(secret, in)
	c.steady(secret, in)
	_, err = c.create(typeSecret, "again", in)
	require.ErrorContains(t, err, "ResourceExistsException")
	_, err = behind.secrets.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{SecretId: &secret.id, Description: aws.String("meddled")})
	require.NoError(t, err)
	drifted, _ := c.read(secret)
	require.Contains(t, c.diff(drifted, in).GetDetailedDiff(), "description")

	require.NoError(t, c.remove(policy))
	_, found := c.read(policy)
	require.False(t, found)
	require.NoError(t, c.remove(secret))
	_, found = c.read(secret)
	require.False(t, found)
	require.NoError(t, c.remove(secret))
	again := c.mustCreate(typeSecret, "secret", in)
	require.NoError(t, c.remove(again), "a window of 0 frees the name at once")
	require.Len(t, s.Resources(), 1)
}

func TestSecretRefuses(t *testing.T) {
	t.Parallel()
	c, _, _ := live(t)
	_, err := c.create(typeSecret, "s", bag{"name": text("/refused"), "kmsKeyId": text("arn:aws:kms:eu-central-1:210987654321:key/00000000-0000-4000-8000-000000000000")})
	require.ErrorContains(t, err, "KMSNotFoundException")
	_, err = c.create(typeSecretPolicy, "p", valid(t, typeSecretPolicy))
	require.ErrorContains(t, err, "can't find the secret")
	_, err = c.create(typeSecretVersion, "v", bag{"secretId": text("/refused"), "secretString": text("hunter2")})
	require.ErrorContains(t, err, "ResourceNotFoundException")
	require.NotContains(t, err.Error(), "hunter2")

	plain := c.mustCreate(typeSecret, "plain", bag{"name": text("/plain"), "recoveryWindowInDays": number(0)})
	_, err = c.update(plain, bag{"name": text("/plain"), "recoveryWindowInDays": number(0), "kmsKeyId": text("arn:aws:kms:eu-central-1:210987654321:key/00000000-0000-4000-8000-000000000000")}, false)
	require.ErrorContains(t, err, "KMSNotFoundException")
	guarded := c.mustUpdate(plain, bag{"name": text("/plain"), "recoveryWindowInDays": number(0), "policy": valid(t, typeSecretPolicy)["policy"]})
	c.steady(guarded, bag{"name": text("/plain"), "recoveryWindowInDays": number(0), "policy": valid(t, typeSecretPolicy)["policy"]})

	require.NoError(t, c.remove(guarded))
}

// A secret that is scheduled for deletion keeps its name.
func TestSecretInItsWindow(t *testing.T) {
	t.Parallel()
	c, _, behind := live(t)
	held := c.mustCreate(typeSecret, "held", bag{"name": text("/held"), "recoveryWindowInDays": number(7)})
	require.NoError(t, c.remove(held))
	_, found := c.read(held)
	require.False(t, found)
	_, err := c.create(typeSecret, "held", bag{"name": text("/held")})
	require.Error(t, err)
	_, err = behind.secrets.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: &held.id, ForceDeleteWithoutRecovery: aws.Bool(true)})
	require.NoError(t, err)
}

func TestSecretVersionLives(t *testing.T) {
	t.Parallel()
	c, _, behind := live(t)
	secret := c.mustCreate(typeSecret, "secret", bag{"name": text("/valued"), "recoveryWindowInDays": number(0)})
	in := bag{"secretId": text(secret.id), "secretString": text("one")}
	one := c.mustCreate(typeSecretVersion, "version", in)
	require.Equal(t, secret.id+"|"+getText(one.out, "versionId"), one.id)
	require.True(t, one.out["secretString"].IsSecret())
	c.steady(one, in)
	two := c.mustCreate(typeSecretVersion, "binary", bag{"secretId": text(secret.id), "secretBinary": text("aGk=")})
	require.True(t, two.out["secretBinary"].IsSecret())
	value, err := behind.secrets.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &secret.id, VersionStage: aws.String("AWSCURRENT")})
	require.NoError(t, err)
	require.Equal(t, "hi", string(value.SecretBinary))

	moved := c.mustUpdate(one, with(in, bag{"versionStages": texts("AWSCURRENT", "blue")}))
	described, err := behind.secrets.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &secret.id})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"AWSCURRENT", "blue"}, described.VersionIdsToStages[getText(one.out, "versionId")])
	require.NoError(t, c.remove(moved))
	require.NoError(t, c.remove(two))
	require.NoError(t, c.remove(secret))
	_, found := c.read(two)
	require.False(t, found)
}

func tableIn(name string) bag {
	return bag{
		"name": text(name), "billingMode": text("PAY_PER_REQUEST"), "hashKey": text("pk"), "rangeKey": text("sk"),
		"attributes":             list(object(bag{"name": text("pk"), "type": text("S")}), object(bag{"name": text("sk"), "type": text("S")}), object(bag{"name": text("email"), "type": text("S")})),
		"globalSecondaryIndexes": list(object(bag{"name": text("byEmail"), "hashKey": text("email"), "projectionType": text("INCLUDE"), "nonKeyAttributes": texts("name", "age"), "onDemandThroughput": object(bag{"maxReadRequestUnits": number(10)})})),
		"streamEnabled":          boolean(true), "streamViewType": text("NEW_AND_OLD_IMAGES"),
		"ttl":                       object(bag{"enabled": boolean(true), "attributeName": text("expires")}),
		"pointInTimeRecovery":       object(bag{"enabled": boolean(true), "recoveryPeriodInDays": number(7)}),
		"deletionProtectionEnabled": boolean(true),
		"onDemandThroughput":        object(bag{"maxReadRequestUnits": number(100), "maxWriteRequestUnits": number(100)}),
		"tags":                      object(bag{"Service": text("auth")}),
	}
}

func TestTableLives(t *testing.T) {
	t.Parallel()
	c, s, behind := live(t)
	key := c.mustCreate(typeKmsKey, "key", bag{})
	in := with(tableIn("lives"), bag{"serverSideEncryption": object(bag{"enabled": boolean(true), "kmsKeyArn": key.out["arn"]})})
	users := c.mustCreate(typeTable, "users", in)
	require.Equal(t, "lives", users.id)
	require.Equal(t, "arn:aws:dynamodb:eu-central-1:210987654321:table/lives", getText(users.out, "arn"))
	require.Regexp(t, `^arn:aws:dynamodb:eu-central-1:210987654321:table/lives/stream/.+`, getText(users.out, "streamArn"))
	c.steady(users, in)
	require.ErrorContains(t, c.remove(users), "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")

	policyIn := bag{"resourceArn": users.out["arn"], "policy": valid(t, typeTablePolicy)["policy"]}
	policy := c.mustCreate(typeTablePolicy, "policy", policyIn)
	require.NotEmpty(t, getText(policy.out, "revisionId"))
	c.steady(policy, policyIn)

	in = with(in, bag{
		"attributes":             list(object(bag{"name": text("pk"), "type": text("S")}), object(bag{"name": text("sk"), "type": text("S")}), object(bag{"name": text("month"), "type": text("S")})),
		"globalSecondaryIndexes": list(object(bag{"name": text("byMonth"), "hashKey": text("month"), "projectionType": text("KEYS_ONLY")})),
		"ttl":                    null(), "pointInTimeRecovery": null(), "deletionProtectionEnabled": boolean(false),
		"tags": object(bag{"Owner": text("me")}),
	})
	users = c.mustUpdate(users, in)
	c.steady(users, in)
	described, err := behind.tables.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("lives")})
	require.NoError(t, err)
	require.Len(t, described.Table.GlobalSecondaryIndexes, 1)
	_, err = c.update(users, with(in, bag{"streamViewType": text("NEW_IMAGE")}), false)
	require.ErrorContains(t, err, "cannot open another stream on table lives")
	c.steady(users, in)

	in = with(in, bag{"streamEnabled": boolean(false), "streamViewType": null()})
	users = c.mustUpdate(users, in)
	c.steady(users, in)
	require.NoError(t, c.remove(policy))
	require.NoError(t, c.remove(users))
	require.NoError(t, c.remove(users))
	_, found := c.read(users)
	require.False(t, found)
	_, found = c.read(policy)
	require.False(t, found)
	require.Len(t, s.Resources(), 1)
}

func TestProvisionedTableLives(t *testing.T) {
	t.Parallel()
	c, _, _ := live(t)
	in := bag{
		"name": text("provisioned"), "hashKey": text("pk"), "rangeKey": text("sk"), "readCapacity": number(2), "writeCapacity": number(1),
		"attributes":            list(object(bag{"name": text("pk"), "type": text("S")}), object(bag{"name": text("sk"), "type": text("N")}), object(bag{"name": text("at"), "type": text("S")})),
		"localSecondaryIndexes": list(object(bag{"name": text("byTime"), "rangeKey": text("at"), "projectionType": text("ALL")})),
	}
	users := c.mustCreate(typeTable, "users", in)
	c.steady(users, in)
	in = with(in, bag{"readCapacity": number(5)})
	users = c.mustUpdate(users, in)
	c.steady(users, in)
	in = with(in, bag{"billingMode": text("PAY_PER_REQUEST"), "readCapacity": null(), "writeCapacity": null()})
	users = c.mustUpdate(users, in)
	c.steady(users, in)
	require.NoError(t, c.remove(users))
}

func TestTableDrift(t *testing.T) {
	t.Parallel()
	c, _, behind := live(t)
	in := with(tableIn("drifts"), bag{"deletionProtectionEnabled": boolean(false)})
	users := c.mustCreate(typeTable, "users", in)
	name := aws.String("drifts")
	_, err := behind.tables.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: name, DeletionProtectionEnabled: aws.Bool(true)})
	require.NoError(t, err)
	_, err = behind.tables.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{TableName: name, TimeToLiveSpecification: &dynamotypes.TimeToLiveSpecification{AttributeName: aws.String("expires"), Enabled: aws.Bool(false)}})
	require.NoError(t, err)
	_, err = behind.tables.UpdateContinuousBackups(t.Context(), &dynamodb.UpdateContinuousBackupsInput{TableName: name, PointInTimeRecoverySpecification: &dynamotypes.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(false)}})
	require.NoError(t, err)
	_, err = behind.tables.TagResource(t.Context(), &dynamodb.TagResourceInput{ResourceArn: aws.String(getText(users.out, "arn")), Tags: []dynamotypes.Tag{{Key: aws.String("By"), Value: aws.String("hand")}}})
	require.NoError(t, err)

	drifted, found := c.read(users)
	require.True(t, found)
	diff := c.diff(drifted, in).GetDetailedDiff()
	require.Len(t, diff, 5)
	for _, path := range []string{"deletionProtectionEnabled", "ttl.enabled", "pointInTimeRecovery", "tags.By", "tagsAll.By"} {
		require.Contains(t, diff, path)
	}
	c.steady(c.mustUpdate(drifted, in), in)

	_, err = behind.tables.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: name})
	require.NoError(t, err)
	_, found = c.read(users)
	require.False(t, found)
	_, err = c.update(users, in, false)
	require.ErrorContains(t, err, "ResourceNotFoundException")
}

func TestTableRefuses(t *testing.T) {
	t.Parallel()
	c, _, _ := live(t)
	in := with(tableIn("refuses"), bag{"deletionProtectionEnabled": boolean(false)})
	users := c.mustCreate(typeTable, "users", in)
	_, err := c.create(typeTable, "again", in)
	require.ErrorContains(t, err, "ResourceInUseException")
	missing := object(bag{"enabled": boolean(true), "kmsKeyArn": text("arn:aws:kms:eu-central-1:210987654321:key/00000000-0000-4000-8000-000000000000")})
	_, err = c.create(typeTable, "unkeyed", with(tableIn("unkeyed"), bag{"serverSideEncryption": missing}))
	require.ErrorContains(t, err, "KMSNotFoundException")
	_, err = c.update(users, with(in, bag{"serverSideEncryption": missing}), false)
	require.ErrorContains(t, err, "KMSNotFoundException")
	_, err = c.update(users, with(in, bag{"ttl": object(bag{"enabled": boolean(true), "attributeName": text("other")})}), false)
	require.ErrorContains(t, err, "TimeToLive is active on a different AttributeName")
	_, err = c.create(typeTablePolicy, "policy", valid(t, typeTablePolicy))
	require.ErrorContains(t, err, "ResourceNotFoundException")
	require.NoError(t, c.remove(users))
}

// failing passes calls on to the emulator, except one action, which AWS refuses.
func failing(t *testing.T, action string) string {
	t.Helper()
	target, err := url.Parse(store(t))
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), "."+action) {
			proxy.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"LimitExceededException","message":"not now"}`))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// What exists but could not be completed is kept, and the next update completes it.
func TestHalfMadeIsKept(t *testing.T) {
	t.Parallel()
	for action, tc := range map[string]struct {
		token string
		in    bag
	}{
		"UpdateTimeToLive":     {typeTable, with(tableIn("halfmade"), bag{"deletionProtectionEnabled": boolean(false)})},
		"EnableKeyRotation":    {typeKmsKey, bag{"enableKeyRotation": boolean(true)}},
		"SetUserPoolMfaConfig": {typeUserPool, with(poolIn("halfmade"), bag{"deletionProtection": text("INACTIVE")})},
	} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			world := NewWorld()
			c, s := connect(t, Config{Endpoint: failing(t, action), World: world})
			_, err := c.create(tc.token, "half", tc.in)
			require.ErrorContains(t, err, "not now")
			var kept *pulumirpc.ErrorResourceInitFailed
			for _, d := range rpcerror.Convert(err).Details() {
				if failed, ok := d.(*pulumirpc.ErrorResourceInitFailed); ok {
					kept = failed
				}
			}
			require.NotNil(t, kept)
			require.Equal(t, []Resource{{tc.token, kept.GetId()}}, s.Resources())

			mended, _ := connect(t, Config{Endpoint: store(t), World: world})
			half := made{tc.token, "half", kept.GetId(), mended.unpack(kept.GetInputs()), mended.unpack(kept.GetProperties())}
			whole := mended.mustUpdate(half, tc.in)
			now, found := mended.read(whole)
			require.True(t, found)
			require.Empty(t, mended.diff(now, tc.in).GetDetailedDiff())
			require.NoError(t, mended.remove(whole))
		})
	}
}

func TestTableImport(t *testing.T) {
	t.Parallel()
	c, _, _ := live(t)
	in := with(tableIn("imported"), bag{"deletionProtectionEnabled": boolean(false), "globalSecondaryIndexes": null(), "onDemandThroughput": null(),
		"attributes": list(object(bag{"name": text("pk"), "type": text("S")}), object(bag{"name": text("sk"), "type": text("S")}))})
	users := c.mustCreate(typeTable, "users", in)
	imported, found := c.read(made{token: typeTable, name: "users", id: "imported"})
	require.True(t, found)
	checked, reasons := c.check(typeTable, "users", imported.in, in)
	require.Empty(t, reasons)
	diff := resourceTypes()[typeTable].diff(imported.in, checked)
	require.Len(t, diff.GetDetailedDiff(), 1, "only the class, which the emulator does not hold")
	require.Contains(t, diff.GetDetailedDiff(), "tableClass")
	require.NoError(t, c.remove(users))
}

func poolIn(name string) bag {
	return bag{
		"name": text(name), "usernameAttributes": texts("email"), "usernameConfiguration": object(bag{"caseSensitive": boolean(false)}),
		"autoVerifiedAttributes": texts("email"), "deletionProtection": text("ACTIVE"), "mfaConfiguration": text("OPTIONAL"),
		"softwareTokenMfaConfiguration": object(bag{"enabled": boolean(true)}), "tags": object(bag{"A": text("1")}),
		"passwordPolicy":         object(bag{"minimumLength": number(12), "requireLowercase": boolean(true), "requireNumbers": boolean(true), "requireSymbols": boolean(true), "requireUppercase": boolean(true)}),
		"accountRecoverySetting": object(bag{"recoveryMechanisms": list(object(bag{"name": text("verified_email"), "priority": number(1)}))}),
		"schemas":                list(object(bag{"name": text("email"), "attributeDataType": text("String"), "required": boolean(true), "mutable": boolean(true), "stringAttributeConstraints": object(bag{"minLength": text("3"), "maxLength": text("254")})})),
		"userPoolTier":           text("ESSENTIALS"),
	}
}

func TestUserPoolLives(t *testing.T) {
	t.Parallel()
	c, s, behind := live(t)
	in := poolIn("lives")
	pool := c.mustCreate(typeUserPool, "pool", in)
	require.Regexp(t, `^eu-central-1_[A-Za-z0-9]+$`, pool.id)
	require.Equal(t, "arn:aws:cognito-idp:eu-central-1:210987654321:userpool/"+pool.id, getText(pool.out, "arn"))
	require.Equal(t, "cognito-idp.eu-central-1.amazonaws.com/"+pool.id, getText(pool.out, "endpoint"))
	c.steady(pool, in)
	require.ErrorContains(t, c.remove(pool), "deletion protection is activated")

	clientIn := bag{"name": text("backend"), "userPoolId": text(pool.id), "generateSecret": boolean(true), "preventUserExistenceErrors": text("ENABLED"),
		"explicitAuthFlows": texts("ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"), "accessTokenValidity": number(15), "tokenValidityUnits": object(bag{"accessToken": text("minutes")})}
	app := c.mustCreate(typeUserPoolClient, "client", clientIn)
	require.Regexp(t, `^[a-zA-Z0-9]{26}$`, app.id)
	require.True(t, app.out["clientSecret"].IsSecret())
	c.steady(app, clientIn)
	clientIn = with(clientIn, bag{"accessTokenValidity": number(30), "refreshTokenValidity": number(7)})
	app = c.mustUpdate(app, clientIn)
	c.steady(app, clientIn)

	in = with(in, bag{"mfaConfiguration": text("ON"), "deletionProtection": text("INACTIVE"), "tags": object(bag{"B": text("1")}),
		"schemas": list(in["schemas"].ArrayValue()[0], object(bag{"name": text("plan"), "attributeDataType": text("String"), "mutable": boolean(true)}))})
	pool = c.mustUpdate(pool, in)
	c.steady(pool, in)
	described, err := behind.pools.DescribeUserPool(t.Context(), &cognitoidentityprovider.DescribeUserPoolInput{UserPoolId: &pool.id})
	require.NoError(t, err)
	require.Len(t, described.UserPool.UsernameAttributes, 1, "an update must not forget how users sign in")

	require.NoError(t, c.remove(app))
	_, found := c.read(app)
	require.False(t, found)
	require.NoError(t, c.remove(pool))
	require.NoError(t, c.remove(pool))
	_, found = c.read(pool)
	require.False(t, found)
	require.Empty(t, s.Resources())
}

func TestUserPoolRefuses(t *testing.T) {
	t.Parallel()
	c, _, _ := live(t)
	in := with(poolIn("refuses"), bag{"deletionProtection": text("INACTIVE")})
	pool := c.mustCreate(typeUserPool, "pool", in)
	_, err := c.update(pool, with(in, bag{"schemas": null()}), false)
	require.ErrorContains(t, err, "cannot modify or remove schema items")
	trigger := object(bag{"preSignUp": text("arn:aws:lambda:eu-central-1:210987654321:function:none")})
	_, err = c.update(pool, with(in, bag{"lambdaConfig": trigger}), false)
	require.ErrorContains(t, err, "lambdaConfig.preSignUp: ResourceNotFoundException")
	_, err = c.create(typeUserPool, "other", with(in, bag{"lambdaConfig": trigger}))
	require.ErrorContains(t, err, "Function not found")
	_, err = c.create(typeUserPoolClient, "client", valid(t, typeUserPoolClient))
	require.ErrorContains(t, err, "User pool eu-central-1_AbCdEfGhI does not exist")
}

func TestUserPoolDrift(t *testing.T) {
	t.Parallel()
	c, _, behind := live(t)
	in := with(poolIn("drifts"), bag{"deletionProtection": text("INACTIVE")})
	pool := c.mustCreate(typeUserPool, "pool", in)
	_, err := behind.pools.SetUserPoolMfaConfig(t.Context(), &cognitoidentityprovider.SetUserPoolMfaConfigInput{UserPoolId: &pool.id, MfaConfiguration: "OFF"})
	require.NoError(t, err)
	drifted, found := c.read(pool)
	require.True(t, found)
	require.Contains(t, c.diff(drifted, in).GetDetailedDiff(), "mfaConfiguration")
	_, err = behind.pools.DeleteUserPool(t.Context(), &cognitoidentityprovider.DeleteUserPoolInput{UserPoolId: &pool.id})
	require.NoError(t, err)
	_, found = c.read(pool)
	require.False(t, found)
}

func TestUserPoolClientImport(t *testing.T) {
	t.Parallel()
	c, _, _ := live(t)
	pool := c.mustCreate(typeUserPool, "pool", bag{"name": text("importable")})
	in := bag{"name": text("app"), "userPoolId": text(pool.id)}
	app := c.mustCreate(typeUserPoolClient, "client", in)
	imported, found := c.read(made{token: typeUserPoolClient, name: "client", id: pool.id + "/" + app.id})
	require.True(t, found)
	require.Equal(t, app.id, imported.id)
	require.Empty(t, c.diff(imported, in).GetDetailedDiff())
	_, err := c.Read(t.Context(), &pulumirpc.ReadRequest{Urn: urn(typeUserPoolClient, "client"), Id: app.id})
	require.ErrorContains(t, err, "use POOL/CLIENT")
}

func TestKeyOfAParameter(t *testing.T) {
	t.Parallel()
	c, _, _ := live(t)
	key := c.mustCreate(typeKmsKey, "key", bag{})
	in := bag{"name": text("/secret"), "type": text("SecureString"), "value": text("hunter2"), "keyId": key.out["arn"]}
	made := c.mustCreate(typeParameter, "p", in)
	c.steady(made, in)
	made = c.mustUpdate(made, with(in, bag{"value": text("hunter3")}))
	require.Equal(t, 2.0, getNumber(made.out, "version"))
	_, err := c.create(typeParameter, "q", with(in, bag{"name": text("/other"), "keyId": text("00000000-0000-4000-8000-000000000000")}))
	require.ErrorContains(t, err, "KMSNotFoundException")
	require.NotContains(t, err.Error(), "hunter2")
	byAWS := c.mustCreate(typeParameter, "r", with(in, bag{"name": text("/third"), "keyId": null()}))
	require.Equal(t, "alias/aws/ssm", getText(byAWS.out, "keyId"))
}
