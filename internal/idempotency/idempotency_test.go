package idempotency_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/idempotency"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

var now = time.Unix(1_800_000_000, 0)

// world is a service that makes things, with the table of answers beside its own.
type world struct {
	db      *mem.DB
	tx      store.Transactor
	table   store.Table
	things  store.Table
	records idempotency.Records
}

func newWorld(sealer idempotency.Sealer) *world {
	db := mem.New(mem.Schema{Name: "idempotency", Hash: "pk"}, mem.Schema{Name: "things", Hash: "pk"})
	view := db.As(mem.Grant{Table: "idempotency", Actions: []string{"PutItem"}}, mem.Grant{Table: "things", Actions: []string{"PutItem"}})
	w := &world{db: db, tx: view, table: store.NewTable(view, "idempotency"), things: store.NewTable(view, "things")}
	w.records = idempotency.New(w.table, sealer)
	return w
}

// thing is a write that refuses when the thing is there.
func thing(things store.Putter, id string) store.Write {
	return things.PutWrite(types.Put{Item: store.Item{"pk": store.S(id)}, ConditionExpression: aws.String("attribute_not_exists(pk)")})
}

func request() idempotency.Request {
	return idempotency.Request{User: "ada", Route: "make", Key: "key-0001", Payload: []byte(`{"amount":"1.50","tags":["a","b"]}`), Now: now}
}

func created(body string) idempotency.Answer {
	return idempotency.Answer{Status: 201, Body: []byte(body)}
}

// once makes the thing of that id for a request.
func (w *world) once(ctx context.Context, req idempotency.Request, id string) (idempotency.Answer, error) {
	return w.records.Once(ctx, w.tx, req, created(`{"id":"`+id+`"}`), thing(w.things, id))
}

func (w *world) made(t testing.TB, id string) {
	t.Helper()
	answer, err := w.once(t.Context(), request(), id)
	require.NoError(t, err)
	require.Equal(t, created(`{"id":"`+id+`"}`), answer)
	require.Nil(t, answer.Headers())
}

func TestTheFirstRequestTakesEffectAndIsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(nil)
	w.made(t, "1")
	require.Len(t, w.db.Items("things"), 1)
	records := w.db.Items("idempotency")
	require.Len(t, records, 1)
	r := store.Read(records[0])
	require.Regexp(t, `^IDEM#ada#make#[A-Za-z0-9_-]{43}$`, r.S("pk"))
	require.NotContains(t, r.S("pk"), "key-0001")
	require.Equal(t, now.Add(24*time.Hour).Unix(), r.N("ttl"))
	require.NotContains(t, string(r.B("fingerprint")), "1.50")
	require.NoError(t, r.Err())
}

func TestARepetitionIsAnsweredFromTheRecord(t *testing.T) {
	t.Parallel()
	cases := map[string]func(*idempotency.Request){
		"same":              func(*idempotency.Request) {},
		"later":             func(r *idempotency.Request) { r.Now = now.Add(24*time.Hour - time.Second) },
		"by_a_clock_behind": func(r *idempotency.Request) { r.Now = now.Add(-time.Minute) },
		"other_white_space": func(r *idempotency.Request) {
			r.Payload = []byte("{ \"amount\" :\"1.50\",\n\"tags\": [\"a\", \"b\"] }\n")
		},
		"other_order":    func(r *idempotency.Request) { r.Payload = []byte(`{"tags":["a","b"],"amount":"1.50"}`) },
		"other_spelling": func(r *idempotency.Request) { r.Payload = []byte(`{"amount":"1.5\u0030","tags":["a","b"]}`) },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(nil)
			w.made(t, "1")
			req := request()
			change(&req)
			for range 3 {
				answer, err := w.once(t.Context(), req, "2")
				require.NoError(t, err)
				require.Equal(t, idempotency.Answer{Status: 201, Body: []byte(`{"id":"1"}`), Replayed: true}, answer)
				require.Equal(t, map[string]string{"Idempotency-Replayed": "true"}, answer.Headers())
			}
			require.Len(t, w.db.Items("things"), 1, "it takes effect once")
		})
	}
}

