package transactions

import (
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/rest/resttest"
)

// The Go types of bodies and the declared models say the same, in both directions.
func TestBodiesAreAsDeclared(t *testing.T) {
	t.Parallel()
	bodies := map[string]struct{ request, response any }{
		"createTransaction": {newTransaction{}, transaction{}}, "listTransactions": {nil, transactionPage{}}, "getTransaction": {nil, transaction{}},
		"changeTransaction": {transactionChange{}, transaction{}}, "deleteTransaction": {},
	}
	f, ok := catalog.Transactions().Function("transactions-api")
	require.True(t, ok)
	require.Len(t, bodies, len(f.Routes))
	for _, r := range f.Routes {
		b, ok := bodies[r.ID]
		require.True(t, ok, r.ID)
		require.Equal(t, r.Request == nil, b.request == nil, r.ID)
		require.Equal(t, r.Response == nil, b.response == nil, r.ID)
		if r.Request != nil {
			resttest.Conforms(t, r.Request, reflect.TypeOf(b.request))
			for _, field := range r.Request.Fields {
				require.True(t, field.Name != "description" || field.Max == maxDescription)
			}
		}
		if r.Response != nil {
			resttest.Conforms(t, r.Response, reflect.TypeOf(b.response))
		}
	}
}

// Cursors with a tag that is right, of what we would never have given one for.
func TestForgedCursors(t *testing.T) {
	t.Parallel()
	f := filter{user: "u1", month: "2026-11", category: "food"}
	const id = "01a3185c-5000-7000-8000-000000000000"
	_, ok := f.position(f.cursor("2026-11-24#" + id))
	require.True(t, ok)
	for name, position := range map[string]string{
		"other_month": "2026-10-24#" + id, "no_such_day": "2026-11-31#" + id, "no_date": "#" + id, "no_id": "2026-11-24#",
		"only_date": "2026-11-24", "other_id": "2026-11-24#x", "more": "2026-11-24#" + id + "#", "category": "food#2026-11-24#" + id, "empty": "",
	} {
		_, ok := f.position(f.cursor(position))
		require.False(t, ok, name)
	}
	_, ok = f.position(f.cursor("2026-11-24#"+id) + "\n")
	require.False(t, ok, "one position has one cursor")
}

// Whatever a cursor holds, what comes of it is a key under the caller's own, within what is asked for.
func FuzzCursor(f *testing.F) {
	own := filter{user: "u1", month: "2026-11", category: "food"}
	f.Add(own.cursor("2026-11-24#01a3185c-5000-7000-8000-000000000000"), "u1", "2026-11", "food")
	f.Add(filter{user: "u1"}.cursor("2026-11-24#01a3185c-5000-7000-8000-000000000000"), "u1", "", "")
	f.Add("", "", "", "")
	f.Fuzz(func(t *testing.T, cursor, user, month, category string) {
		list := filter{user, month, category}
		start, err := list.after(cursor)
		if err != nil {
			require.Nil(t, start)
			return
		}
		position, ok := list.position(cursor)
		require.True(t, ok)
		require.Equal(t, cursor, list.cursor(position), "one position has one cursor")
		require.True(t, utf8.ValidString(position))
		require.Len(t, start, 3)
		require.Equal(t, key(user, position[11:])["pk"], start["pk"])
	})
}
