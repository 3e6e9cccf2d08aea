package cursor_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/cursor"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

var (
	now      = time.Unix(1_800_000_000, 0)
	list     = cursor.Scope{User: "ada", Operation: "listTransactions", Filters: []string{"2026-11", ""}}
	errPlace = errors.New("vault: not sealed for this place")
)

// vault seals as fieldcrypt does as far as a caller can see: what it sealed opens at the same place, and only there.
type vault struct{ down error }

func (v vault) Seal(_ context.Context, table, key, attribute string, plain []byte) ([]byte, error) {
	return append([]byte(sum(table, key, attribute, string(plain))), masked(plain)...), v.down
}

func (v vault) Open(_ context.Context, table, key, attribute string, sealed []byte) ([]byte, error) {
	if v.down != nil {
		return nil, v.down
	}
	if len(sealed) < 36 {
		return nil, errPlace
	}
	plain := masked(sealed[36:])
	if sum(table, key, attribute, string(plain)) != string(sealed[:36]) {
		return nil, errPlace
	}
	return plain, nil
}

func sum(parts ...string) string { return store.Token(parts...) }

func masked(b []byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		out[i] = b[i] ^ 0x5a
	}
	return out
}

// kinds are the two ways to bind.
func kinds(environment string) map[string]cursor.Cursors {
	return map[string]cursor.Cursors{
		"tagged": cursor.New(cursor.Config{Environment: environment}),
		"sealed": cursor.New(cursor.Config{Environment: environment, Sealer: vault{}, Refusal: errPlace}),
	}
}

func made(t testing.TB, c cursor.Cursors, s cursor.Scope, position string) string {
	t.Helper()
	text, err := c.Seal(t.Context(), s, position, time.Time{})
	require.NoError(t, err)
	return text
}

func TestACursorOpensWhereItWasMade(t *testing.T) {
	t.Parallel()
	for kind, c := range kinds("dev") {
		for _, position := range []string{"", "2026-11-24#01a3185c-5000-7abc-8def-000000000000", "\x00\xff", strings.Repeat("x", 340)} {
			for _, s := range []cursor.Scope{list, {}, {Operation: "x"}} {
				text := made(t, c, s, position)
				require.LessOrEqual(t, len(text), cursor.MaxText)
				require.Regexp(t, `^[A-Za-z0-9_-]+$`, text)
				got, err := c.Open(t.Context(), s, text, now)
				require.NoError(t, err, kind)
				require.Equal(t, position, got, kind)
			}
		}
	}
}

// With a sealer nobody reads a position; without one it is there to be read, which the package says.
func TestWhatACursorTells(t *testing.T) {
	t.Parallel()
	for kind, c := range kinds("dev") {
		raw, err := base64.RawURLEncoding.DecodeString(made(t, c, list, "the position"))
		require.NoError(t, err)
		require.Equal(t, kind == "tagged", strings.Contains(string(raw), "the position"))
		for _, private := range []string{"ada", "listTransactions", "2026-11"} {
			require.NotContains(t, string(raw), private)
		}
	}
}

func TestACursorOpensNowhereElse(t *testing.T) {
	t.Parallel()
	for kind, c := range kinds("dev") {
		text := made(t, c, list, "position")
		for name, s := range map[string]cursor.Scope{
			"user":           {User: "bob", Operation: list.Operation, Filters: list.Filters},
			"no user":        {Operation: list.Operation, Filters: list.Filters},
			"operation":      {User: "ada", Operation: "listBudgets", Filters: list.Filters},
			"filter":         {User: "ada", Operation: list.Operation, Filters: []string{"2026-12", ""}},
			"another filter": {User: "ada", Operation: list.Operation, Filters: []string{"2026-11", "food"}},
			"filters moved":  {User: "ada", Operation: list.Operation, Filters: []string{"", "2026-11"}},
			"filters joined": {User: "ada", Operation: list.Operation, Filters: []string{"2026-11"}},
			"more filters":   {User: "ada", Operation: list.Operation, Filters: []string{"2026-11", "", ""}},
			"no filters":     {User: "ada", Operation: list.Operation},
			"parts shifted":  {User: "adal", Operation: "istTransactions", Filters: list.Filters},
		} {
			_, err := c.Open(t.Context(), s, text, now)
			require.Equal(t, cursor.ErrCursor, err, "%s %s", kind, name)
		}
		_, err := kinds("prod")[kind].Open(t.Context(), list, text, now)
		require.Equal(t, cursor.ErrCursor, err, "%s of another environment", kind)
		for other, c := range kinds("dev") {
			if other != kind {
				_, err := c.Open(t.Context(), list, text, now)
				require.Equal(t, cursor.ErrCursor, err, "%s opened as %s", kind, other)
			}
		}
	}
}

