// Package rest is the way from API Gateway to a handler and back. It admits a request (route, browser origin, identity,
// caller limits, revocation), checks its body against the declared model, calls the handler, and alone writes responses
// and the one log line that each request leaves. Handlers return values and errors.
//
// A token that was revoked is refused from then on, without delay, while the counters or the table of revoked tokens
// answer. While neither does, reads pass with a token that is younger than Unchecked, and nobody else.
package rest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/internal/telemetry/report"
	"github.com/expenzez/aws-backend/internal/validate"
)

const (
	// MaxBody is how many bytes a request's body may have unless its route says otherwise.
	MaxBody = 16 << 10
	// Budget is how long a request may take unless Deps say otherwise. It is below the gateway's 29 s and the function's
	// own timeout, so that it is we who answer.
	Budget = 10 * time.Second
	// reserve is what is left of the invocation when the budget ends: time to write the answer.
	reserve = 250 * time.Millisecond
)

// Handler answers one operation. It may rely on an admitted caller and a body that fits the declared model. An error
// that is no *apperr.Error is hidden from the caller. A GET for a user is answered while its caller is being admitted: its
// handler changes nothing, since what it answers is thrown away when the caller is refused.
type Handler func(context.Context, *Request) (Response, error)

// Response is what a handler answers. The zero value is the route's declared status without a body.
type Response struct {
	Status  int               // 0: the one declared for success
	Body    any               // encoded as JSON; nil: none
	Raw     []byte            // JSON to send as it is, in place of Body
	Headers map[string]string // beside those of every response, which it may override
}

// Deps is what admission needs. Which of them a function must have follows from its routes.
type Deps struct {
	Limiter Limiter           // where a route has a caller limit
	Revoked store.BatchGetter // where a route needs a user: the table revoked-tokens, asked where the limiter does not tell
	// Hash makes a name that counters may carry of an address or account, with a key, so that the table of counters
	// tells nothing about people. Needed where a public route has a caller limit.
	Hash func(ctx context.Context, text string) (string, error)
	// Account is the canonical form of what a LimitBy field names, so that spelling does not make one account many.
	// Its error is answered. nil takes values as they are.
	Account func(field, value string) (string, error)
	Origins []string // web origins that may call from a browser, exactly as a browser sends them
	Budget  time.Duration
	Log     *slog.Logger
	Now     func() time.Time // nil: time.Now
}

// API is a function's part of the REST API. It is safe for concurrent use.
type API struct {
	routes map[string]*route // by method and resource
	d      Deps
	report *report.Reporter
	warm   atomic.Bool
}

type route struct {
	service.Route
	handler  Handler
	request  *validate.Schema // nil without a body
	query    *validate.Schema
	public   bool
	readOnly bool
}

// New binds the handlers of a function to its declared routes. The error lists every route without a handler, every
// handler without a route, every model that cannot be used and every dependency that a route needs and that is missing.
func New(f service.Function, handlers map[string]Handler, d Deps) (*API, error) {
	d.Budget = cmp.Or(d.Budget, Budget)
	if d.Now == nil {
		d.Now = time.Now
	}
	d.Limiter = tracedLimiter(d.Limiter)
	a := &API{routes: map[string]*route{}, d: d}
	var problems []error
	declared := map[string]bool{}
	for _, r := range f.Routes {
		declared[r.ID] = true
		bound, err := bind(r, handlers[r.ID], d)
		if err != nil {
			problems = append(problems, err)
		}
		a.routes[r.Method+" "+r.Path] = bound
	}
	for _, id := range slices.Sorted(maps.Keys(handlers)) {
		if !declared[id] {
			problems = append(problems, fmt.Errorf("handler %s has no route", id))
		}
	}
	if d.Log == nil {
		problems = append(problems, errors.New("there is no log"))
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("rest: function %s: %w", f.Key, errors.Join(problems...))
	}
	source := telemetry.OptionsOf(d.Log)
	source.Function = cmp.Or(source.Function, f.Key)
	a.report = report.New(report.Options{Source: source, Now: d.Now})
	return a, nil
}

func bind(r service.Route, h Handler, d Deps) (*route, error) {
	_, public := r.Caller.IsPublic()
	b := &route{Route: r, handler: traced(r.ID, h), public: public, readOnly: r.Method == "GET"}
	var problems []error
	need := func(missing bool, what string) {
		if missing {
			problems = append(problems, fmt.Errorf("route %s has no %s", r.ID, what))
		}
	}
	need(h == nil, "handler")
	need(r.Limit != service.LimitNone && d.Limiter == nil, "limiter for its caller limit")
	need(r.Limit != service.LimitNone && public && d.Hash == nil, "hash for the subject of its caller limit")
	need(!public && d.Revoked == nil, "table of revoked tokens")
	var err error
	if r.Request != nil {
		if b.request, err = validate.Compile(*r.Request); err != nil {
			problems = append(problems, fmt.Errorf("route %s: %w", r.ID, err))
		}
	}
	if b.query, err = validate.CompileFields(r.Query); err != nil {
		problems = append(problems, fmt.Errorf("route %s: %w", r.ID, err))
	}
	return b, errors.Join(problems...)
}

// outcome is what became of a request: the response, and what the log says about it.
type outcome struct {
	response Response
	err      *apperr.Error // nil: success
	headers  map[string]string
	stack    report.Stack // of a panic
}

