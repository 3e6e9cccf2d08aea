package bench

import (
	"context"
	"strconv"
	"testing"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/expirable"
	"github.com/maypok86/otter/v2"

	"github.com/expenzez/aws-backend/internal/cache"
)

// What is looked up, in what holds all of it: a sandbox's few hundred.
var (
	names = func() (all [512]string) {
		for i := range all {
			all[i] = "user#" + strconv.Itoa(i)
		}
		return all
	}()
	none = func(context.Context, string) (int, error) { panic("everything is in memory") }
)

func BenchmarkCacheHit(b *testing.B) {
	run := func(who string, get func(string) int) {
		b.Run(who, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if get(names[i%len(names)]) != i%len(names) {
					b.Fatal("another's value")
				}
			}
		})
	}
	c := cache.New(cache.Options[string, int]{Soft: time.Hour})
	o := otter.Must(&otter.Options[string, int]{MaximumSize: 1024, ExpiryCalculator: otter.ExpiryWriting[string, int](time.Hour)})
	l := lru.NewLRU[string, int](1024, nil, time.Hour)
	for i, name := range names {
		c.Put(name, i)
		o.Set(name, i)
		l.Add(name, i)
	}
	run("ours", func(name string) int { v, _ := c.GetOrLoad(context.Background(), name, none); return v })
	run("otter", func(name string) int { v, _ := o.GetIfPresent(name); return v })
	run("golang-lru", func(name string) int { v, _ := l.Get(name); return v })
}

// BenchmarkCacheChurn writes twice as many keys as there is room for.
func BenchmarkCacheChurn(b *testing.B) {
	run := func(who string, put func(string, int)) {
		b.Run(who, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				put(names[i%len(names)], i)
			}
		})
	}
	c := cache.New(cache.Options[string, int]{Soft: time.Hour, Entries: len(names) / 2})
	o := otter.Must(&otter.Options[string, int]{MaximumSize: len(names) / 2, ExpiryCalculator: otter.ExpiryWriting[string, int](time.Hour)})
	l := lru.NewLRU[string, int](len(names)/2, nil, time.Hour)
	run("ours", c.Put)
	run("otter", func(name string, v int) { o.Set(name, v) })
	run("golang-lru", func(name string, v int) { l.Add(name, v) })
}
