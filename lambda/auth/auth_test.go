package auth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/lambda/auth/cognitomem"
)

const (
	email    = "ada@example.com"
	password = "Correct-horse-7"
)

type body = map[string]any

func registering(who string) resttest.Request {
	return resttest.Request{Body: body{"email": who, "password": password}}
}

func loggingIn(who, with string) resttest.Request {
	return resttest.Request{Body: body{"email": who, "password": with}}
}

func renewing(token string) resttest.Request {
	return resttest.Request{Body: body{"refreshToken": token}}
}

type pair struct {
	AccessToken, TokenType, RefreshToken string
	ExpiresIn                            int
}

// signUp takes a person from nothing to a confirmed account.
func (w *world) signUp(t testing.TB, who string) {
	t.Helper()
	require.Equal(t, 202, w.Do(t, "register", registering(who)).Status)
	require.Equal(t, 200, w.Do(t, "confirm", resttest.Request{Body: body{"email": who, "code": w.pool.Code(who)}}).Status)
}

func (w *world) login(t testing.TB) pair {
	t.Helper()
	var p pair
	w.Do(t, "login", loggingIn(email, password)).Decode(t, &p)
	return p
}

// signedIn is a world with one signed-in person.
func signedIn(t testing.TB) (*world, pair) {
	t.Helper()
	w := newWorld(t)
	w.signUp(t, email)
	return w, w.login(t)
}

// user is who the authorizer finds in an access token.
func (w *world) user(t testing.TB, access string) *resttest.User {
	t.Helper()
	c, err := w.verifier.Verify(t.Context(), access)
	require.NoError(t, err)
	return &resttest.User{Subject: c.Subject, Session: c.Session, IssuedAt: c.IssuedAt, Expires: c.Expires}
}

func TestFromRegistrationToLogout(t *testing.T) {
	t.Parallel()
	w, first := signedIn(t)
	require.Equal(t, "Bearer", first.TokenType)
	require.Equal(t, 900, first.ExpiresIn)

	var second pair
	w.now = w.now.Add(time.Minute)
	w.Do(t, "refresh", renewing(first.RefreshToken)).Decode(t, &second)
	require.NotEqual(t, first.RefreshToken, second.RefreshToken)
	require.Equal(t, w.user(t, first.AccessToken).Session, w.user(t, second.AccessToken).Session)

	require.Equal(t, 204, w.Do(t, "logout", resttest.Request{User: w.user(t, second.AccessToken)}).Status)
	for _, access := range []string{first.AccessToken, second.AccessToken} {
		w.Do(t, "logout", resttest.Request{User: w.user(t, access)}).Refused(t, 401, "session_ended")
	}
	w.Do(t, "refresh", renewing(second.RefreshToken)).Refused(t, 401, "invalid_refresh_token")
	require.ElementsMatch(t, []string{"login", "logout"}, w.events(t, w.user(t, first.AccessToken).Subject), "a refused refresh after logout is no alarm")
}

