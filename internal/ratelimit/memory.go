package ratelimit

import (
	"sync"
	"time"
)

const (
	// remembered is how many callers a sandbox knows. Beyond, it starts to know them again, which costs calls, and
	// permits only while the store does not answer.
	remembered = 4096
	// tolerated is how many failures of the store in a row make a sandbox leave it alone for the time of pause.
	tolerated = 5
	pause     = 2 * time.Second
)

// memory is what a sandbox knows by itself: who is refused and until when, whom it admitted, and whether the store is
// well. The zero value knows nothing.
type memory struct {
	mu       sync.Mutex
	callers  map[string]*caller
	answered bool
	failures int
	resume   time.Time
}

type caller struct {
	admitted ring
	room     int64 // no request before this slot
}

// of is what is known of a check's caller, made up to date.
func (m *memory) of(c check) *caller {
	known := m.callers[c.key]
	if known == nil {
		if m.callers == nil || len(m.callers) >= remembered {
			m.callers = map[string]*caller{}
		}
		known = &caller{admitted: ring{}}
		m.callers[c.key] = known
	}
	known.admitted.drop(c.k)
	return known
}

// blocked tells whether a check is known to be refused.
func (m *memory) blocked(c check) (result, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.callers[c.key]
	if known == nil || known.room <= c.k {
		return result{}, false
	}
	return result{counted: int64(c.Max), room: known.room}, true
}

// learn takes over what the store answered, or that it did not.
func (m *memory) learn(c check, r result, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		if m.failures++; m.failures >= tolerated {
			m.resume = c.now.Add(pause)
		}
		return
	}
	m.answered, m.failures = true, 0
	known := m.of(c)
	if r.allowed {
		known.admitted[c.k]++
	}
	if r.counted >= int64(c.Max) { // the next one will find no room
		known.room = r.room
	}
}

// count decides without the store: by what this sandbox admitted.
func (m *memory) count(c check) result {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.of(c)
	r := result{counted: known.admitted.total(c.k), room: known.admitted.room(c.k)}
	if r.counted < int64(c.Max) {
		known.admitted[c.k]++
		r.counted++
		r.allowed = true
	}
	return r
}

// warm tells whether the store has ever answered.
func (m *memory) warm() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.answered
}

// paused tells whether the store is to be left alone.
func (m *memory) paused(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return now.Before(m.resume)
}
