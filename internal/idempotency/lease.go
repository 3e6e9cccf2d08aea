package idempotency

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/retry"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

const (
	// LeaseMargin is for how long a lease outlasts the deadline of its request: the time that the last record may take,
	// and how far the clocks of sandboxes may be apart.
	LeaseMargin = 2 * time.Second
	// doubleTap is the wait before a request that finds its key at work looks once more: the time between two taps.
	doubleTap = 150 * time.Millisecond
	// reserve is what is kept of a request's time for the record, a quarter of it at most: one attempt of the store's client.
	reserve = time.Second
)

// Policy is what becomes of an effect whose outcome nobody recorded. It belongs to the route.
type Policy uint8

const (
	// Unknown never does it again: who asks is told outcome_unknown, until Resolve says what happened. It is the policy of
	// effects that others do not recognize when they come twice.
	Unknown Policy = iota
	// Retry does it again, under the same downstream key: it is for effects that are done once there, or that do no harm
	// when they are done twice.
	Retry
)

// Effect does what the request is about, and ends with its context. downstreamKey is what it hands on so that others do not
// do it twice. What it returns says what happened:
//
//   - an Answer: it took place. It is recorded and replayed. An answer that cannot be recorded (see Answer and MaxAnswer)
//     makes the outcome unknown, whatever the policy.
//   - an *apperr.Error with a 4xx status, without 401 and 429 and without RetryAfter: it is refused, now and for every
//     repetition. The error is recorded and replayed, its cause left out.
//   - NothingHappened: for sure it did not take place. The key is free; the caller gets the error.
//   - any other error, a timeout after something was sent for instance: nobody knows. The policy decides.
type Effect func(ctx context.Context, downstreamKey string) (Answer, error)

// NothingHappened marks an effect's error: whatever it was, it did not take place and will not.
func NothingHappened(err error) error { return &nothing{err} }

type nothing struct{ err error }

// Error is that of the failure.
func (e *nothing) Error() string { return e.err.Error() }

// Unwrap is the failure.
func (e *nothing) Unwrap() error { return e.err }

// LeaseTable is what leases do with their table.
type LeaseTable interface {
	store.Putter
	store.Updater
}

// Options are what leases take from outside. The zero value is right for a function.
type Options struct {
	Now   func() time.Time                           // nil: time.Now
	Wait  func(context.Context, time.Duration) error // until a duration or the context is over; nil: a timer
	Owner func() string                              // a name that no execution had before; nil: crypto/rand.Text
}

// Leases is the table of claims and answers for effects outside DynamoDB. It is safe for concurrent use.
type Leases struct {
	table  LeaseTable
	sealer Sealer
	o      Options
}

// NewLeases makes the leases on the table idempotency. A nil sealer records answers as they are, which is right where they
// tell nothing that is not stored as it is elsewhere: the table is encrypted at rest.
func NewLeases(table LeaseTable, sealer Sealer, o Options) Leases {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wait == nil {
		o.Wait = retry.Sleep
	}
	if o.Owner == nil {
		o.Owner = rand.Text
	}
	return Leases{table, sealer, o}
}

// Run does the effect of a request and records what came of it, or answers from the record. ctx must have a deadline; Run
// ends with it when the effect does. It takes the key's lease until LeaseMargin after the deadline, and the effect gets
// the time up to shortly before the deadline. The errors are, beside those of the effect:
//
//   - 422 idempotency_key_reused (ErrReused), for a key of another request;
//   - 409 request_in_progress (ErrInProgress) with Retry-After, while another execution holds the lease;
//   - 409 outcome_unknown (ErrUnknown), where the policy is Unknown and an outcome was lost, this execution's included;
//   - 503 when the table does not answer: then the effect was not done.
//
// An effect that took place while the table failed afterwards is answered all the same, and logged: the lease stays, and
// the policy decides about a repetition. An execution whose lease was taken over meanwhile records nothing: its caller is
// told what the record says.
func (l Leases) Run(ctx context.Context, req Request, policy Policy, effect Effect) (Answer, error) {
	deadline, ok := ctx.Deadline()
	if err := errors.Join(check(req), need(ok, "the request has no deadline"), need(policy <= Retry, "there is no such policy"),
		need(effect != nil, "there is no effect")); err != nil {
		return Answer{}, fmt.Errorf("idempotency: %w", err)
	}
	mark, err := fingerprint(req)
	if err != nil {
		return Answer{}, err
	}
	e := &execution{Leases: l, req: req, id: req.ID(), mark: mark, policy: policy, deadline: deadline, owner: l.o.Owner()}
	// What is to be recorded is recorded even when the caller has gone, as long as there is time.
	settling, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	held, told, err := e.take(ctx, settling)
	if !held {
		return told, err
	}
	answer, err := e.perform(ctx, effect)
	return e.settle(settling, answer, err)
}