func TestEveryChangeOfACursorIsRefused(t *testing.T) {
	t.Parallel()
	for kind, c := range kinds("dev") {
		text := made(t, c, list, "2026-11-24#1")
		refused := func(text string) {
			t.Helper()
			_, err := c.Open(t.Context(), list, text, now)
			require.Equal(t, cursor.ErrCursor, err, "%s %q", kind, text)
		}
		raw, err := base64.RawURLEncoding.DecodeString(text)
		require.NoError(t, err)
		for i := range raw {
			for bit := range 8 {
				changed := []byte(string(raw))
				changed[i] ^= 1 << bit
				refused(base64.RawURLEncoding.EncodeToString(changed))
			}
			refused(base64.RawURLEncoding.EncodeToString(raw[:i]))
			refused(base64.RawURLEncoding.EncodeToString(raw[i+1:]))
		}
		for i := range text {
			refused(text[:i])
			for _, c := range "AZaz09-_=+/ \n%\x00ä" {
				if changed := text[:i] + string(c) + text[i+1:]; changed != text {
					refused(changed)
				}
			}
			refused(text[:i] + "\n" + text[i:]) // which Go's base64 would read over
		}
		for _, more := range []string{"A", "=", "==", " ", "\n", text} {
			refused(text + more)
			refused(more + text)
		}
		for version := range 256 {
			if byte(version) != raw[0] {
				refused(base64.RawURLEncoding.EncodeToString(append([]byte{byte(version)}, raw[1:]...)))
			}
		}
		refused(strings.Repeat("A", cursor.MaxText))
		refused(strings.Repeat("A", cursor.MaxText+1))
		refused(strings.Repeat("A", 1<<20))
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	for kind, c := range kinds("dev") {
		text, err := c.Seal(t.Context(), list, "position", now.Add(time.Hour))
		require.NoError(t, err)
		for at, open := range map[time.Time]bool{now: true, now.Add(time.Hour - time.Second): true, now.Add(time.Hour): false, now.Add(1000 * time.Hour): false, now.Add(-time.Hour): true} {
			position, err := c.Open(t.Context(), list, text, at)
			if open {
				require.NoError(t, err)
				require.Equal(t, "position", position)
				continue
			}
			require.Equal(t, cursor.ErrCursor, err, "%s at %s", kind, at)
		}
		long, err := c.Seal(t.Context(), list, "position", time.Unix(-5, 0))
		require.NoError(t, err)
		_, err = c.Open(t.Context(), list, long, now)
		require.Equal(t, cursor.ErrCursor, err, "a time before all others is over, not for ever")
		_, err = c.Open(t.Context(), list, made(t, c, list, "position"), now.Add(1<<62))
		require.NoError(t, err, "without one it does not")
	}
}

func TestAPositionThatDoesNotFit(t *testing.T) {
	t.Parallel()
	for kind, c := range kinds("dev") {
		_, err := c.Seal(t.Context(), list, strings.Repeat("s", 384), time.Time{})
		require.ErrorContains(t, err, "a position of 384 bytes does not fit", kind)
		require.NotContains(t, err.Error(), "sss")
	}
}

// An outage of the sealer is no fault of the cursor.
func TestASealerThatIsDown(t *testing.T) {
	t.Parallel()
	text := made(t, kinds("dev")["sealed"], list, "position")
	down := errors.New("no keys")
	c := cursor.New(cursor.Config{Environment: "dev", Sealer: vault{down}, Refusal: errPlace})
	_, err := c.Seal(t.Context(), list, "position", time.Time{})
	require.ErrorIs(t, err, down)
	_, err = c.Open(t.Context(), list, text, now)
	require.ErrorIs(t, err, down)
	require.NotErrorIs(t, err, cursor.ErrCursor)
}

func TestPositionsOfKeys(t *testing.T) {
	t.Parallel()
	last := store.Item{"pk": store.S("USER#ada"), "sk": store.S("TX#1"), "n": &types.AttributeValueMemberN{Value: "1.50"}, "b": store.B([]byte{0, 255}), "e": store.S("")}
	position, err := cursor.Position(last, "pk")
	require.NoError(t, err)
	require.NotContains(t, position, "ada")
	start, err := cursor.Start(position, store.Item{"pk": store.S("USER#ada")})
	require.NoError(t, err)
	require.Equal(t, last, start)
	start, err = cursor.Start(position, nil)
	require.NoError(t, err)
	require.Len(t, start, 4)
	start, err = cursor.Start("", store.Item{"pk": store.S("x")})
	require.NoError(t, err)
	require.Equal(t, store.Item{"pk": store.S("x")}, start)

	// A forged position does not lead into another's partition.
	theirs, err := cursor.Position(store.Item{"pk": store.S("USER#bob"), "sk": store.S("TX#1")})
	require.NoError(t, err)
	_, err = cursor.Start(theirs, store.Item{"pk": store.S("USER#ada")})
	require.Equal(t, cursor.ErrCursor, err)

	for name, broken := range map[string]string{
		"cut":                 position[:len(position)-1],
		"more":                position + "\x01",
		"a name twice":        position + "\x02skS\x01x",
		"names out of order":  "\x01bS\x01x\x01aS\x01x",
		"no name":             "\x00S\x01x",
		"another type":        "\x01aM\x01x",
		"no type":             "\x01a",
		"no value":            "\x01aS",
		"a length too large":  "\x01aS\x05x",
		"a length of no end":  "\x01aS\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"a length around":     "\x01aS\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"a length in excess":  "\x01aS\x81\x00x",
		"a name that is huge": "\xff\xff\xff\xff\x0f",
	} {
		_, err := cursor.Start(broken, nil)
		require.Equal(t, cursor.ErrCursor, err, name)
	}
	for _, v := range []types.AttributeValue{nil, store.Bool(true), &types.AttributeValueMemberL{}} {
		_, err := cursor.Position(store.Item{"pk": v})
		require.Error(t, err)
	}
}

// Page by page through a table, by the store's own key.
func TestPaging(t *testing.T) {
	t.Parallel()
	db := mem.New(mem.Schema{Name: "t", Hash: "pk", Range: "n", Types: map[string]types.ScalarAttributeType{"n": types.ScalarAttributeTypeN}})
	table := store.NewTable(db, "t")
	for i := range 10 {
		_, err := table.PutItem(t.Context(), &dynamodb.PutItemInput{Item: store.Item{"pk": store.S("ada"), "n": store.N(int64(i))}})
		require.NoError(t, err)
	}
	for kind, c := range kinds("dev") {
		var seen []int64
		for text := ""; ; {
			in := &dynamodb.QueryInput{KeyConditionExpression: aws.String("pk = :pk"), ExpressionAttributeValues: store.Item{":pk": store.S("ada")}, Limit: aws.Int32(3)}
			if text != "" {
				position, err := c.Open(t.Context(), list, text, now)
				require.NoError(t, err)
				in.ExclusiveStartKey, err = cursor.Start(position, store.Item{"pk": store.S("ada")})
				require.NoError(t, err)
			}
			out, err := table.Query(t.Context(), in)
			require.NoError(t, err)
			for _, it := range out.Items {
				seen = append(seen, store.Read(it).N("n"))
			}
			if len(out.LastEvaluatedKey) == 0 {
				break
			}
			position, err := cursor.Position(out.LastEvaluatedKey, "pk")
			require.NoError(t, err)
			text = made(t, c, list, position)
		}
		require.Equal(t, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, seen, kind)
	}
}

// FuzzOpen: whatever the text, it is refused or it is the one cursor of its position.
func FuzzOpen(f *testing.F) {
	for _, c := range kinds("dev") {
		for _, position := range []string{"", "2026-11-24#1", "\x02skS\x04TX#1"} {
			text, err := c.Seal(context.Background(), list, position, time.Time{})
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Add("")
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, text string) {
		for kind, c := range kinds("dev") {
			position, err := c.Open(t.Context(), list, text, now)
			if err != nil {
				require.Equal(t, cursor.ErrCursor, err)
				continue
			}
			require.Equal(t, text, made(t, c, list, position), kind)
		}
	})
}

// FuzzStart: whatever the position, it is refused or it is how its key is written, beside what the query fixes.
func FuzzStart(f *testing.F) {
	for _, seed := range []string{"", "\x02skS\x04TX#1", "\x01bB\x00\x01nN\x011", "\x02pkS\x01x", "\x81\x00", "\xff\xff\xff\xff\x0f"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, position string) {
		start, err := cursor.Start(position, store.Item{"pk": store.S("USER#ada")})
		if err != nil {
			require.Equal(t, cursor.ErrCursor, err)
			return
		}
		require.Equal(t, store.S("USER#ada"), start["pk"])
		again, err := cursor.Position(start, "pk")
		require.NoError(t, err)
		require.Equal(t, position, again)
	})
}

func BenchmarkTagged(b *testing.B) {
	c := cursor.New(cursor.Config{Environment: "dev"})
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Seal(b.Context(), list, "2026-11-24#01a3185c-5000-7abc-8def-000000000000", time.Time{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	text := made(b, c, list, "2026-11-24#01a3185c-5000-7abc-8def-000000000000")
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Open(b.Context(), list, text, now); err != nil {
				b.Fatal(err)
			}
		}
	})
}
