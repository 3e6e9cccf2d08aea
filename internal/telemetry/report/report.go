// Package report shapes failures as events for Sentry. Functions reach no network but AWS: an event is a member of the
// log line that tells of the failure, and a function of its own that reads the log sends it on.
//
// An event says where and as what something failed. It holds no local variables, no body, no header and no user; its
// texts are redacted like everything in the log. A sandbox makes at most PerMinute of them in any minute, and one of each
// kind: a failure of everything must not cost more than the traffic does.
package report

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/expenzez/aws-backend/internal/telemetry"
)

const (
	// PerMinute is how many events a sandbox makes in any minute.
	PerMinute = 10
	// MaxEvent is how many bytes an event has at most, as it is written.
	MaxEvent = 64 << 10

	window    = time.Minute
	maxFrames = 50      // the innermost
	maxChain  = 8       // errors of one failure
	maxValue  = 2 << 10 // of an error's text
	maxTag    = 200     // of a tag's value (Sentry, "Event Payloads": tags)
)

// Failure is what went wrong.
type Failure struct {
	Err       error // nil is a failure of a type of its own
	Panic     bool  // it is a panic that was caught
	Stack     Stack // of the panic; empty: none is shown
	Route     string
	Code      string // public code of the answer
	RequestID string
}

// Options say what a reporter works with.
type Options struct {
	Source telemetry.Options // environment, function and version of every event
	Now    func() time.Time  // nil: time.Now
	Random io.Reader         // of the ids of events; nil: crypto/rand
}

// Reporter makes the events of one sandbox. It is safe for concurrent use.
type Reporter struct {
	o Options

	mu         sync.Mutex
	made       []made // in the last minute, oldest first
	suppressed int    // since the last event
}

// errNone is what failed when nobody said what.
var errNone = errors.New("report: a failure without an error")

type made struct {
	fingerprint string
	at          time.Time
}

// New makes a reporter.
func New(o Options) *Reporter {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	return &Reporter{o: o}
}

// Event is the attribute that makes a line of level error an event. It is false when the minute has had its events, or
// has had this one; the next event says how many were held back.
func (r *Reporter) Event(f Failure) (slog.Attr, bool) {
	if f.Err == nil {
		f.Err = errNone
	}
	now := r.o.Now().Round(0) // by the wall clock: the monotonic one stands still while the sandbox is frozen
	chain := unwrap(f.Err)
	fingerprint := fingerprint(r.o.Source.Function, f, chain)
	suppressed, ok := r.admit(fingerprint, now)
	if !ok {
		return slog.Attr{}, false
	}
	var id [16]byte
	if _, err := io.ReadFull(r.o.Random, id[:]); err != nil {
		copy(id[:], fingerprint) // no randomness: better an id twice than no event
	}
	e := event{failure: f, source: r.o.Source, chain: chain, fingerprint: fingerprint, id: hex.EncodeToString(id[:]), at: now, suppressed: suppressed}
	frames, text := maxFrames, maxValue
	value := e.value(frames, text)
	for len(telemetry.Encode(value)) > MaxEvent && frames+text > 0 {
		frames, text = frames/2, text/2
		value = e.value(frames, text)
	}
	return slog.Attr{Key: telemetry.FieldEvent, Value: value}, true
}

// admit counts an event, unless it is one too many.
func (r *Reporter) admit(fingerprint string, now time.Time) (suppressed int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept, seen := r.made[:0], false
	for _, m := range r.made {
		if age := now.Sub(m.at); age >= 0 && age < window {
			kept = append(kept, m)
			seen = seen || m.fingerprint == fingerprint
		}
	}
	r.made = kept
	if seen || len(kept) >= PerMinute {
		r.suppressed++
		return 0, false
	}
	r.made = append(r.made, made{fingerprint, now})
	suppressed, r.suppressed = r.suppressed, 0
	return suppressed, true
}
