package transactions

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/cursor"
	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/store"
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

// lists is what opens cursors, as the function does.
func lists() *api { return &api{cursors: cursor.New(cursor.Config{Environment: "dev"})} }

// forged is a cursor with a tag that is right, of any position.
func forged(t testing.TB, f filter, position string) string {
	t.Helper()
	text, err := lists().cursors.Seal(context.Background(), f.scope(), position, time.Time{})
	require.NoError(t, err)
	return text
}

// Cursors with a tag that is right, of what we would never have given one for.
func TestForgedCursors(t *testing.T) {
	t.Parallel()
	f, now := filter{user: "u1", month: "2026-11", category: "food"}, time.Unix(1_800_000_000, 0)
	const id = "01a3185c-5000-7000-8000-000000000000"
	_, err := lists().after(t.Context(), f, forged(t, f, "2026-11-24#"+id), now)
	require.NoError(t, err)
	for name, position := range map[string]string{
		"other_month": "2026-10-24#" + id, "no_such_day": "2026-11-31#" + id, "no_date": "#" + id, "no_id": "2026-11-24#",
		"only_date": "2026-11-24", "other_id": "2026-11-24#x", "more": "2026-11-24#" + id + "#", "category": "food#2026-11-24#" + id, "empty": "",
	} {
		_, err := lists().after(t.Context(), f, forged(t, f, position), now)
		require.ErrorContains(t, err, "validation_failed", name)
	}
	_, err = lists().after(t.Context(), f, forged(t, f, "2026-11-24#"+id)+"\n", now)
	require.Error(t, err, "one position has one cursor")
	other := &api{cursors: cursor.New(cursor.Config{Environment: "prod"})}
	_, err = other.after(t.Context(), f, forged(t, f, "2026-11-24#"+id), now)
	require.Error(t, err, "another environment")
}

// Whatever a cursor holds, forged ones included, what comes of it is a key under the caller's own, within what is asked for.
func FuzzCursor(f *testing.F) {
	const id = "01a3185c-5000-7000-8000-000000000000"
	f.Add("2026-11-24#"+id, true, "u1", "2026-11", "food")
	f.Add("2026-11-24#"+id, true, "u1", "", "")
	f.Add("2026-12-24#"+id, true, "u1", "2026-11", "")
	f.Add("AQ", false, "", "", "")
	f.Fuzz(func(t *testing.T, position string, sealed bool, user, month, category string) {
		list, text := filter{user, month, category}, position
		if sealed && len(position) < 300 {
			text = forged(t, list, position)
		}
		start, err := lists().after(t.Context(), list, text, time.Unix(1_800_000_000, 0))
		if err != nil {
			require.Nil(t, start)
			return
		}
		ix := list.index()
		require.Len(t, start, 3)
		require.Equal(t, key(user, position[11:])["pk"], start["pk"])
		sorted := store.Read(start).S(ix.attribute)
		require.True(t, strings.HasPrefix(sorted, ix.prefix), "%q is not within %q", sorted, ix.prefix)
		require.True(t, utf8.ValidString(position))
	})
}
