package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/fieldcrypt"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/internal/token"
)

// How long a session lives, and how long a token that was just exchanged still gives its successor: a client that did
// not hear the answer asks again (RFC 9700 §4.14.2 leaves room for it).
const (
	sessionIdle     = 30 * 24 * time.Hour
	sessionAbsolute = 90 * 24 * time.Hour
	grace           = 20 * time.Second
	eventsKept      = 365 * 24 * time.Hour
)

// States of a session. Only an active one gives tokens.
const (
	stateActive    = "active"
	stateRevoked   = "revoked"
	stateLoggedOut = "logged_out"
)

// errRefresh is the one answer to a refresh token that gives nothing, whatever the reason: a thief learns none.
var errRefresh = apperr.New(apperr.Unauthenticated, "invalid_refresh_token", "The session has ended. Sign in again.")

// refreshSecret is the secret half of a refresh token: 256 bits in base64url. Only its hash is stored; being random, it
// needs no slow hash.
type refreshSecret string

func newRefreshSecret() refreshSecret { return refreshSecret(randomText(32)) }

func (s refreshSecret) hash() []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

func randomText(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

func sessionKey(id string) store.Item { return store.Item{"pk": store.S("SESSION#" + id)} }

// newSession is the item of a session that begins now.
func newSession(id, user string, first refreshSecret, now time.Time) store.Item {
	item := sessionKey(id)
	item["user"], item["status"], item["current"] = store.S(user), store.S(stateActive), store.B(first.hash())
	item["createdAt"], item["rotatedAt"] = store.N(now.Unix()), store.N(now.Unix())
	item["idleUntil"], item["ttl"] = store.N(now.Add(sessionIdle).Unix()), store.N(now.Add(sessionIdle).Unix())
	item["until"] = store.N(now.Add(sessionAbsolute).Unix())
	return item
}

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
	session, presented, _ := strings.Cut(in.RefreshToken, ".")
	user, next, err := a.rotate(ctx, session, refreshSecret(presented), r.Now)
	if err != nil {
		return rest.Response{}, err
	}
	return a.pair(ctx, user, session, next)
}

// pair answers with an access token and the session's next refresh token.
func (a *api) pair(ctx context.Context, user, session string, next refreshSecret) (rest.Response, error) {
	access, _, err := a.signer.Sign(ctx, user, session)
	if err != nil {
		return rest.Response{}, unavailable(err)
	}
	return rest.Response{Body: tokens{AccessToken: access, TokenType: "Bearer", ExpiresIn: int(token.Lifetime.Seconds()),
		RefreshToken: session + "." + string(next)}}, nil
}

// rotate replaces the session's token by its successor in one conditional write, and returns the session's user.
func (a *api) rotate(ctx context.Context, session string, presented refreshSecret, now time.Time) (user string, next refreshSecret, err error) {
	next = newRefreshSecret()
	sealed, err := a.cipher.Seal(ctx, "sessions", session, "successor", []byte(next))
	if err != nil {
		return "", "", unavailable(fmt.Errorf("auth: seal the successor: %w", err))
	}
	out, err := a.t.Sessions.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		Key:                 sessionKey(session),
		UpdateExpression:    aws.String("SET previous = :presented, #current = :next, successor = :sealed, rotatedAt = :now, idleUntil = :idle, #ttl = :idle"),
		ConditionExpression: aws.String("#status = :active AND #current = :presented AND idleUntil > :now AND #until > :now"),
		ExpressionAttributeNames: map[string]string{
			"#status": "status", "#current": "current", "#ttl": "ttl", "#until": "until"},
		ExpressionAttributeValues: store.Item{
			":presented": store.B(presented.hash()), ":next": store.B(next.hash()), ":sealed": store.B(sealed), ":active": store.S(stateActive),
			":now": store.N(now.Unix()), ":idle": store.N(now.Add(sessionIdle).Unix())},
		ReturnValues: types.ReturnValueAllNew,
	})
	var refused *store.ConditionFailedError
	switch {
	case errors.As(err, &refused):
		return a.notRotated(ctx, session, presented, next, refused.Old, now)
	case err != nil:
		return "", "", unavailable(err)
	}
	r := store.Read(out.Attributes)
	user = r.S("user")
	return user, next, r.Err()
}

