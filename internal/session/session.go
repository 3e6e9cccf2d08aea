// Package session is signed-in devices. A session hands out refresh tokens, each good for one renewal that gives the next;
// a token that is used again ends the session, since somebody else has it.
//
// What a caller may rely on:
//   - Of one token there is at most one live successor, however many ask for it at once and whichever answers are lost.
//   - A renewal is one conditional write. Asked again within the grace, it gives the same successor.
//   - A token that is used after its successor was used, or after the grace, ends the session for whoever holds it. Ending
//     a session, refusing its access tokens and noting the event are one transaction.
//   - A token of a session that has ended or expired is refused, and is no alarm.
//   - Tokens are stored as hashes only; the successor lies sealed, until the next renewal or the end of the session.
//
// Its limits: a thief who renews within the grace of the owner, each time, is not told from the owner; and an owner whose
// answer was lost and who asks again only after the grace is taken for a thief and must sign in. Tokens older than the last
// two are not remembered, so a secret that was never given out ends a session like one that was: who knows a session's id,
// which is no secret, can end it, and no more than that.
package session

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

	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

// table is the table's key in the declaration: a sealed successor opens only there, whatever the environment.
const table = "sessions"

// Events of a session, as the hook Events is told them.
const (
	EventReused = "refresh_reused" // a refresh token was used twice: the session ended for everybody
	EventLogout = "logout"
)

// States of a session. Only an active one gives tokens.
const (
	active    = "active"
	revoked   = "revoked"
	loggedOut = "logged_out"
)

// What Renew fails with beside the store's and the sealer's own errors, which say nothing about the token.
var (
	// ErrRefused is every reason for which a refresh token gives nothing. Callers are not to be told which.
	ErrRefused = errors.New("session: the refresh token gives nothing")
	// ErrCorrupt is a stored session that cannot be read.
	ErrCorrupt = errors.New("session: the stored session cannot be read")
)

// Table is the table of sessions, by pk; its attribute ttl is when DynamoDB may delete a session.
type Table interface {
	store.Putter
	store.Updater
}

// Sealer encrypts successors. What is sealed opens only at the same table, key and attribute. fieldcrypt's cipher is one.
type Sealer interface {
	Seal(ctx context.Context, table, key, attribute string, plain []byte) ([]byte, error)
	Open(ctx context.Context, table, key, attribute string, sealed []byte) ([]byte, error)
}

// Config is what sessions work with. Everything but the durations is needed.
type Config struct {
	Table  Table
	Tx     store.Transactor
	Sealer Sealer
	// Revoke are the writes that refuse the access tokens of a session from now on. It must give at least one.
	Revoke func(user, session string, now time.Time) []store.Write
	// Events are the writes that note an event of a session; they may be none. They are in the transaction of the event.
	Events func(user, session, event string, now time.Time) []store.Write

	Idle     time.Duration // how long a session lives after it was last renewed; 0: 30 days
	Absolute time.Duration // how long it lives at all; 0: 90 days
	// Grace is how long a token that was just exchanged still gives its successor: a client that did not hear the answer
	// asks again. 0: 20 s. RFC 9700 §4.14.2 asks for rotation with reuse detection and leaves this open.
	Grace time.Duration
}

// Sessions are the sessions of a table. They are safe for concurrent use.
type Sessions struct{ c Config }