func TestAnotherRequestTakesEffect(t *testing.T) {
	t.Parallel()
	cases := map[string]func(*idempotency.Request){
		"another_key":                  func(r *idempotency.Request) { r.Key = "key-0002" },
		"a_key_in_other_letters":       func(r *idempotency.Request) { r.Key = "KEY-0001" },
		"another_user":                 func(r *idempotency.Request) { r.User = "bob" },
		"another_route":                func(r *idempotency.Request) { r.Route = "send" },
		"a_user_that_looks_like_route": func(r *idempotency.Request) { r.User = "ada#make" },
		"a_day_later":                  func(r *idempotency.Request) { r.Now = now.Add(24 * time.Hour) },
		"a_month_later":                func(r *idempotency.Request) { r.Now = now.Add(30 * 24 * time.Hour) },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(nil)
			w.made(t, "1")
			req := request()
			change(&req)
			answer, err := w.once(t.Context(), req, "2")
			require.NoError(t, err)
			require.Equal(t, created(`{"id":"2"}`), answer)
			again, err := w.once(t.Context(), req, "3")
			require.NoError(t, err)
			require.Equal(t, `{"id":"2"}`, string(again.Body))
			require.True(t, again.Replayed)
			require.Len(t, w.db.Items("things"), 2)
		})
	}
}

func TestAKeyWithAnotherPayloadIsRefused(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"another_value":             `{"amount":"1.51","tags":["a","b"]}`,
		"a_number_for_text":         `{"amount":1.50,"tags":["a","b"]}`,
		"one_more_member":           `{"amount":"1.50","tags":["a","b"],"note":""}`,
		"one_member_less":           `{"amount":"1.50"}`,
		"another_order_in_an_array": `{"amount":"1.50","tags":["b","a"]}`,
		"null":                      `null`,
		"no_payload":                ``,
	}
	for name, payload := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(nil)
			w.made(t, "1")
			req := request()
			req.Payload = []byte(payload)
			answer, err := w.once(t.Context(), req, "2")
			require.Zero(t, answer, "the recorded answer is not for this request")
			require.ErrorIs(t, err, idempotency.ErrReused)
			e := apperr.From(err)
			require.Equal(t, http.StatusUnprocessableEntity, e.Kind.Status())
			require.Equal(t, "idempotency_key_reused", e.Problem("").Code)
			require.Len(t, w.db.Items("things"), 1)
			again, err := w.once(t.Context(), request(), "3")
			require.NoError(t, err)
			require.True(t, again.Replayed, "the record stays as it was")
		})
	}
}

func TestARefusedWriteLeavesTheKeyNew(t *testing.T) {
	t.Parallel()
	w := newWorld(nil)
	_, err := w.things.PutItem(t.Context(), &dynamodb.PutItemInput{Item: store.Item{"pk": store.S("taken"), "by": store.S("bob")}})
	require.NoError(t, err)
	_, err = w.records.Once(t.Context(), w.tx, request(), created(`{}`), thing(w.things, "free"), thing(w.things, "taken"))
	var canceled *store.CancelledError
	require.ErrorAs(t, err, &canceled)
	_, refused := canceled.Refused(0)
	require.False(t, refused)
	old, refused := canceled.Refused(1)
	require.True(t, refused, "a write keeps its index")
	require.Equal(t, "bob", store.Read(old).S("by"))
	require.Empty(t, w.db.Items("idempotency"))
	require.Len(t, w.db.Items("things"), 1)
	w.made(t, "free")
}

// The second try of a request whose effect now stands in its own way is answered from the record.
func TestTheRecordSpeaksBeforeTheWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(nil)
	w.made(t, "1")
	answer, err := w.once(t.Context(), request(), "1")
	require.NoError(t, err)
	require.True(t, answer.Replayed)
}

