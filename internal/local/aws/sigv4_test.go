package aws_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/local/aws"
)

const listTables = "DynamoDB_20120810.ListTables"

func TestSignatureIsRefused(t *testing.T) {
	t.Parallel()
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	authorization := func(old, replacement string) func(*http.Request) {
		return func(r *http.Request) {
			before := r.Header.Get("Authorization")
			after := strings.Replace(before, old, replacement, 1)
			if after == before {
				panic("the header has no " + old)
			}
			r.Header.Set("Authorization", after)
		}
	}
	for name, c := range map[string]struct {
		change  func(*http.Request)
		code    string
		message string
	}{
		"missing":             {func(r *http.Request) { r.Header.Del("Authorization") }, "MissingAuthenticationTokenException", "missing Authentication Token"},
		"another scheme":      {header("Authorization", "Bearer abc"), "InvalidSignatureException", "AWS4-HMAC-SHA256"},
		"garbage":             {header("Authorization", "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=, Signature="), "InvalidSignatureException", "Credential"},
		"unknown key":         {authorization("Credential=ASIA", "Credential=ASIB"), "UnrecognizedClientException", "security token included in the request is invalid"},
		"no session token":    {func(r *http.Request) { r.Header.Del("X-Amz-Security-Token") }, "UnrecognizedClientException", "invalid"},
		"other session token": {header("X-Amz-Security-Token", "another"), "UnrecognizedClientException", "invalid"},
		"tampered body": {func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(`{"Limit":9}`)), 11
		}, "InvalidSignatureException", "does not match the signature you provided"},
		"tampered target":    {header("X-Amz-Target", "DynamoDB_20120810.DeleteTable"), "InvalidSignatureException", "does not match"},
		"tampered query":     {func(r *http.Request) { r.URL.RawQuery = "a=b" }, "InvalidSignatureException", "does not match"},
		"tampered path":      {func(r *http.Request) { r.URL.Path = "/other" }, "InvalidSignatureException", "does not match"},
		"tampered signature": {authorization("Signature=", "Signature=0"), "InvalidSignatureException", "does not match"},
		"wrong region":       {authorization("/eu-west-2/", "/us-east-1/"), "InvalidSignatureException", "valid region, not 'us-east-1'"},
		"wrong service":      {authorization("/dynamodb/", "/kms/"), "InvalidSignatureException", "correct service: 'dynamodb'"},
		"no service":         {authorization("/dynamodb/", "//"), "InvalidSignatureException", "service"},
		"other terminator":   {authorization("aws4_request", "aws5_request"), "InvalidSignatureException", ""},
		"host not signed":    {authorization(";host;", ";"), "InvalidSignatureException", "'Host'"},
		"target not signed":  {authorization(";x-amz-target", ""), "InvalidSignatureException", "'x-amz-target' must be a 'SignedHeader'"},
		"date unreadable":    {header("X-Amz-Date", "yesterday"), "InvalidSignatureException", "X-Amz-Date"},
		"date missing":       {func(r *http.Request) { r.Header.Del("X-Amz-Date") }, "InvalidSignatureException", "X-Amz-Date"},
		"date of the scope":  {authorization("/20", "/19"), "InvalidSignatureException", "Date in Credential scope does not match"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := start(t)
			status, answer := l.post(t, "dynamodb", listTables, map[string]any{}, c.change)
			assert.Equal(t, http.StatusBadRequest, status)
			assert.Equal(t, "com.amazonaws.dynamodb.v20120810#"+c.code, answer["__type"])
			assert.Contains(t, answer["message"], c.message)
			calls := l.Calls()
			require.Len(t, calls, 1)
			assert.Equal(t, c.code, calls[0].Error)
			assert.Empty(t, calls[0].Principal, "nobody was authenticated")
		})
	}
}

