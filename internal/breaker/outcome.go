package breaker

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
)

// Outcome is what a call says about the health of a dependency. The zero value is nothing.
type Outcome uint8

// The outcomes.
const (
	Ignored Outcome = iota // neither: it was refused, canceled, or failed on our side
	Success
	Failure
)

// Classify is the outcome of a call's error. Failures are: a status of 500 and above; 429 and AWS's throttling unless the
// answer names a quota, since with one it is our share that is used up, and the dependency is well; timeouts; and
// connections that could not be made or were lost, in the middle of an answer too. No error is a success. All else is ignored,
// in particular the other 4xx, a canceled context, and what does not come from a network.
//
// A status is that of the first error in the chain with HTTPStatusCode() int, as the AWS SDK's have, and StatusError.
func Classify(err error) Outcome {
	if err == nil {
		return Success
	}
	return ofError(err)
}

func ofError(err error) Outcome {
	var (
		status   interface{ HTTPStatusCode() int }
		throttle interface{ ErrorCode() string }
	)
	switch {
	case errors.Is(err, ErrOpen), errors.Is(err, context.Canceled):
		return Ignored
	case errors.As(err, &throttle) && throttles(throttle.ErrorCode()):
		return Failure
	case errors.As(err, &status) && status.HTTPStatusCode() >= 400: // an answer that broke off may have a status of 200
		return ofStatus(err, status.HTTPStatusCode())
	case lost(err):
		return Failure
	default:
		return Ignored
	}
}

func ofStatus(err error, status int) Outcome {
	var own *StatusError
	switch {
	case status >= 500:
		return Failure
	case status != http.StatusTooManyRequests || errors.As(err, &own) && own.Quota:
		return Ignored
	default:
		return Failure
	}
}

// throttles tells whether AWS answered too often called, which many of its services do with a status of 400.
func throttles(code string) bool {
	return strings.HasPrefix(code, "Throttl") || code == "RequestLimitExceeded" || code == "TooManyRequestsException"
}

// lost tells whether no whole answer came: in time, or at all.
func lost(err error) bool {
	var (
		timeout    interface{ Timeout() bool } // context.DeadlineExceeded is one
		connection interface{ ConnectionError() bool }
		op         *net.OpError
		dns        *net.DNSError
	)
	if errors.As(err, &timeout) && timeout.Timeout() || errors.As(err, &connection) && connection.ConnectionError() ||
		errors.As(err, &op) || errors.As(err, &dns) {
		return true
	}
	for _, known := range [...]error{context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, syscall.ECONNREFUSED, syscall.ECONNRESET,
		syscall.ECONNABORTED, syscall.EPIPE, syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// StatusError is an HTTP answer that is not a success, for clients without a type of their own.
type StatusError struct {
	Status   int
	Quota    bool // a 429 because our share is used up; some dependencies say so in the body only
	Throttle bool // AWS answered that it was called too often, whatever the status
}

// Error names the status and nothing of the answer.
func (e *StatusError) Error() string {
	return "the dependency answered with status " + strconv.Itoa(e.Status)
}

// HTTPStatusCode is the status.
func (e *StatusError) HTTPStatusCode() int {
	if e.Throttle {
		return http.StatusTooManyRequests
	}
	return e.Status
}

// Answered is the error that an answer's status and headers make: nil below 400, else a *StatusError. A quota is one that
// a header names: RateLimit of draft-ietf-httpapi-ratelimit-headers, the X-RateLimit-… of many such as OpenAI, and
// X-Sentry-Rate-Limits. A quota that only the body names, as OpenAI's insufficient_quota, is for the caller to set.
func Answered(r *http.Response) error {
	if r.StatusCode < 400 {
		return nil
	}
	e := &StatusError{Status: r.StatusCode, Throttle: throttles(r.Header.Get("X-Amzn-Errortype"))}
	for name := range r.Header {
		e.Quota = e.Quota || strings.Contains(strings.ReplaceAll(strings.ToLower(name), "-", ""), "ratelimit")
	}
	return e
}