func TestAnswersWithoutABody(t *testing.T) {
	t.Parallel()
	for name, sealer := range map[string]idempotency.Sealer{"as_it_is": nil, "sealed": &vault{}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(sealer)
			req := request()
			req.Payload = nil
			for i := range 2 {
				answer, err := w.records.Once(t.Context(), w.tx, req, idempotency.Answer{Status: 204})
				require.NoError(t, err)
				require.Equal(t, idempotency.Answer{Status: 204, Replayed: i == 1}, answer)
			}
		})
	}
}

func TestRequestsAndAnswersThatCannotBeRecorded(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		req    func(*idempotency.Request)
		answer idempotency.Answer
		want   []string
	}{
		"nothing":               {func(r *idempotency.Request) { *r = idempotency.Request{} }, idempotency.Answer{}, []string{"no user", "route is empty", "no key", "no time", "status 0"}},
		"a_route_with_a_hash":   {func(r *idempotency.Request) { r.Route = "a#b" }, created(`{}`), []string{"has a #"}},
		"internal":              {nil, idempotency.Answer{Status: 500}, []string{"status 500"}},
		"unavailable":           {nil, idempotency.Answer{Status: 503}, []string{"status 503"}},
		"unauthenticated":       {nil, idempotency.Answer{Status: 401}, []string{"status 401"}},
		"limited":               {nil, idempotency.Answer{Status: 429}, []string{"status 429"}},
		"informational":         {nil, idempotency.Answer{Status: 100}, []string{"status 100"}},
		"too_large":             {nil, idempotency.Answer{Status: 200, Body: make([]byte, idempotency.MaxAnswer+1)}, []string{"262145 bytes"}},
		"payload_not_json":      {func(r *idempotency.Request) { r.Payload = []byte(`{"card":"4111`) }, created(`{}`), []string{"not JSON that may be"}},
		"payload_of_two_values": {func(r *idempotency.Request) { r.Payload = []byte(`{} {}`) }, created(`{}`), []string{"not JSON that may be"}},
		"payload_of_one_name":   {func(r *idempotency.Request) { r.Payload = []byte(`{"a":1,"a":2}`) }, created(`{}`), []string{"not JSON that may be"}},
		"payload_with_a_tail":   {func(r *idempotency.Request) { r.Payload = []byte(`{}}`) }, created(`{}`), []string{"not JSON that may be"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(nil)
			req := request()
			if c.req != nil {
				c.req(&req)
			}
			_, err := w.records.Once(t.Context(), w.tx, req, c.answer, thing(w.things, "1"))
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
			require.NotContains(t, err.Error(), "4111")
			require.Empty(t, w.db.Items("things"))
			require.Empty(t, w.db.Items("idempotency"))
		})
	}
}

func TestTheLargestAnswerFits(t *testing.T) {
	t.Parallel()
	w := newWorld(&vault{})
	body := bytes.Repeat([]byte("x"), idempotency.MaxAnswer)
	for range 2 {
		answer, err := w.records.Once(t.Context(), w.tx, request(), idempotency.Answer{Status: 200, Body: body})
		require.NoError(t, err)
		require.Equal(t, body, answer.Body)
	}
}

func TestTooManyWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(nil)
	writes := make([]store.Write, store.MaxWrites)
	for i := range writes {
		writes[i] = thing(w.things, fmt.Sprint(i))
	}
	_, err := w.records.Once(t.Context(), w.tx, request(), created(`{}`), writes...)
	require.ErrorContains(t, err, "101")
	_, err = w.records.Once(t.Context(), w.tx, request(), created(`{}`), writes[1:]...)
	require.NoError(t, err)
	require.Len(t, w.db.Items("things"), store.MaxWrites-1)
}

