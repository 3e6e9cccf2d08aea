// Package idempotency makes a request take effect once however often it is sent. The answer is recorded in the same
// transaction as the effects, so that there is neither an effect without its answer nor the reverse, and a repetition
// finds the record in the place of its own and is answered from it. It is for effects that are all in DynamoDB.
package idempotency

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	// DynamoDB allows (DynamoDB guide, "Service, account, and table quotas").
	MaxAnswer = 256 << 10
	// table is the table's key in the declaration: a sealed answer opens only there, whatever the environment.
	table = "idempotency"
)

// Sealer encrypts recorded answers. What is sealed opens only at the same table, key and attribute. fieldcrypt's cipher
// is one.
type Sealer interface {
	Seal(ctx context.Context, table, key, attribute string, plain []byte) ([]byte, error)
	Open(ctx context.Context, table, key, attribute string, sealed []byte) ([]byte, error)
}

// Request is what a client asked for. All fields are needed, except a Payload that is empty for routes without a body.
type Request struct {
	User    string    // who asks: keys of one user mean nothing for another
	Route   string    // the operation's id: nor do keys of one operation for another
	Key     string    // the Idempotency-Key header, as rest checked it
	Payload []byte    // the JSON body; requests of one key must have the same, apart from white space and the order of members
	Now     time.Time // of the request
}

// Answer is what the client is told.
type Answer struct {
	Status   int    // 200 to 499 without 401 and 429: what another try may change must not be recorded
	Body     []byte // JSON; nil: none
	Replayed bool   // set by Once for an answer that is from the record
}

// Headers are those of the answer, beside what every answer has: Idempotency-Replayed where it is from the record.
func (a Answer) Headers() map[string]string {
	if !a.Replayed {
		return nil
	}
	return map[string]string{"Idempotency-Replayed": "true"}
}

// ErrReused is the cause of the 422 for a key that came before with another payload.
var ErrReused = errors.New("idempotency key with another payload")

// Records is the table of answers. It is safe for concurrent use.
type Records struct {
	table  store.Putter
	sealer Sealer
}

// New makes the records on the table idempotency. A nil sealer records answers as they are, which is right where the
// effects themselves are stored as they are: the table is encrypted at rest like theirs.
func New(table store.Putter, sealer Sealer) Records { return Records{table: table, sealer: sealer} }

// Once does the writes, at most store.MaxWrites less one, and records the answer, all or nothing, and returns the answer.
// For a request that was answered in the 24 hours before, it does nothing and returns the recorded answer, Replayed; when
// that one had another payload the error is an *apperr.Error, 422 with the code idempotency_key_reused.
// A condition of writes[i] that refuses is a *store.CancelledError whose Refused(i) tells so; then nothing is recorded and
// the key is still new. Of requests with one key at the same time one takes effect; the others are answered from its
// record or fail as store.Transient.
func (r Records) Once(ctx context.Context, tx store.Transactor, req Request, answer Answer, writes ...store.Write) (Answer, error) {
	if err := check(req, answer); err != nil {
		return Answer{}, err
	}
	item, err := r.item(ctx, req, answer)
	if err != nil {
		return Answer{}, err
	}
	record := r.table.PutWrite(types.Put{
		Item:                      item,
		ConditionExpression:       aws.String("attribute_not_exists(pk) OR #ttl <= :now"), // TTL deletes late: compare the time
		ExpressionAttributeNames:  map[string]string{"#ttl": "ttl"},
		ExpressionAttributeValues: store.Item{":now": store.N(req.Now.Unix())},
	})
	// The record is last, so that a refused write keeps its index.
	err = store.Transact(ctx, tx, "", append(writes[:len(writes):len(writes)], record)...)
	var canceled *store.CancelledError
	if errors.As(err, &canceled) {
		if old, refused := canceled.Refused(len(writes)); refused {
			return r.replay(ctx, req, old)
		}
	}
	if err != nil {
		return Answer{}, fmt.Errorf("idempotency: %w", err)
	}
	return answer, nil
}

