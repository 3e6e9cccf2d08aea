// Package auth is sign-in: it registers people, starts, renews and ends their sessions, and publishes the keys that
// access tokens are checked with. The user pool holds the passwords; it never sees our tokens, and we never store what
// it checks. Every answer about an account is the same whether or not the account exists.
package auth

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/fieldcrypt"
	"github.com/expenzez/aws-backend/internal/ratelimit"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/revoke"
	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/session"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/token"
	"github.com/expenzez/aws-backend/internal/validate"
)

// Tables are the tables of the function, each as the actions that are declared for it: another call does not compile.
type Tables struct {
	Users interface {
		store.Getter
		store.Putter
		store.Updater
	}
	SecurityEvents store.Putter
	LoginAttempts  interface {
		store.Updater
		store.Deleter
	}
	Sessions interface {
		store.Putter
		store.Updater
	}
	RevokedTokens interface {
		store.BatchGetter
		store.Putter
	}
	RateLimits  store.Updater
	SigningKeys store.Querier
}

// Bind binds the tables under the names that the function was told.
func Bind(db store.DB, v environ.Values) Tables {
	table := func(key string) store.Table { return store.NewTable(db, v.Table(key)) }
	return Tables{
		Users: table("users"), SecurityEvents: table("security-events"), LoginAttempts: table("login-attempts"),
		Sessions: table("sessions"), RevokedTokens: table("revoked-tokens"), RateLimits: table("rate-limits"),
		SigningKeys: table("signing-keys"),
	}
}

// Deps are what the function works with. All are needed.
type Deps struct {
	Values  environ.Values
	Tables  Tables
	Tx      store.Transactor
	Cognito Cognito
	Secrets secret.API
	KMS     fieldcrypt.KMS
	Log     *slog.Logger
	Now     func() time.Time
}

// api is the function at work.
type api struct {
	t        Tables
	tx       store.Transactor
	pool     *pool
	cipher   *fieldcrypt.Cipher
	sessions *session.Sessions
	signer   *token.Signer
	keys     *token.Keys
}

// New makes the function's handler. Nothing is called until a request needs it, so that health answers whatever is
// broken. No caller limit is open: whom its counter does not answer is refused, and while counters are down each sandbox lets
// passwords and tokens be tried a quarter as often.
func New(d Deps) (lambda.Handler, error) {
	f, _ := catalog.Auth().Function("auth-api")
	secrets := secret.NewReader(d.Secrets, secret.Options{Now: d.Now})
	source := func(ctx context.Context) (secret.Value, error) { return secrets.Get(ctx, d.Values.Secret("jwt")) }
	cipher := fieldcrypt.New(d.KMS, d.Tables.Users, fieldcrypt.Config{Key: d.Values.Key("pii"), Environment: d.Values.Environment, Purpose: "pii"})
	sessions, err := session.New(session.Config{Table: d.Tables.Sessions, Tx: d.Tx, Sealer: cipher, Events: d.Tables.note,
		Revoke: revoke.Tables{Revoked: d.Tables.RevokedTokens, Counters: d.Tables.RateLimits}.Session})
	if err != nil {
		return nil, err
	}
	a := &api{t: d.Tables, tx: d.Tx, pool: newPool(d.Cognito, d.Values.UserPool, d.Values.UserPoolClient), cipher: cipher, sessions: sessions,
		signer: token.NewSigner(d.Values.Issuer, source, d.Now),
		keys:   token.NewKeys(d.Tables.SigningKeys, token.KeysOptions{Now: d.Now, Soft: token.Published})}
	limiter, err := ratelimit.New(d.Tables.RateLimits, f, d.Values.Limits, ratelimit.Options{Budget: d.Values.LimiterBudget, Now: d.Now})
	if err != nil {
		return nil, err
	}
	handler, err := rest.New(f, a.handlers(), rest.Deps{
		Limiter: limiter, Revoked: d.Tables.RevokedTokens, Account: account, Origins: d.Values.Origins, Log: d.Log, Now: d.Now,
		Hash: func(ctx context.Context, text string) (string, error) {
			return cipher.BlindIndex(ctx, "caller", text)
		},
	})
	if err != nil {
		return nil, err
	}
	return secrets.Joined(handler), nil
}

func (a *api) handlers() map[string]rest.Handler {
	return map[string]rest.Handler{
		"register": a.register, "confirm": a.confirm, "resend": a.resend,
		"login": a.login, "refresh": a.refresh, "logout": a.logout,
		"jwks": a.jwks, "health": health,
	}
}

// account is the one name of whatever a caller limit counts: the canonical address, or the session of a refresh token,
// whose tokens change with each use.
func account(field, value string) (string, error) {
	if field == "email" {
		return canonical(value)
	}
	session, _, _ := strings.Cut(value, ".")
	return session, nil
}

// canonical is the one spelling of an address under which an account is known.
func canonical(email string) (string, error) {
	address, code := validate.Email(email)
	if code != "" {
		return "", validate.Refuse(apperr.Field{Pointer: "/email", Code: code, Detail: "This is not a mail address; write other letters than a to z in a domain in Punycode."})
	}
	return address, nil
}