// The record is added to the transaction, not to the caller's list.
func TestTheCallersWritesAreLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(nil)
	writes := make([]store.Write, 1, 2)
	writes[0] = thing(w.things, "1")
	_, err := w.records.Once(t.Context(), w.tx, request(), created(`{}`), writes...)
	require.NoError(t, err)
	require.Equal(t, store.Write{}, writes[:2][1])
}

// vault seals by naming the place in clear, which is enough to see that the place is right.
type vault struct {
	sealErr, openErr error
}

func (v *vault) Seal(_ context.Context, table, key, attribute string, plain []byte) ([]byte, error) {
	sealed := []byte(table + "|" + key + "|" + attribute + "|")
	for _, b := range plain {
		sealed = append(sealed, b^0x55)
	}
	return sealed, v.sealErr
}

func (v *vault) Open(_ context.Context, table, key, attribute string, sealed []byte) ([]byte, error) {
	place := table + "|" + key + "|" + attribute + "|"
	hidden, ok := bytes.CutPrefix(sealed, []byte(place))
	if !ok {
		return nil, errors.New("sealed elsewhere")
	}
	plain := bytes.Clone(hidden)
	for i := range plain {
		plain[i] ^= 0x55
	}
	return plain, v.openErr
}

func TestAnswersAreSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(&vault{})
	w.made(t, "private")
	item := w.db.Items("idempotency")[0]
	sealed := store.Read(item).B("answer")
	require.NotContains(t, string(sealed), "private")
	require.True(t, strings.HasPrefix(string(sealed), "idempotency|"+store.Read(item).S("pk")+"|answer|"))
	answer, err := w.once(t.Context(), request(), "2")
	require.NoError(t, err)
	require.Equal(t, `{"id":"private"}`, string(answer.Body))
}

func TestAnAnswerThatDoesNotSealOrOpen(t *testing.T) {
	t.Parallel()
	v := &vault{sealErr: errors.New("no key")}
	w := newWorld(v)
	_, err := w.once(t.Context(), request(), "1")
	require.ErrorIs(t, err, v.sealErr)
	require.Empty(t, w.db.Items("things"), "nothing takes effect")
	v.sealErr = nil
	w.made(t, "1")

	v.openErr = errors.New("no key")
	answer, err := w.once(t.Context(), request(), "2")
	require.ErrorIs(t, err, v.openErr)
	require.Zero(t, answer)
	v.openErr = nil

	item := w.db.Items("idempotency")[0]
	item["answer"] = store.B([]byte("a\x00\xc9{\"id\":\"forged\"}"))
	_, err = w.table.PutItem(t.Context(), &dynamodb.PutItemInput{Item: item})
	require.NoError(t, err)
	answer, err = w.once(t.Context(), request(), "2")
	require.ErrorContains(t, err, "sealed elsewhere")
	require.Zero(t, answer)
	require.Len(t, w.db.Items("things"), 1)
}

// A record that cannot be read is neither an answer nor a new key.
func TestARecordThatCannotBeRead(t *testing.T) {
	t.Parallel()
	cases := map[string]func(store.Item){
		"no_fingerprint":      func(i store.Item) { delete(i, "fingerprint") },
		"fingerprint_of_text": func(i store.Item) { i["fingerprint"] = store.S("x") },
		"no_state":            func(i store.Item) { delete(i, "state") },
		"another_state":       func(i store.Item) { i["state"] = store.S("DONE") },
		"state_of_bytes":      func(i store.Item) { i["state"] = store.B([]byte("COMPLETED")) },
		"no_answer":           func(i store.Item) { delete(i, "answer") },
		"answer_of_text":      func(i store.Item) { i["answer"] = store.S("{}") },
		"empty_answer":        func(i store.Item) { i["answer"] = store.B(nil) },
		"answer_cut_off":      func(i store.Item) { i["answer"] = store.B([]byte("a\x00")) },
		"answer_of_no_form":   func(i store.Item) { i["answer"] = store.B([]byte("x\x00\xc9{}")) },
		"answer_of_status_0":  func(i store.Item) { i["answer"] = store.B([]byte("a\x00\x00{}")) },
		"answer_of_500":       func(i store.Item) { i["answer"] = store.B([]byte("a\x01\xf4{}")) },
		"refusal_not_json":    func(i store.Item) { i["answer"] = store.B([]byte("r\x01\x99{")) },
		"refusal_of_201":      func(i store.Item) { i["answer"] = store.B([]byte("r\x00\xc9{}")) },
		"lease_of_nobody":     func(i store.Item) { i["state"] = store.S("IN_PROGRESS") },
		"unknown_of_nobody":   func(i store.Item) { i["state"] = store.S("UNKNOWN") },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(nil)
			w.made(t, "1")
			item := w.db.Items("idempotency")[0]
			change(item)
			_, err := w.table.PutItem(t.Context(), &dynamodb.PutItemInput{Item: item})
			require.NoError(t, err)
			answer, err := w.once(t.Context(), request(), "2")
			require.ErrorContains(t, err, "idempotency: a record")
			require.Equal(t, apperr.Internal, apperr.From(err).Kind)
			require.Zero(t, answer)
			require.Len(t, w.db.Items("things"), 1)
		})
	}
}

