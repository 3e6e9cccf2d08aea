package breaker

import "net/http"

// Transport is an HTTP transport behind a circuit. It sees an answer up to its headers: a body that ends in the middle or
// comes slowly counts as a success here, since the caller reads it after RoundTrip. Where that matters, use Do around the
// whole call, reading included, and no Transport.
type Transport struct {
	circuit Circuit
	next    http.RoundTripper
}

var _ http.RoundTripper = (*Transport)(nil)

// NewTransport puts a circuit before next; a nil next is http.DefaultTransport.
func NewTransport(c Circuit, next http.RoundTripper) *Transport {
	if next == nil {
		next = http.DefaultTransport
	}
	return &Transport{circuit: c, next: next}
}

// RoundTrip makes a call or rejects it with an error that is ErrOpen. An answer is returned whatever its status, which
// counts as Answered says.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	done, err := t.circuit.Allow(r.Context())
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // a transport closes it, whatever happens
		}
		return nil, err
	}
	end := errPanicked
	defer func() { done(end) }()
	response, err := t.next.RoundTrip(r)
	end = err
	if err == nil {
		end = Answered(response)
	}
	return response, err
}
