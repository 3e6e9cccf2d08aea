package localtest

import (
	"bytes"
	"io"
	"net/http"
	"sync"
)

var turn sync.Mutex

// OneByOne is a transport to the emulator itself that lets one call of the process at a time through: moto reads, decides
// and writes in steps between which others get in, and a transaction that it cancels puts all its tables back, with what
// others wrote meanwhile. next is nil for http.DefaultTransport.
//
// It reads answers whole. The SDK closes a request's body as soon as an answer begins; when the transport is still looking
// whether that body has an end, it takes the connection for broken, and the rest of the answer is lost (smithy-go,
// ClientHandler).
func OneByOne(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return oneByOne{next}
}

type oneByOne struct{ next http.RoundTripper }

// RoundTrip makes a call when no other is being made.
func (o oneByOne) RoundTrip(r *http.Request) (*http.Response, error) {
	turn.Lock()
	defer turn.Unlock()
	answer, err := o.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, nil
}