// wire breaks transactions: before they are done, or after, when only the answer is lost.
type wire struct {
	store.Transactor
	before, after error
}

func (w wire) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, opts ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	if w.before != nil {
		return nil, w.before
	}
	out, err := w.Transactor.TransactWriteItems(ctx, in, opts...)
	return out, errors.Join(err, w.after)
}

func TestFailuresOfTheStore(t *testing.T) {
	t.Parallel()
	conflict := &types.TransactionCanceledException{CancellationReasons: []types.CancellationReason{{Code: aws.String("None")}, {Code: aws.String("TransactionConflict")}}}
	broken := errors.New("connection reset")
	cases := map[string]struct {
		wire      wire
		transient bool
		done      bool // although the caller is told of an error
	}{
		"down":                          {wire{before: broken}, false, false},
		"conflict_with_the_same_key":    {wire{before: conflict}, true, false},
		"throttled":                     {wire{before: &types.ThrottlingException{}}, true, false},
		"an_answer_that_was_lost":       {wire{after: broken}, false, true},
		"the_table_is_not_there":        {wire{before: &types.ResourceNotFoundException{}}, false, false},
		"the_same_moment_in_two_places": {wire{before: &types.TransactionInProgressException{}}, true, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(nil)
			c.wire.Transactor = w.tx
			answer, err := w.records.Once(t.Context(), c.wire, request(), created(`{"id":"1"}`), thing(w.things, "1"))
			require.Error(t, err)
			require.Zero(t, answer)
			require.Equal(t, c.transient, store.Transient(err))
			again, err := w.once(t.Context(), request(), "2")
			require.NoError(t, err)
			require.Equal(t, c.done, again.Replayed)
			require.Len(t, w.db.Items("things"), 1, "once, whatever the client was told")
		})
	}
}

// Of many at the same time, one takes effect and all are told the same.
func TestManyAtTheSameTime(t *testing.T) {
	t.Parallel()
	w := newWorld(nil)
	answers := make([]idempotency.Answer, 64)
	errs := make([]error, len(answers))
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i], errs[i] = w.once(t.Context(), request(), fmt.Sprint(i)) })
	}
	wg.Wait()
	things := w.db.Items("things")
	require.Len(t, things, 1)
	first := 0
	for i, a := range answers {
		require.NoError(t, errs[i])
		require.Equal(t, `{"id":"`+store.Read(things[0]).S("pk")+`"}`, string(a.Body))
		if !a.Replayed {
			first++
		}
	}
	require.Equal(t, 1, first)
}