// The same answer, to the last header, whether or not an account exists.
func TestAnswersDoNotTellWhetherAnAccountExists(t *testing.T) {
	t.Parallel()
	wrongCode := func(who string) resttest.Request { return resttest.Request{Body: body{"email": who, "code": "000000"}} }
	resending := func(who string) resttest.Request { return resttest.Request{Body: body{"email": who}} }
	wrongPassword := func(who string) resttest.Request { return loggingIn(who, "Wrong-horse-7") }
	cases := map[string]struct {
		id   string
		send func(who string) resttest.Request
	}{
		"register": {"register", registering}, "confirm": {"confirm", wrongCode}, "resend": {"resend", resending}, "login": {"login", wrongPassword},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.signUp(t, email)
			require.Equal(t, 202, w.Do(t, "register", registering("new@example.com")).Status)
			confirmed := w.Do(t, c.id, c.send(email))
			unconfirmed := w.Do(t, c.id, c.send("new@example.com"))
			unknown := w.Do(t, c.id, c.send("nobody@example.com"))
			require.Equal(t, confirmed, unknown)
			require.Equal(t, unconfirmed, unknown)
		})
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 20<<10)
	text := func(s string) resttest.Request { return resttest.Request{Body: s} }
	cases := map[string]struct {
		id      string
		send    resttest.Request
		status  int
		code    string
		pointer string
		fault   string
	}{
		"no_body":             {"register", resttest.Request{Headers: map[string]string{"Content-Type": "application/json"}}, 400, "malformed_json", "", ""},
		"not_json":            {"register", text("email=a"), 400, "malformed_json", "", ""},
		"oversize":            {"register", text(`{"email":"` + long + `"}`), 413, "too_large", "", ""},
		"form":                {"login", resttest.Request{Body: "a=b", Headers: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, 415, "unsupported_media_type", "", ""},
		"unknown_field":       {"login", resttest.Request{Body: body{"email": email, "password": password, "admin": true}}, 400, "validation_failed", "/admin", "unknown"},
		"other_case":          {"login", resttest.Request{Body: body{"Email": email, "password": password}}, 400, "validation_failed", "/email", "required"},
		"twice":               {"login", text(`{"email":"a@example.com","email":"b@example.com","password":"x"}`), 400, "duplicate_member", "", ""},
		"email_missing":       {"resend", resttest.Request{Body: body{}}, 400, "validation_failed", "/email", "required"},
		"email_without_at":    {"resend", resttest.Request{Body: body{"email": "ada"}}, 400, "validation_failed", "/email", "pattern"},
		"email_local_host":    {"resend", resttest.Request{Body: body{"email": "ada@localhost"}}, 400, "validation_failed", "/email", "email"},
		"email_not_ascii":     {"register", resttest.Request{Body: body{"email": "ädä@example.com", "password": password}}, 400, "validation_failed", "/email", "email"},
		"email_two_ats":       {"login", loggingIn("a@b@example.com", password), 400, "validation_failed", "/email", "pattern"},
		"password_short":      {"register", resttest.Request{Body: body{"email": email, "password": "Short-7"}}, 400, "validation_failed", "/password", "too_short"},
		"password_long":       {"register", resttest.Request{Body: body{"email": email, "password": strings.Repeat("a", 129)}}, 400, "validation_failed", "/password", "too_long"},
		"password_weak":       {"register", resttest.Request{Body: body{"email": email, "password": "no capitals at all 7"}}, 400, "validation_failed", "/password", "password_policy"},
		"password_number":     {"login", resttest.Request{Body: body{"email": email, "password": 7}}, 400, "validation_failed", "/password", "type"},
		"code_letters":        {"confirm", resttest.Request{Body: body{"email": email, "code": "abcdef"}}, 400, "validation_failed", "/code", "pattern"},
		"code_wrong":          {"confirm", resttest.Request{Body: body{"email": email, "code": "000000"}}, 400, "validation_failed", "/code", "invalid_code"},
		"refresh_shape":       {"refresh", renewing("abc"), 400, "validation_failed", "/refreshToken", "too_short"},
		"refresh_unknown":     {"refresh", renewing(strings.Repeat("a", 22) + "." + strings.Repeat("b", 43)), 401, "invalid_refresh_token", "", ""},
		"login_unknown":       {"login", loggingIn("nobody@example.com", password), 401, "invalid_credentials", "", ""},
		"logout_nobody":       {"logout", resttest.Request{}, 401, "unauthenticated", "", ""},
		"logout_with_body":    {"logout", resttest.Request{User: &resttest.User{Subject: "u", Session: "s", Expires: start.Add(time.Minute)}, Body: "{}"}, 400, "body_not_expected", "", ""},
		"disallowed_origin":   {"login", resttest.Request{Body: body{"email": email, "password": password}, Headers: map[string]string{"Origin": "https://evil.example"}}, 403, "origin_not_allowed", "", ""},
		"query_on_login":      {"login", resttest.Request{Body: body{"email": email, "password": password}, Query: map[string][]string{"debug": {"1"}}}, 400, "validation_failed", "", ""},
		"expired_access":      {"logout", resttest.Request{User: &resttest.User{Subject: "u", Session: "s", Expires: start.Add(-time.Minute)}}, 401, "token_expired", "", ""},
		"login_before_mail":   {"login", loggingIn("new@example.com", password), 403, "not_confirmed", "", ""},
		"login_wrong_unready": {"login", loggingIn("new@example.com", "Wrong-horse-7"), 401, "invalid_credentials", "", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			require.Equal(t, 202, w.Do(t, "register", registering("new@example.com")).Status)
			p := w.Do(t, c.id, c.send).Refused(t, c.status, c.code)
			if c.pointer != "" {
				require.Len(t, p.Errors, 1+len(p.Errors)/2, "%v", p.Errors)
				require.Equal(t, c.pointer, p.Errors[0].Pointer)
				require.Equal(t, c.fault, p.Errors[0].Code)
			}
			require.Empty(t, w.items("sessions"))
			for _, private := range []string{password, "Wrong-horse-7", "no capitals", email, "new@example.com"} {
				require.NotContains(t, w.log.String(), private)
			}
		})
	}
}

func apiError(code string) error { return &smithyError{code} }

