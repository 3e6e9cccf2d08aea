package lambda

import (
	"bytes"
	"sync"
)

const maxLineBytes = 1 << 20 // page "CloudWatch Logs quotas", event size

// lineWriter cuts what a process writes into lines.
type lineWriter struct {
	emit func(line string)
	mu   sync.Mutex
	rest []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	for {
		end := bytes.IndexByte(w.rest, '\n')
		if end < 0 && len(w.rest) < maxLineBytes {
			return len(p), nil
		}
		if end < 0 || end > maxLineBytes {
			w.emit(string(w.rest[:maxLineBytes]))
			w.rest = w.rest[maxLineBytes:]
			continue
		}
		w.emit(string(bytes.TrimSuffix(w.rest[:end], []byte("\r"))))
		w.rest = w.rest[end+1:]
	}
}

// flush emits a last line that has no newline.
func (w *lineWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) > 0 {
		w.emit(string(w.rest))
		w.rest = nil
	}
}
