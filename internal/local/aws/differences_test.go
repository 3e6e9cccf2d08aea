package aws_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/local/aws"
)

// side is where a probe is made: at moto itself, or at a front before it.
type side struct {
	t     *testing.T
	front *local // nil at moto
}

type m = map[string]any

// do makes a JSON call and tells how it ended ("ok", or the error's name) and what it answered.
func (d side) do(service, target string, body m) (string, m) {
	d.t.Helper()
	target = map[string]string{
		"dynamodb": "DynamoDB_20120810.", "streams": "DynamoDBStreams_20120810.", "kms": "TrentService.",
		"secretsmanager": "secretsmanager.", "cognito-idp": "AWSCognitoIdentityProviderService.",
	}[service] + target
	if service == "streams" {
		service = "dynamodb"
	}
	var status int
	var answer m
	if d.front != nil {
		status, answer = d.front.post(d.t, service, target, body)
	} else {
		status, answer = d.direct(service, target, body)
	}
	if status == http.StatusOK {
		return "ok", answer
	}
	name, _ := answer["__type"].(string)
	if name == "" {
		name = fmt.Sprint(status)
	}
	return name[strings.LastIndex(name, "#")+1:], answer
}

func (d side) direct(service, target string, body m) (int, m) {
	raw, err := json.Marshal(body)
	require.NoError(d.t, err)
	r, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, backend, bytes.NewReader(raw))
	require.NoError(d.t, err)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", target)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIADIRECT/20260101/"+region+"/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(r)
	require.NoError(d.t, err)
	defer func() { _ = resp.Body.Close() }()
	all, err := io.ReadAll(resp.Body)
	require.NoError(d.t, err)
	answer := m{}
	_ = json.Unmarshal(all, &answer) // a failure of moto's is a page of HTML
	return resp.StatusCode, answer
}

// must is do where only success will do.
func (d side) must(service, target string, body m) m {
	d.t.Helper()
	code, answer := d.do(service, target, body)
	require.Equal(d.t, "ok", code, "%s %v", target, answer)
	return answer
}

// code is how a call ends.
func (d side) code(service, target string, body m) string {
	d.t.Helper()
	code, _ := d.do(service, target, body)
	return code
}

func (d side) mails() int {
	if d.front == nil {
		return 0
	}
	return len(d.front.Mails())
}

func str(v string) m { return m{"S": v} }