// execution is one call of Run. Owner and generation tell it from every other of its key.
type execution struct {
	Leases
	req        Request
	id         string
	mark       []byte
	policy     Policy
	deadline   time.Time
	owner      string
	generation int64
}

// take claims the key. Where it is not held, the record has the answer or tells why there is none.
func (e *execution) take(ctx, settling context.Context) (held bool, told Answer, err error) {
	var over *record
	var waited bool
	for range 4 { // a claim, the look after the wait, a claim over a lease that has ended, and one lost to another
		old, err := e.claim(ctx, over)
		if err != nil {
			e.release(settling, err)
			return false, Answer{}, unavailable(err)
		}
		if old == nil {
			return true, Answer{}, nil
		}
		rec, err := read(old)
		if err != nil {
			return false, Answer{}, err
		}
		now := e.o.Now()
		ended := rec.state == running && !now.Before(rec.leaseUntil)
		switch {
		case rec.state == running && e.holds(rec): // the client's second try of a claim whose answer was lost
			return true, Answer{}, nil
		case rec.state != running || !bytes.Equal(rec.fingerprint, e.mark):
			told, err = rec.told(ctx, e.sealer, e.id, e.mark, now)
			return false, told, err
		case ended && e.policy == Unknown:
			told, err = e.lose(ctx, rec)
			return false, told, err
		case ended:
			over = &rec
		case waited || time.Until(e.deadline) < 2*doubleTap:
			return false, Answer{}, inProgress(rec.leaseUntil.Sub(now))
		default:
			if err := e.o.Wait(ctx, doubleTap); err != nil {
				return false, Answer{}, err
			}
			waited, over = true, nil
		}
	}
	return false, Answer{}, inProgress(0)
}

func (e *execution) holds(rec record) bool {
	return rec.owner == e.owner && rec.generation == e.generation
}

// claim writes the lease where the key is new, or over one that has ended. It returns the record that refused it.
// Under the policy Unknown a claim has no ttl: what became of it must not be forgotten.
func (e *execution) claim(ctx context.Context, over *record) (store.Item, error) {
	now := e.o.Now()
	e.generation = 1
	in := &dynamodb.PutItemInput{
		ConditionExpression:       aws.String(free),
		ExpressionAttributeNames:  map[string]string{"#state": "state", "#ttl": "ttl"},
		ExpressionAttributeValues: store.Item{":now": store.N(now.Unix()), ":freed": store.S(freed)},
	}
	if over != nil {
		e.generation = over.generation + 1
		in.ConditionExpression = aws.String("#state = :running AND #owner = :owner AND generation = :generation")
		in.ExpressionAttributeNames = map[string]string{"#state": "state", "#owner": "owner"}
		in.ExpressionAttributeValues = store.Item{":running": store.S(running), ":owner": store.S(over.owner), ":generation": store.N(over.generation)}
	}
	in.Item = store.Item{
		"pk": store.S(e.id), "state": store.S(running), "fingerprint": store.B(e.mark), "owner": store.S(e.owner),
		"generation": store.N(e.generation), "leaseUntil": store.N(now.Add(time.Until(e.deadline) + LeaseMargin).UnixMilli()),
	}
	if e.policy == Retry {
		in.Item["ttl"] = store.N(now.Add(Retention).Unix())
	}
	_, err := e.table.PutItem(ctx, in)
	var refused *store.ConditionFailedError
	if errors.As(err, &refused) && refused.Old != nil {
		return refused.Old, nil
	}
	return nil, err
}