// What the user pool answers to each call, and what becomes of it.
func TestFailuresOfTheUserPool(t *testing.T) {
	t.Parallel()
	network := errors.New("connection reset")
	calls := map[string]struct {
		id   string
		send resttest.Request
	}{
		"SignUp":                 {"register", registering("next@example.com")},
		"ConfirmSignUp":          {"confirm", resttest.Request{Body: body{"email": email, "code": "123456"}}},
		"ResendConfirmationCode": {"resend", resttest.Request{Body: body{"email": email}}},
		"AdminInitiateAuth":      {"login", loggingIn(email, password)},
		"DescribeUserPoolClient": {"register", registering("next@example.com")},
	}
	cases := map[string]struct {
		err    error
		status int
		code   string
	}{
		"network":       {network, 503, "unavailable"},
		"timeout":       {fmt.Errorf("x: %w", context.DeadlineExceeded), 503, "unavailable"},
		"pool_throttle": {apiError("TooManyRequestsException"), 503, "unavailable"},
		"pool_broken":   {apiError("InternalErrorException"), 503, "unavailable"},
		"user_throttle": {apiError("LimitExceededException"), 429, "limited"},
		"too_many":      {apiError("TooManyFailedAttemptsException"), 429, "limited"},
		"forbidden":     {apiError("AccessDeniedException"), 500, "internal"},
		"no_pool":       {apiError("ResourceNotFoundException"), 500, "internal"},
		"bad_hash":      {&types.NotAuthorizedException{Message: ptr("Unable to verify secret hash for client x")}, 500, "internal"},
		"other":         {apiError("SomethingNewException"), 500, "internal"},
	}
	for call, at := range calls {
		for name, c := range cases {
			t.Run(call+"/"+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.pool.Fail = map[string]error{call: c.err}
				w.Do(t, at.id, at.send).Refused(t, c.status, c.code)
				require.Empty(t, w.items("sessions"))
				require.Zero(t, w.failures(t, email), "what was not a wrong password is not counted as one")

				w.pool.Fail = nil
				require.NotEqual(t, c.status, w.Do(t, at.id, at.send).Status, "it recovers")
			})
		}
	}
}

func TestAnswersOfTheUserPoolThatAreNoFailures(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		call, id string
		err      error
		status   int
		code     string
	}{
		"mail_not_sent":       {"SignUp", "register", apiErrorOf(&types.CodeDeliveryFailureException{}), 202, ""},
		"address_refused":     {"SignUp", "register", &types.InvalidParameterException{Message: ptr("Invalid email address format.")}, 400, "validation_failed"},
		"other_parameter":     {"SignUp", "register", &types.InvalidParameterException{Message: ptr("Something else.")}, 500, "internal"},
		"policy_without_text": {"SignUp", "register", &types.InvalidPasswordException{Message: ptr("no")}, 400, "validation_failed"},
		"resend_not_sent":     {"ResendConfirmationCode", "resend", &types.CodeDeliveryFailureException{}, 202, ""},
		"alias_taken":         {"ConfirmSignUp", "confirm", &types.AliasExistsException{}, 400, "validation_failed"},
		"code_expired":        {"ConfirmSignUp", "confirm", &types.ExpiredCodeException{}, 400, "validation_failed"},
		"must_reset":          {"AdminInitiateAuth", "login", &types.PasswordResetRequiredException{}, 403, "password_reset_required"},
		"pool_hides_nobody":   {"AdminInitiateAuth", "login", &types.UserNotFoundException{}, 401, "invalid_credentials"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.pool.Fail = map[string]error{c.call: c.err}
			requests := map[string]resttest.Request{"register": registering(email), "resend": {Body: body{"email": email}},
				"confirm": {Body: body{"email": email, "code": "123456"}}, "login": loggingIn(email, password)}
			reply := w.Do(t, c.id, requests[c.id])
			require.Equal(t, c.status, reply.Status)
			if c.code != "" {
				reply.Refused(t, c.status, c.code)
			}
		})
	}
}

func apiErrorOf(err error) error { return err }

func TestTheClientSecretIsAskedForOnce(t *testing.T) {
	t.Parallel()
	w, _ := signedIn(t)
	require.Equal(t, 1, count(w.pool.Calls(), "DescribeUserPoolClient"))
}

func TestAClientWithoutASecret(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, options{pool: &cognitomem.Pool{}})
	w.signUp(t, email)
	w.login(t)
	require.Equal(t, 1, count(w.pool.Calls(), "DescribeUserPoolClient"))
}

func TestOneAccountHowEverItIsSpelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signUp(t, "Ada@Example.COM")
	p := w.login(t)
	users := w.items("users")
	w.Do(t, "login", loggingIn("ADA@example.com", password))
	require.Len(t, w.items("users"), len(users))
	require.NotEmpty(t, p.AccessToken)
}

func TestWhatIsStoredOfAPerson(t *testing.T) {
	t.Parallel()
	w, p := signedIn(t)
	sub := w.user(t, p.AccessToken).Subject
	item := w.item(t, "users", "USER#"+sub)
	r := store.Read(item)
	require.Equal(t, "active", r.S("status"))
	require.Equal(t, start.Unix(), r.N("createdAt"))
	require.NotEmpty(t, r.S("emailIndex"))
	require.NotContains(t, string(r.B("email")), email)
	require.NoError(t, r.Err())

	w.now = w.now.Add(time.Hour)
	w.login(t)
	again := store.Read(w.item(t, "users", "USER#"+sub))
	require.Equal(t, start.Unix(), again.N("createdAt"))
	require.Equal(t, w.now.Unix(), again.N("lastLoginAt"))
	require.Equal(t, r.S("emailIndex"), again.S("emailIndex"))
	require.NotEqual(t, r.B("email"), again.B("email"), "sealing the same twice does not show that it is the same")

	for _, table := range []string{"users", "sessions", "security-events", "login-attempts", "rate-limits", "revoked-tokens"} {
		dump := fmt.Sprintf("%s", dumped(w.items(table)))
		for _, private := range []string{email, password, p.RefreshToken, strings.Split(p.RefreshToken, ".")[1], p.AccessToken, "192.0.2.1"} {
			require.NotContains(t, dump, private, table)
		}
	}
}

func TestWhoCannotSignIn(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		spoil  func(t *testing.T, w *world)
		with   string
		status int
		code   string
	}{
		"wrong_password":       {nil, "Wrong-horse-7", 401, "invalid_credentials"},
		"disabled_in_pool":     {func(_ *testing.T, w *world) { w.pool.Disable(email) }, password, 401, "invalid_credentials"},
		"challenge":            {func(_ *testing.T, w *world) { w.pool.Challenge = "SOFTWARE_TOKEN_MFA" }, password, 403, "challenge_required"},
		"challenge_wrong_word": {func(_ *testing.T, w *world) { w.pool.Challenge = "SOFTWARE_TOKEN_MFA" }, "Wrong-horse-7", 401, "invalid_credentials"},
		"account_suspended":    {func(t *testing.T, w *world) { w.suspend(t) }, password, 403, "account_disabled"},
		"no_signing_key":       {func(_ *testing.T, w *world) { w.vault.value = "" }, password, 503, "unavailable"},
		"broken_signing_key":   {func(_ *testing.T, w *world) { w.vault.value = "{}" }, password, 503, "unavailable"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.signUp(t, email)
			if c.spoil != nil {
				c.spoil(t, w)
			}
			before := len(w.items("sessions"))
			w.Do(t, "login", loggingIn(email, c.with)).Refused(t, c.status, c.code)
			require.Len(t, w.items("sessions"), before, "no session begins")
		})
	}
}

func TestAnIDTokenThatIsNone(t *testing.T) {
	t.Parallel()
	for _, idToken := range []string{"", "a.b", "a.%.c", "e30.e30.c2ln", "e30.eyJzdWIiOiJ4IiwidG9rZW5fdXNlIjoiYWNjZXNzIn0.c2ln"} {
		w := newWorldWith(t, options{idToken: &idToken})
		w.signUp(t, email)
		w.Do(t, "login", loggingIn(email, password)).Refused(t, 500, "internal")
		require.Empty(t, w.items("sessions"))
	}
}

func TestLockout(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, options{generous: true})
	w.signUp(t, email)
	wrong := loggingIn(email, "Wrong-horse-7")
	for range 10 {
		w.Do(t, "login", wrong).Refused(t, 401, "invalid_credentials")
		w.now = w.now.Add(time.Minute)
	}
	tried := len(w.pool.Calls())
	reply := w.Do(t, "login", loggingIn(email, password))
	reply.Refused(t, 429, "locked")
	require.Equal(t, "300", reply.Headers["Retry-After"], "five of fifteen minutes are left")
	require.Len(t, w.pool.Calls(), tried, "the password is not even tried")
	require.Equal(t, 401, w.Do(t, "login", loggingIn("other@example.com", password)).Status, "others are not locked out")

	w.now = w.now.Add(5 * time.Minute)
	w.login(t)
	require.Zero(t, w.failures(t, email), "a right password forgets the failures")
	require.EqualValues(t, 1, w.failures(t, "other@example.com"))
}

