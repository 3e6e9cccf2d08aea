package aws

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const cognitoTarget = "AWSCognitoIdentityProviderService."

// cognito is what the front knows of users beyond moto. Its lock is held through every call to a user pool: moto checks and
// then acts, and two calls at a time could sign up one address twice.
type cognito struct {
	mu       sync.Mutex
	pools    map[string]string // pool by client
	codes    map[purpose]code
	failures map[purpose]failures
	sessions map[string]session
	tokens   map[user]totp
}

// user is a user of a pool by the name that the pool gave it; by the name that was tried if there is none.
type user struct{ pool, name string }

// client is an app client with what its pool says about the same matters.
type client struct {
	id, pool      string
	secret        string   // empty when the client has none
	flows         []string // ExplicitAuthFlows
	hideUsers     bool     // PreventUserExistenceErrors
	session       time.Duration
	settings      map[string]any // of the pool, as DescribeUserPool gives them
	caseSensitive bool
}

// userPools mends what moto gets wrong about users, codes, passwords and sign-in.
func (f *Front) userPools(q *request) (*answer, error) {
	f.cognito.mu.Lock()
	defer f.cognito.mu.Unlock()
	switch q.Action {
	case "SignUp", "ConfirmSignUp", "ResendConfirmationCode", "ForgotPassword", "ConfirmForgotPassword",
		"InitiateAuth", "AdminInitiateAuth", "RespondToAuthChallenge", "AdminRespondToAuthChallenge":
		return f.clientCall(q)
	case "ChangePassword":
		return f.changePassword(q)
	case "AssociateSoftwareToken":
		return f.associateToken(q)
	case "VerifySoftwareToken":
		return f.verifyToken(q)
	}
	if text(q.Body, "UserPoolId") != "" && text(q.Body, "Username") != "" {
		return f.adminCall(q)
	}
	return f.forward(q)
}

// clientCall checks the client and its secret before anything else, as AWS does.
func (f *Front) clientCall(q *request) (*answer, error) {
	c, err := f.findClient(q.ctx, text(q.Body, "ClientId"))
	if err != nil {
		return nil, err
	}
	if err := c.checkSecretHash(q); err != nil {
		return nil, err
	}
	if q, err = fold(q, c.caseSensitive); err != nil {
		return nil, err
	}
	switch q.Action {
	case "SignUp":
		return f.signUp(q, c)
	case "ConfirmSignUp":
		return f.confirmSignUp(q, c)
	case "ResendConfirmationCode":
		return f.resendCode(q, c)
	case "ForgotPassword":
		return f.forgotPassword(q, c)
	case "ConfirmForgotPassword":
		return f.confirmForgotPassword(q, c)
	case "InitiateAuth", "AdminInitiateAuth":
		return f.initiateAuth(q, c)
	}
	return f.respond(q, c)
}

// adminCall mends the operations that name pool and user.
func (f *Front) adminCall(q *request) (*answer, error) {
	pool, err := f.describePool(q.ctx, text(q.Body, "UserPoolId"))
	if err != nil || pool == nil {
		return f.forward(q)
	}
	if q, err = fold(q, caseSensitive(pool)); err != nil {
		return nil, err
	}
	for _, name := range []string{"Password", "TemporaryPassword"} {
		password := text(q.Body, name)
		if password == "" {
			continue
		}
		if err := checkPolicy(pool, password); err != nil {
			return nil, err
		}
		if q, err = q.set(name, stored(password)); err != nil {
			return nil, err
		}
	}
	switch q.Action {
	case "AdminResetUserPassword":
		return f.adminReset(q, pool)
	case "AdminDeleteUser":
		return f.adminDelete(q, text(pool, "Id"))
	}
	return f.forward(q)
}