func TestSignatureIsAccepted(t *testing.T) {
	t.Parallel()
	l := start(t)
	status, answer := l.post(t, "dynamodb", listTables, map[string]any{})
	require.Equal(t, http.StatusOK, status, answer)
	status, answer = l.post(t, "dynamodb", listTables, map[string]any{}, func(r *http.Request) {
		r.Header.Set("User-Agent", "unsigned headers that are not Amazon's may change")
	})
	require.Equal(t, http.StatusOK, status, answer)
}

func TestSignatureTime(t *testing.T) {
	t.Parallel()
	for skew, want := range map[time.Duration]string{
		-5*time.Minute - 2*time.Second: "Signature expired", -4 * time.Minute: "", 4 * time.Minute: "",
		5*time.Minute + 2*time.Second: "Signature not yet current",
	} {
		l := start(t)
		signedAt := l.clock.Now().Add(skew)
		c := dynamodb.NewFromConfig(l.as(t, role), func(o *dynamodb.Options) { o.HTTPSignerV4 = signer{&clock{now: signedAt}} })
		_, err := c.ListTables(t.Context(), &dynamodb.ListTablesInput{})
		if want == "" {
			require.NoError(t, err, skew)
			continue
		}
		requireCode(t, err, "InvalidSignatureException", want)
	}
}

func TestSessionExpires(t *testing.T) {
	t.Parallel()
	l := start(t)
	c := l.dynamodb(t)
	list := func() error {
		_, err := c.ListTables(t.Context(), &dynamodb.ListTablesInput{})
		return err
	}
	l.advance(12*time.Hour - time.Second)
	require.NoError(t, list())
	l.advance(time.Second)
	requireCode(t, list(), "ExpiredTokenException", "expired")
	l.advance(13 * time.Hour)
	l.as(t, role) // minting forgets the old keys
	requireCode(t, list(), "UnrecognizedClientException", "invalid")
	admin := dynamodb.NewFromConfig(l.as(t, ""), func(o *dynamodb.Options) { o.HTTPSignerV4 = signer{&l.clock} })
	_, err := admin.ListTables(t.Context(), &dynamodb.ListTablesInput{})
	require.NoError(t, err, "the operator's credentials do not expire")
}

func TestCredentialsRefuse(t *testing.T) {
	t.Parallel()
	l := start(t)
	for _, arn := range []string{
		"", "auth-api", "arn:aws:iam::999999999999:role/x", "arn:aws:iam::" + account + ":user/x", "arn:aws:iam::" + account + ":role/",
		"arn:aws:iam::" + account + ":role/a b", "x arn:aws:iam::" + account + ":role/a",
	} {
		_, _, _, err := l.Credentials(t.Context(), arn)
		assert.ErrorContains(t, err, "is not the ARN of a role in account "+account, arn)
	}
}

func TestCredentialsAreRandom(t *testing.T) {
	t.Parallel()
	l := start(t)
	seen := map[string]bool{}
	for range 50 {
		id, secret, token, err := l.Credentials(t.Context(), role)
		require.NoError(t, err)
		assert.Regexp(t, `^ASIA[A-Z2-7]{16}$`, id)
		assert.Len(t, secret, 40)
		for _, v := range []string{id, secret, token} {
			assert.False(t, seen[v], "twice the same")
			seen[v] = true
		}
	}
}

