package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/fieldcrypt"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/session"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/token"
)

// eventsKept is how long a person and support can see what happened to an account.
const eventsKept = 365 * 24 * time.Hour

// errRefresh is the one answer to a refresh token that gives nothing, whatever the reason: a thief learns none.
var errRefresh = apperr.New(apperr.Unauthenticated, "invalid_refresh_token", "The session has ended. Sign in again.")

// refresh exchanges a refresh token for the next pair. It first makes sure that an access token can be signed: a rotation
// that the client does not hear of within the grace would look like a theft.
func (a *api) refresh(ctx context.Context, r *rest.Request) (rest.Response, error) {
	var in renewal
	if err := r.Decode(&in); err != nil {
		return rest.Response{}, err
	}
	if err := a.signer.Ready(ctx); err != nil {
		return rest.Response{}, unavailable(err)
	}
	next, err := a.sessions.Renew(ctx, in.RefreshToken, r.Now)
	switch {
	case err == nil:
		return a.pair(ctx, next)
	case errors.Is(err, session.ErrRefused):
		return rest.Response{}, errRefresh
	case errors.Is(err, session.ErrCorrupt), errors.Is(err, fieldcrypt.ErrSealed):
		return rest.Response{}, err
	default:
		return rest.Response{}, unavailable(err)
	}
}

// pair answers with an access token and the session's next refresh token.
func (a *api) pair(ctx context.Context, g session.Grant) (rest.Response, error) {
	access, _, err := a.signer.Sign(ctx, g.User, g.Session)
	if err != nil {
		return rest.Response{}, unavailable(err)
	}
	return rest.Response{Body: tokens{AccessToken: access, TokenType: "Bearer", ExpiresIn: int(token.Lifetime.Seconds()),
		RefreshToken: g.RefreshToken}}, nil
}

// logout ends the session of the access token.
func (a *api) logout(ctx context.Context, r *rest.Request) (rest.Response, error) {
	if err := a.sessions.End(ctx, r.Subject, r.Session, r.Now); err != nil {
		return rest.Response{}, unavailable(err)
	}
	return rest.Response{}, nil
}

// note notes what happened to an account. It holds no address of the network and no device: those are personal.
func (t Tables) note(user, session, event string, now time.Time) []store.Write {
	at := now.UTC().Format("2006-01-02T15:04:05.000Z")
	return []store.Write{t.SecurityEvents.PutWrite(types.Put{Item: store.Item{
		"pk": store.S("USER#" + user), "sk": store.S(at + "#" + randomText(6)), "event": store.S(event), "session": store.S(session),
		"at": store.S(at), "ttl": store.N(now.Add(eventsKept).Unix())}})}
}

func randomText(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// unavailable closes the door because something that is needed did not answer.
func unavailable(err error) error {
	return apperr.New(apperr.Unavailable, "", "").After(time.Second).Because(err)
}
