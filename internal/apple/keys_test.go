package apple_test

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apple"
	"github.com/expenzez/aws-backend/internal/apple/applemem"
	"github.com/expenzez/aws-backend/internal/fault"
)

func kid(i int) string { return applemem.KeyID(&rsaKeys[i]().PublicKey) }

// found requires the key of an id, which is there without a wait.
func (w *world) found(t *testing.T, i int) {
	t.Helper()
	before := time.Now()
	key, err := w.keys.Find(t.Context(), kid(i))
	require.NoError(t, err)
	require.True(t, key.Equal(&rsaKeys[i]().PublicKey))
	require.Zero(t, time.Since(before), "nobody waited")
}

func (w *world) fetches() int { return len(w.transport.Calls()) }

// inBubble runs a test in a time of its own, with a set that is nowhere yet.
func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for _, key := range rsaKeys {
		key() // made outside: it takes real time
	}
	synctest.Test(t, func(t *testing.T) { test(t, inMemoryAt(t, time.Now)) })
}

func TestTheSetIsFetchedOnceInSoft(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		require.Zero(t, w.fetches(), "nothing before it is needed")
		for _, c := range []struct {
			after   time.Duration
			fetches int
		}{{0, 1}, {0, 1}, {6*time.Hour - 1, 1}, {1, 2}, {6*time.Hour - 1, 2}, {1, 3}} {
			time.Sleep(c.after)
			w.found(t, 0)
			require.Equal(t, c.fetches, w.fetches())
		}
	})
}

// While Apple does not answer, the set is used for seven days, asked for once a minute, and then not used.
func TestAStaleSetIsUsedForDays(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.found(t, 0)
		w.transport.Follow(fault.From(0, fault.Fault{Kind: fault.Broken}))
		time.Sleep(6 * time.Hour)
		for range 5 {
			w.found(t, 0)
		}
		require.Equal(t, 1, w.fetches())
		time.Sleep(time.Minute)
		w.found(t, 0)
		require.Equal(t, 2, w.fetches())
		time.Sleep(7*day - 6*time.Hour - time.Minute - 1)
		w.found(t, 0)
		_, err := w.keys.Find(t.Context(), kid(1))
		refused(t, err, apple.ErrUnavailable) // it may be newer than the set
		time.Sleep(time.Nanosecond)
		_, err = w.keys.Find(t.Context(), kid(0))
		refused(t, err, apple.ErrUnavailable)
		w.transport.Follow(nil)
		_, err = w.keys.Find(t.Context(), kid(0))
		refused(t, err, apple.ErrUnavailable) // asked a moment ago
		time.Sleep(2 * time.Second)
		w.found(t, 0)
		require.Equal(t, 1, w.fetches())
	})
}

func TestUnknownIdsFetchOnceAMinute(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.found(t, 0)
		unknown := func() {
			for i := range 20 {
				_, err := w.keys.Find(t.Context(), fmt.Sprint("unknown-", i))
				refused(t, err, apple.ErrInvalid)
			}
		}
		unknown()
		require.Equal(t, 1, w.fetches(), "the set is new")
		for minute := 2; minute < 5; minute++ {
			time.Sleep(time.Minute)
			unknown()
			require.Equal(t, minute, w.fetches())
		}
		w.apple.Rotate(rsaKeys[1]())
		_, err := w.keys.Find(t.Context(), kid(1))
		refused(t, err, apple.ErrInvalid)
		time.Sleep(time.Minute)
		w.found(t, 1)
		w.found(t, 0)
		w.apple.Rotate(rsaKeys[2]())
		time.Sleep(time.Minute)
		w.found(t, 2)
		_, err = w.keys.Find(t.Context(), kid(0))
		refused(t, err, apple.ErrInvalid) // Apple took it back
	})
}

// Only who needs the answer waits for it: neither a fetch for an unknown id nor one that renews the set holds up others.
func TestAFetchBlocksNobodyElse(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]struct {
		after time.Duration
		id    func() string
	}{
		"for_an_unknown_id": {time.Minute, func() string { return "unknown" }},
		"to_renew":          {6 * time.Hour, func() string { return kid(0) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, w *world) {
				w.found(t, 0)
				time.Sleep(first.after)
				w.apple.Script("/auth/keys", hang)
				var wg sync.WaitGroup
				wg.Go(func() { _, _ = w.keys.Find(t.Context(), first.id()) })
				synctest.Wait()
				for range 10 {
					w.found(t, 0)
				}
				require.Equal(t, 2, w.fetches())
				wg.Wait()
			})
		})
	}
}

