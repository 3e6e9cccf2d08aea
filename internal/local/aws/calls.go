package aws

import (
	"sync"
	"time"
)

// kept is how many calls and mails are remembered.
const kept = 1000

// Record is what is remembered of a call. Parameters and answers are not: they hold secrets and personal data.
type Record struct {
	Time      time.Time
	Principal string // empty for an unsigned call
	Service   string
	Action    string
	Status    int    // of the answer
	Error     string // name of the error, where the front itself refused
}

// Mail is a message that AWS would have sent. Its code is shown on the status page, for there is no mailbox.
type Mail struct {
	To, Subject, Body string
	Code              string // empty where the mail carries none
	At                time.Time
}

// Calls are the last thousand calls, oldest first.
func (f *Front) Calls() []Record { return f.calls.all() }

// Mails are the last thousand mails, oldest first.
func (f *Front) Mails() []Mail { return f.mails.all() }

func (f *Front) send(m Mail) {
	f.mails.add(m)
	if f.config.Mail != nil {
		f.config.Mail(m)
	}
}

// ring keeps the newest entries.
type ring[T any] struct {
	mu      sync.Mutex
	entries []T
	next    int
}

func (r *ring[T]) add(e T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.entries) < kept {
		r.entries = append(r.entries, e)
		return
	}
	r.entries[r.next] = e
	r.next = (r.next + 1) % kept
}

func (r *ring[T]) all() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(append([]T(nil), r.entries[r.next:]...), r.entries[:r.next]...)
}
