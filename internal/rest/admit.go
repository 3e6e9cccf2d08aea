package rest

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/token"
)

// Revocation is how long a session that ended must stay in the table of revoked tokens: until no access token of it can
// be valid for any verifier, and some minutes more.
const Revocation = token.Lifetime + token.Leeway + 5*time.Minute

// RevokedSession is the key of a session in the table of revoked tokens. Its attribute ttl, in epoch seconds, is when
// the entry loses its meaning; DynamoDB deletes it some time after.
func RevokedSession(session string) store.Item { return store.Item{"pk": store.S("SID#" + session)} }

// errEnded is the answer to a token whose session was ended.
var errEnded = apperr.New(apperr.Unauthenticated, "session_ended", "The session has ended. Sign in again.")

// admit lets a request through or not, by what can be told before its body is read: whether its session has ended, and
// the limits of its user or address. The two questions are asked at the same time. A session that ended is told first.
func (c *call) admit(ctx context.Context, req *Request) error {
	revoked := make(chan error, 1)
	if c.route.public {
		revoked <- nil
	} else {
		go func() { revoked <- unpanicked(func() error { return c.notRevoked(ctx, req.Session) }) }()
	}
	limited := c.admitCaller(ctx, req)
	if err := <-revoked; err != nil {
		return err
	}
	return limited
}

// unpanicked makes a panic an error: in a goroutine of its own it would end the process.
func unpanicked(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}

// notRevoked looks the session up, in the leader's copy before anything is changed. An entry counts until its time, not
// until it is deleted. Without an answer nobody passes.
func (c *call) notRevoked(ctx context.Context, session string) error {
	items, err := c.api.d.Revoked.BatchGetItem(ctx, types.KeysAndAttributes{
		Keys: []store.Item{RevokedSession(session)}, ConsistentRead: aws.Bool(!c.route.readOnly)})
	if err != nil {
		return unavailable(fmt.Errorf("rest: revoked tokens: %w", err))
	}
	for _, item := range items {
		r := store.Read(item)
		until := r.N("ttl")
		if r.Err() != nil || c.now.Unix() < until {
			return errEnded
		}
	}
	return nil
}

// unavailable closes the door because a question could not be answered.
func unavailable(err error) error {
	return apperr.New(apperr.Unavailable, "", "").After(time.Second).Because(err)
}

// admitCaller counts the limits whose subject is known before the body is read.
func (c *call) admitCaller(ctx context.Context, req *Request) error {
	r := c.route
	var counts []subject
	switch {
	case r.Limit == service.LimitNone:
	case !r.public:
		counts = append(counts, subject{r.Limit, r.ID, "user:" + req.Subject, false})
	case r.LimitBy == "":
		counts = append(counts, subject{r.Limit, r.ID, "ip:" + req.IP, true})
	}
	if r.Limit == service.LimitAuth {
		counts = append(counts, subject{service.LimitAuthIP, "", "ip:" + req.IP, true})
	}
	return c.count(ctx, counts)
}

// admitAccount counts the limit of the account that the body names.
func (c *call) admitAccount(ctx context.Context) error {
	r := c.route
	if r.LimitBy == "" {
		return nil
	}
	name := c.account
	if c.api.d.Account != nil {
		var err error
		if name, err = c.api.d.Account(r.LimitBy, name); err != nil {
			return err
		}
	}
	return c.count(ctx, []subject{{r.Limit, r.ID, r.LimitBy + ":" + name, true}})
}

// subject is who is counted, in which class and on which route; without a route, over all of the class.
type subject struct {
	class service.Limit
	route string
	name  string
	hash  bool // the name tells who it is, and must not be stored as it is
}

// count counts the request against its limits. A limiter that fails lets nobody pass: whether a class may be admitted
// without its store is the limiter's to decide, and then it does not fail.
func (c *call) count(ctx context.Context, subjects []subject) error {
	if len(subjects) == 0 {
		return nil
	}
	counts := make([]Count, len(subjects))
	for i, s := range subjects {
		counts[i] = Count{Class: s.class, Route: s.route, Subject: s.name}
		if s.hash {
			hashed, err := c.api.d.Hash(ctx, s.name)
			if err != nil {
				return unavailable(fmt.Errorf("rest: hash the caller: %w", err))
			}
			counts[i].Subject = hashed
		}
	}
	verdict, err := c.api.d.Limiter.Count(ctx, counts)
	if err != nil {
		return unavailable(fmt.Errorf("rest: limiter: %w", err))
	}
	if !c.route.public {
		maps.Copy(c.headers, verdict.Headers)
	}
	if !verdict.Allowed {
		return apperr.New(apperr.Limited, "", "").After(max(verdict.RetryAfter, time.Second))
	}
	return nil
}
