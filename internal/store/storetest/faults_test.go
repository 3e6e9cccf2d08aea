package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/local/localtest"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/store/storetest"
)

// faulty is a store on which calls fail by plan: those of the network below the client, where there is one, and batches
// done in part above it. raw is the same store without faults.
type faulty struct {
	raw    store.DB
	db     store.DB
	name   string
	follow func(fault.Plan)
}

func (f faulty) table() store.Table {
	return store.NewTable(f.db, f.name).WithPause(func(ctx context.Context, _ int) error { return ctx.Err() })
}

func (f faulty) key(n int) store.Item {
	return store.Item{"pk": store.S(fmt.Sprintf("%04d", n))}
}

// all are the numbers of the first n items that are there.
func (f faulty) all(t *testing.T, n int) (found []int) {
	t.Helper()
	asked := types.KeysAndAttributes{ConsistentRead: aws.Bool(true)}
	for i := range n {
		asked.Keys = append(asked.Keys, f.key(i))
	}
	items, err := store.NewTable(f.raw, f.name).BatchGetItem(t.Context(), asked)
	require.NoError(t, err)
	for _, it := range items {
		found = append(found, number(it))
	}
	return found
}

func inMemory(_ *testing.T, name string) faulty {
	raw := mem.New(mem.Schema{Name: name, Hash: "pk"})
	db := fault.NewDB(raw, nil)
	return faulty{raw, db, name, db.Follow}
}

// onTheEmulator has the real client between the faults of the network and those of batches; it tries three times.
func onTheEmulator(t *testing.T, name string) faulty {
	t.Helper()
	transport := fault.NewTransport(oneCall(), nil)
	cfg := aws.Config{Region: "eu-west-2", BaseEndpoint: &emulator, HTTPClient: transport, Credentials: credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "none", "")}
	raw := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.HTTPClient = fault.NewTransport(oneCall(), nil) })
	_, err := raw.CreateTable(t.Context(), storetest.CreateTable(mem.Schema{Name: name, Hash: "pk"}))
	require.NoError(t, err)
	parts := fault.NewDB(store.Open(cfg, store.Options{Random: func() float64 { return 0 }}), nil)
	return faulty{raw, parts, name, func(plan fault.Plan) {
		var mu sync.Mutex
		both := func(n int, operation string) fault.Fault {
			mu.Lock()
			defer mu.Unlock()
			if plan == nil {
				return fault.Fault{}
			}
			return plan(n, operation)
		}
		transport.Follow(func(n int, operation string) fault.Fault { return fault.Fault{Kind: both(n, operation).Kind} })
		parts.Follow(func(n int, operation string) fault.Fault {
			return fault.Fault{Unprocessed: both(n, operation).Unprocessed}
		})
	}}
}

// oneCall is a transport whose connections are of one call: a call that fails on purpose takes no other along.
func oneCall() http.RoundTripper {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	return localtest.OneByOne(transport)
}

var stores = map[string]func(*testing.T, string) faulty{"memory": inMemory, "emulator": onTheEmulator}