func TestErrorsHaveTheShapeOfTheProtocol(t *testing.T) {
	t.Parallel()
	l := start(t, func(c *aws.Config) {
		c.Authorize = func(context.Context, aws.Call) error { return errors.New("no policy allows it") }
	})
	unknown := sdk.Credentials{AccessKeyID: "ASIAUNKNOWN", SecretAccessKey: "secret"}
	id, secret, token, err := l.Credentials(t.Context(), role)
	require.NoError(t, err)
	known := sdk.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token}
	spoilt := known
	spoilt.SecretAccessKey = "another"
	form := url.Values{"Action": {"ListTopics"}, "Version": {"2010-03-31"}}.Encode()
	for name, c := range map[string]struct {
		service, method, path, body, kind string
		credentials                       sdk.Credentials
		status                            int
		want                              []string
	}{
		"query, unknown":  {"sns", "POST", "/", form, "application/x-www-form-urlencoded", unknown, 403, []string{"<ErrorResponse>", "<Code>InvalidClientTokenId</Code>", "<RequestId>"}},
		"query, secret":   {"sns", "POST", "/", form, "application/x-www-form-urlencoded", spoilt, 403, []string{"<Code>SignatureDoesNotMatch</Code>"}},
		"query, denied":   {"sns", "POST", "/", form, "application/x-www-form-urlencoded", known, 403, []string{"<Code>AccessDenied</Code>", "<Message>no policy allows it</Message>"}},
		"query, missing":  {"sns", "POST", "/", form, "application/x-www-form-urlencoded", sdk.Credentials{}, 403, []string{"<Code>MissingAuthenticationToken</Code>"}},
		"s3, unknown":     {"s3", "GET", "/bucket/key", "", "", unknown, 403, []string{"<Error>", "<Code>InvalidAccessKeyId</Code>"}},
		"s3, secret":      {"s3", "GET", "/bucket/key", "", "", spoilt, 403, []string{"<Error>", "<Code>SignatureDoesNotMatch</Code>"}},
		"lambda, unknown": {"lambda", "GET", "/2015-03-31/functions", "", "", unknown, 403, []string{`"message":"The security token included in the request is invalid."`}},
		"lambda, denied":  {"lambda", "GET", "/2015-03-31/functions", "", "", known, 403, []string{`"message":"no policy allows it"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := http.NewRequestWithContext(t.Context(), c.method, l.url+c.path, strings.NewReader(c.body))
			require.NoError(t, err)
			r.Header.Set("Content-Type", c.kind)
			if c.credentials.HasKeys() {
				r.Header.Set("X-Amz-Content-Sha256", hash(c.body))
				require.NoError(t, v4.NewSigner().SignHTTP(t.Context(), c.credentials, r, hash(c.body), c.service, region, l.Now()))
			}
			resp, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			defer func() { _ = resp.Body.Close() }()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, c.status, resp.StatusCode)
			for _, w := range c.want {
				assert.Contains(t, string(body), w)
			}
			assert.NotEmpty(t, resp.Header.Get("X-Amzn-Errortype"))
		})
	}
}

func TestCallerIdentity(t *testing.T) {
	t.Parallel()
	l := start(t)
	out, err := l.sts(t, role).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	require.NoError(t, err)
	assert.Equal(t, "arn:aws:sts::111122223333:assumed-role/expenzez-dev-auth-api/local", *out.Arn)
	assert.Equal(t, account, *out.Account)
	out, err = l.sts(t, "").GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	require.NoError(t, err)
	assert.Equal(t, "arn:aws:iam::111122223333:user/operator", *out.Arn)
}

func TestAssumeRole(t *testing.T) {
	t.Parallel()
	l := start(t)
	const other = "arn:aws:iam::111122223333:role/path/other"
	out, err := l.sts(t, role).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: sdk.String(other), RoleSessionName: sdk.String("me")})
	require.NoError(t, err)
	assert.Equal(t, "arn:aws:sts::111122223333:assumed-role/other/me", *out.AssumedRoleUser.Arn)
	assert.WithinDuration(t, l.Now().Add(12*time.Hour), *out.Credentials.Expiration, time.Second)
	config := l.as(t, role)
	config.Credentials = credentials.NewStaticCredentialsProvider(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
	_, err = dynamodb.NewFromConfig(config).ListTables(t.Context(), &dynamodb.ListTablesInput{})
	require.NoError(t, err)
	calls := l.Calls()
	assert.Equal(t, other, calls[len(calls)-1].Principal)

	for arn, session := range map[string]string{"arn:aws:iam::999999999999:role/x": "me", other: "a b", role: ""} {
		_, err = l.sts(t, role).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: sdk.String(arn), RoleSessionName: sdk.String(session)})
		requireCode(t, err, "ValidationError", "")
	}
}