func (d side) table() string {
	name := unique("probe")
	d.must("dynamodb", "CreateTable", m{
		"TableName": name, "BillingMode": "PAY_PER_REQUEST", "KeySchema": []m{{"AttributeName": "pk", "KeyType": "HASH"}},
		"AttributeDefinitions": []m{{"AttributeName": "pk", "AttributeType": "S"}},
		"StreamSpecification":  m{"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
	})
	return name
}

func (d side) item(table, pk string) any {
	return d.must("dynamodb", "GetItem", m{"TableName": table, "Key": m{"pk": str(pk)}})["Item"]
}

func addOne(table, pk string) m {
	return m{"TableName": table, "Key": m{"pk": str(pk)}, "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": m{":one": m{"N": "1"}}}
}

// users is a pool of a probe with one client, which has a secret and may use passwords.
type users struct {
	side
	pool, client, secret string
}

func (d side) users(client m) users {
	d.t.Helper()
	pool := d.must("cognito-idp", "CreateUserPool", m{
		"PoolName": unique("probe"), "UsernameAttributes": []string{"email"}, "AutoVerifiedAttributes": []string{"email"},
		"UsernameConfiguration": m{"CaseSensitive": false},
	})["UserPool"].(m)["Id"].(string)
	in := m{
		"UserPoolId": pool, "ClientName": "c", "PreventUserExistenceErrors": "ENABLED",
		"ExplicitAuthFlows": []string{"ALLOW_USER_PASSWORD_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH"},
	}
	for k, v := range client {
		in[k] = v
	}
	made := d.must("cognito-idp", "CreateUserPoolClient", in)["UserPoolClient"].(m)
	return users{d, pool, made["ClientId"].(string), fmt.Sprint(made["ClientSecret"])}
}

func (u users) call(action string, body m) (string, m) {
	u.t.Helper()
	body["ClientId"] = u.client
	return u.do("cognito-idp", action, body)
}

func (u users) ends(action string, body m) string {
	u.t.Helper()
	code, _ := u.call(action, body)
	return code
}

func (u users) signUp(name string) string {
	return u.ends("SignUp", m{"Username": name, "Password": password})
}

func (u users) signIn(name, password string) string {
	return u.ends("InitiateAuth", m{"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": m{"USERNAME": name, "PASSWORD": password}})
}

// member is a confirmed user with a verified address.
func (u users) member(name string) users {
	u.t.Helper()
	require.Equal(u.t, "ok", u.signUp(name))
	u.must("cognito-idp", "AdminConfirmSignUp", m{"UserPoolId": u.pool, "Username": name})
	u.must("cognito-idp", "AdminUpdateUserAttributes", m{"UserPoolId": u.pool, "Username": name, "UserAttributes": []m{{"Name": "email_verified", "Value": "true"}}})
	return u
}

func (u users) admin(action, name string) string {
	u.t.Helper()
	return u.code("cognito-idp", action, m{"UserPoolId": u.pool, "Username": name})
}

func (d side) key() string {
	d.t.Helper()
	return d.must("kms", "CreateKey", m{})["KeyMetadata"].(m)["KeyId"].(string)
}

func (d side) seal(key string, bound m) any {
	if bound == nil {
		bound = m{}
	}
	return d.must("kms", "Encrypt", m{"KeyId": key, "Plaintext": base64.StdEncoding.EncodeToString([]byte("x")), "EncryptionContext": bound})["CiphertextBlob"]
}

// probe makes the same calls at moto and at the front, and tells what it saw.
type probe struct {
	see       func(d side) string
	moto, aws string
}

const (
	ann = "ann@example.org"
	bob = "bob@example.org"
)

// Each row of the table is proven by one probe, whose answers at moto and at the front are those that the row describes. When
// moto is mended, the probe at moto fails and says that the mend can go.
func TestDifferences(t *testing.T) {
	t.Parallel()
	probes := map[string]probe{}
	for _, part := range []map[string]probe{dynamodbProbes(), cognitoProbes(), otherProbes()} {
		for name, p := range part {
			probes[name] = p
		}
	}
	for _, row := range aws.Differences() {
		name := row.Service + " " + row.Operation
		p, found := probes[name]
		require.True(t, found, "no probe proves %q", name)
		delete(probes, name)
		for field, v := range map[string]string{"Moto": row.Moto, "AWS": row.AWS, "How": row.How} {
			assert.NotEmpty(t, v, "%s of %q", field, name)
		}
		assert.Equal(t, p.moto == p.aws, strings.HasPrefix(row.How, "nothing: "), "%q: is it mended?", name)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, p.moto, p.see(side{t: t}), "moto")
			assert.Equal(t, p.aws, p.see(side{t: t, front: start(t)}), "front")
		})
	}
	assert.Empty(t, probes, "probes without a row")
}