// New makes sessions. Its error names everything that is missing from the configuration.
func New(c Config) (*Sessions, error) {
	var missing []error
	for _, needed := range []struct {
		is   bool
		what string
	}{
		{c.Table != nil, "a table"}, {c.Tx != nil, "transactions"}, {c.Sealer != nil, "a sealer"},
		{c.Revoke != nil, "Revoke"}, {c.Events != nil, "Events"},
		{c.Idle >= 0 && c.Absolute >= 0 && c.Grace >= 0, "durations that are not negative"},
	} {
		if !needed.is {
			missing = append(missing, fmt.Errorf("session: it needs %s", needed.what))
		}
	}
	if len(missing) > 0 {
		return nil, errors.Join(missing...)
	}
	for _, d := range []struct {
		at    *time.Duration
		value time.Duration
	}{{&c.Idle, 30 * 24 * time.Hour}, {&c.Absolute, 90 * 24 * time.Hour}, {&c.Grace, 20 * time.Second}} {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
	return &Sessions{c}, nil
}

// Grant is what a client holds: its session and the refresh token for the next renewal. The token is a secret.
type Grant struct {
	User         string
	Session      string
	RefreshToken string // the session, a dot, 256 bits in base64url
}

// Begin makes a session of a user. It begins when the write is done, in the caller's transaction.
func (s *Sessions) Begin(user string, now time.Time) (Grant, store.Write) {
	session, first := randomText(sessionBytes), newSecret()
	item := key(session)
	item["user"], item["status"], item["current"] = store.S(user), store.S(active), store.B(first.hash())
	item["createdAt"], item["rotatedAt"] = store.N(now.Unix()), store.N(now.Unix())
	item["idleUntil"], item["ttl"] = store.N(now.Add(s.c.Idle).Unix()), store.N(now.Add(s.c.Idle).Unix())
	item["until"] = store.N(now.Add(s.c.Absolute).Unix())
	return grant(user, session, first), s.c.Table.PutWrite(types.Put{Item: item, ConditionExpression: aws.String("attribute_not_exists(pk)")})
}

// Renew exchanges a refresh token for its successor. ErrRefused means that it gives none: it is no token, its session has
// ended or expired, or it was used before, which ends the session. While ending fails so does Renew, with that error, and
// the next use tries again. After an error that is not ErrRefused the same token may be used again within the grace.
func (s *Sessions) Renew(ctx context.Context, refreshToken string, now time.Time) (Grant, error) {
	session, presented, ok := split(refreshToken)
	if !ok {
		return Grant{}, ErrRefused
	}
	next := newSecret()
	sealed, err := s.c.Sealer.Seal(ctx, table, session, "successor", []byte(next))
	if err != nil {
		return Grant{}, fmt.Errorf("session: seal the successor: %w", err)
	}
	out, err := s.c.Table.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		Key:                 key(session),
		UpdateExpression:    aws.String("SET previous = :presented, #current = :next, successor = :sealed, rotatedAt = :now, idleUntil = :idle, #ttl = :idle"),
		ConditionExpression: aws.String("#status = :active AND #current = :presented AND idleUntil > :now AND #until > :now"),
		ExpressionAttributeNames: map[string]string{
			"#status": "status", "#current": "current", "#ttl": "ttl", "#until": "until"},
		ExpressionAttributeValues: store.Item{
			":presented": store.B(presented.hash()), ":next": store.B(next.hash()), ":sealed": store.B(sealed), ":active": store.S(active),
			":now": store.N(now.Unix()), ":idle": store.N(now.Add(s.c.Idle).Unix())},
		ReturnValues: types.ReturnValueAllNew,
	})
	var refused *store.ConditionFailedError
	switch {
	case errors.As(err, &refused):
		return s.notRotated(ctx, session, presented, next, refused.Old, now)
	case err != nil:
		return Grant{}, fmt.Errorf("session: renew: %w", err)
	}
	r := store.Read(out.Attributes)
	user := r.S("user")
	if r.Err() != nil {
		return Grant{}, fmt.Errorf("%w: %w", ErrCorrupt, r.Err())
	}
	return grant(user, session, next), nil
}

