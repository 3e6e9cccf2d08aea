package apple_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apple"
	"github.com/expenzez/aws-backend/internal/apple/applemem"
	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/store"
)

func TestNoncesInMemory(t *testing.T) {
	t.Parallel()
	conformNonces(t, func(t *testing.T) *world { t.Helper(); return inMemory(t) })
}

func TestNoncesOnTheEmulator(t *testing.T) {
	t.Parallel()
	conformNonces(t, onTheEmulator)
}

// conformNonces is the contract of nonces, on any store.
func conformNonces(t *testing.T, newWorld func(*testing.T) *world) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *world){
		"good_once":         goodOnce,
		"good_in_its_time":  goodInItsTime,
		"one_winner":        oneWinner,
		"hashed":            hashed,
		"issue_under_fault": issueUnderFault,
		"use_under_fault":   useUnderFault,
		"deadline":          nonceDeadline,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t))
		})
	}
}

// verify uses a nonce up with a token that is good.
func (w *world) verify(ctx context.Context, t *testing.T, nonce string) error {
	t.Helper()
	header, claims := w.goodParts(nonce)
	_, err := w.verifier.Verify(ctx, signed(t, header, claims, rsaKeys[0]()), nonce)
	return err
}

func goodOnce(t *testing.T, w *world) {
	first, second := w.nonce(t), w.nonce(t)
	require.NotEqual(t, first, second)
	require.NoError(t, w.verify(t.Context(), t, first))
	for range 3 {
		refused(t, w.verify(t.Context(), t, first), apple.ErrNonce, first)
	}
	require.NoError(t, w.verify(t.Context(), t, second), "one is not the other")
	refused(t, w.verify(t.Context(), t, strings.Repeat("A", 43)), apple.ErrNonce)
}

// DynamoDB deletes late: an item that is still there is not good for it.
func goodInItsTime(t *testing.T, w *world) {
	early, late := w.nonce(t), w.nonce(t)
	w.clock.Jump(apple.NonceLife - time.Second)
	require.NoError(t, w.verify(t.Context(), t, early))
	w.clock.Jump(time.Second)
	refused(t, w.verify(t.Context(), t, late), apple.ErrNonce)
	require.NotEmpty(t, w.stored(t, late))
}

func oneWinner(t *testing.T, w *world) {
	nonce := w.nonce(t)
	require.NoError(t, w.verify(t.Context(), t, w.nonce(t)), "keys are there")
	header, claims := w.goodParts(nonce)
	token := signed(t, header, claims, rsaKeys[0]())
	var wg sync.WaitGroup
	results := make(chan error, 12)
	for range cap(results) {
		wg.Go(func() {
			_, err := w.verifier.Verify(t.Context(), token, nonce)
			results <- err
		})
	}
	wg.Wait()
	winners := 0
	for range cap(results) {
		err := <-results
		if err == nil {
			winners++
			continue
		}
		if !errors.Is(err, apple.ErrUnavailable) { // two transactions met: nothing is known of the nonce
			refused(t, err, apple.ErrNonce, nonce, token)
		}
	}
	require.Equal(t, 1, winners)
}

func hashed(t *testing.T, w *world) {
	nonce := w.nonce(t)
	item := w.stored(t, nonce)
	r := store.Read(item)
	require.Equal(t, start.Add(apple.NonceLife).Unix(), r.N("expires"))
	require.Equal(t, r.N("expires"), r.N("ttl"))
	require.Len(t, item, 3)
	require.NotContains(t, r.S("pk"), nonce)
	require.NotContains(t, r.S("pk"), apple.Sent(nonce))
	require.NoError(t, r.Err())
}

func issueUnderFault(t *testing.T, w *world) {
	for _, kind := range fault.Kinds() {
		w.follow(fault.From(0, fault.Fault{Kind: kind}))
		nonce, err := w.nonces.Issue(t.Context(), w.now())
		w.follow(nil)
		refused(t, err, apple.ErrUnavailable)
		require.Empty(t, nonce, kind)
	}
}

// Whatever happens to the call, a nonce lets in once at most; and what was not done can be tried again.
func useUnderFault(t *testing.T, w *world) {
	require.NoError(t, w.verify(t.Context(), t, w.nonce(t)), "keys are there")
	for _, kind := range fault.Kinds() {
		for _, lasting := range []bool{false, true} {
			plan := fault.At(0, fault.Fault{Kind: kind})
			if lasting {
				plan = fault.From(0, fault.Fault{Kind: kind})
			}
			nonce := w.nonce(t)
			w.follow(plan)
			err := w.verify(t.Context(), t, nonce)
			w.follow(nil)
			done := w.stored(t, nonce) == nil
			again := w.verify(t.Context(), t, nonce)
			switch {
			case err == nil:
				refused(t, again, apple.ErrNonce)
			case done:
				refused(t, err, apple.ErrUnavailable, nonce)
				refused(t, again, apple.ErrNonce)
			default:
				refused(t, err, apple.ErrUnavailable, nonce)
				require.NoError(t, again, kind)
			}
		}
	}
}