func dynamodbProbes() map[string]probe {
	transaction := func(table string, items ...m) m { return m{"TransactItems": items} }
	return map[string]probe{
		"dynamodb TransactWriteItems rollback": {seeRollback, "lost", "kept"},
		"dynamodb TransactWriteItems token": {func(d side) string {
			name := d.table()
			in := transaction(name, m{"Update": addOne(name, "a")})
			in["ClientRequestToken"] = "token"
			d.must("dynamodb", "TransactWriteItems", in)
			d.must("dynamodb", "TransactWriteItems", in)
			return fmt.Sprint(d.item(name, "a").(m)["n"])
		}, "map[N:2]", "map[N:1]"},
		"dynamodb TransactGetItems count": {func(d side) string {
			name, items := d.table(), []m{}
			for i := range 26 {
				items = append(items, m{"Get": m{"TableName": name, "Key": m{"pk": str(fmt.Sprint(i))}}})
			}
			return d.code("dynamodb", "TransactGetItems", transaction(name, items...))
		}, "ValidationException", "ok"},
		"dynamodb BatchWriteItem count":      {func(d side) string { return d.code("dynamodb", "BatchWriteItem", batch(d.table(), 26, false)) }, "ok", "ValidationException"},
		"dynamodb BatchWriteItem duplicates": {func(d side) string { return d.code("dynamodb", "BatchWriteItem", batch(d.table(), 2, true)) }, "ok", "ValidationException"},
		"dynamodb UpdateItem too large": {func(d side) string {
			name := d.table()
			in := addOne(name, "a")
			in["UpdateExpression"], in["ExpressionAttributeValues"] = "SET v = :v", m{":v": str(strings.Repeat("x", 410_000))}
			return fmt.Sprint(d.code("dynamodb", "UpdateItem", in), d.item(name, "a"))
		}, "ValidationExceptionmap[pk:map[S:a]]", "ValidationException<nil>"},
		"dynamodb Item size": {func(d side) string {
			return d.code("dynamodb", "PutItem", m{"TableName": d.table(), "Item": m{"pk": str("a"), "v": str(strings.Repeat("x", 406_000))}})
		}, "ValidationException", "ValidationException"},
		"dynamodb ConsumedCapacity": {func(d side) string {
			in := m{"TableName": d.table(), "Item": m{"pk": str("a"), "v": str(strings.Repeat("x", 5000))}, "ReturnConsumedCapacity": "TOTAL"}
			capacity, _ := d.must("dynamodb", "PutItem", in)["ConsumedCapacity"].(m)
			return fmt.Sprint(capacity["CapacityUnits"])
		}, "1", "<nil>"},
		"dynamodb Time to live": {func(d side) string {
			name := d.table()
			d.must("dynamodb", "UpdateTimeToLive", m{"TableName": name, "TimeToLiveSpecification": m{"Enabled": true, "AttributeName": "ttl"}})
			d.must("dynamodb", "PutItem", m{"TableName": name, "Item": m{"pk": str("a"), "ttl": m{"N": fmt.Sprint(time.Now().Add(-time.Hour).Unix())}}})
			if d.front != nil {
				require.NoError(d.t, d.front.Sweep(d.t.Context()))
			}
			return fmt.Sprint(d.item(name, "a") != nil)
		}, "true", "false"},
		"dynamodb Stream label": {func(d side) string {
			name := d.table()
			described := d.must("dynamodb", "DescribeTable", m{"TableName": name})["Table"].(m)
			listed := d.must("streams", "ListStreams", m{"TableName": name})["Streams"].([]any)[0].(m)
			stream := d.must("streams", "DescribeStream", m{"StreamArn": described["LatestStreamArn"]})["StreamDescription"].(m)
			label := described["LatestStreamLabel"].(string)
			for _, arn := range []any{described["LatestStreamArn"], listed["StreamArn"], stream["StreamArn"]} {
				require.True(d.t, strings.HasSuffix(arn.(string), "/stream/"+label), "%v does not end with %s", arn, label)
			}
			require.Equal(d.t, label, listed["StreamLabel"])
			require.Equal(d.t, label, stream["StreamLabel"])
			return fmt.Sprint(len(label) > len("2026-01-01T00:00:00.000"))
		}, "true", "false"},
		"dynamodb GetRecords": {func(d side) string {
			name := d.table()
			in := addOne(name, "a")
			in["UpdateExpression"] = "SET n = :one"
			d.must("dynamodb", "UpdateItem", in)
			d.must("dynamodb", "UpdateItem", in)
			arn := d.must("streams", "ListStreams", m{"TableName": name})["Streams"].([]any)[0].(m)["StreamArn"]
			shard := d.must("streams", "DescribeStream", m{"StreamArn": arn})["StreamDescription"].(m)["Shards"].([]any)[0].(m)["ShardId"]
			iterator := d.must("streams", "GetShardIterator", m{"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"})["ShardIterator"]
			names := ""
			for _, r := range d.must("streams", "GetRecords", m{"ShardIterator": iterator})["Records"].([]any) {
				names += fmt.Sprint(r.(m)["eventName"], " ")
			}
			return names
		}, "INSERT INSERT MODIFY ", "INSERT "},
	}
}

