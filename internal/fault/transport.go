package fault

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// Transport is an HTTP transport on which calls fail by plan. It is an http.RoundTripper and, as a client of its own
// (Do), what the AWS SDK takes for its HTTP client.
type Transport struct {
	counter
	next http.RoundTripper
}

// NewTransport fails calls to next; a nil next is http.DefaultTransport, a nil plan fails none.
func NewTransport(next http.RoundTripper, plan Plan) *Transport {
	if next == nil {
		next = http.DefaultTransport
	}
	return &Transport{counter: counter{plan: plan}, next: next}
}

// Do is RoundTrip under the name that an HTTP client has.
func (t *Transport) Do(r *http.Request) (*http.Response, error) { return t.RoundTrip(r) }

// RoundTrip makes one call, or fails it. The operation is what X-Amz-Target names behind its dot, else method and path.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	operation := r.Method + " " + r.URL.Path
	if _, action, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		operation = action
	}
	f := t.counter.next(operation)
	if err := wait(r.Context(), f.Delay); err != nil {
		return nil, errors.Join(err, closed(r))
	}
	switch f.Kind {
	case Unsent:
		return nil, errors.Join(syscall.ECONNREFUSED, closed(r))
	case Throttled:
		return answer(r, 400, "ThrottlingException"), closed(r)
	case Broken:
		return answer(r, 500, "InternalServerError"), closed(r)
	default:
	}
	response, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	switch f.Kind {
	case Lost:
		_, copyErr := io.Copy(io.Discard, response.Body)
		return nil, errors.Join(syscall.ECONNRESET, copyErr, response.Body.Close())
	case Truncated:
		return truncated(response)
	default:
		return response, nil
	}
}

func closed(r *http.Request) error {
	if r.Body == nil {
		return nil
	}
	return r.Body.Close()
}

// answer is a refusal in the form of AWS's JSON protocols.
func answer(r *http.Request, status int, code string) *http.Response {
	body := `{"__type":"` + code + `","message":"a fault was injected"}`
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header:        http.Header{"Content-Type": {"application/x-amz-json-1.0"}, "X-Amzn-Errortype": {code}},
		ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
	}
}

// truncated ends a body in the middle, with the error of a connection that did so.
func truncated(response *http.Response) (*http.Response, error) {
	whole, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(io.MultiReader(bytes.NewReader(whole[:len(whole)/2]), cut{}))
	return response, nil
}

type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
