package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestFullJitterDoublesToASecondAndNeverExceedsIt(t *testing.T) {
	t.Parallel()
	for attempt, most := range map[int]time.Duration{
		0: 25 * time.Millisecond, 1: 25 * time.Millisecond, 2: 50 * time.Millisecond, 3: 100 * time.Millisecond,
		6: 800 * time.Millisecond, 7: time.Second, 1000: time.Second} {
		assert.Equal(t, time.Duration(0), fullJitter(0, attempt), "attempt %d", attempt)
		assert.Equal(t, most/2, fullJitter(0.5, attempt), "attempt %d", attempt)
		assert.Less(t, fullJitter(0.999999, attempt), most, "attempt %d", attempt)
	}
}

func TestTheBudgetOfRetriesRunsOut(t *testing.T) {
	t.Parallel()
	retryer := newRetryer(Options{Attempts: 3, Random: func() float64 { return 0 }})
	spend := func() error {
		_, err := retryer.GetRetryToken(t.Context(), assert.AnError)
		return err
	}
	for i := range 50 {
		assert.NoError(t, spend(), "retry %d of the reserve", i+1)
	}
	assert.Error(t, spend(), "the reserve is spent")
	for range 10 {
		release, err := retryer.GetAttemptToken(t.Context())
		assert.NoError(t, err)
		assert.NoError(t, release(nil))
	}
	assert.NoError(t, spend(), "ten calls that needed no retry earn one")
	assert.Error(t, spend())
}