// What is written and what is left are all that was asked; no call of a kind that does nothing leaves what is written,
// and what is left completes the batch.
func TestBatchesOfWritesUnderFaults(t *testing.T) {
	t.Parallel()
	some := fault.Fault{Unprocessed: 7}
	plans := map[string]struct {
		plan  func(seed uint64) fault.Plan
		exact bool // what is left is not written
		whole bool // nothing is left
	}{
		"none":            {func(uint64) fault.Plan { return nil }, true, true},
		"in part":         {func(seed uint64) fault.Plan { return fault.Sometimes(seed, 0.5, some) }, true, false},
		"in part for bad": {func(uint64) fault.Plan { return fault.From(0, fault.Fault{Unprocessed: 23}) }, true, false},
		"not done": {func(seed uint64) fault.Plan {
			return fault.Sometimes(seed, 0.4, fault.Fault{Kind: fault.Unsent}, fault.Fault{Kind: fault.Throttled}, fault.Fault{Kind: fault.Broken}, some)
		}, true, false},
		"down": {func(uint64) fault.Plan { return fault.From(2, fault.Fault{Kind: fault.Broken}) }, true, false},
		"in doubt": {func(seed uint64) fault.Plan {
			return fault.Sometimes(seed, 0.4, fault.Fault{Kind: fault.Lost}, fault.Fault{Kind: fault.Truncated}, fault.Fault{Kind: fault.Unsent}, some)
		}, false, false},
	}
	const puts, deletes = 130, 40
	for where, open := range stores {
		for name, p := range plans {
			t.Run(where+"/"+name, func(t *testing.T) {
				t.Parallel()
				f, seeds := open(t, "writes-"+slug(name)), 8
				if where == "emulator" {
					seeds = 1
				}
				for seed := range seeds {
					f.follow(nil)
					asked := store.Batch{Key: []string{"pk"}}
					var seedBatch store.Batch
					seedBatch.Key = asked.Key
					for i := range puts {
						asked.Puts = append(asked.Puts, f.key(i))
						seedBatch.Deletes = append(seedBatch.Deletes, f.key(i))
					}
					for i := range deletes {
						asked.Deletes = append(asked.Deletes, f.key(puts+i))
						seedBatch.Puts = append(seedBatch.Puts, f.key(puts+i))
					}
					require.NoError(t, f.table().BatchWriteItem(t.Context(), seedBatch))
					f.follow(p.plan(uint64(seed)))
					err := f.table().BatchWriteItem(t.Context(), asked)
					left := map[int]bool{}
					if err != nil {
						var rest *store.LeftoverError
						require.ErrorAs(t, err, &rest)
						for _, it := range slices.Concat(rest.Writes.Puts, rest.Writes.Deletes) {
							require.False(t, left[number(it)], "left once")
							left[number(it)] = true
						}
						require.NotEmpty(t, left)
						f.follow(nil)
					}
					require.False(t, p.whole && len(left) > 0)
					there := f.all(t, puts+deletes)
					for i := range puts + deletes {
						written := slices.Contains(there, i) == (i < puts)
						require.True(t, written || left[i], "%d is lost", i)
						require.False(t, p.exact && written && left[i], "%d is left and written", i)
					}
					if err != nil {
						var rest *store.LeftoverError
						require.ErrorAs(t, err, &rest)
						require.NoError(t, f.table().BatchWriteItem(t.Context(), rest.Writes))
					}
					require.Len(t, f.all(t, puts+deletes), puts)
					require.Len(t, f.all(t, puts), puts)
				}
			})
		}
	}
}

// What is read and what is left are all that was asked, and nothing is both.
func TestBatchesOfReadsUnderFaults(t *testing.T) {
	t.Parallel()
	plan := func(seed uint64) fault.Plan {
		ways := []fault.Fault{{Unprocessed: 30}, {Unprocessed: 99}}
		for _, kind := range fault.Kinds() {
			ways = append(ways, fault.Fault{Kind: kind})
		}
		return fault.Sometimes(seed, 0.4, ways...)
	}
	const count = 560
	for where, open := range stores {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			f, seeds := open(t, "reads"), 40
			if where == "emulator" {
				seeds = 3
			}
			asked := types.KeysAndAttributes{ConsistentRead: aws.Bool(true)}
			for i := range count {
				asked.Keys = append(asked.Keys, f.key(i))
			}
			require.NoError(t, store.NewTable(f.raw, f.name).BatchWriteItem(t.Context(), store.Batch{Key: []string{"pk"}, Puts: asked.Keys}))
			for seed := range seeds {
				f.follow(plan(uint64(seed)))
				items, err := f.table().BatchGetItem(t.Context(), asked)
				seen := map[int]int{}
				for _, it := range items {
					seen[number(it)]++
				}
				var rest *store.LeftoverError
				if err != nil {
					require.ErrorAs(t, err, &rest)
					for _, key := range rest.Keys {
						seen[number(key)]++
					}
				}
				require.Len(t, seen, count)
				for i, times := range seen {
					require.Equal(t, 1, times, "%d", i)
				}
			}
		})
	}
}

// slug is a name as a table may have one.
func slug(name string) string { return strings.ReplaceAll(name, " ", "-") }

func number(it store.Item) (n int) {
	_, _ = fmt.Sscanf(store.Read(it).S("pk"), "%d", &n)
	return n
}

// A batch ends within its deadline, whatever is late, and says what is left.
func TestBatchesEndWithinTheirDeadline(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]fault.Fault{"late": {Delay: time.Minute}, "a little late, again and again": {Delay: 400 * time.Millisecond, Unprocessed: 20}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				memory := mem.New(mem.Schema{Name: "t", Hash: "pk"})
				table := store.NewTable(fault.NewDB(memory, fault.From(0, late)), "t")
				batch := store.Batch{Key: []string{"pk"}}
				for i := range 300 {
					batch.Puts = append(batch.Puts, faulty{}.key(i))
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				begun := time.Now()
				err := table.BatchWriteItem(ctx, batch)
				require.LessOrEqual(t, time.Since(begun), time.Second)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				var rest *store.LeftoverError
				require.ErrorAs(t, err, &rest)
				require.Len(t, memory.Items("t"), 300-len(rest.Writes.Puts))

				ctx, cancel = context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				begun = time.Now()
				_, err = table.BatchGetItem(ctx, types.KeysAndAttributes{Keys: batch.Puts})
				require.LessOrEqual(t, time.Since(begun), time.Second)
				require.ErrorIs(t, err, context.DeadlineExceeded)
			})
		})
	}
}

