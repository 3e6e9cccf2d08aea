// Package idempotency makes a request take effect once however often it is sent, under the Idempotency-Key that its client
// chose (draft-ietf-httpapi-idempotency-key-header-07).
//
// Records are for effects that are all in DynamoDB: the answer is recorded in the same transaction, so that there is
// neither an effect without its answer nor the reverse, and the effect takes place exactly once.
//
// Leases are for effects elsewhere, of which no transaction can be a part: a claim before the effect, the answer after it.
// What becomes of an effect whose answer was never recorded is the route's policy: Unknown does it at most once, Retry at
// least once and always under the same downstream key.
//
// Both answer a repetition from the record for 24 hours, refuse a key that comes with another request, and do nothing when
// the table does not answer. A key means something only for its user and its operation. The limits: time is the sandboxes'
// own, so that clocks which differ by more than LeaseMargin can end a lease early; that never does the effect of a route
// with the policy Unknown twice. A downstream that remembers its keys for longer than 24 hours still knows a key that is
// new here.
package idempotency

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/store"
)

const (
	// Retention is how long a request's key stands for its answer. Afterwards the same key is a new request.
	Retention = 24 * time.Hour
	// MaxAnswer is how many bytes the body of an answer may have: with it sealed, an item stays below the 400 KB that
	// DynamoDB allows (DynamoDB guide, "Service, account, and table quotas"). A larger one is refused. An operation that
	// may have more to say answers with where it is to be read.
	MaxAnswer = 256 << 10
)

// Sealer encrypts recorded answers. What is sealed opens only at the same table, key and attribute. fieldcrypt's cipher
// is one.
type Sealer interface {
	Seal(ctx context.Context, table, key, attribute string, plain []byte) ([]byte, error)
	Open(ctx context.Context, table, key, attribute string, sealed []byte) ([]byte, error)
}

// Request is what a client asked for. User, Route, Key and Now are needed. Path, Query and Payload are what makes one
// request differ from another: all that the operation takes must be in them.
type Request struct {
	User    string            // who asks: keys of one user mean nothing for another
	Route   string            // the operation's id: nor do keys of one operation for another
	Key     string            // the Idempotency-Key header, as rest checked it
	Path    map[string]string // the parameters of the path
	Query   map[string]string // those of the query
	Payload []byte            // the JSON body; white space and the order of members do not count
	Now     time.Time         // when the request came
}

// ID is the key of the request's record. Clients' keys are hashed: they may tell something, and the length is ours.
func (r Request) ID() string {
	return "IDEM#" + r.User + "#" + r.Route + "#" + hashed(r.Key)
}

// Answer is what the client is told.
type Answer struct {
	Status   int    // 200 to 499 without 401 and 429: what another try may change must not be recorded
	Body     []byte // JSON; empty: none
	Replayed bool   // set on an answer that is from the record
}

// Headers are those of the answer, beside what every answer has: Idempotency-Replayed where it is from the record.
func (a Answer) Headers() map[string]string {
	if !a.Replayed {
		return nil
	}
	return map[string]string{"Idempotency-Replayed": "true"}
}

// What stands in the way of a request, as the cause of the *apperr.Error that tells its caller.
var (
	ErrReused     = errors.New("idempotency key with another request")          // 422, idempotency_key_reused
	ErrInProgress = errors.New("a request with this key is still running")      // 409, request_in_progress, Retry-After
	ErrUnknown    = errors.New("the outcome of the first request is not known") // 409, outcome_unknown
)

func reused() error {
	return apperr.New(apperr.Unprocessable, "idempotency_key_reused",
		"This Idempotency-Key was used for another request. Use a new one.").Because(ErrReused)
}

// inProgress asks the caller to come back when the lease has ended, and in 5 s at most: most end long before.
func inProgress(left time.Duration) error {
	const least, most = time.Second, 5 * time.Second
	return apperr.New(apperr.Conflict, "request_in_progress",
		"A request with this Idempotency-Key is still running.").After(min(max(left, least), most)).Because(ErrInProgress)
}