// check refuses what would make records of different requests meet, or a record that cannot be kept.
func check(req Request, answer Answer) error {
	var problems []error
	need := func(ok bool, what string) {
		if !ok {
			problems = append(problems, errors.New(what))
		}
	}
	need(req.User != "", "the request has no user")
	need(req.Route != "" && !strings.Contains(req.Route, "#"), "the route is empty or has a #")
	need(req.Key != "", "the request has no key")
	need(!req.Now.IsZero(), "the request has no time")
	need(lasting(answer.Status), fmt.Sprintf("an answer with status %d is not recorded", answer.Status))
	need(len(answer.Body) <= MaxAnswer, fmt.Sprintf("the answer has %d bytes, more than %d", len(answer.Body), MaxAnswer))
	if len(problems) > 0 {
		return fmt.Errorf("idempotency: %w", errors.Join(problems...))
	}
	return nil
}

// lasting tells whether a status is the answer to every repetition.
func lasting(status int) bool {
	return status >= 200 && status < 500 && status != 401 && status != 429
}

// item is the record of an answer.
func (r Records) item(ctx context.Context, req Request, answer Answer) (store.Item, error) {
	payload, err := fingerprint(req.Payload)
	if err != nil {
		return nil, err
	}
	pk := key(req)
	item := store.Item{
		"pk":          store.S(pk),
		"fingerprint": store.B(payload),
		"status":      store.N(int64(answer.Status)),
		"ttl":         store.N(req.Now.Add(Retention).Unix()),
	}
	if answer.Body == nil {
		return item, nil
	}
	body := answer.Body
	if r.sealer != nil {
		if body, err = r.sealer.Seal(ctx, table, pk, "body", body); err != nil {
			return nil, fmt.Errorf("idempotency: seal the answer: %w", err)
		}
	}
	item["body"] = store.B(body)
	return item, nil
}

// replay answers from the record that stood in the way.
func (r Records) replay(ctx context.Context, req Request, old store.Item) (Answer, error) {
	payload, err := fingerprint(req.Payload)
	if err != nil {
		return Answer{}, err
	}
	f := store.Read(old)
	recorded, answer := f.B("fingerprint"), Answer{Status: int(f.N("status")), Body: f.OptB("body"), Replayed: true}
	if err := f.Err(); err != nil {
		return Answer{}, fmt.Errorf("idempotency: the record of an answer: %w", err)
	}
	if !bytes.Equal(recorded, payload) {
		return Answer{}, apperr.New(apperr.Unprocessable, "idempotency_key_reused",
			"This Idempotency-Key was used for another request. Use a new one.").Because(ErrReused)
	}
	if answer.Body != nil && r.sealer != nil {
		if answer.Body, err = r.sealer.Open(ctx, table, key(req), "body", answer.Body); err != nil {
			return Answer{}, fmt.Errorf("idempotency: open the answer: %w", err)
		}
	}
	return answer, nil
}

// key is the record's key. Clients' keys are hashed: they may tell something, and the length is ours.
func key(req Request) string {
	sum := sha256.Sum256([]byte(req.Key))
	return "IDEM#" + req.User + "#" + req.Route + "#" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// fingerprint is equal for payloads that say the same: white space and the order of members do not count, numbers count
// as they are written.
func fingerprint(payload []byte) ([]byte, error) {
	canonical := []byte{}
	if len(payload) > 0 {
		d := json.NewDecoder(bytes.NewReader(payload))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			return nil, errors.New("idempotency: the payload is not JSON")
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return nil, errors.New("idempotency: the payload is more than one JSON value")
		}
		var err error
		if canonical, err = json.Marshal(v); err != nil { // members sorted by name
			return nil, fmt.Errorf("idempotency: the payload: %w", err)
		}
	}
	sum := sha256.Sum256(canonical)
	return sum[:], nil
}
