package idempotency

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/validate"
)

// table is the table's key in the declaration: a sealed answer opens only there, whatever the environment.
const table = "idempotency"

// The states of a record.
const (
	completed = "COMPLETED"   // answer holds what repetitions are told
	running   = "IN_PROGRESS" // owner may be at work until leaseUntil
	lost      = "UNKNOWN"     // nobody knows what became of the effect; stays so until Resolve
	freed     = "FREE"        // nothing happened; the key is new
)

// free is the condition on which a key is new. The time is compared because TTL deletes late. A record without a ttl never
// expires.
const free = "attribute_not_exists(pk) OR #ttl <= :now OR #state = :freed"

// record is a record as it is stored. Of owner, generation and leaseUntil only leases have any.
type record struct {
	state       string
	fingerprint []byte
	answer      []byte
	owner       string
	generation  int64
	leaseUntil  time.Time
}

func read(item store.Item) (record, error) {
	f := store.Read(item)
	rec := record{state: f.S("state"), fingerprint: f.B("fingerprint")}
	switch rec.state {
	case completed:
		rec.answer, rec.owner, rec.generation = f.B("answer"), f.OptS("owner"), f.OptN("generation")
	case running, lost:
		rec.owner, rec.generation, rec.leaseUntil = f.S("owner"), f.N("generation"), time.UnixMilli(f.N("leaseUntil"))
	case freed:
	default:
		return record{}, errors.New("idempotency: a record of no known state")
	}
	if err := f.Err(); err != nil {
		return record{}, fmt.Errorf("idempotency: a record: %w", err)
	}
	return rec, nil
}

// told is what a record that stands in the way of a request says to it.
func (rec record) told(ctx context.Context, sealer Sealer, id string, mark []byte, now time.Time) (Answer, error) {
	switch {
	case rec.state == freed: // a moment ago: the next try finds the key new
		return Answer{}, inProgress(0)
	case !bytes.Equal(rec.fingerprint, mark):
		return Answer{}, reused()
	case rec.state == completed:
		return replay(ctx, sealer, id, rec.answer)
	case rec.state == running && now.Before(rec.leaseUntil):
		return Answer{}, inProgress(rec.leaseUntil.Sub(now))
	default:
		return Answer{}, unknown(nil)
	}
}

// replay is the recorded answer, or the refusal that was recorded in its place.
func replay(ctx context.Context, sealer Sealer, id string, sealed []byte) (Answer, error) {
	plain := sealed
	if sealer != nil {
		var err error
		if plain, err = sealer.Open(ctx, table, id, "answer", sealed); err != nil {
			return Answer{}, fmt.Errorf("idempotency: open the answer: %w", err)
		}
	}
	return decode(plain)
}

func seal(ctx context.Context, sealer Sealer, id string, plain []byte) ([]byte, error) {
	if sealer == nil {
		return plain, nil
	}
	sealed, err := sealer.Seal(ctx, table, id, "answer", plain)
	if err != nil {
		return nil, fmt.Errorf("idempotency: seal the answer: %w", err)
	}
	return sealed, nil
}

// The first byte of a recorded outcome tells its form; two bytes of status and the body follow.
const (
	formAnswer  = 'a'
	formRefusal = 'r'
)

func encode(a Answer) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{formAnswer}, uint16(a.Status)), a.Body...) //nolint:gosec // below 500
}

// refusal is the public part of an *apperr.Error; its kind is told by the status.
type refusal struct {
	Code   string         `json:"code,omitempty"`
	Detail string         `json:"detail,omitempty"`
	Fields []apperr.Field `json:"fields,omitempty"`
}

func encodeRefusal(e *apperr.Error) ([]byte, error) {
	body, err := json.Marshal(refusal{e.Code, e.Detail, e.Fields})
	if err != nil {
		return nil, fmt.Errorf("idempotency: a refusal: %w", err)
	}
	if len(body) > MaxAnswer {
		return nil, fmt.Errorf("idempotency: a refusal of %d bytes", len(body))
	}
	return append(binary.BigEndian.AppendUint16([]byte{formRefusal}, uint16(e.Kind.Status())), body...), nil //nolint:gosec // below 500
}

var errOutcome = errors.New("idempotency: a record holds no answer")

// decode is a recorded answer, Replayed, or a *replayed.
func decode(plain []byte) (Answer, error) {
	if len(plain) < 3 || !lasting(int(binary.BigEndian.Uint16(plain[1:]))) {
		return Answer{}, errOutcome
	}
	status, body := int(binary.BigEndian.Uint16(plain[1:])), plain[3:]
	switch plain[0] {
	case formAnswer:
		a := Answer{Status: status, Replayed: true}
		if len(body) > 0 {
			a.Body = body
		}
		return a, nil
	case formRefusal:
		var r refusal
		kind, ok := kindOf(status)
		if err := json.Unmarshal(body, &r); err != nil || !ok {
			return Answer{}, errOutcome
		}
		return Answer{}, &replayed{apperr.New(kind, r.Code, r.Detail).With(r.Fields...)}
	default:
		return Answer{}, errOutcome
	}
}

// kindOf is the kind of refusal that has a status.
func kindOf(status int) (apperr.Kind, bool) {
	for kind := apperr.Invalid; kind <= apperr.Timeout; kind++ {
		if kind.Status() == status {
			return kind, true
		}
	}
	return apperr.Internal, false
}

// replayed is a refusal from the record: an error that is the first request's own *apperr.Error, and asks rest for the
// header that says so.
type replayed struct{ refusal *apperr.Error }

// Error is the refusal's.
func (e *replayed) Error() string { return e.refusal.Error() }

// Unwrap is the refusal.
func (e *replayed) Unwrap() error { return e.refusal }

// Headers are those of an answer from the record.
func (e *replayed) Headers() map[string]string { return Answer{Replayed: true}.Headers() }

// DownstreamKey is the key under which the effect of a request asks others not to do it twice: 43 characters of base64url,
// the same for every execution of the request. id is the request's ID.
func DownstreamKey(id string) string { return hashed("downstream " + id) }

func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// fingerprint is equal for requests that say the same, and only for those: white space, the order of members and the
// notation of characters do not count, numbers count as they are written. No payload differs from every payload. What
// rest's guard of bodies would not let through has none.
func fingerprint(req Request) ([]byte, error) {
	var body []byte
	if len(req.Payload) > 0 {
		v, err := validate.Parse(req.Payload)
		if err != nil {
			return nil, errors.New("idempotency: the payload is not JSON that may be a body")
		}
		if body, err = json.Marshal(v); err != nil { // members sorted by name
			return nil, fmt.Errorf("idempotency: the payload: %w", err)
		}
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%q\n%q", body, req.Path, req.Query) // neither JSON nor %q has a line feed; fmt sorts maps
	return h.Sum(nil), nil
}
