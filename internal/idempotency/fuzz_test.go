package idempotency_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/idempotency"
	"github.com/expenzez/aws-backend/internal/store"
)

// same tells whether two payloads are one request; ok is false when one of them cannot be a request's.
func same(t testing.TB, a, b []byte) (equal, ok bool) {
	t.Helper()
	w := newWorld(nil)
	req := request()
	req.Payload = a
	if _, err := w.once(t.Context(), req, "1"); err != nil {
		return false, false
	}
	req.Payload = b
	switch answer, err := w.once(t.Context(), req, "2"); {
	case errors.Is(err, idempotency.ErrReused):
		return false, true
	case err != nil:
		return false, false
	default:
		require.True(t, answer.Replayed)
		return true, true
	}
}

// reference is what a payload says, by the standard library.
func reference(t testing.TB, payload []byte) any {
	t.Helper()
	if len(payload) == 0 {
		return []byte("no payload")
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v))
	_, err := d.Token()
	require.ErrorIs(t, err, io.EOF)
	return v
}

// Two payloads are one request exactly when the standard library reads the same from them, numbers as they are written.
func FuzzFingerprint(f *testing.F) {
	for _, pair := range [][2]string{
		{`{"a":1,"b":[2,"x"]}`, `{ "b" : [2,"\u0078"],"a":1}`}, {`{"a":1}`, `{"a":1.0}`}, {`{"a":1}`, `{"a":"1"}`}, {`[1,2]`, `[2,1]`},
		{``, `null`}, {`null`, `null `}, {`{}`, `[]`}, {`"<"`, `"\u003c"`}, {`"\ud83d\ude00"`, `"😀"`}, {`"\ud800"`, `"\ufffd"`},
		{`{"a":1,"a":2}`, `{"a":2}`}, {`"\u2028"`, "\"\u2028\""}, {`{"":{}}`, `{"":null}`}, {`1e2`, `1E2`}, {`-0`, `0`},
	} {
		f.Add([]byte(pair[0]), []byte(pair[1]))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if equal, ok := same(t, a, b); ok {
			require.Equal(t, reflect.DeepEqual(reference(t, a), reference(t, b)), equal)
		}
		if equal, ok := same(t, a, a); ok && len(a) > 0 {
			require.True(t, equal)
			var spaced bytes.Buffer
			require.NoError(t, json.Indent(&spaced, a, " ", "\t"))
			sorted, err := json.Marshal(reference(t, a))
			require.NoError(t, err)
			for _, other := range [][]byte{spaced.Bytes(), sorted} {
				equal, ok = same(t, a, other)
				require.True(t, ok && equal, "%s and %s", a, other)
			}
		}
	})
}

// Whatever lies in the place of a record: nobody panics, nothing is done, and no answer comes out that was not sealed for
// this key or that is another request's.
func FuzzRecord(f *testing.F) {
	good := sealed("a\x00\xc9{}")
	own := func() []byte {
		w := newWorld(nil)
		_, err := w.once(context.Background(), request(), "1")
		require.NoError(f, err)
		return store.Read(w.db.Items("idempotency")[0]).B("fingerprint")
	}()
	f.Add("COMPLETED", own, good, "o", "1", "1", "4000000000", uint16(0xffff))
	f.Add("COMPLETED", []byte("another"), good, "o", "1", "1", "4000000000", uint16(0xffff))
	f.Add("COMPLETED", own, []byte("a\x00\xc9{}"), "", "", "", "", uint16(0xff))
	f.Add("COMPLETED", own, sealed("r\x01\x99{\"code\":\"sold_out\"}"), "", "", "", "", uint16(0xff))
	f.Add("COMPLETED", own, sealed("r\x01\x99"), "", "", "", "", uint16(0xff))
	f.Add("COMPLETED", own, sealed(""), "", "", "", "", uint16(0xff))
	f.Add("IN_PROGRESS", own, good, "o", "9223372036854775807", "9223372036854775807", "1", uint16(0xffff))
	f.Add("IN_PROGRESS", own, good, "o", "1", "-1", "4000000000", uint16(0xffff))
	f.Add("UNKNOWN", own, good, "o", "1", "1.5", "4000000000", uint16(0xffff))
	f.Add("", own, good, "", "", "x", "", uint16(0))
	f.Fuzz(func(t *testing.T, state string, mark, answer []byte, owner, generation, leaseUntil, ttl string, kinds uint16) {
		item := store.Item{"pk": store.S(request().ID())}
		for i, a := range []struct {
			name, text string
			bytes      []byte
		}{{"state", state, nil}, {"fingerprint", "", mark}, {"answer", "", answer}, {"owner", owner, nil},
			{"generation", generation, nil}, {"leaseUntil", leaseUntil, nil}, {"ttl", ttl, nil}} {
			set(item, a.name, a.text, a.bytes, kinds>>(2*i)&3)
		}
		for policy := range idempotency.Retry + 1 {
			o := newOffice()
			o.now = request().Now.UTC
			table := "idempotency"
			if _, err := o.db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: item}); err != nil {
				return // a number that is none
			}
			done := false
			got, err := o.run(t, policy, func(context.Context, string) (idempotency.Answer, error) {
				done = true
				return created(`"new"`), nil
			})
			if err != nil || done {
				continue
			}
			require.True(t, got.Replayed)
			require.Equal(t, own, mark, "it is this request's")
			plain, err := (&vault{}).Open(t.Context(), "idempotency", request().ID(), "answer", answer)
			require.NoError(t, err, "it was sealed, for this key")
			require.True(t, strings.HasPrefix(string(plain), "a"))
			require.Equal(t, string(plain[3:]), string(got.Body))
		}
	})
}

// set makes an attribute of one of four kinds: none, a string, a number, bytes; by default the one that it has.
func set(item store.Item, name, text string, b []byte, kind uint16) {
	numbers := map[string]bool{"generation": true, "leaseUntil": true, "ttl": true}
	switch {
	case kind == 0:
	case kind == 1 && b == nil:
		item[name] = store.B([]byte(text))
	case kind == 1 || kind == 3 && b == nil && !numbers[name]:
		item[name] = store.S(text + string(b))
	case kind == 3 && b != nil:
		item[name] = store.B(b)
	default:
		item[name] = &types.AttributeValueMemberN{Value: text}
	}
}