// Invoke answers one event of API Gateway (Lambda proxy integration, payload format 1.0). It returns no error: whatever
// happens is rendered, and a panic leaves the process alive.
func (a *API) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	start := a.d.Now()
	cold := a.warm.CompareAndSwap(false, true)
	ev, err := decodeEvent(payload)
	c := &call{api: a, event: ev, now: start, headers: map[string]string{}}
	ctx, cancel := a.deadline(telemetry.Begin(ctx, a.d.Log, slog.String(telemetry.FieldRequestID, ev.Context.RequestID),
		slog.String(telemetry.FieldMethod, ev.Method), slog.String(telemetry.FieldRoute, ev.Resource)))
	defer cancel()
	var o outcome
	if err != nil {
		o = outcome{err: apperr.From(err)}
	} else {
		o = a.guarded(ctx, c)
	}
	out, err := a.render(ev, o)
	a.log(ctx, ev, o, cold, a.d.Now().Sub(start))
	return out, err
}

// deadline ends a request when its budget is spent, and in any case before the platform ends the invocation.
func (a *API) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if d, ok := ctx.Deadline(); ok {
		inner, cancel := context.WithDeadline(ctx, d.Add(-reserve))
		ctx, cancelOuter := context.WithTimeout(inner, a.d.Budget)
		return ctx, func() { cancelOuter(); cancel() }
	}
	return context.WithTimeout(ctx, a.d.Budget)
}

// guarded runs a call beside its deadline: a handler that does not heed its context is left behind, and the caller is
// told that it took too long.
func (a *API) guarded(ctx context.Context, c *call) outcome {
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() { done <- o }()
		if err := unpanicked(func() error { o = c.run(ctx); return nil }); err != nil {
			o = outcome{err: apperr.From(err), stack: stackOf(err)}
		}
	}()
	select {
	case o := <-done:
		return o
	case <-ctx.Done():
	}
	select {
	case o := <-done:
		return o
	default:
		return outcome{err: apperr.New(apperr.Timeout, "", "").Because(ctx.Err())}
	}
}

// run answers a call, or says why not.
func (c *call) run(ctx context.Context) outcome {
	response, err := c.answer(ctx)
	if err == nil {
		response, err = encoded(response)
	}
	o := outcome{response: response, headers: c.headers}
	if err != nil {
		o.err, o.stack = explain(ctx, err), stackOf(err)
		c.headersOf(err)
	}
	return o
}

// explain finds the public form of an error. What failed because time was up is a timeout, and what the store will do a
// little later is unavailable now.
func explain(ctx context.Context, err error) *apperr.Error {
	e := apperr.From(err)
	switch {
	case e.Kind.Hidden() && ctx.Err() != nil:
		return apperr.New(apperr.Timeout, "", "").Because(err)
	case e.Kind != apperr.Internal:
		return e
	case store.Transient(err):
		return apperr.New(apperr.Unavailable, "", "").After(time.Second).Because(err)
	default:
		return e
	}
}

// answer takes a call through every stage. The order is fixed: what is cheap and tells nothing comes first, the handler
// last.
func (c *call) answer(ctx context.Context) (Response, error) {
	r, ok := c.api.routes[c.event.Method+" "+c.event.Resource]
	if !ok {
		return Response{}, apperr.New(apperr.NotFound, "", "")
	}
	c.route = r
	if err := c.origin(); err != nil {
		return Response{}, err
	}
	req, err := c.identify()
	if err != nil {
		return Response{}, err
	}
	counts, err := c.callers(ctx, req)
	if err != nil {
		return Response{}, err
	}
	if err := c.refused(counts); err != nil {
		return Response{}, err
	}
	// What the admission or an answer ahead of it needs is read first. What cannot be read is counted like any attempt.
	ahead := r.readOnly && !r.public
	first := ahead || r.LimitBy != ""
	var unread error
	if first {
		if unread = c.read(req); unread == nil {
			counts, unread = c.withAccount(ctx, counts)
		}
	}
	if ahead && unread == nil {
		return c.ahead(ctx, req, counts)
	}
	if err := c.admit(ctx, counts); err != nil {
		return Response{}, err
	}
	if !first {
		unread = c.read(req)
	}
	if unread != nil {
		return Response{}, unread
	}
	return r.handler(ctx, req)
}

// log writes the request's line, with its metrics, and with an error event when it is our fault. It holds no body, no
// query, no path parameter and no address.
func (a *API) log(ctx context.Context, ev event, o outcome, cold bool, took time.Duration) {
	status := o.status(a.routes[ev.Method+" "+ev.Resource])
	level, attrs := slog.LevelInfo, telemetry.Answered(ctx, status, took, cold)
	if ev.Context.Authorizer.Subject != "" {
		attrs = append(attrs, slog.String(telemetry.FieldUserHash, pseudonym(ev.Context.Authorizer.Subject)))
	}
	if o.err != nil {
		attrs = append(attrs, slog.String(telemetry.FieldCode, o.err.Problem("").Code))
		if cause := errors.Unwrap(o.err); cause != nil {
			attrs = append(attrs, slog.Any(telemetry.FieldError, cause))
		}
		if o.err.Kind.Hidden() {
			level = slog.LevelError
			attrs = append(attrs, a.event(ctx, ev, o)...)
		}
	}
	if len(o.stack) > 0 {
		attrs = append(attrs, slog.String(telemetry.FieldStack, o.stack.String()))
	}
	trace.SpanFromContext(ctx).SetAttributes(telemetry.AttrRoute.String(ev.Method+" "+ev.Resource), telemetry.AttrRequestID.String(ev.Context.RequestID))
	telemetry.End(ctx, level, "request", attrs...)
}

func (o outcome) status(r *route) int {
	switch {
	case o.err != nil:
		return o.err.Kind.Status()
	case o.response.Status != 0:
		return o.response.Status
	default:
		return r.Status
	}
}
