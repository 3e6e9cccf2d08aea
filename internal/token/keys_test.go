package token_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/token"
)

// table holds key items and answers one a page. It stands for a table here because these tests are about how often it
// is asked and what happens when it does not answer.
type table struct {
	mu      sync.Mutex
	items   []store.Item
	queries int
	err     error
	puts    []string
	putErr  error
	block   func(context.Context) error
}

func (t *table) Query(ctx context.Context, in *dynamodb.QueryInput) (*dynamodb.QueryOutput, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := 0
	if in.ExclusiveStartKey == nil {
		t.queries++
	} else {
		at = int(store.Read(in.ExclusiveStartKey).N("at"))
	}
	if t.block != nil {
		if err := t.block(ctx); err != nil {
			return nil, err
		}
	}
	if t.err != nil || at >= len(t.items) {
		return &dynamodb.QueryOutput{}, t.err
	}
	out := &dynamodb.QueryOutput{Items: []store.Item{t.items[at]}}
	if at+1 < len(t.items) {
		out.LastEvaluatedKey = store.Item{"at": store.N(int64(at + 1))}
	}
	return out, nil
}

func (t *table) PutItem(_ context.Context, in *dynamodb.PutItemInput) (*dynamodb.PutItemOutput, error) {
	if t.putErr != nil {
		return nil, t.putErr
	}
	id := store.Read(in.Item).S("sk")
	for _, item := range t.items {
		if store.Read(item).S("sk") == id && in.ConditionExpression != nil {
			return nil, &store.ConditionFailedError{Old: item}
		}
	}
	t.items = append(t.items, in.Item)
	t.puts = append(t.puts, id)
	return &dynamodb.PutItemOutput{}, nil
}

func (*table) PutWrite(types.Put) store.Write { return store.Write{} }

func TestAWarmSetMakesNoCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	raw, _ := w.sign(t)
	for range 5 {
		_, err := w.verifier.Verify(t.Context(), raw)
		require.NoError(t, err)
	}
	require.Equal(t, 1, w.table.queries)
}

func TestUnknownIDsReadAgainOnceAMinute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 5 {
		_, err := w.keys.Find(t.Context(), "other")
		require.ErrorIs(t, err, token.ErrInvalid)
	}
	require.Equal(t, 1, w.table.queries, "the set is fresh")
	w.now = w.now.Add(time.Minute)
	for range 5 {
		_, err := w.keys.Find(t.Context(), "other")
		require.ErrorIs(t, err, token.ErrInvalid)
	}
	require.Equal(t, 2, w.table.queries)

	value, public, err := token.NewKey(w.now)
	require.NoError(t, err)
	w.publish(t, public)
	w.value = value
	w.now = w.now.Add(time.Minute)
	_, err = w.keys.Find(t.Context(), public.ID)
	require.NoError(t, err, "a key that was published meanwhile is found")
}

func TestAStaleSetServesWhileTheTableFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.keys.Find(t.Context(), w.public.ID)
	require.NoError(t, err)
	w.table.err = errors.New("down")
	w.now = start.Add(6 * time.Hour)
	for range 3 {
		_, err = w.keys.Find(t.Context(), w.public.ID)
		require.NoError(t, err)
	}
	require.Equal(t, 2, w.table.queries, "after a failure the table is left alone")
	_, err = w.keys.Find(t.Context(), "other")
	require.ErrorContains(t, err, "down")
	require.NotErrorIs(t, err, token.ErrInvalid, "its key may be newer than the set")
	w.now = start.Add(7 * 24 * time.Hour)
	_, err = w.keys.Find(t.Context(), w.public.ID)
	require.ErrorContains(t, err, "down")
	require.NotErrorIs(t, err, token.ErrInvalid)
}

func TestWithoutASetTheTokenIsNotBlamed(t *testing.T) {
	t.Parallel()
	cases := map[string]func(*table){
		"table_fails":     func(x *table) { x.err = errors.New("down") },
		"not_provisioned": func(x *table) { x.items = nil },
		"only_broken": func(x *table) {
			x.items = []store.Item{{"pk": store.S("jwks"), "sk": store.S("k")}}
		},
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			items := w.table.items
			raw, _ := w.sign(t)
			spoil(w.table)
			_, err := w.verifier.Verify(t.Context(), raw)
			require.Error(t, err)
			require.NotErrorIs(t, err, token.ErrInvalid)
			_, err = w.keys.All(t.Context())
			require.Error(t, err)
			require.Equal(t, 1, w.table.queries)

			w.table.err, w.table.items = nil, items
			w.now = w.now.Add(2 * time.Second)
			_, err = w.verifier.Verify(t.Context(), raw)
			require.NoError(t, err, "it recovers")
		})
	}
}