// However often and in whatever order requests come, each key takes effect once a day, for the payload that came first.
func TestSchedules(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(nil)
		type taken struct {
			payload, body string
			until         time.Time
		}
		model := map[string]taken{}
		clock, effects := now, 0
		for i := range rapid.IntRange(1, 40).Draw(t, "requests") {
			clock = clock.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 3600, 43_200, 86_399, 86_400}).Draw(t, "seconds")) * time.Second)
			payload := rapid.SampledFrom([]string{`{"n":1}`, `{"n":2}`}).Draw(t, "payload")
			key := rapid.SampledFrom([]string{"key-a", "key-b", "key-c"}).Draw(t, "key")
			answer, err := w.once(context.Background(), idempotency.Request{User: "u", Route: "r", Key: key, Payload: []byte(payload), Now: clock}, fmt.Sprint(i))
			known, ok := model[key]
			switch {
			case !ok || !clock.Before(known.until):
				effects++
				model[key] = taken{payload, `{"id":"` + fmt.Sprint(i) + `"}`, clock.Add(idempotency.Retention)}
				require.NoError(t, err)
				require.False(t, answer.Replayed)
			case known.payload != payload:
				require.ErrorIs(t, err, idempotency.ErrReused)
			default:
				require.NoError(t, err)
				require.Equal(t, idempotency.Answer{Status: 201, Body: []byte(known.body), Replayed: true}, answer)
			}
		}
		require.Len(t, w.db.Items("things"), effects)
	})
}

// What the operation takes beside the body is part of the request.
func TestPathAndQueryArePartOfTheRequest(t *testing.T) {
	t.Parallel()
	full := func() idempotency.Request {
		req := request()
		req.Path, req.Query = map[string]string{"id": "7"}, map[string]string{"dry": "no", "year": "2026"}
		return req
	}
	cases := map[string]func(*idempotency.Request){
		"another_path":             func(r *idempotency.Request) { r.Path = map[string]string{"id": "8"} },
		"no_path":                  func(r *idempotency.Request) { r.Path = nil },
		"another_query":            func(r *idempotency.Request) { r.Query["year"] = "2027" },
		"one_parameter_less":       func(r *idempotency.Request) { delete(r.Query, "year") },
		"path_and_query_swapped":   func(r *idempotency.Request) { r.Path, r.Query = r.Query, r.Path },
		"one_that_looks_like_two":  func(r *idempotency.Request) { r.Query = map[string]string{"dry": `no" "year":"2026`} },
		"bytes_that_are_no_text":   func(r *idempotency.Request) { r.Query["year"] = "\xff" },
		"the_body_in_the_query":    func(r *idempotency.Request) { r.Payload, r.Query["body"] = nil, string(r.Payload) },
		"other_bytes_no_text_too":  func(r *idempotency.Request) { r.Path["id"] = "\xfe" },
		"the_replacement_for_them": func(r *idempotency.Request) { r.Path["id"] = "\ufffd" },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(nil)
			_, err := w.once(t.Context(), full(), "1")
			require.NoError(t, err)
			req := full()
			change(&req)
			_, err = w.once(t.Context(), req, "2")
			require.ErrorIs(t, err, idempotency.ErrReused)
			again, err := w.once(t.Context(), full(), "2")
			require.NoError(t, err)
			require.True(t, again.Replayed)
		})
	}
	w := newWorld(nil)
	_, err := w.once(t.Context(), request(), "1")
	require.NoError(t, err)
	empty := request()
	empty.Path, empty.Query = map[string]string{}, map[string]string{}
	again, err := w.once(t.Context(), empty, "2")
	require.NoError(t, err)
	require.True(t, again.Replayed, "none are none")
}

// Numbers are compared as they are written, not as a float that two of them may share.
func TestLargeNumbersAreToldApart(t *testing.T) {
	t.Parallel()
	w := newWorld(nil)
	req := request()
	req.Payload = []byte(`{"n":9007199254740992}`)
	_, err := w.once(t.Context(), req, "1")
	require.NoError(t, err)
	req.Payload = []byte(`{"n":9007199254740993}`)
	_, err = w.once(t.Context(), req, "2")
	require.ErrorIs(t, err, idempotency.ErrReused)
}