func nonceDeadline(t *testing.T, w *world) {
	require.NoError(t, w.verify(t.Context(), t, w.nonce(t)), "keys are there")
	nonce := w.nonce(t)
	w.follow(fault.From(0, fault.Fault{Delay: time.Hour}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := w.verify(ctx, t, nonce)
	refused(t, err, apple.ErrUnavailable, nonce)
	require.ErrorIs(t, err, context.Canceled)
	_, err = w.nonces.Issue(ctx, w.now())
	require.ErrorIs(t, err, context.Canceled)
	w.follow(nil)
	require.NoError(t, w.verify(t.Context(), t, nonce))
}

// An answer that was lost is asked for again by the SDK's client, and the delete is known to be this call's own.
func TestALostAnswerIsRecognized(t *testing.T) {
	t.Parallel()
	w := onTheEmulator(t)
	require.NoError(t, w.verify(t.Context(), t, w.nonce(t)), "keys are there")
	for _, kind := range fault.Kinds() {
		nonce := w.nonce(t)
		calls := 0
		w.follow(func(n int, _ string) fault.Fault {
			calls++
			if n == 0 {
				return fault.Fault{Kind: kind}
			}
			return fault.Fault{}
		})
		err := w.verify(t.Context(), t, nonce)
		w.follow(nil)
		require.NoError(t, err, kind)
		require.Equal(t, 2, calls, kind)
		refused(t, w.verify(t.Context(), t, nonce), apple.ErrNonce)
	}
}

func TestShelves(t *testing.T) {
	t.Parallel()
	for name, newShelf := range map[string]func(t *testing.T) apple.Shelf{
		"memory":   func(*testing.T) apple.Shelf { return &applemem.Shelf{} },
		"item":     func(t *testing.T) apple.Shelf { t.Helper(); return apple.NewShelf(inMemory(t).table) },
		"emulator": func(t *testing.T) apple.Shelf { t.Helper(); return onTheEmulator(t).shelf },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformShelf(t, newShelf(t))
		})
	}
}

func conformShelf(t *testing.T, shelf apple.Shelf) {
	t.Helper()
	saved, err := shelf.Load(t.Context())
	require.NoError(t, err)
	require.Zero(t, saved, "empty at first")
	at := func(after time.Duration) apple.Saved {
		return apple.Saved{Keys: []byte("fetched after " + after.String()), Fetched: start.Add(after)}
	}
	for _, c := range []struct{ save, then time.Duration }{
		{0, 0}, {time.Hour, time.Hour}, {time.Hour - time.Second, time.Hour}, {time.Hour, time.Hour},
		{time.Hour - apple.Leeway, time.Hour}, // clocks may differ so far
		{300 * day, 300 * day},                // a clock that is wrong
		{2 * time.Hour, 2 * time.Hour},        // does not keep others from the shelf
		{2*time.Hour + time.Second, 2*time.Hour + time.Second},
	} {
		require.NoError(t, shelf.Save(t.Context(), at(c.save)))
		saved, err := shelf.Load(t.Context())
		require.NoError(t, err)
		require.Equal(t, string(at(c.then).Keys), string(saved.Keys))
		require.True(t, saved.Fetched.Equal(at(c.then).Fetched))
	}
	saved, err = shelf.Load(t.Context())
	require.NoError(t, err)
	saved.Keys[0] = 'X'
	again, err := shelf.Load(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, saved.Keys, again.Keys, "what is loaded is the caller's")
}

// A shelf whose store fails says so, and what is on it stays whole.
func TestAShelfUnderFaults(t *testing.T) {
	t.Parallel()
	for name, newWorld := range map[string]func(*testing.T) *world{
		"memory": func(t *testing.T) *world { t.Helper(); return inMemory(t) }, "emulator": onTheEmulator,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			shelf := apple.NewShelf(w.table)
			for i, kind := range fault.Kinds() {
				saved := apple.Saved{Keys: []byte(kind.String()), Fetched: start.Add(time.Duration(i) * time.Minute)}
				w.follow(fault.From(0, fault.Fault{Kind: kind}))
				require.Error(t, shelf.Save(t.Context(), saved))
				_, err := shelf.Load(t.Context())
				require.Error(t, err)
				w.follow(fault.At(0, fault.Fault{Kind: kind}))
				_ = shelf.Save(t.Context(), saved)
				w.follow(nil)
				require.NoError(t, shelf.Save(t.Context(), saved))
				got, err := shelf.Load(t.Context())
				require.NoError(t, err)
				require.Equal(t, kind.String(), string(got.Keys))
			}
		})
	}
}

func TestAShelfThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, item := range map[string]store.Item{
		"no_keys":       {"fetched": store.N(1)},
		"no_time":       {"keys": store.B([]byte("x"))},
		"keys_are_text": {"keys": store.S("x"), "fetched": store.N(1)},
		"time_is_text":  {"keys": store.B([]byte("x")), "fetched": store.S("1")},
	} {
		w := inMemory(t)
		item["pk"] = store.S("APPLE#keys")
		_, err := w.table.PutItem(t.Context(), &dynamodb.PutItemInput{Item: item})
		require.NoError(t, err)
		w.shelf = apple.NewShelf(w.table)
		_, err = w.shelf.Load(t.Context())
		require.Error(t, err, name)
		w.restart(t)
		_, err = w.keys.Find(t.Context(), kid(0))
		require.NoError(t, err, "Apple is asked")
	}
}

// stored is the item of a nonce.
func (w *world) stored(t *testing.T, nonce string) store.Item {
	t.Helper()
	out, err := w.table.GetItem(t.Context(), &dynamodb.GetItemInput{Key: nonceKey(nonce), ConsistentRead: aws.Bool(true)})
	require.NoError(t, err)
	return out.Item
}

// issued puts a nonce that is known beforehand.
func (w *world) issued(t *testing.T, nonce string, now int64) {
	t.Helper()
	item := nonceKey(nonce)
	item["expires"] = store.N(now + 60)
	_, err := w.table.PutItem(t.Context(), &dynamodb.PutItemInput{Item: item})
	require.NoError(t, err)
}