// release gives up a claim of which nobody knows whether it was made. It is a courtesy to the next request, which else
// finds a lease without an owner. A claim that was refused for lack of capacity was not made. The claim's own failure is
// told; this one adds nothing to it.
func (e *execution) release(ctx context.Context, claim error) {
	if !store.Transient(claim) {
		_ = e.yield(ctx)
	}
}

// perform does the effect with what time there is.
func (e *execution) perform(ctx context.Context, effect Effect) (Answer, error) {
	if err := ctx.Err(); err != nil {
		return Answer{}, NothingHappened(err)
	}
	left := time.Until(e.deadline)
	ctx, cancel := context.WithDeadline(ctx, e.deadline.Add(-min(reserve, left/4)))
	defer cancel()
	return effect(ctx, DownstreamKey(e.id))
}

// settle records what came of the effect.
func (e *execution) settle(ctx context.Context, answer Answer, err error) (Answer, error) {
	outcome, recorded := outcomeOf(answer, err)
	var did *nothing
	switch {
	case recorded:
		return e.complete(ctx, outcome, answer, err)
	case errors.As(err, &did):
		e.note(ctx, "a key was not freed", e.yield(ctx))
		return Answer{}, err
	case err != nil && e.policy == Retry:
		e.note(ctx, "a lease was not ended", e.end(ctx))
		return Answer{}, err
	}
	e.note(ctx, "an outcome was not recorded", e.update(ctx, e.id, store.Item{"state": store.S(lost)}, []string{"ttl"}, e.owned()))
	if err == nil { // it took place, with an answer that cannot be kept
		return Answer{}, fmt.Errorf("idempotency: %w", recordable(answer))
	}
	return Answer{}, unknown(err)
}

// outcomeOf is what is to be recorded, if anything is.
func outcomeOf(answer Answer, err error) (outcome []byte, recorded bool) {
	var did *nothing
	var refused *apperr.Error
	switch {
	case err == nil:
		return encode(answer), recordable(answer) == nil
	case errors.As(err, &did) || !errors.As(err, &refused):
		return nil, false
	case !lasting(refused.Kind.Status()) || refused.RetryAfter > 0:
		return nil, false
	}
	outcome, err = encodeRefusal(refused)
	return outcome, err == nil
}

// complete records the outcome. The caller is told it whether or not that succeeds, unless another execution of the same
// request has the record: then one key has one answer, that of the record.
func (e *execution) complete(ctx context.Context, outcome []byte, answer Answer, refusal error) (Answer, error) {
	err := e.record(ctx, e.id, outcome, nil, e.owned())
	var fenced *store.ConditionFailedError
	if errors.As(err, &fenced) {
		rec, unreadable := read(fenced.Old)
		switch {
		case unreadable == nil && rec.state == completed && e.holds(rec): // the client's second try
			return answer, refusal
		case unreadable == nil && rec.state != freed && bytes.Equal(rec.fingerprint, e.mark):
			return rec.told(ctx, e.sealer, e.id, e.mark, e.o.Now())
		}
		err = errors.New("idempotency: the record is of another request")
	}
	e.note(ctx, "an outcome was not recorded", err)
	return answer, refusal
}

// lose records that the outcome of another execution, whose lease has ended, is not known, and says so; or says what that
// one recorded in the meantime.
func (e *execution) lose(ctx context.Context, rec record) (Answer, error) {
	err := e.update(ctx, e.id, store.Item{"state": store.S(lost)}, []string{"ttl"}, guard{
		"#state = :running AND #owner = :from AND generation = :generation",
		store.Item{":running": store.S(running), ":from": store.S(rec.owner), ":generation": store.N(rec.generation)}})
	var refused *store.ConditionFailedError
	switch {
	case err == nil:
		return Answer{}, unknown(nil)
	case !errors.As(err, &refused):
		return Answer{}, unavailable(err)
	case refused.Old == nil:
		return Answer{}, inProgress(0)
	}
	if rec, err = read(refused.Old); err != nil {
		return Answer{}, err
	}
	return rec.told(ctx, e.sealer, e.id, e.mark, e.o.Now())
}

// yield frees the key, as if the request had never come. After another execution may have done something it only ends the
// lease: the key then still stands for this request.
func (e *execution) yield(ctx context.Context) error {
	if e.generation > 1 {
		return e.end(ctx)
	}
	return e.update(ctx, e.id, e.freeing(), nil, e.owned())
}