func TestTheLockoutsWindowBeginsAnew(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, options{generous: true})
	w.signUp(t, email)
	for range 30 {
		w.Do(t, "login", loggingIn(email, "Wrong-horse-7")).Refused(t, 401, "invalid_credentials")
		w.now = w.now.Add(2 * time.Minute)
	}
}

func TestAttemptsAtTheSameTimeDoNotOutrunTheLockout(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, options{generous: true})
	w.signUp(t, email)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() { w.Do(t, "login", loggingIn(email, "Wrong-horse-7")) })
	}
	wg.Wait()
	require.LessOrEqual(t, count(w.pool.Calls(), "AdminInitiateAuth"), 10)
	require.Positive(t, count(w.pool.Calls(), "AdminInitiateAuth"))
}

func TestCallerLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 5 {
		w.Do(t, "login", loggingIn([]string{email, "ADA@example.com"}[i%2], "Wrong-horse-7")).Refused(t, 401, "invalid_credentials")
	}
	w.Do(t, "login", loggingIn("Ada@example.com", password)).Refused(t, 429, "limited")
	require.Equal(t, 401, w.Do(t, "login", loggingIn("bob@example.com", password)).Status, "another account")
	require.Equal(t, 202, w.Do(t, "resend", resttest.Request{Body: body{"email": email}}).Status, "another route")
	w.now = w.now.Add(6 * time.Minute)
	require.Equal(t, 401, w.Do(t, "login", loggingIn(email, password)).Status)

	for i := range 200 {
		if reply := w.Do(t, "resend", resttest.Request{IP: "192.0.2.50", Body: body{"email": fmt.Sprintf("u%d@example.com", i)}}); reply.Status == 429 {
			require.Equal(t, 100, i, "one address over all accounts and auth routes")
			require.Equal(t, 202, w.Do(t, "resend", resttest.Request{IP: "192.0.2.51", Body: body{"email": "x@example.com"}}).Status)
			return
		}
	}
	t.Fatal("an address is never limited")
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	reply := w.Do(t, "jwks", resttest.Request{})
	require.Equal(t, "public, max-age=300", reply.Headers["Cache-Control"])
	var got struct{ Keys []map[string]string }
	reply.Decode(t, &got)
	require.Len(t, got.Keys, 1)
	for _, name := range []string{"kty", "crv", "alg", "use", "kid", "x", "y"} {
		require.NotEmpty(t, got.Keys[0][name])
	}
	require.Len(t, got.Keys[0], 7, "nothing but public members")

	w.fail("Query", "signing-keys", errors.New("down"))
	w.now = w.now.Add(10 * time.Minute)
	require.Equal(t, 200, w.Do(t, "jwks", resttest.Request{}).Status, "what it has is good enough")
}

func TestJWKSWithoutKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fail("Query", "signing-keys", errors.New("down"))
	w.Do(t, "jwks", resttest.Request{}).Refused(t, 503, "unavailable")
}

// Health calls nothing, so that whatever is broken cannot break it.
func TestHealthWhenEverythingIsBroken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.failAll(errors.New("down"))
	w.vault.value = ""
	reply := w.Do(t, "health", resttest.Request{})
	require.JSONEq(t, `{"status":"ok"}`, reply.Body)
	require.Empty(t, w.pool.Calls())
	require.Zero(t, w.vault.calls)
	require.Empty(t, w.view.Used())
	require.Empty(t, w.kms.Calls())
}

func TestLogsHoldNothingPrivate(t *testing.T) {
	t.Parallel()
	w, p := signedIn(t)
	var next pair
	w.Do(t, "refresh", renewing(p.RefreshToken)).Decode(t, &next)
	w.Do(t, "login", loggingIn(email, "Wrong-horse-7"))
	w.Do(t, "logout", resttest.Request{User: w.user(t, p.AccessToken)})
	for _, private := range []string{email, password, "Wrong-horse-7", p.AccessToken, p.RefreshToken, next.RefreshToken,
		strings.Split(next.RefreshToken, ".")[1], "192.0.2.1", w.user(t, p.AccessToken).Subject, w.pool.ClientSecret} {
		require.NotContains(t, w.log.String(), private)
	}
	for line := range bytes.SplitSeq(bytes.TrimSpace(w.log.Bytes()), []byte("\n")) {
		require.True(t, json.Valid(line), "%s", line)
	}
}

func count(list []string, what string) int {
	n := 0
	for _, x := range list {
		if x == what {
			n++
		}
	}
	return n
}

func ptr[T any](v T) *T { return &v }
