package rest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/revoke"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/internal/telemetry/report"
)

// errEnded is the answer to a token whose session was ended.
var errEnded = apperr.New(apperr.Unauthenticated, "session_ended", "The session has ended. Sign in again.")

// Unchecked is how old a token may be that passes a read though neither the counters nor the table of revoked tokens could
// tell whether it was revoked. Nobody else passes then.
const Unchecked = 5 * time.Minute

// admit lets a request through or not: by the limits of its user, account or address, and by whether its token was
// revoked. Who counts the user usually tells both with one answer; where it does not, the table of revoked tokens is
// asked. Either answer is late by nothing. A token that was revoked is told first.
func (c *call) admit(ctx context.Context, counts []Count) error {
	state, err := c.count(ctx, counts)
	if err != nil || c.route.public || state == TokenLive {
		return err
	}
	ended, err := revoke.Ended(ctx, c.api.d.Revoked, c.token, c.now)
	switch {
	case ended:
		return errEnded
	case err == nil && len(counts) > 0:
		c.api.d.Limiter.Live(c.token, c.now)
	case err != nil && c.route.readOnly && ctx.Err() == nil && c.now.Sub(c.token.IssuedAt) < Unchecked:
		telemetry.From(ctx).WarnContext(ctx, "token passes without being checked for revocation", telemetry.FieldError, err)
	case err != nil:
		return unavailable(fmt.Errorf("rest: revoked tokens: %w", err))
	}
	return nil
}

// refused refuses who is known to be refused, at no cost.
func (c *call) refused(counts []Count) error {
	if len(counts) == 0 {
		return nil
	}
	v, known := c.api.d.Limiter.Refused(counts)
	if !known {
		return nil
	}
	_, err := c.judge(v)
	return err
}

// ahead answers a request that reads, with the handler at work while the request is admitted: one round trip, not two. It
// is safe because such a handler changes nothing, and what it answers is thrown away unless the request is admitted. It
// returns when both are done: a sandbox may be frozen after.
func (c *call) ahead(ctx context.Context, req *Request, counts []Count) (Response, error) {
	working, stop := context.WithCancel(ctx)
	defer stop()
	var response Response
	failed := errors.New("rest: the handler did not return")
	done := make(chan struct{})
	go func() {
		defer close(done)
		failed = unpanicked(func() (err error) {
			response, err = c.route.handler(working, req)
			return err
		})
	}()
	refused := c.admit(ctx, counts)
	if refused != nil {
		stop()
	}
	<-done
	if refused != nil {
		return Response{}, refused
	}
	return response, failed
}

// panicked is a panic made an error: in a goroutine of its own it would end the process.
type panicked struct {
	value any
	stack report.Stack
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// stackOf is the stack of a panic, and empty for any other error.
func stackOf(err error) report.Stack {
	var p *panicked
	if errors.As(err, &p) {
		return p.stack
	}
	return nil
}

func unpanicked(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicked{p, report.Caught()}
		}
	}()
	return f()
}

// unavailable closes the door because a question could not be answered.
func unavailable(err error) error {
	return apperr.New(apperr.Unavailable, "", "").After(time.Second).Because(err)
}

// callers are the limits whose subject is known before the body is read.
func (c *call) callers(ctx context.Context, req *Request) ([]Count, error) {
	r := c.route
	var counts []Count
	var err error
	add := func(class service.Limit, route, ip string) {
		var subject string
		if err == nil {
			subject, err = c.hash(ctx, "ip:"+ip)
		}
		counts = append(counts, Count{Class: class, Route: route, Subject: subject})
	}
	switch {
	case r.Limit == service.LimitNone:
	case !r.public:
		counts = append(counts, Count{Class: r.Limit, Route: r.ID, Subject: revoke.Subject(req.Subject), Token: c.token})
	case r.LimitBy == "":
		add(r.Limit, r.ID, req.IP)
	}
	if r.Limit == service.LimitAuth {
		add(service.LimitAuthIP, "", req.IP)
	}
	return counts, err
}

// withAccount adds the limit of the account that the body names.
func (c *call) withAccount(ctx context.Context, counts []Count) ([]Count, error) {
	r := c.route
	if r.LimitBy == "" {
		return counts, nil
	}
	name := c.account
	if c.api.d.Account != nil {
		var err error
		if name, err = c.api.d.Account(r.LimitBy, name); err != nil {
			return counts, err
		}
	}
	subject, err := c.hash(ctx, r.LimitBy+":"+name)
	if err != nil {
		return counts, err
	}
	return append(counts, Count{Class: r.Limit, Route: r.ID, Subject: subject}), nil
}

// hash makes a name that tells who it is one that does not, and so may be stored.
func (c *call) hash(ctx context.Context, name string) (string, error) {
	hashed, err := c.api.d.Hash(ctx, name)
	if err != nil {
		return "", unavailable(fmt.Errorf("rest: hash the caller: %w", err))
	}
	return hashed, nil
}

// count counts the request against its limits. A limiter that fails lets nobody pass: whether a class may be admitted
// without its store is the limiter's to decide, and then it does not fail.
func (c *call) count(ctx context.Context, counts []Count) (TokenState, error) {
	if len(counts) == 0 {
		return TokenUnknown, nil
	}
	verdict, err := c.api.d.Limiter.Count(ctx, counts)
	if err != nil && verdict.Token != TokenEnded {
		return TokenUnknown, apperr.New(apperr.Unavailable, "", "").After(max(verdict.RetryAfter, time.Second)).Because(fmt.Errorf("rest: limiter: %w", err))
	}
	return c.judge(verdict)
}

// judge makes a verdict the answer to its request.
func (c *call) judge(v Verdict) (TokenState, error) {
	if v.Token == TokenEnded {
		return v.Token, errEnded
	}
	if !c.route.public {
		maps.Copy(c.headers, v.Headers)
	}
	if !v.Allowed {
		return v.Token, apperr.New(apperr.Limited, "", "").After(max(v.RetryAfter, time.Second))
	}
	return v.Token, nil
}