// adminDelete forgets the user with moto: a later one may have the name.
func (f *Front) adminDelete(q *request, pool string) (*answer, error) {
	known, err := f.describeUser(q.ctx, pool, text(q.Body, "Username"))
	if err != nil {
		return nil, err
	}
	a, err := f.forward(q)
	if err != nil || !a.ok() {
		return a, err
	}
	who := identify(pool, text(q.Body, "Username"), known)
	delete(f.cognito.tokens, who)
	maps.DeleteFunc(f.cognito.codes, func(p purpose, _ code) bool { return p.user == who })
	maps.DeleteFunc(f.cognito.failures, func(p purpose, _ failures) bool { return p.user == who })
	maps.DeleteFunc(f.cognito.sessions, func(_ string, s session) bool { return s.user == who })
	return a, nil
}

// findClient finds the pool of a client, which moto does not tell, and reads the settings of both anew.
func (f *Front) findClient(ctx context.Context, id string) (client, error) {
	missing := refuse("ResourceNotFoundException", "User pool client %s does not exist.", id)
	pool, known := f.cognito.pools[id]
	if !known {
		var err error
		if pool, err = f.searchPools(ctx, id); err != nil {
			return client{}, err
		}
	}
	if pool == "" {
		return client{}, missing
	}
	a, err := f.ask(ctx, "cognito-idp", cognitoTarget+"DescribeUserPoolClient", map[string]any{"UserPoolId": pool, "ClientId": id})
	if err != nil {
		return client{}, err
	}
	settings, err := f.describePool(ctx, pool)
	if err != nil {
		return client{}, err
	}
	if !a.ok() || settings == nil {
		delete(f.cognito.pools, id) // deleted since
		return client{}, missing
	}
	if f.cognito.pools == nil {
		f.cognito.pools = map[string]string{}
	}
	f.cognito.pools[id] = pool
	return newClient(pool, object(a.fields(), "UserPoolClient"), settings), nil
}

func newClient(pool string, fields, settings map[string]any) client {
	c := client{
		id: text(fields, "ClientId"), pool: pool, secret: text(fields, "ClientSecret"),
		hideUsers: text(fields, "PreventUserExistenceErrors") == "ENABLED",
		session:   3 * time.Minute, settings: settings, caseSensitive: caseSensitive(settings),
	}
	for _, flow := range list(fields, "ExplicitAuthFlows") {
		name, _ := flow.(string)
		c.flows = append(c.flows, name)
	}
	if minutes := integer(fields, "AuthSessionValidity"); minutes > 0 {
		c.session = time.Duration(minutes) * time.Minute
	}
	return c
}

// searchPools asks every pool for the client; it is empty when none has it.
func (f *Front) searchPools(ctx context.Context, id string) (string, error) {
	page := map[string]any{"MaxResults": 60}
	for {
		pools, err := f.ask(ctx, "cognito-idp", cognitoTarget+"ListUserPools", page)
		if err != nil {
			return "", err
		}
		for _, p := range list(pools.fields(), "UserPools") {
			one, _ := p.(map[string]any)
			a, err := f.ask(ctx, "cognito-idp", cognitoTarget+"DescribeUserPoolClient", map[string]any{"UserPoolId": one["Id"], "ClientId": id})
			if err != nil {
				return "", err
			}
			if a.ok() {
				return text(one, "Id"), nil
			}
		}
		if page["NextToken"] = pools.fields()["NextToken"]; page["NextToken"] == nil {
			return "", nil
		}
	}
}

// describePool is nil for a pool that does not exist.
func (f *Front) describePool(ctx context.Context, id string) (map[string]any, error) {
	a, err := f.ask(ctx, "cognito-idp", cognitoTarget+"DescribeUserPool", map[string]any{"UserPoolId": id})
	if err != nil || !a.ok() {
		return nil, err
	}
	return object(a.fields(), "UserPool"), nil
}