// end ends the lease: the next request with the key takes it over at once.
func (e *execution) end(ctx context.Context) error {
	return e.update(ctx, e.id, store.Item{"leaseUntil": store.N(0)}, nil, e.owned())
}

// owned holds while the lease is this execution's. Another that found it ended may have called its outcome unknown: nobody
// else did the effect, so that the owner may still say what happened.
func (e *execution) owned() guard {
	return guard{"#owner = :from AND generation = :generation AND #state IN (:running, :lost)", store.Item{
		":from": store.S(e.owner), ":generation": store.N(e.generation), ":running": store.S(running), ":lost": store.S(lost)}}
}

// note logs what could not be recorded. A refusal is no failure: the record is another's.
func (e *execution) note(ctx context.Context, what string, err error) {
	if err != nil && !errors.Is(err, store.ErrConditionFailed) {
		telemetry.From(ctx).WarnContext(ctx, what, "operation", e.req.Route, "downstream", DownstreamKey(e.id), telemetry.FieldError, err)
	}
}

// ErrNotUnknown is Resolve's error for a record whose outcome is known, from a Resolve before too, or may still become so.
var ErrNotUnknown = errors.New("idempotency: no outcome is missing there")

// Resolve says what happened to a request whose outcome is unknown, or whose lease ended without one: answer and err are
// what its effect would have returned, after somebody looked under its downstream key. From then on repetitions are told
// that; after NothingHappened the key is new. An error that leaves the outcome open is refused. id is the request's ID.
func (l Leases) Resolve(ctx context.Context, id string, answer Answer, err error) error {
	open := guard{"#state = :lost OR #state = :running AND leaseUntil <= :now", store.Item{
		":lost": store.S(lost), ":running": store.S(running), ":now": store.N(l.o.Now().UnixMilli())}}
	resolver := store.Item{"owner": store.S("resolved")} // the late owner's word does not count any more
	outcome, recorded := outcomeOf(answer, err)
	var did *nothing
	switch {
	case recorded:
		err = l.record(ctx, id, outcome, resolver, open)
	case err == nil:
		err = recordable(answer)
	case errors.As(err, &did):
		maps.Copy(resolver, l.freeing())
		err = l.update(ctx, id, resolver, nil, open)
	}
	if errors.Is(err, store.ErrConditionFailed) {
		return ErrNotUnknown
	}
	if err != nil {
		return fmt.Errorf("idempotency: resolve: %w", err)
	}
	return nil
}

func (l Leases) freeing() store.Item {
	return store.Item{"state": store.S(freed), "ttl": store.N(l.o.Now().Unix())}
}

// record writes an outcome, and other attributes, where a guard lets it.
func (l Leases) record(ctx context.Context, id string, outcome []byte, others store.Item, g guard) error {
	sealed, err := seal(ctx, l.sealer, id, outcome)
	if err != nil {
		return err
	}
	set := store.Item{"state": store.S(completed), "answer": store.B(sealed), "ttl": store.N(l.o.Now().Add(Retention).Unix())}
	maps.Copy(set, others)
	return l.update(ctx, id, set, nil, g)
}

// guard is the condition of an update, in which state and owner stand as #state and #owner, and its values.
type guard struct {
	condition string
	values    store.Item
}

// update sets and removes attributes of a record where a guard lets it.
func (l Leases) update(ctx context.Context, id string, set store.Item, remove []string, g guard) error {
	names, values := map[string]string{}, maps.Clone(g.values)
	for _, name := range []string{"state", "owner"} {
		if strings.Contains(g.condition, "#"+name) {
			names["#"+name] = name
		}
	}
	var sets []string
	for _, name := range slices.Sorted(maps.Keys(set)) {
		names["#"+name], values[":set_"+name] = name, set[name]
		sets = append(sets, "#"+name+" = :set_"+name)
	}
	expression := "SET " + strings.Join(sets, ", ")
	for _, name := range remove {
		names["#"+name] = name
		expression += " REMOVE #" + name
	}
	_, err := l.table.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		Key: store.Item{"pk": store.S(id)}, UpdateExpression: &expression, ConditionExpression: &g.condition,
		ExpressionAttributeNames: names, ExpressionAttributeValues: values})
	return err
}