func TestTheBudgetEndsAFetch(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.apple.Script("/auth/keys", hang)
		before := time.Now()
		_, err := w.keys.Find(t.Context(), kid(0))
		refused(t, err, apple.ErrUnavailable)
		require.Equal(t, 1500*time.Millisecond, time.Since(before))
		_, err = w.keys.Find(t.Context(), kid(0))
		refused(t, err, apple.ErrUnavailable)
		require.Equal(t, 1500*time.Millisecond, time.Since(before), "no second try at once")
		time.Sleep(2 * time.Second)
		w.found(t, 0)
	})
}

// Many that need the set at once share one fetch, which goes on when the caller who began it gives up.
func TestOneFetchForAll(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.transport.Follow(fault.At(0, fault.Fault{Delay: time.Second}))
		first, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := w.keys.Find(first, kid(0))
			refused(t, err, apple.ErrUnavailable)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v is not the caller's own end", err)
			}
		})
		synctest.Wait()
		got := make(chan *rsa.PublicKey, 50)
		for range cap(got) {
			wg.Go(func() {
				key, _ := w.keys.Find(t.Context(), kid(0))
				got <- key
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		for range cap(got) {
			require.NotNil(t, <-got)
		}
		require.Equal(t, 1, w.fetches())
	})
}

// Who renews the set and gives up has the key that was there; where there is none it has nothing.
func TestWhoGivesUpHasWhatThereIs(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.found(t, 0)
		time.Sleep(6 * time.Hour)
		w.apple.Script("/auth/keys", hang)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before := time.Now()
		key, err := w.keys.Find(ctx, kid(0))
		require.NoError(t, err)
		require.True(t, key.Equal(&rsaKeys[0]().PublicKey))
		require.Equal(t, time.Second, time.Since(before))
		_, err = w.keys.Find(ctx, kid(1))
		refused(t, err, apple.ErrUnavailable)
		time.Sleep(time.Second) // the fetch ends
	})
}

// A set that ends before it may be asked for again is not used meanwhile.
func TestASetThatEndsSoon(t *testing.T) {
	t.Parallel()
	w := inMemory(t)
	keys := apple.NewKeys(apple.KeysOptions{HTTP: w.transport, Now: w.now, Hard: time.Second})
	_, err := keys.Find(t.Context(), kid(0))
	require.NoError(t, err)
	w.clock.Jump(time.Second)
	_, err = keys.Find(t.Context(), kid(0))
	refused(t, err, apple.ErrUnavailable)
	w.clock.Jump(time.Second)
	_, err = keys.Find(t.Context(), kid(0))
	require.NoError(t, err)
}