// batch puts items into a table, all of one key if so asked.
func batch(table string, count int, same bool) m {
	var requests []m
	for i := range count {
		pk := fmt.Sprint("b", i)
		if same {
			pk = "same"
		}
		requests = append(requests, m{"PutRequest": m{"Item": m{"pk": str(pk), "v": str(fmt.Sprint(i))}}})
	}
	return m{"RequestItems": m{table: requests}}
}

// seeRollback counts while transactions are canceled, and tells whether an acknowledged count is gone. Moto copies the table for
// each transaction, so a table of some size makes sure that counts fall between copy and rollback.
func seeRollback(d side) string {
	name := d.table()
	for i := range 40 {
		var requests []m
		for j := range 25 {
			requests = append(requests, m{"PutRequest": m{"Item": m{"pk": str(fmt.Sprint("filler", i, "-", j))}}})
		}
		d.must("dynamodb", "BatchWriteItem", m{"RequestItems": m{name: requests}})
	}
	counted := 0
	count := func() {
		d.must("dynamodb", "UpdateItem", addOne(name, "counter"))
		counted++
	}
	count()
	for range 10 {
		done := make(chan string, 1)
		go func() {
			code, _ := d.do("dynamodb", "TransactWriteItems", m{"TransactItems": []m{
				{"ConditionCheck": m{"TableName": name, "Key": m{"pk": str("none")}, "ConditionExpression": "attribute_exists(pk)"}},
			}})
			done <- code
		}()
		for len(done) == 0 {
			count()
		}
		require.Equal(d.t, "TransactionCanceledException", <-done)
		if got := d.item(name, "counter").(m)["n"].(m)["N"]; got != fmt.Sprint(counted) {
			return "lost"
		}
	}
	return "kept"
}

