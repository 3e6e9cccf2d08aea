package ratelimit

import (
	"slices"
	"sync"
	"time"

	"github.com/expenzez/aws-backend/internal/revoke"
)

const (
	// remembered is how many subjects a sandbox knows. Beyond, it starts to know them again, which costs calls, and
	// permits only while the store does not answer.
	remembered = 4096
	// tolerated is how many failures of the store in a row make a sandbox leave it alone for the time of pause.
	tolerated = 5
	pause     = 2 * time.Second
	// vouched is how many tokens of a subject a sandbox knows not to be revoked. Beyond, it asks again.
	vouched = 16
)

// memory is what a sandbox knows by itself: who is refused and until when, whom it admitted, what an item holds that is out
// of use, and whether the store is well. The zero value knows nothing.
type memory struct {
	mu       sync.Mutex
	subjects map[string]*subject
	answered bool
	failures int
	resume   time.Time
}

// subject is what is known of an item.
type subject struct {
	callers map[string]*caller // by counter
	marks   []revoke.Mark
	lives   map[life]time.Time // when a token was not revoked
	litter  []string
}

// life is a token of a subject.
type life struct {
	session string
	issued  int64
}

type caller struct {
	admitted ring
	room     int64 // no request before this slot
}

// of is what is known of an item.
func (m *memory) of(key string) *subject {
	known := m.subjects[key]
	if known == nil {
		if m.subjects == nil || len(m.subjects) >= remembered {
			m.subjects = map[string]*subject{}
		}
		known = &subject{callers: map[string]*caller{}}
		m.subjects[key] = known
	}
	return known
}

// of is what is known of a check's caller, made up to date.
func (s *subject) of(c check) *caller {
	known := s.callers[c.name]
	if known == nil {
		known = &caller{admitted: ring{}}
		s.callers[c.name] = known
	}
	known.admitted.drop(c.k)
	return known
}

// blocked tells whether a check is known to be refused.
func (m *memory) blocked(key string, c check) (result, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.subjects[key]
	if s == nil || s.callers[c.name] == nil || s.callers[c.name].room <= c.k {
		return result{}, false
	}
	return result{counted: int64(c.Max), room: s.callers[c.name].room}, true
}

// ended tells whether a token is known to have been revoked.
func (m *memory) ended(g group) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.subjects[g.key]
	return s != nil && g.token != (revoke.Token{}) && slices.ContainsFunc(s.marks, func(k revoke.Mark) bool { return k.Ends(g.token, g.now) })
}

// live is when a token was last known not to be revoked: when it was issued, or a vouch.
func (m *memory) live(key string, t revoke.Token) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.subjects[key]; s != nil {
		if at := s.lives[life{t.Session, t.IssuedAt.Unix()}]; at.After(t.IssuedAt) {
			return at
		}
	}
	return t.IssuedAt
}

// vouch takes over that a token was not revoked, of so many tokens of a subject.
func (m *memory) vouch(key string, t revoke.Token, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.of(key)
	if s.lives == nil || len(s.lives) >= vouched {
		s.lives = map[life]time.Time{}
	}
	s.lives[life{t.Session, t.IssuedAt.Unix()}] = at
}

// litter is what the next write to an item may remove.
func (m *memory) litter(key string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.subjects[key]; s != nil {
		return slices.Clone(s.litter)
	}
	return nil
}

// learn takes over what the store answered.
func (m *memory) learn(g group, it item, a answer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answered, m.failures = true, 0
	s := m.of(g.key)
	s.marks, s.litter = it.marks, it.litter[:min(len(it.litter), litterRemoved)]
	admitted := a.admitted()
	for i, c := range g.checks {
		known, r := s.of(c), a.results[i]
		if admitted {
			known.admitted[c.k] += c.cost
		}
		if r.full > 0 {
			known.room = r.full
		}
	}
}

// failed takes note that the store did not answer.
func (m *memory) failed(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failures++; m.failures >= tolerated {
		m.resume = now.Add(pause)
	}
}

// count decides without the store: by what this sandbox admitted, with the store and without.
func (m *memory) count(key string, c check) result {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.of(key).of(c)
	counted := known.admitted.total(c.k)
	if counted+c.cost > int64(c.own) {
		return result{counted: counted, room: known.admitted.room(c.k, counted+c.cost-int64(c.own)), local: true}
	}
	known.admitted[c.k] += c.cost
	return result{allowed: true, counted: counted + c.cost, room: known.admitted.room(c.k, 1), local: true}
}

// adjust corrects what a check that was admitted cost. Where that makes room, it is asked for again.
func (m *memory) adjust(key string, c check, more int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.subjects[key]
	if s == nil || s.callers[c.name] == nil || s.callers[c.name].admitted[c.k] < c.cost {
		return
	}
	s.callers[c.name].admitted[c.k] += more
	if more < 0 {
		s.callers[c.name].room = 0
	}
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
