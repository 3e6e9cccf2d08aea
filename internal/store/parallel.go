package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

const (
	batchRounds = 5 // calls for one chunk before giving up on what DynamoDB keeps leaving out
	batchAtOnce = 4 // chunks at a time
)

// settle calls with each chunk, and again with what the call leaves out, four chunks at a time, and returns when all has
// ended. left is what no call took; err is why, nil where the calls themselves went well. Once a chunk has failed no other
// is begun; those that were go on to their end, so that nothing is left in doubt that need not be.
func settle[T any](ctx context.Context, pause func(context.Context, int) error, chunks [][]T, call func(i int, part []T) ([]T, error)) (left []T, err error) {
	lefts, errs := make([][]T, len(chunks)), make([]error, len(chunks))
	var next atomic.Int64
	var failed atomic.Bool
	work := func() {
		for i := int(next.Add(1)) - 1; i < len(chunks); i = int(next.Add(1)) - 1 {
			lefts[i] = chunks[i]
			if failed.Load() {
				continue
			}
			if errs[i] = rounds(ctx, pause, &lefts[i], func(part []T) ([]T, error) { return call(i, part) }); errs[i] != nil || len(lefts[i]) > 0 {
				failed.Store(true)
			}
		}
	}
	var group sync.WaitGroup
	for range min(batchAtOnce, len(chunks)) - 1 {
		group.Go(work)
	}
	work()
	group.Wait()
	for i := range chunks {
		left = append(left, lefts[i]...)
		if err == nil {
			err = errs[i]
		}
	}
	return left, err
}

// rounds calls until nothing is left, five times at most. A call that panics has failed.
func rounds[T any](ctx context.Context, pause func(context.Context, int) error, left *[]T, call func([]T) ([]T, error)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	for round := range batchRounds {
		if round > 0 {
			if err := pause(ctx, round); err != nil {
				return err
			}
		}
		rest, err := call(*left)
		if err != nil {
			return err
		}
		if *left = rest; len(rest) == 0 {
			return nil
		}
	}
	return nil
}