func cognitoProbes() map[string]probe {
	return map[string]probe{
		"cognito-idp SignUp": {func(d side) string {
			u := d.users(nil)
			return fmt.Sprint(u.signUp(ann), u.mails())
		}, "ok0", "ok1"},
		"cognito-idp ConfirmSignUp": {func(d side) string {
			u := d.users(nil)
			u.signUp(ann)
			return u.ends("ConfirmSignUp", m{"Username": ann, "ConfirmationCode": "wrong"})
		}, "ok", "CodeMismatchException"},
		"cognito-idp ResendConfirmationCode": {func(d side) string {
			u := d.users(nil)
			u.signUp(ann)
			return u.ends("ResendConfirmationCode", m{"Username": ann})
		}, "500", "ok"},
		"cognito-idp ForgotPassword": {func(d side) string {
			u := d.users(nil).member(ann)
			before := u.mails()
			return fmt.Sprint(u.ends("ForgotPassword", m{"Username": ann}), u.mails()-before)
		}, "ok0", "ok1"},
		"cognito-idp ConfirmForgotPassword": {func(d side) string {
			u := d.users(nil).member(ann)
			u.ends("ForgotPassword", m{"Username": ann})
			return u.ends("ConfirmForgotPassword", m{"Username": ann, "ConfirmationCode": "wrong", "Password": "x"})
		}, "ok", "CodeMismatchException"},
		"cognito-idp AdminResetUserPassword": {func(d side) string {
			u := d.users(nil).member(ann)
			before := u.mails()
			return fmt.Sprint(u.admin("AdminResetUserPassword", ann), u.mails()-before, u.signIn(ann, password))
		}, "ok0ok", "ok1PasswordResetRequiredException"},
		"cognito-idp SecretHash": {func(d side) string {
			u := d.users(m{"GenerateSecret": true})
			return u.ends("SignUp", m{"Username": ann, "Password": password, "SecretHash": "wrong"})
		}, "ok", "NotAuthorizedException"},
		"cognito-idp PreventUserExistenceErrors": {func(d side) string { return d.users(nil).signIn(ann, password) }, "UserNotFoundException", "NotAuthorizedException"},
		"cognito-idp ExplicitAuthFlows": {func(d side) string {
			u := d.users(m{"ExplicitAuthFlows": []string{"ALLOW_REFRESH_TOKEN_AUTH"}}).member(ann)
			return u.signIn(ann, password)
		}, "ok", "InvalidParameterException"},
		"cognito-idp USER_SRP_AUTH": {func(d side) string {
			u := d.users(m{"ExplicitAuthFlows": []string{"ALLOW_USER_SRP_AUTH"}}).member(ann)
			code, first := u.call("InitiateAuth", m{"AuthFlow": "USER_SRP_AUTH", "AuthParameters": m{"USERNAME": ann, "SRP_A": "0"}})
			if code != "ok" {
				return code
			}
			block := first["ChallengeParameters"].(m)["SECRET_BLOCK"]
			return u.ends("RespondToAuthChallenge", m{"ChallengeName": "PASSWORD_VERIFIER", "ChallengeResponses": m{
				"USERNAME": ann, "PASSWORD_CLAIM_SIGNATURE": "none", "PASSWORD_CLAIM_SECRET_BLOCK": block, "TIMESTAMP": "now",
			}})
		}, "ok", "InvalidParameterException"},
		"cognito-idp Lockout": {func(d side) string {
			u := d.users(nil).member(ann)
			for range 5 {
				u.signIn(ann, "wrong")
			}
			return u.signIn(ann, password)
		}, "ok", "NotAuthorizedException"},
		"cognito-idp AdminInitiateAuth unconfirmed": {func(d side) string {
			u := d.users(nil)
			u.signUp(ann)
			return u.ends("AdminInitiateAuth", m{"UserPoolId": u.pool, "AuthFlow": "ADMIN_USER_PASSWORD_AUTH", "AuthParameters": m{"USERNAME": ann, "PASSWORD": password}})
		}, "ok", "UserNotConfirmedException"},
		"cognito-idp Session": {func(d side) string {
			u := d.users(nil).member(bob)
			u.must("cognito-idp", "AdminCreateUser", m{"UserPoolId": u.pool, "Username": ann, "TemporaryPassword": password})
			_, first := u.call("InitiateAuth", m{"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": m{"USERNAME": ann, "PASSWORD": password}})
			return u.ends("RespondToAuthChallenge", m{"ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": first["Session"], "ChallengeResponses": m{
				"USERNAME": bob, "NEW_PASSWORD": newPassword,
			}})
		}, "ok", "NotAuthorizedException"},
		"cognito-idp TOTP": {func(d side) string {
			u := d.users(nil).member(ann)
			_, signed := u.call("InitiateAuth", m{"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": m{"USERNAME": ann, "PASSWORD": password}})
			token := signed["AuthenticationResult"].(m)["AccessToken"]
			u.must("cognito-idp", "AssociateSoftwareToken", m{"AccessToken": token})
			return u.code("cognito-idp", "VerifySoftwareToken", m{"AccessToken": token, "UserCode": "wrong"})
		}, "ok", "EnableSoftwareTokenMFAException"},
		"cognito-idp Password length": {func(d side) string {
			return d.users(nil).ends("SignUp", m{"Username": ann, "Password": "Aa1!" + strings.Repeat("x", 200)})
		}, "InvalidPasswordException", "ok"},
		"cognito-idp Username case": {func(d side) string {
			u := d.users(nil)
			u.signUp(ann)
			return u.signUp("ANN@example.org")
		}, "ok", "UsernameExistsException"},
	}
}

