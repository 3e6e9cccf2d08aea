package catalog

import (
	"slices"

	"github.com/expenzez/aws-backend/internal/service"
)

const (
	patternEmail   = `^[^@\s]{1,64}@[^@\s]{1,189}$`
	patternCode    = `^[0-9]{6}$`
	patternRefresh = `^[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}$` // session id, dot, 256-bit secret
)

// Auth declares sign-in: registration, sessions and the API's authorizer.
func Auth() service.Service {
	return service.Service{
		Key:  "auth",
		Does: "Signs people in. Cognito holds the passwords; access tokens are ours.",
		Functions: []service.Function{
			{
				Key: "authorizer", Does: "Checks the signature of the access token on every request.",
				Size: service.SizeAuthorizer, Authorizes: true,
				Tables: []service.Access{
					{Table: "signing-keys", Actions: []string{"Query"}, Reason: "Public keys to check signatures with, kept in memory."},
				},
			},
			{
				Key: "auth-api", Does: "Registers people and starts, renews and ends their sessions.",
				Size: service.SizeAPI,
				Tables: slices.Concat(admission(), []service.Access{
					{Table: "users", Actions: []string{"GetItem", "PutItem", "UpdateItem"}},
					{Table: "security-events", Actions: []string{"PutItem"}},
					{Table: "login-attempts", Actions: []string{"UpdateItem", "DeleteItem"}},
					{Table: "sessions", Actions: []string{"PutItem", "UpdateItem"}, Reason: "A session outlives its access tokens: rotation, reuse detection and logout need its state."},
					{Table: "revoked-tokens", Actions: []string{"PutItem"}, Reason: "Logout and reuse of a refresh token end the session's access tokens at once."},
					{Table: "signing-keys", Actions: []string{"Query"}, Reason: "The public keys that /.well-known/jwks.json publishes."},
				}),
				Secrets:  []string{"jwt"},
				Keys:     []string{"pii"},
				UserPool: []string{"AdminInitiateAuth", "DescribeUserPoolClient"},
				Routes:   authRoutes(),
			},
		},
	}
}

func authRoutes() []service.Route {
	email := service.Field{Name: "email", Type: service.String, Required: true, Min: 3, Max: 254, Pattern: patternEmail}
	password := service.Field{Name: "password", Type: service.String, Required: true, Min: 12, Max: 128}
	code := service.Field{Name: "code", Type: service.String, Required: true, Min: 6, Max: 6, Pattern: patternCode, Does: "The six digits from the mail."}
	refresh := service.Field{Name: "refreshToken", Type: service.String, Required: true, Min: 66, Max: 66, Pattern: patternRefresh}

	accepted := &service.Model{Name: "Accepted", Fields: []service.Field{
		{Name: "status", Type: service.String, Required: true, Does: "What happens next. It is the same whether or not the account exists."}}}
	tokens := &service.Model{Name: "Tokens", Fields: []service.Field{
		{Name: "accessToken", Type: service.String, Required: true},
		{Name: "tokenType", Type: service.String, Required: true, Enum: []string{"Bearer"}},
		{Name: "expiresIn", Type: service.Integer, Required: true, Does: "Seconds until the access token expires."},
		{Name: "refreshToken", Type: service.String, Required: true, Does: "Good for one use: each renewal gives the next."},
	}}
	key := &service.Model{Name: "PublicKey", Fields: []service.Field{
		{Name: "kty", Type: service.String, Required: true}, {Name: "crv", Type: service.String, Required: true},
		{Name: "alg", Type: service.String, Required: true}, {Name: "use", Type: service.String, Required: true},
		{Name: "kid", Type: service.String, Required: true},
		{Name: "x", Type: service.String, Required: true}, {Name: "y", Type: service.String, Required: true},
	}}
	beforeSignIn := service.Public("The caller has no token before signing in.")

	return []service.Route{
		{ID: "register", Method: "POST", Path: "/v1/auth/register", Does: "Create an account and mail a confirmation code.",
			Caller: beforeSignIn, Limit: service.LimitAuth, LimitBy: "email", Status: 202,
			Request: &service.Model{Name: "Registration", Fields: []service.Field{email, password}}, Response: accepted},
		{ID: "confirm", Method: "POST", Path: "/v1/auth/confirm", Does: "Prove the mail address with the code.",
			Caller: beforeSignIn, Limit: service.LimitAuth, LimitBy: "email", Status: 200,
			Request: &service.Model{Name: "Confirmation", Fields: []service.Field{email, code}}, Response: accepted},
		{ID: "resend", Method: "POST", Path: "/v1/auth/resend", Does: "Mail a new confirmation code.",
			Caller: beforeSignIn, Limit: service.LimitAuth, LimitBy: "email", Status: 202,
			Request: &service.Model{Name: "Resend", Fields: []service.Field{email}}, Response: accepted},
		{ID: "login", Method: "POST", Path: "/v1/auth/login", Does: "Start a session.",
			Caller: beforeSignIn, Limit: service.LimitAuth, LimitBy: "email", Status: 200,
			Request: &service.Model{Name: "Login", Fields: []service.Field{email, {Name: "password", Type: service.String, Required: true, Min: 1, Max: 128}}}, Response: tokens},
		{ID: "refresh", Method: "POST", Path: "/v1/auth/refresh", Does: "Exchange the refresh token for the next pair of tokens.",
			Caller: service.Public("The refresh token is the proof."), Limit: service.LimitAPI, LimitBy: "refreshToken", Status: 200,
			Request: &service.Model{Name: "Refresh", Fields: []service.Field{refresh}}, Response: tokens},
		{ID: "logout", Method: "POST", Path: "/v1/auth/logout", Does: "End the session; its tokens stop working at once.",
			Caller: service.User(), Limit: service.LimitAPI, Status: 204},
		{ID: "jwks", Method: "GET", Path: "/.well-known/jwks.json", Does: "Public keys of access tokens (RFC 7517).",
			Caller: service.Public("Public keys are public."), Status: 200,
			Response: &service.Model{Name: "PublicKeys", Fields: []service.Field{{Name: "keys", Type: service.Array, Required: true, Model: key}}}},
		{ID: "health", Method: "GET", Path: "/v1/health", Does: "Answer without touching anything else.",
			Caller: service.Public("Load balancers and uptime checks have no identity."), Status: 200,
			Response: &service.Model{Name: "Health", Fields: []service.Field{{Name: "status", Type: service.String, Required: true}}}},
	}
}