// A caller who joined a flight for another id, which the shelf was enough for, still gets its own looked for.
func TestWhoJoinsAFlightIsServed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.found(t, 0)
		memory := w.shelf
		w.shelf = scriptedShelf{func(ctx context.Context) (apple.Saved, error) {
			time.Sleep(100 * time.Millisecond)
			return memory.Load(ctx)
		}, memory.Save}
		w.restart(t)
		w.apple.Rotate(rsaKeys[1]())
		var wg sync.WaitGroup
		for _, i := range []int{0, 1, 0, 1} {
			wg.Go(func() {
				key, err := w.keys.Find(t.Context(), kid(i))
				if err != nil || !key.Equal(&rsaKeys[i]().PublicKey) {
					t.Errorf("key %d: %v", i, err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		require.Equal(t, 2, w.fetches())
	})
}

// A clock that goes back makes the set neither young nor unusable.
func TestAClockThatGoesBack(t *testing.T) {
	t.Parallel()
	w := inMemory(t)
	for i, jump := range []time.Duration{0, -time.Hour, -day, 400 * day, -400 * day} {
		w.clock.Jump(jump)
		_, err := w.keys.Find(t.Context(), kid(0))
		require.NoError(t, err)
		require.Equal(t, i+1, w.fetches(), "nothing is known of its age")
		_, err = w.keys.Find(t.Context(), kid(0))
		require.NoError(t, err)
		require.Equal(t, i+1, w.fetches())
	}
}

// jwk is a key as Apple publishes it.
func jwk(id string, key *rsa.PublicKey) object {
	return object{"kty": "RSA", "kid": id, "use": "sig", "alg": "RS256", "n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())}
}

func set(tb testing.TB, keys ...object) string {
	tb.Helper()
	text, err := json.Marshal(map[string]any{"keys": keys})
	require.NoError(tb, err)
	return string(text)
}

// Answers that are not a set are refused whole, and change nothing.
func TestAnswersThatAreNoSet(t *testing.T) {
	t.Parallel()
	good := set(t, jwk("new", &rsaKeys[1]().PublicKey))
	many := []object{}
	for i := range 33 {
		many = append(many, jwk(fmt.Sprint(i), &rsaKeys[1]().PublicKey))
	}
	plain := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(good))
	}
	moved := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }
	for name, answer := range map[string]http.HandlerFunc{
		"error": says(http.StatusInternalServerError, good), "too_many_requests": says(http.StatusTooManyRequests, good),
		"no_content": says(http.StatusNoContent, ""), "created": says(http.StatusCreated, good), "redirect": moved, "html": plain,
		"empty": says(200, ""), "no_json": says(200, "keys"), "a_list": says(200, "[]"), "nothing": says(200, "{}"), "null": says(200, "null"),
		"no_keys": says(200, `{"keys":[]}`), "keys_no_list": says(200, `{"keys":{}}`), "cut": says(200, good[:len(good)/2]),
		"more_after": says(200, good+good), "junk_after": says(200, good+"x"), "wrong_types": says(200, strings.Replace(good, `"new"`, "7", 1)),
		"one_id_twice": says(200, set(t, jwk("new", &rsaKeys[1]().PublicKey), jwk("new", &rsaKeys[2]().PublicKey))),
		"too_many":     says(200, set(t, many...)), "too_long": says(200, good+strings.Repeat(" ", 64<<10+1-len(good))),
		"endless": says(200, strings.Repeat(" ", 1<<20)), "deep": says(200, strings.Repeat("[", 60<<10)),
		"only_weak": says(200, set(t, jwk("new", &weakRSA().PublicKey))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := inMemory(t)
			w.apple.Script("/auth/keys", answer)
			_, err := w.keys.Find(t.Context(), "new")
			refused(t, err, apple.ErrUnavailable)
			require.Equal(t, []string{"GET /auth/keys"}, w.transport.Calls(), "nowhere else")
			saved, err := w.shelf.Load(t.Context())
			require.NoError(t, err)
			require.Zero(t, saved, "it is not kept")

			w.clock.Jump(2 * time.Second)
			_, err = w.keys.Find(t.Context(), kid(0))
			require.NoError(t, err)
			w.clock.Jump(6 * time.Hour)
			w.apple.Script("/auth/keys", answer)
			_, err = w.keys.Find(t.Context(), kid(0))
			require.NoError(t, err, "the set before is used on")
			require.Equal(t, 3, w.fetches())
		})
	}
}

func TestTheLongestAnswer(t *testing.T) {
	t.Parallel()
	w := inMemory(t)
	good := set(t, jwk("new", &rsaKeys[1]().PublicKey))
	w.apple.Script("/auth/keys", says(200, good+strings.Repeat(" ", 64<<10-len(good))))
	_, err := w.keys.Find(t.Context(), "new")
	require.NoError(t, err)
}

