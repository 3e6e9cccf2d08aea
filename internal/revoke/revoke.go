// Package revoke refuses access tokens before they expire: those of a session that ended, and all of a user that were
// issued until now (a changed password, a deleted account).
//
// A revocation is two writes in the caller's own transaction. One is in the table of revoked tokens, which is the source
// of truth. The other is a mark in the item that holds the user's counters in the table of rate limits: whoever counts a
// request of the user reads the mark in the answer to its one write, so that admission learns of a revocation without a
// call of its own.
//
// What a caller may rely on:
//   - Once the transaction is done, every count of the user and every consistent read (Ended) sees the revocation: it is
//     late by nothing. Package rest says what happens while neither the counters nor the table answers.
//   - Marks are facts. A mark's name says all of it, a mark is never changed, and it loses its meaning only when no token
//     that it refuses can be valid any more; then anybody may remove it. Times are compared; nothing waits for DynamoDB to
//     delete.
//   - The item says since when its marks are complete (Since). About tokens that were there before, the table is asked: an
//     item that was lost, or whose marks became more than MaxMarks, lets no revoked token pass.
//   - Revoking again is harmless.
//
// Its limits: tokens are refused, sessions are not ended, so that a refresh token still gives new access tokens unless the
// caller ends the session in the same transaction. Times are of the clocks of whoever signs and whoever revokes: a token
// that a clock ahead of the revoker's dated later than the revocation passes User, and one that was issued within the
// second of the revocation, after it, is refused. That an item is complete is told by clocks that are less than half a second
// from the true time; AWS keeps those of its machines within milliseconds.
package revoke

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/token"
)

const (
	// Window is how long a revocation must be known: until no access token that it refuses can be valid for any verifier,
	// and some minutes more.
	Window = token.Lifetime + token.Leeway + 5*time.Minute
	// Kept is how long an item of counters is kept after the last write to it, with its marks. It is longer than Window,
	// and twice the longest window of a caller limit.
	Kept = 48 * time.Hour
	// MaxMarks is how many marks an item holds. Whoever reads more removes them and raises Since.
	MaxMarks = 16
	// Since is the attribute of an item of counters, in epoch seconds, from which on its marks are complete: a revocation
	// of the user in that second or later is marked. Without it none need be.
	Since = "since"
)

// Token is what is known of an access token once its signature was checked. Its zero value is no token.
type Token struct {
	User     string
	Session  string
	IssuedAt time.Time
}

// Tables are where revocations are written: the table of revoked tokens and the one of rate limits.
type Tables struct {
	Revoked  store.Putter
	Counters store.Updater
}

// Session are the writes that refuse every access token of a user's session, which is not empty, from now on.
func (t Tables) Session(user, session string, now time.Time) []store.Write {
	item := sessionKey(session)
	item["ttl"] = store.N(now.Add(Window).Unix())
	return []store.Write{t.Revoked.PutWrite(types.Put{Item: item}), t.mark(user, Mark{At: now.Unix(), Session: session}, now)}
}

// User are the writes that refuse every access token of a user that was issued at or before the second of now.
func (t Tables) User(user string, now time.Time) []store.Write {
	item := userKey(user)
	item["before"], item["ttl"] = store.N(now.Unix()), store.N(now.Add(Window).Unix())
	return []store.Write{t.Revoked.PutWrite(types.Put{Item: item}), t.mark(user, Mark{At: now.Unix()}, now)}
}

func (t Tables) mark(user string, m Mark, now time.Time) store.Write {
	return t.Counters.UpdateWrite(types.Update{
		Key:                       store.Item{"pk": store.S(CounterKey(Subject(user)))},
		UpdateExpression:          aws.String("SET #mark = :true, #ttl = :ttl"),
		ExpressionAttributeNames:  map[string]string{"#mark": m.Name(), "#ttl": "ttl"},
		ExpressionAttributeValues: store.Item{":true": store.Bool(true), ":ttl": store.N(now.Add(Kept).Unix())},
	})
}

// Subject is the name under which a user is counted.
func Subject(user string) string { return "user:" + user }

// CounterKey is the key of the item that holds all counters of a subject, and the marks of a user.
func CounterKey(subject string) string { return "RL#" + subject }

func sessionKey(session string) store.Item { return store.Item{"pk": store.S("SID#" + session)} }
func userKey(user string) store.Item       { return store.Item{"pk": store.S("USER#" + user)} }

// Ended asks the table of revoked tokens, in the leader's copy, whether a token is refused. An entry counts until its time
// (ttl, epoch seconds), not until DynamoDB deletes it. One that cannot be read refuses.
func Ended(ctx context.Context, table store.BatchGetter, t Token, now time.Time) (bool, error) {
	items, err := table.BatchGetItem(ctx, types.KeysAndAttributes{
		Keys: []store.Item{sessionKey(t.Session), userKey(t.User)}, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return false, fmt.Errorf("revoke: %w", err)
	}
	for _, item := range items {
		r := store.Read(item)
		pk, until := r.S("pk"), r.N("ttl")
		before := int64(0)
		ofUser := strings.HasPrefix(pk, "USER#")
		if ofUser {
			before = r.N("before")
		}
		if r.Err() != nil || now.Unix() < until && (!ofUser || t.IssuedAt.Unix() <= before) {
			return true, nil
		}
	}
	return false, nil
}

// Mark is a revocation in an item of counters, where it is the name of an attribute: x<At> for all tokens of the user
// that were issued until then, x<At>.<Session> for all of a session.
type Mark struct {
	At      int64 // epoch seconds
	Session string
}

// Name is the attribute's name.
func (m Mark) Name() string {
	name := "x" + strconv.FormatInt(m.At, 10)
	if m.Session != "" {
		name += "." + m.Session
	}
	return name
}

// ParseMark reads an attribute's name; ok is false for what is no mark.
func ParseMark(name string) (m Mark, ok bool) {
	rest, ok := strings.CutPrefix(name, "x")
	if !ok {
		return Mark{}, false
	}
	at, session, named := strings.Cut(rest, ".")
	n, err := strconv.ParseInt(at, 10, 64)
	m = Mark{At: n, Session: session}
	if err != nil || n < 0 || named != (session != "") || m.Name() != name {
		return Mark{}, false
	}
	return m, true
}

// Ends tells whether the mark refuses a token.
func (m Mark) Ends(t Token, now time.Time) bool {
	if m.Over(now) {
		return false
	}
	if m.Session == "" {
		return t.IssuedAt.Unix() <= m.At
	}
	return m.Session == t.Session
}

// Over tells whether the mark has lost its meaning.
func (m Mark) Over(now time.Time) bool { return now.Unix()-m.At >= int64(Window/time.Second) }