// notRotated decides what a refused rotation means. A try of our own whose first answer was lost has done its work; a
// client's retry within the grace gets the same successor; any other secret for a live session is one that was used
// before, or was never given out: somebody else has the session, and it ends for both.
func (s *Sessions) notRotated(ctx context.Context, session string, presented, next secret, old store.Item, now time.Time) (Grant, error) {
	r := store.Read(old)
	user, state, current, previous := r.OptS("user"), r.OptS("status"), r.OptB("current"), r.OptB("previous")
	live := now.Unix() < r.OptN("idleUntil") && now.Unix() < r.OptN("until")
	inGrace := now.Sub(time.Unix(r.OptN("rotatedAt"), 0)).Abs() <= s.c.Grace // a clock that went back does not prolong it
	sealed := r.OptB("successor")
	switch {
	case r.Err() != nil:
		return Grant{}, fmt.Errorf("%w: %w", ErrCorrupt, r.Err())
	case state != active || !live:
		return Grant{}, ErrRefused
	case subtle.ConstantTimeCompare(current, next.hash()) == 1:
		return grant(user, session, next), nil
	case inGrace && subtle.ConstantTimeCompare(previous, presented.hash()) == 1:
		successor, err := s.c.Sealer.Open(ctx, table, session, "successor", sealed)
		if err != nil {
			return Grant{}, fmt.Errorf("session: open the successor: %w", err)
		}
		return grant(user, session, secret(successor)), nil
	}
	telemetry.From(ctx).WarnContext(ctx, "a refresh secret was used twice")
	if err := s.end(ctx, session, user, revoked, EventReused, now); err != nil {
		return Grant{}, err
	}
	return Grant{}, ErrRefused
}

// End is logout: it ends a user's session, refuses its access tokens and notes it. Where the session has ended already or
// is gone, only its access tokens are refused; where it is another user's, nothing happens. It may be repeated.
func (s *Sessions) End(ctx context.Context, user, session string, now time.Time) error {
	return s.end(ctx, session, user, loggedOut, EventLogout, now)
}

func (s *Sessions) end(ctx context.Context, session, user, state, event string, now time.Time) error {
	revoke := s.c.Revoke(user, session, now)
	writes := append([]store.Write{s.c.Table.UpdateWrite(types.Update{
		Key:                      key(session),
		UpdateExpression:         aws.String("SET #status = :state, endedAt = :now REMOVE successor"),
		ConditionExpression:      aws.String("#status = :active AND #user = :user"),
		ExpressionAttributeNames: map[string]string{"#status": "status", "#user": "user"},
		ExpressionAttributeValues: store.Item{":state": store.S(state), ":active": store.S(active), ":user": store.S(user),
			":now": store.N(now.Unix())},
	})}, revoke...)
	err := store.Transact(ctx, s.c.Tx, "", append(writes, s.c.Events(user, session, event, now)...)...)
	if old, over := refusedWith(err); over {
		if owner := store.Read(old).OptS("user"); owner != "" && owner != user {
			return nil
		}
		err = store.Transact(ctx, s.c.Tx, "", revoke...)
	}
	if err != nil {
		return fmt.Errorf("session: end: %w", err)
	}
	return nil
}

// refusedWith tells whether it was the session's own condition that refused to end it, and with what it found.
func refusedWith(err error) (old store.Item, refused bool) {
	var canceled *store.CancelledError
	if !errors.As(err, &canceled) {
		return nil, false
	}
	return canceled.Refused(0)
}

const (
	sessionBytes = 16
	secretBytes  = 32
)

// secret is the secret half of a refresh token: 256 bits in base64url. Only its hash is stored; being random, it needs no
// slow hash.
type secret string

func newSecret() secret { return secret(randomText(secretBytes)) }

func (s secret) hash() []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

func key(session string) store.Item { return store.Item{"pk": store.S("SESSION#" + session)} }

func grant(user, session string, s secret) Grant {
	return Grant{User: user, Session: session, RefreshToken: session + "." + string(s)}
}

// split takes a refresh token apart. What could not have come from here never reaches the table.
func split(token string) (session string, s secret, ok bool) {
	session, rest, _ := strings.Cut(token, ".")
	return session, secret(rest), isText(session, sessionBytes) && isText(rest, secretBytes)
}

func isText(s string, bytes int) bool {
	if len(s) != base64.RawURLEncoding.EncodedLen(bytes) {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func randomText(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}
