package token_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/token"
)

// breakable is a table of keys that a test takes down.
type breakable struct {
	store.Querier
	down bool
}

func (b *breakable) Query(ctx context.Context, in *dynamodb.QueryInput) (*dynamodb.QueryOutput, error) {
	if b.down {
		return nil, errors.New("the table is down")
	}
	return b.Querier.Query(ctx, in)
}

// Sandboxes that sign and sandboxes that verify, each with what it remembers and a clock of its own, while keys are
// rotated by processes that crash and the table and the secret come and go: every token that was signed is valid until it
// expires wherever keys can be read, and no verifier blames a token for keys that it cannot read.
func TestEveryTokenIsValidUntilItExpires(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := newEstate(t)
		skewed := func(name string) func() time.Time {
			skew := rapid.SampledFrom([]time.Duration{0, 0, -15 * time.Second, 15 * time.Second}).Draw(t, name)
			return func() time.Time { return e.clock.Now().Add(skew) }
		}
		type verifier struct {
			*token.Verifier
			table *breakable
			now   func() time.Time
			up    time.Time // since when its table answers
		}
		var verifiers []*verifier
		for i := range 3 {
			v := &verifier{table: &breakable{Querier: store.NewTable(e.db, "keys")}, now: skewed(fmt.Sprint("verifier", i))}
			v.Verifier = token.NewVerifier(issuer, token.NewKeys(v.table, token.KeysOptions{Now: v.now}), v.now)
			verifiers = append(verifiers, v)
		}
		vault := &safe{versions: e.safe.versions, labels: e.safe.labels} // as signers see it
		var signers []*token.Signer
		signer := func() *token.Signer {
			now := skewed("signer")
			reader := secret.NewReader(vault, secret.Options{Now: now})
			return token.NewSigner(issuer, inOneInvocation(reader), now)
		}
		for range 2 {
			signers = append(signers, signer())
		}
		type issued struct {
			raw     string
			expires time.Time
		}
		var tokens []issued
		version := 1
		rotate := func(steps func(token.Rotation) error) {
			e.crash = &crash{from: rapid.SampledFrom([]int{-1, -1, -1, -1, -1, -1, 0, 1, 2, 3, 5, 8}).Draw(t, "crash"), kind: rapid.SampledFrom(fault.Kinds()).Draw(t, "kind")}
			r := e.rotation()
			r.Now = skewed("rotator")
			_ = steps(r)
		}
		name := func() string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", version) }
		ctx := context.Background()
		stranger := readStranger(t)
		actions := map[string]func(){
			"issue": func() {
				raw, c, err := rapid.SampledFrom(signers).Draw(t, "signer").Sign(ctx, "user-1", "session-1")
				if err == nil {
					tokens = append(tokens, issued{raw, c.Expires})
				}
			},
			"verify": func() {
				for _, v := range verifiers {
					for _, issued := range tokens[max(0, len(tokens)-8):] {
						if !v.now().Before(issued.expires.Add(token.Leeway)) {
							continue
						}
						_, err := v.Verify(ctx, issued.raw)
						require.NotErrorIs(t, err, token.ErrInvalid)
						if !v.table.down && e.clock.Now().Sub(v.up) > 2*time.Second {
							require.NoError(t, err)
						}
					}
				}
			},
			"time": func() {
				e.clock.Jump(rapid.SampledFrom([]time.Duration{time.Second, 31 * time.Second, time.Minute - time.Millisecond, 4 * time.Minute, 5 * time.Minute, 14 * time.Minute}).Draw(t, "jump"))
			},
			"table": func() {
				v := rapid.SampledFrom(verifiers).Draw(t, "verifier")
				v.table.down, v.up = !v.table.down, e.clock.Now()
			},
			"secret": func() {
				vault.mu.Lock()
				defer vault.mu.Unlock()
				if vault.plan == nil {
					vault.plan = func(string) fault.Kind { return fault.Broken }
				} else {
					vault.plan = nil
				}
			},
			"step": func() {
				i := rapid.IntRange(0, 3).Draw(t, "step")
				rotate(func(r token.Rotation) error {
					return []func(context.Context, string) error{r.Create, r.Set, r.Test, r.Finish}[i](ctx, name())
				})
			},
			"rotate": func() {
				rotate(func(r token.Rotation) error { return r.Rotate(ctx, name()) })
			},
			"next": func() {
				if e.safe.labels["AWSCURRENT"] == name() {
					version++
				}
			},
			"cold": func() { signers[rapid.IntRange(0, 1).Draw(t, "signer")] = signer() },
			"long": func() {
				e.clock.Jump(rapid.SampledFrom([]time.Duration{token.Lead, 44 * time.Minute, 6 * time.Hour}).Draw(t, "jump"))
			},
			"stranger": func() { // makes a verifier read again, once a minute
				v := rapid.SampledFrom(verifiers).Draw(t, "verifier")
				_, err := v.Verify(ctx, stranger)
				require.Error(t, err)
			},
		}
		// What is listed more often is done more often.
		names := []string{"issue", "issue", "issue", "verify", "verify", "time", "time", "time", "rotate", "rotate", "rotate", "rotate", "next", "next", "step", "stranger", "stranger",
			"table", "secret", "long", "long", "cold", "cold"}
		for range 100 { // enough for some rotations, which take three visits
			actions[rapid.SampledFrom(names).Draw(t, "action")]()
		}
		actions["verify"]()
	})
}

// readStranger is a token that is signed with a key that nobody published.
func readStranger(t require.TestingT) string {
	value, _, err := token.NewKey(start)
	require.NoError(t, err)
	raw, _, err := token.NewSigner(issuer, func(context.Context) (secret.Value, error) { return value, nil }, time.Now).Sign(context.Background(), "u", "s")
	require.NoError(t, err)
	return raw
}