func otherProbes() map[string]probe {
	return map[string]probe{
		"kms Key state": {func(d side) string {
			key, doomed := d.key(), d.key()
			sealed := d.seal(key, nil)
			d.do("kms", "DisableKey", m{"KeyId": key})
			d.must("kms", "ScheduleKeyDeletion", m{"KeyId": doomed, "PendingWindowInDays": 7})
			return d.code("kms", "Decrypt", m{"CiphertextBlob": sealed}) + " " + d.code("kms", "GenerateDataKey", m{"KeyId": doomed, "KeySpec": "AES_256"})
		}, "ok ok", "DisabledException KMSInvalidStateException"},
		"kms Encryption context": {func(d side) string {
			return d.code("kms", "Decrypt", m{"CiphertextBlob": d.seal(d.key(), m{"a": "b"}), "EncryptionContext": m{"ab": ""}})
		}, "ok", "InvalidCiphertextException"},
		"kms Decrypt with another key": {func(d side) string {
			return d.code("kms", "Decrypt", m{"CiphertextBlob": d.seal(d.key(), nil), "KeyId": d.key()})
		}, "AccessDeniedException", "IncorrectKeyException"},
		"secretsmanager GetSecretValue": {func(d side) string {
			name := unique("probe")
			first := d.must("secretsmanager", "CreateSecret", m{"Name": name, "SecretString": "one", "ClientRequestToken": strings.Repeat("1", 32)})["VersionId"]
			second := d.must("secretsmanager", "PutSecretValue", m{"SecretId": name, "SecretString": "two", "VersionStages": []string{"AWSPENDING"}, "ClientRequestToken": strings.Repeat("2", 32)})["VersionId"]
			d.must("secretsmanager", "UpdateSecretVersionStage", m{"SecretId": name, "VersionStage": "AWSCURRENT", "MoveToVersionId": second, "RemoveFromVersionId": first})
			return fmt.Sprint(d.must("secretsmanager", "GetSecretValue", m{"SecretId": name})["SecretString"])
		}, "one", "two"},
		"secretsmanager BatchGetSecretValue": {func(d side) string {
			name := unique("probe")
			d.must("secretsmanager", "CreateSecret", m{"Name": name})
			return d.code("secretsmanager", "BatchGetSecretValue", m{"SecretIdList": []string{name}})
		}, "ResourceNotFoundException", "ok"},
		"secretsmanager Deleted secret": {func(d side) string {
			name := unique("probe")
			d.must("secretsmanager", "CreateSecret", m{"Name": name, "SecretString": "x"})
			d.must("secretsmanager", "DeleteSecret", m{"SecretId": name})
			return d.code("secretsmanager", "PutSecretValue", m{"SecretId": name, "SecretString": "y", "ClientRequestToken": strings.Repeat("1", 32)})
		}, "ok", "InvalidRequestException"},
		"sts GetCallerIdentity": {func(d side) string {
			return d.between("<Arn>", d.query(d.own(), url.Values{"Action": {"GetCallerIdentity"}}))
		}, "arn:aws:sts::111122223333:user/moto", "arn:aws:sts::111122223333:assumed-role/expenzez-dev-auth-api/local"},
		"sts AssumeRole": {func(d side) string {
			out := d.query(d.own(), url.Values{"Action": {"AssumeRole"}, "RoleArn": {role}, "RoleSessionName": {"me"}})
			assumed := sdk.Credentials{AccessKeyID: d.between("<AccessKeyId>", out), SecretAccessKey: d.between("<SecretAccessKey>", out), SessionToken: d.between("<SessionToken>", out)}
			front := d.front
			if front == nil { // what moto hands out is not known to the front
				front = start(d.t)
			}
			answer := side{d.t, front}.query(assumed, url.Values{"Action": {"GetCallerIdentity"}})
			return d.between("<Code>", answer) + d.between("<Account>", answer)
		}, "InvalidClientTokenId", account},
	}
}

// own are the credentials that a side has anyway.
func (d side) own() sdk.Credentials {
	d.t.Helper()
	if d.front == nil {
		return sdk.Credentials{AccessKeyID: "AKIADIRECT", SecretAccessKey: "secret"}
	}
	id, secret, token, err := d.front.Credentials(d.t.Context(), role)
	require.NoError(d.t, err)
	return sdk.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token}
}

// query makes a call to STS, which speaks forms and XML.
func (d side) query(c sdk.Credentials, form url.Values) string {
	d.t.Helper()
	to := backend
	if d.front != nil {
		to = d.front.url
	}
	form.Set("Version", "2011-06-15")
	r, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, to, strings.NewReader(form.Encode()))
	require.NoError(d.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	require.NoError(d.t, v4.NewSigner().SignHTTP(d.t.Context(), c, r, hash(form.Encode()), "sts", region, time.Now()))
	resp, err := http.DefaultClient.Do(r)
	require.NoError(d.t, err)
	defer func() { _ = resp.Body.Close() }()
	all, err := io.ReadAll(resp.Body)
	require.NoError(d.t, err)
	return string(all)
}

// between is the text of the first element of the name; empty if there is none.
func (d side) between(tag, answer string) string {
	_, after, _ := strings.Cut(answer, tag)
	value, _, _ := strings.Cut(after, "<")
	return value
}