func TestBrokenKeysAreLeftOut(t *testing.T) {
	t.Parallel()
	_, public, err := token.NewKey(start)
	require.NoError(t, err)
	cases := map[string]func(store.Item){
		"no_id":         func(i store.Item) { delete(i, "kid") },
		"id_type":       func(i store.Item) { i["kid"] = store.N(1) },
		"not_base64":    func(i store.Item) { i["x"] = store.S("!") },
		"not_on_curve":  func(i store.Item) { i["x"] = i["y"] },
		"short":         func(i store.Item) { i["y"] = store.S("AAAA") },
		"other_id":      func(i store.Item) { i["kid"] = store.S("friendly-name") },
		"no_not_before": func(i store.Item) { delete(i, "notBefore") },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			item, err := public.Item()
			require.NoError(t, err)
			spoil(item)
			w.table.items = append([]store.Item{item}, w.table.items...)
			raw, _ := w.sign(t)
			_, err = w.verifier.Verify(t.Context(), raw)
			require.NoError(t, err)
			all, err := w.keys.All(t.Context())
			require.NoError(t, err)
			require.Len(t, all, 1)
		})
	}
}

// Whatever an item says, a key that is listed is a point of the curve under its thumbprint, and it and its times are what
// the item says.
func FuzzKeyItem(f *testing.F) {
	_, public, err := token.NewKey(start)
	require.NoError(f, err)
	j, err := public.JWK()
	require.NoError(f, err)
	f.Add(j.ID, j.X, j.Y, "1800000000", "")
	f.Add(j.ID, j.X, j.Y, "1800000000", "1800000001")
	f.Add(j.ID, j.Y, j.X, "0", "0")
	f.Add(j.ID, j.X+"=", j.Y, "1e3", "-1")
	f.Add("", "", "", "", "")
	f.Add(j.ID, j.X+j.Y, "", "9223372036854775807", "9223372036854775808")
	f.Fuzz(func(t *testing.T, id, x, y, notBefore, retireAt string) {
		item := store.Item{"pk": store.S("jwks"), "sk": store.S(id), "kid": store.S(id), "x": store.S(x), "y": store.S(y),
			"notBefore": &types.AttributeValueMemberN{Value: notBefore}}
		if retireAt != "" {
			item["retireAt"] = &types.AttributeValueMemberN{Value: retireAt}
		}
		keys := token.NewKeys(&table{items: []store.Item{item}}, token.KeysOptions{Now: func() time.Time { return start }})
		all, err := keys.All(t.Context())
		key, findErr := keys.Find(t.Context(), id)
		if err != nil || len(all) == 0 {
			require.Error(t, findErr)
			return
		}
		require.Equal(t, token.JWK{KeyType: "EC", Curve: "P-256", Algorithm: "ES256", Use: "sig", ID: id, X: x, Y: y}, all[0])
		sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + x + `","y":"` + y + `"}`))
		require.Equal(t, base64.RawURLEncoding.EncodeToString(sum[:]), id)
		if findErr == nil {
			require.Equal(t, j.ID == id, key.Equal(public.Key))
		}
	})
}

func TestKeysHaveATime(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		notBefore, retireAt time.Duration // from now; 0 of retireAt: undecided
		valid, listed       bool
	}{
		"undecided":        {0, 0, true, true},
		"within_leeway":    {token.Leeway, 0, true, true},
		"to_come":          {token.Leeway + time.Second, 0, false, true},
		"retires_later":    {-time.Hour, time.Second, true, true},
		"retired_just_now": {-time.Hour, -time.Nanosecond, false, false},
		"retired":          {-time.Hour, -time.Minute, false, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			_, k, err := token.NewKey(w.now)
			require.NoError(t, err)
			k.NotBefore = w.now.Add(c.notBefore)
			if c.retireAt != 0 {
				k.RetireAt = w.now.Add(c.retireAt)
			}
			w.publish(t, k)
			_, err = w.keys.Find(t.Context(), k.ID)
			require.Equal(t, c.valid, err == nil)
			if !c.valid {
				require.ErrorIs(t, err, token.ErrInvalid)
			}
			all, err := w.keys.All(t.Context())
			require.NoError(t, err)
			listed := map[bool]int{true: 2, false: 1}
			require.Len(t, all, listed[c.listed])
		})
	}
}

func TestCallersShareOneReadThatOutlivesTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, public, err := token.NewKey(time.Now())
		require.NoError(t, err)
		item, err := public.Item()
		require.NoError(t, err)
		x := &table{items: []store.Item{item}, block: func(ctx context.Context) error {
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		keys := token.NewKeys(x, token.KeysOptions{})
		hurried, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := keys.Find(hurried, public.ID)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NotErrorIs(t, err, token.ErrInvalid)
		})
		for range 8 {
			wg.Go(func() {
				time.Sleep(5 * time.Millisecond) // of the bubble's clock
				_, err := keys.Find(t.Context(), public.ID)
				require.NoError(t, err)
			})
		}
		wg.Wait()
		require.Equal(t, 1, x.queries)
	})
}

func TestAllIsSortedAndPublic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 4 {
		_, k, err := token.NewKey(w.now)
		require.NoError(t, err)
		w.publish(t, k)
	}
	all, err := w.keys.All(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 5)
	for i, j := range all {
		require.Equal(t, token.JWK{KeyType: "EC", Curve: "P-256", Algorithm: "ES256", Use: "sig", ID: j.ID, X: j.X, Y: j.Y}, j)
		require.Len(t, j.X+j.Y, 86)
		require.True(t, i == 0 || all[i-1].ID < j.ID)
	}
}

// vault is a secret without a value until one is put.
type vault struct {
	value          string
	getErr, putErr error
	published      func() int
	seen           int // keys published when the secret was written
}

func (v *vault) GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	if v.getErr != nil {
		return nil, v.getErr
	}
	if v.value == "" {
		return nil, &smtypes.ResourceNotFoundException{}
	}
	return &secretsmanager.GetSecretValueOutput{SecretString: &v.value}, nil
}

func (v *vault) PutSecretValue(_ context.Context, in *secretsmanager.PutSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error) {
	if v.putErr != nil {
		return nil, v.putErr
	}
	v.value, v.seen = *in.SecretString, v.published()
	return &secretsmanager.PutSecretValueOutput{}, nil
}

func TestProvisionPublishesThenWritesOnce(t *testing.T) {
	t.Parallel()
	x := &table{}
	v := &vault{published: func() int { return len(x.items) }}
	made, err := token.Provision(t.Context(), v, "jwt", x, start)
	require.NoError(t, err)
	require.True(t, made)
	require.Equal(t, 1, v.seen, "the public key is there before the private one")
	first := v.value

	made, err = token.Provision(t.Context(), v, "jwt", x, start.Add(time.Hour))
	require.NoError(t, err)
	require.False(t, made)
	require.Equal(t, first, v.value)
	require.Len(t, x.puts, 1)

	x.items, x.puts = nil, nil
	_, err = token.Provision(t.Context(), v, "jwt", x, start)
	require.NoError(t, err)
	require.Len(t, x.puts, 1, "a key that is used but not published is published")
}

func TestProvisionFails(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	cases := map[string]struct {
		v     vault
		x     *table
		want  string
		items int
	}{
		"read":           {v: vault{getErr: boom}, x: &table{}, want: "read the secret"},
		"publish":        {x: &table{putErr: boom}, want: "publish the key"},
		"write":          {v: vault{putErr: boom}, x: &table{}, want: "write the secret", items: 1},
		"other_content":  {v: vault{value: "hunter2"}, x: &table{}, want: "the secret is not"},
		"read_forbidden": {v: vault{getErr: &smtypes.InternalServiceError{}}, x: &table{}, want: "read the secret"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.v.published = func() int { return len(c.x.items) }
			before := c.v.value
			made, err := token.Provision(t.Context(), &c.v, "jwt", c.x, start)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "hunter2")
			require.False(t, made)
			require.Equal(t, before, c.v.value)
			require.Len(t, c.x.items, c.items)
		})
	}
}

func parsePKCS8(t *testing.T, der []byte) *ecdsa.PrivateKey {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(der)
	require.NoError(t, err)
	return key.(*ecdsa.PrivateKey)
}

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return der
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