// unknown tells that nobody knows. Trying again changes nothing: there is no Retry-After.
func unknown(cause error) error {
	return apperr.New(apperr.Conflict, "outcome_unknown",
		"It is not known whether this request took effect. It is not done again; look whether it did.").Because(errors.Join(ErrUnknown, cause))
}

// unavailable closes the door: without the table nothing is done.
func unavailable(err error) error {
	return apperr.New(apperr.Unavailable, "", "").After(time.Second).Because(fmt.Errorf("idempotency: %w", err))
}

// Records is the table of answers for effects in DynamoDB. It is safe for concurrent use.
type Records struct {
	table  store.Putter
	sealer Sealer
}

// New makes the records on the table idempotency. A nil sealer records answers as they are, which is right where the
// effects themselves are stored as they are: the table is encrypted at rest like theirs.
func New(table store.Putter, sealer Sealer) Records { return Records{table: table, sealer: sealer} }

// Once does the writes, at most store.MaxWrites less one, and records the answer, all or nothing, and returns the answer.
// For a request that was answered in the 24 hours before, it does nothing and returns the recorded answer, Replayed; when
// that one was another request the error is an *apperr.Error, 422 with the code idempotency_key_reused.
// A condition of writes[i] that refuses is a *store.CancelledError whose Refused(i) tells so; then nothing is recorded and
// the key is still new. Of requests with one key at the same time one takes effect; the others are answered from its
// record or fail as store.Transient. What a lease left under the key is told as Run tells it. After any other error the
// same request may be sent again: whether or not the first took effect, one does.
func (r Records) Once(ctx context.Context, tx store.Transactor, req Request, answer Answer, writes ...store.Write) (Answer, error) {
	if err := errors.Join(check(req), recordable(answer)); err != nil {
		return Answer{}, fmt.Errorf("idempotency: %w", err)
	}
	mark, err := fingerprint(req)
	if err != nil {
		return Answer{}, err
	}
	sealed, err := seal(ctx, r.sealer, req.ID(), encode(answer))
	if err != nil {
		return Answer{}, err
	}
	record := r.table.PutWrite(types.Put{
		Item: store.Item{
			"pk": store.S(req.ID()), "state": store.S(completed), "fingerprint": store.B(mark), "answer": store.B(sealed),
			"ttl": store.N(req.Now.Add(Retention).Unix()),
		},
		ConditionExpression:       aws.String(free),
		ExpressionAttributeNames:  map[string]string{"#state": "state", "#ttl": "ttl"},
		ExpressionAttributeValues: store.Item{":now": store.N(req.Now.Unix()), ":freed": store.S(freed)},
	})
	// The record is last, so that a refused write keeps its index.
	err = store.Transact(ctx, tx, "", append(writes[:len(writes):len(writes)], record)...)
	var canceled *store.CancelledError
	if errors.As(err, &canceled) {
		if old, refused := canceled.Refused(len(writes)); refused {
			rec, err := read(old)
			if err != nil {
				return Answer{}, err
			}
			return rec.told(ctx, r.sealer, req.ID(), mark, req.Now)
		}
	}
	if err != nil {
		return Answer{}, fmt.Errorf("idempotency: %w", err)
	}
	return answer, nil
}

// check refuses what would make records of different requests meet.
func check(req Request) error {
	return errors.Join(
		need(req.User != "", "the request has no user"),
		need(req.Route != "" && !strings.Contains(req.Route, "#"), "the route is empty or has a #"),
		need(req.Key != "", "the request has no key"),
		need(!req.Now.IsZero(), "the request has no time"))
}

// recordable refuses an answer that cannot be kept.
func recordable(a Answer) error {
	return errors.Join(
		need(lasting(a.Status), fmt.Sprintf("an answer with status %d is not recorded", a.Status)),
		need(len(a.Body) <= MaxAnswer, fmt.Sprintf("the answer has %d bytes, more than %d", len(a.Body), MaxAnswer)))
}

func need(ok bool, otherwise string) error {
	if ok {
		return nil
	}
	return errors.New(otherwise)
}

// lasting tells whether a status is the answer to every repetition.
func lasting(status int) bool {
	return status >= 200 && status < 500 && status != 401 && status != 429
}