// describeUser is nil for a user that does not exist.
func (f *Front) describeUser(ctx context.Context, pool, name string) (map[string]any, error) {
	a, err := f.ask(ctx, "cognito-idp", cognitoTarget+"AdminGetUser", map[string]any{"UserPoolId": pool, "Username": name})
	if err != nil || !a.ok() {
		return nil, err
	}
	return a.fields(), nil
}

// identify is the user's key for codes, failures and tokens.
func identify(pool, tried string, known map[string]any) user {
	if name := text(known, "Username"); name != "" {
		return user{pool, name}
	}
	return user{pool, tried}
}

func attribute(user map[string]any, name string) string {
	for _, a := range list(user, "UserAttributes") {
		one, _ := a.(map[string]any)
		if text(one, "Name") == name {
			return text(one, "Value")
		}
	}
	return ""
}

// caseSensitive is so unless the pool says otherwise ("UsernameConfigurationType").
func caseSensitive(pool map[string]any) bool {
	sensitive, said := object(pool, "UsernameConfiguration")["CaseSensitive"].(bool)
	return sensitive || !said
}

// fold writes the user's name in lower case where the pool does not tell cases apart; moto always does.
func fold(q *request, sensitive bool) (*request, error) {
	if sensitive {
		return q, nil
	}
	var err error
	if name := text(q.Body, "Username"); name != "" {
		if q, err = q.set("Username", strings.ToLower(name)); err != nil {
			return nil, err
		}
	}
	for _, group := range []string{"AuthParameters", "ChallengeResponses"} {
		if name := text(object(q.Body, group), "USERNAME"); name != "" {
			if q, err = q.setIn(group, "USERNAME", strings.ToLower(name)); err != nil {
				return nil, err
			}
		}
	}
	return q, nil
}

// checkSecretHash demands the hash of name and client id under the client's secret ("Computing secret hash values"). A
// refresh names no user; moto checks that one.
func (c client) checkSecretHash(q *request) error {
	name, given := text(q.Body, "Username"), text(q.Body, "SecretHash")
	for _, group := range []string{"AuthParameters", "ChallengeResponses"} {
		if parameters := object(q.Body, group); parameters != nil {
			name, given = text(parameters, "USERNAME"), text(parameters, "SECRET_HASH")
		}
	}
	if strings.HasPrefix(text(q.Body, "AuthFlow"), "REFRESH_TOKEN") {
		return nil
	}
	switch {
	case c.secret == "" && given == "":
		return nil
	case c.secret != "" && given == "":
		return refuse("NotAuthorizedException", "Client %s is configured with secret but SECRET_HASH was not received", c.id)
	case c.secret == "" || subtle.ConstantTimeCompare([]byte(given), []byte(secretHash(c.secret, name, c.id))) != 1:
		return refuse("NotAuthorizedException", "Unable to verify secret hash for client %s", c.id)
	}
	return nil
}

func secretHash(secret, name, id string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(name + id))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// allows tells whether the client may use a flow ("UpdateUserPoolClient", ExplicitAuthFlows, with its default).
func (c client) allows(flow string) bool {
	flows := c.flows
	if len(flows) == 0 {
		flows = []string{"ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH", "ALLOW_CUSTOM_AUTH"}
	}
	legacy := !strings.HasPrefix(flows[0], "ALLOW_")
	switch flow {
	case "ADMIN_NO_SRP_AUTH", "ADMIN_USER_PASSWORD_AUTH":
		return slices.Contains(flows, "ALLOW_ADMIN_USER_PASSWORD_AUTH") || slices.Contains(flows, "ADMIN_NO_SRP_AUTH")
	case "USER_PASSWORD_AUTH":
		return slices.Contains(flows, "ALLOW_USER_PASSWORD_AUTH") || slices.Contains(flows, "USER_PASSWORD_AUTH")
	case "REFRESH_TOKEN", "REFRESH_TOKEN_AUTH":
		return legacy || slices.Contains(flows, "ALLOW_REFRESH_TOKEN_AUTH")
	}
	return false
}
