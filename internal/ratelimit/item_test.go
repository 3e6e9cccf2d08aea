package ratelimit

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/revoke"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
)

// Counters of one item are told apart by a hash of their class and route: over the whole backend no two are alike, and
// none can be taken for a mark.
func TestCountersOfTheBackendHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	names := map[string]counter{}
	for _, f := range catalog.Backend().Functions() {
		all := []counter{{service.LimitAuthIP, ""}}
		for _, r := range f.Routes {
			if r.Limit != service.LimitNone {
				all = append(all, counter{r.Limit, r.ID})
			}
		}
		for _, c := range all {
			name := newPolicy(c.class, c.route, environ.Limit{Max: 1, Per: time.Minute}).name
			if other, taken := names[name]; taken {
				require.Equal(t, other, c)
			}
			names[name] = c
			_, mark := revoke.ParseMark(name + "B")
			require.False(t, mark)
		}
	}
	require.Greater(t, len(names), 5)
}

// However long an item lives and whoever writes to it, it stays small: what a write reads is within slots that count, one
// guard, a block, marks, and a bounded rest.
func TestAnItemOfOneCounterIsOneWriteUnit(t *testing.T) {
	t.Parallel()
	p := newPolicy(service.LimitAPI, "listTransactions", environ.Limit{Max: 120, Per: time.Minute})
	size := len("pk") + len(revoke.CounterKey(revoke.Subject("0b6e2f6e-0000-4000-8000-00000000000a"))) + len("ttl") + 8 + len(revoke.Since) + 8
	size += (slots+2)*(len(p.slotName(300_000_000))+4) + len(p.blockName()) + 8
	require.LessOrEqual(t, size, 512, "half of a write unit of 1 KB (DynamoDB guide, \"Capacity unit consumption\")")
}

// Whatever is in an item, reading it does not panic, and what is taken for litter is neither a slot that counts nor a mark
// that still means something.
func FuzzParse(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	p := newPolicy(service.LimitAPI, "list", environ.Limit{Max: 3, Per: time.Minute})
	for _, seed := range []map[string]int64{
		{p.slotName(p.at(now)): 3, p.blockName(): p.at(now) + 11, "since": now.Unix()},
		{p.slotName(p.at(now) - 10): 3, p.slotName(p.at(now) - 11): 1, p.slotName(p.at(now) - 12): 1},
		{"x1800000000.s1": 1, "x1799990000": 1, "x1800000001": 1},
		{"abcde0S1": 1}, {"S": 1}, {"aaaaaa60S-1": 1}, {"qbcde60S1": 1},
	} {
		b, err := json.Marshal(seed)
		require.NoError(f, err)
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, text string) {
		var numbers map[string]int64
		if json.Unmarshal([]byte(text), &numbers) != nil {
			return
		}
		attributes := store.Item{"pk": store.S("RL#user:ada"), "ttl": store.N(1)}
		for name, n := range numbers {
			attributes[name] = store.N(n)
			if strings.HasPrefix(name, "x") {
				attributes[name] = store.Bool(true)
			}
		}
		it, err := parse(attributes, now)
		if err != nil {
			return
		}
		for _, name := range it.litter {
			require.Contains(t, attributes, name)
			if counter, what, width, ok := counterOf(name); ok && what != "B" {
				gone, err := strconv.ParseInt(what[1:], 10, 64)
				require.NoError(t, err)
				require.NotContains(t, it.rings[counter], gone)
				require.Less(t, gone, now.UnixNano()/int64(width)-slots-1)
			}
		}
		for _, ring := range it.rings {
			for _, n := range ring {
				require.GreaterOrEqual(t, n, int64(0))
			}
		}
		for _, m := range it.marks {
			require.False(t, slices.Contains(it.litter, m.Name()))
			require.False(t, m.Over(now))
		}
	})
}

// Of the marks for all of a user's tokens the last one is enough, in whatever order they are read.
func TestOneMarkForAllTokens(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	at := now.Unix()
	for range 20 { // maps are read in another order each time
		it, err := parse(store.Item{"pk": store.S("RL#user:ada"), "since": store.N(at),
			revoke.Mark{At: at - 3}.Name(): store.Bool(true), revoke.Mark{At: at - 1}.Name(): store.Bool(true), revoke.Mark{At: at - 2}.Name(): store.Bool(true),
			revoke.Mark{At: at - 2, Session: "s"}.Name(): store.Bool(true), revoke.Mark{At: at - int64(revoke.Window/time.Second)}.Name(): store.Bool(true)}, now)
		require.NoError(t, err)
		require.ElementsMatch(t, []revoke.Mark{{At: at - 1}, {At: at - 2, Session: "s"}}, it.marks)
		require.Len(t, it.litter, 3)
	}
}