// Keys that are not for RS256 or cannot be right are left out, and the others are good.
func TestKeysThatAreLeftOut(t *testing.T) {
	t.Parallel()
	key := &rsaKeys[1]().PublicKey
	number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	short := new(big.Int).SetBit(new(big.Int).Rsh(key.N, 1), 0, 1) // 2047 bits, odd
	for name, odd := range map[string]object{
		"elliptic":        {"kty": "EC", "kid": "odd", "use": "sig", "alg": "ES256", "crv": "P-256", "x": "AA", "y": "AA"},
		"symmetric":       {"kty": "oct", "kid": "odd", "use": "sig", "alg": "HS256", "k": "AAAA"},
		"other_type":      jwk("odd", key).with("kty", "EC"),
		"no_type":         jwk("odd", key).with("kty", nil),
		"encryption":      jwk("odd", key).with("use", "enc"),
		"no_use":          jwk("odd", key).with("use", nil),
		"other_algorithm": jwk("odd", key).with("alg", "RS512"),
		"no_algorithm":    jwk("odd", key).with("alg", nil),
		"no_id":           jwk("", key),
		"1024_bits":       jwk("odd", &weakRSA().PublicKey),
		"2047_bits":       jwk("odd", key).with("n", number(short)),
		"too_big":         jwk("odd", key).with("n", number(new(big.Int).SetBit(new(big.Int).Lsh(key.N, 8192), 0, 1))),
		"even":            jwk("odd", key).with("n", number(new(big.Int).SetBit(key.N, 0, 0))),
		"no_modulus":      jwk("odd", key).with("n", ""),
		"exponent_one":    jwk("odd", key).with("e", number(big.NewInt(1))),
		"exponent_even":   jwk("odd", key).with("e", number(big.NewInt(65536))),
		"exponent_big":    jwk("odd", key).with("e", number(big.NewInt(1<<31+1))),
		"exponent_huge":   jwk("odd", key).with("e", number(new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 64), big.NewInt(65537)))), // its low 64 bits are good
		"no_exponent":     jwk("odd", key).with("e", ""),
		"padded":          jwk("odd", key).with("e", "AQAB===="),
		"not_url":         jwk("odd", key).with("n", "+/+/"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := inMemory(t)
			w.apple.Script("/auth/keys", says(200, set(t, odd, jwk("good", &rsaKeys[2]().PublicKey))))
			_, err := w.keys.Find(t.Context(), "good")
			require.NoError(t, err)
			for _, id := range []string{"odd", ""} {
				_, err = w.keys.Find(t.Context(), id)
				refused(t, err, apple.ErrInvalid)
			}
		})
	}
}

// A sandbox that starts while Apple does not answer takes the set that another one put on the shelf.
func TestTheShelfOutlivesASandbox(t *testing.T) {
	t.Parallel()
	w := inMemory(t)
	w.shelf = apple.NewShelf(w.table)
	w.restart(t)
	token, _, nonce := w.signIn(t, ada)
	_, err := w.keys.Find(t.Context(), kid(0))
	require.NoError(t, err)

	w.restart(t)
	w.transport.Follow(fault.From(0, fault.Fault{Kind: fault.Broken}))
	_, err = w.verifier.Verify(t.Context(), token, nonce)
	require.NoError(t, err)
	require.Zero(t, w.fetches(), "it is young enough not to ask")

	_, err = w.keys.Find(t.Context(), kid(1))
	require.Error(t, err)
	for _, age := range []time.Duration{7 * time.Hour, 7*day - 8*time.Hour} { // old, then about to end
		w.clock.Jump(age)
		w.restart(t)
		_, err = w.keys.Find(t.Context(), kid(0))
		require.NoError(t, err, age)
		_, err = w.keys.Find(t.Context(), kid(1))
		refused(t, err, apple.ErrUnavailable)
	}
	require.NotZero(t, w.fetches(), "it asks, and goes on without an answer")
	w.clock.Jump(time.Hour)
	_, err = w.keys.Find(t.Context(), kid(0))
	refused(t, err, apple.ErrUnavailable) // in memory it does not live longer
	w.restart(t)
	_, err = w.keys.Find(t.Context(), kid(0))
	refused(t, err, apple.ErrUnavailable)
	w.transport.Follow(nil)
	w.clock.Jump(2 * time.Second)
	_, err = w.keys.Find(t.Context(), kid(0))
	require.NoError(t, err)
}

// What is on the shelf is as old as it says: young enough, it is used without asking; older, Apple is asked first.
func TestTheAgeOfTheShelf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		age     time.Duration
		fetches int
	}{
		"new": {0, 0}, "young": {6*time.Hour - time.Second, 0}, "old": {6 * time.Hour, 1}, "a_clock_ahead": {-apple.Leeway, 0},
		"a_clock_far_ahead": {-apple.Leeway - time.Second, 1},
	} {
		w := inMemory(t)
		require.NoError(t, w.shelf.Save(t.Context(), apple.Saved{Keys: []byte(set(t, jwk(kid(0), &rsaKeys[0]().PublicKey))), Fetched: start.Add(-c.age)}))
		_, err := w.keys.Find(t.Context(), kid(0))
		require.NoError(t, err, name)
		require.Equal(t, c.fetches, w.fetches(), name)
	}
}