// One change whose call fails in each way. The client tries again where there is one, and knows its own change.
func TestAChangeUnderEachFault(t *testing.T) {
	t.Parallel()
	for where, open := range stores {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			f := open(t, "changes")
			for i, kind := range append(fault.Kinds(), fault.None) {
				for j, operation := range []string{"change", "delete"} {
					key := f.key(2*i + j)
					it := f.key(2*i + j)
					it["version"], it["n"] = store.N(1), store.N(0)
					_, err := store.NewTable(f.raw, f.name).PutItem(t.Context(), &dynamodb.PutItemInput{Item: it})
					require.NoError(t, err)
					f.follow(fault.At(0, fault.Fault{Kind: kind}))
					done := kind == fault.None || kind == fault.Lost || kind == fault.Truncated || where == "emulator"
					if operation == "change" {
						err = store.ChangeVersion(t.Context(), f.table(), store.Change{Key: key, From: 1, Set: store.Item{"n": store.N(1)}, ID: kind.String()})
					} else {
						err = store.DeleteVersion(t.Context(), f.table(), key, 1)
					}
					switch gone := where == "emulator" && kind == fault.Lost; {
					case where == "emulator" && kind == fault.Truncated: // whether the client tries again is its own affair
					case operation == "change":
						require.Equal(t, kind == fault.None || where == "emulator", err == nil, "%s: %v", kind, err)
					default:
						require.Equal(t, gone, errors.Is(err, store.ErrNotFound), "%s: %v", kind, err)
						require.Equal(t, kind == fault.None || where == "emulator" && !gone, err == nil, "%s: %v", kind, err)
					}
					out, err := store.NewTable(f.raw, f.name).GetItem(t.Context(), &dynamodb.GetItemInput{Key: key, ConsistentRead: aws.Bool(true)})
					require.NoError(t, err)
					if operation == "delete" {
						require.Equal(t, done, out.Item == nil, kind)
						continue
					}
					require.Equal(t, map[bool]int64{true: 2, false: 1}[done], store.Read(out.Item).N("version"), kind)
				}
			}
		})
	}
}

// Changes by many at once, while calls fail: each that was made counts once, and none is made from a version that is past.
func TestChangesUnderFaults(t *testing.T) {
	t.Parallel()
	for where, open := range stores {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			f := open(t, "counters")
			workers, each := 8, 25
			ways := []fault.Fault{}
			for _, kind := range fault.Kinds() {
				ways = append(ways, fault.Fault{Kind: kind})
			}
			if where == "emulator" { // alone: who comes between two attempts hides the first, as is documented
				workers, each = 1, 30
			}
			it := f.key(0)
			it["version"], it["n"] = store.N(1), store.N(0)
			_, err := store.NewTable(f.raw, f.name).PutItem(t.Context(), &dynamodb.PutItemInput{Item: it})
			require.NoError(t, err)
			f.follow(fault.Sometimes(1, 0.3, ways...))
			var made, doubt atomic.Int64
			var group sync.WaitGroup
			for worker := range workers {
				group.Go(func() {
					for i := range each {
						read, err := store.NewTable(f.raw, f.name).GetItem(t.Context(), &dynamodb.GetItemInput{Key: f.key(0), ConsistentRead: aws.Bool(true)})
						if err != nil {
							continue
						}
						r := store.Read(read.Item)
						err = store.ChangeVersion(t.Context(), f.table(), store.Change{Key: f.key(0), From: r.N("version"), Set: store.Item{"n": store.N(r.N("n") + 1)}, ID: fmt.Sprint(worker, " ", i)})
						switch {
						case err == nil:
							made.Add(1)
						case !errors.Is(err, store.ErrVersion):
							doubt.Add(1)
						}
					}
				})
			}
			group.Wait()
			f.follow(nil)
			out, err := store.NewTable(f.raw, f.name).GetItem(t.Context(), &dynamodb.GetItemInput{Key: f.key(0), ConsistentRead: aws.Bool(true)})
			require.NoError(t, err)
			r := store.Read(out.Item)
			n := r.N("n")
			require.Equal(t, n+1, r.N("version"))
			require.GreaterOrEqual(t, n, made.Load(), "a change is lost")
			require.LessOrEqual(t, n, made.Load()+doubt.Load(), "a change is made twice")
			require.Positive(t, made.Load())
			require.NoError(t, r.Err())
		})
	}
}
