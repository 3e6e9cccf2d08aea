package gateway

import (
	"sync"
	"time"

	"github.com/expenzez/aws-backend/internal/deployment"
)

// bucket is a token bucket: rate tokens a second, at most burst of them. nil is unlimited.
type bucket struct {
	rate, burst float64
	mu          sync.Mutex
	tokens      float64
	last        time.Time
}

// newBucket reads a MethodSettings resource; nil, or a limit that is not set or -1, gives no throttle.
func newBucket(settings *deployment.Resource) *bucket {
	if settings == nil {
		return nil
	}
	rate, hasRate := settings.Number("settings", "throttlingRateLimit")
	burst, hasBurst := settings.Number("settings", "throttlingBurstLimit")
	if !hasRate || !hasBurst || rate < 0 || burst < 0 {
		return nil
	}
	return &bucket{rate: rate, burst: burst, tokens: burst}
}

// take uses up one token if there is one at that time.
func (b *bucket) take(now time.Time) bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if elapsed := now.Sub(b.last).Seconds(); !b.last.IsZero() && elapsed > 0 {
		b.tokens = min(b.burst, b.tokens+elapsed*b.rate)
	}
	if now.After(b.last) {
		b.last = now
	}
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