// While there is a set to use, the shelf is not asked: it is for those who have none.
func TestTheShelfReplacesNothing(t *testing.T) {
	t.Parallel()
	w := inMemory(t)
	loads := 0
	w.shelf = scriptedShelf{func(context.Context) (apple.Saved, error) { loads++; return apple.Saved{}, nil }, func(context.Context, apple.Saved) error { return nil }}
	w.restart(t)
	for _, kind := range []fault.Kind{fault.None, fault.None, fault.Broken} {
		w.transport.Follow(fault.From(0, fault.Fault{Kind: kind}))
		_, err := w.keys.Find(t.Context(), kid(0))
		require.NoError(t, err)
		w.clock.Jump(6 * time.Hour)
	}
	require.Equal(t, 1, loads)
}

// A shelf that has not the id is not enough: the key may be new.
func TestTheShelfDoesNotHideARotation(t *testing.T) {
	t.Parallel()
	w := inMemory(t)
	_, err := w.keys.Find(t.Context(), kid(0))
	require.NoError(t, err)
	w.apple.Rotate(rsaKeys[1]())
	w.restart(t)
	_, err = w.keys.Find(t.Context(), kid(1))
	require.NoError(t, err)
	saved, err := w.shelf.Load(t.Context())
	require.NoError(t, err)
	require.NotContains(t, string(saved.Keys), kid(1), "of one second, the first stays")
}

// scriptedShelf is a shelf that does what a test says.
type scriptedShelf struct {
	load func(context.Context) (apple.Saved, error)
	save func(context.Context, apple.Saved) error
}

func (s scriptedShelf) Load(ctx context.Context) (apple.Saved, error)     { return s.load(ctx) }
func (s scriptedShelf) Save(ctx context.Context, saved apple.Saved) error { return s.save(ctx, saved) }

// What is on the shelf is not believed more than Apple.
func TestShelvesThatAreNotBelieved(t *testing.T) {
	t.Parallel()
	stranger := []byte(set(t, jwk("stranger", &rsaKeys[2]().PublicKey)))
	for name, saved := range map[string]apple.Saved{
		"nothing":         {},
		"no_time":         {Keys: stranger},
		"no_keys":         {Fetched: start},
		"no_json":         {Keys: []byte("x"), Fetched: start},
		"weak":            {Keys: []byte(set(t, jwk("stranger", &weakRSA().PublicKey))), Fetched: start},
		"too_long":        {Keys: append([]byte(strings.Repeat(" ", 64<<10)), stranger...), Fetched: start},
		"too_old":         {Keys: stranger, Fetched: start.Add(-7 * day)},
		"from_the_future": {Keys: stranger, Fetched: start.Add(time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := inMemory(t)
			w.shelf = scriptedShelf{func(context.Context) (apple.Saved, error) { return saved, nil }, func(context.Context, apple.Saved) error { return nil }}
			w.restart(t)
			w.transport.Follow(fault.From(0, fault.Fault{Kind: fault.Unsent}))
			_, err := w.keys.Find(t.Context(), "stranger")
			refused(t, err, apple.ErrUnavailable)
			w.transport.Follow(nil)
			w.clock.Jump(2 * time.Second)
			_, err = w.keys.Find(t.Context(), kid(0))
			require.NoError(t, err)
		})
	}
}

// A shelf that fails or hangs costs its half second, twice at most, and nothing else.
func TestShelvesThatFail(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	inBubble(t, func(t *testing.T, w *world) {
		w.shelf = scriptedShelf{func(context.Context) (apple.Saved, error) { return apple.Saved{}, boom }, func(context.Context, apple.Saved) error { return boom }}
		w.restart(t)
		w.found(t, 0)

		w.shelf = scriptedShelf{func(ctx context.Context) (apple.Saved, error) { <-ctx.Done(); return apple.Saved{}, ctx.Err() },
			func(ctx context.Context, _ apple.Saved) error { <-ctx.Done(); return ctx.Err() }}
		w.restart(t)
		before := time.Now()
		_, err := w.keys.Find(t.Context(), kid(0))
		require.NoError(t, err)
		require.Equal(t, time.Second, time.Since(before))

		w.restart(t)
		w.apple.Script("/auth/keys", hang)
		before = time.Now()
		_, err = w.keys.Find(t.Context(), kid(0))
		refused(t, err, apple.ErrUnavailable)
		require.Equal(t, 2*time.Second, time.Since(before))

		w.shelf = nil
		w.restart(t)
		w.found(t, 0)
	})
}