// notRotated decides what a refused rotation means. A retry of our own whose first answer was lost has done its work; a
// client's retry within the grace gets the same successor; any other secret for a live session is one that was used
// before, or was never given out: somebody else has the session, and it ends for both.
func (a *api) notRotated(ctx context.Context, session string, presented, next refreshSecret, old store.Item, now time.Time) (string, refreshSecret, error) {
	r := store.Read(old)
	user, state, current, previous := r.OptS("user"), r.OptS("status"), r.OptB("current"), r.OptB("previous")
	live := now.Unix() < r.OptN("idleUntil") && now.Unix() < r.OptN("until")
	inGrace := now.Sub(time.Unix(r.OptN("rotatedAt"), 0)) <= grace
	switch {
	case r.Err() != nil:
		return "", "", fmt.Errorf("auth: session: %w", r.Err())
	case state != stateActive || !live:
		return "", "", errRefresh
	case subtle.ConstantTimeCompare(current, next.hash()) == 1:
		return user, next, nil
	case inGrace && subtle.ConstantTimeCompare(previous, presented.hash()) == 1:
		successor, err := a.cipher.Open(ctx, "sessions", session, "successor", r.OptB("successor"))
		switch {
		case errors.Is(err, fieldcrypt.ErrSealed):
			return "", "", fmt.Errorf("auth: open the successor: %w", err)
		case err != nil:
			return "", "", unavailable(fmt.Errorf("auth: open the successor: %w", err))
		}
		return user, refreshSecret(successor), nil
	}
	telemetry.From(ctx).WarnContext(ctx, "a refresh secret was used twice")
	if err := a.end(ctx, session, user, stateRevoked, "refresh_reused", now); err != nil {
		return "", "", unavailable(err)
	}
	return "", "", errRefresh
}

// logout ends the session of the access token.
func (a *api) logout(ctx context.Context, r *rest.Request) (rest.Response, error) {
	if err := a.end(ctx, r.Session, r.Subject, stateLoggedOut, "logout", r.Now); err != nil {
		return rest.Response{}, unavailable(err)
	}
	return rest.Response{}, nil
}

// end ends a user's session, refuses its access tokens from now on and notes it, all or nothing. Where the session has
// ended already, or its item is gone, only the access tokens are left to refuse.
func (a *api) end(ctx context.Context, session, user, state, event string, now time.Time) error {
	revoked := rest.RevokedSession(session)
	revoked["ttl"] = store.N(now.Add(rest.Revocation).Unix())
	err := store.Transact(ctx, a.tx, "",
		a.t.Sessions.UpdateWrite(types.Update{
			Key:                      sessionKey(session),
			UpdateExpression:         aws.String("SET #status = :state, endedAt = :now REMOVE successor"),
			ConditionExpression:      aws.String("#status = :active AND #user = :user"),
			ExpressionAttributeNames: map[string]string{"#status": "status", "#user": "user"},
			ExpressionAttributeValues: store.Item{":state": store.S(state), ":active": store.S(stateActive), ":user": store.S(user),
				":now": store.N(now.Unix())},
		}),
		a.t.RevokedTokens.PutWrite(types.Put{Item: revoked}),
		a.t.SecurityEvents.PutWrite(types.Put{Item: securityEvent(user, session, event, now)}),
	)
	if errors.Is(err, store.ErrConditionFailed) {
		_, err = a.t.RevokedTokens.PutItem(ctx, &dynamodb.PutItemInput{Item: revoked})
	}
	return err
}

// securityEvent notes what happened to an account. It holds no address of the network and no device: those are personal.
func securityEvent(user, session, event string, now time.Time) store.Item {
	at := now.UTC().Format("2006-01-02T15:04:05.000Z")
	return store.Item{"pk": store.S("USER#" + user), "sk": store.S(at + "#" + randomText(6)), "event": store.S(event), "session": store.S(session),
		"at": store.S(at), "ttl": store.N(now.Add(eventsKept).Unix())}
}

// unavailable closes the door because something that is needed did not answer.
func unavailable(err error) error {
	return apperr.New(apperr.Unavailable, "", "").After(time.Second).Because(err)
}
