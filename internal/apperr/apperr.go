// Package apperr is what a request can fail with. A failure has a kind, which decides the HTTP status, a public code
// and text, and a private cause that only logs see. Whatever is not an *Error is internal, and hidden.
//
// What is promised: a cause never reaches a caller, and of a failure on our side only its code and RetryAfter do. What
// is not: nobody looks into Code, Detail and Fields of the other kinds, which must hold nothing private.
package apperr

import (
	"context"
	"errors"
	"time"
)

// Kind is why a request failed. Its zero value is Internal, so that a kind that was forgotten hides everything.
type Kind uint8

// The kinds of failure; there are no others. Their HTTP statuses are those of Status.
const (
	Internal Kind = iota
	Invalid
	Unauthenticated
	Forbidden
	NotFound
	Conflict
	TooLarge
	UnsupportedMedia
	Unprocessable
	Limited
	Unavailable
	Timeout
)

// rule is what a kind means: its status (RFC 9110 §15, 429 in RFC 6585 §4), the code of an error that names none,
// and the text of every error whose detail may not be shown.
type rule struct {
	status int
	title  string
	code   string
	detail string
}

func (k Kind) rule() rule {
	switch k {
	case Invalid:
		return rule{400, "Bad Request", "invalid", "The request cannot be understood."}
	case Unauthenticated:
		return rule{401, "Unauthorized", "unauthenticated", "Sign in to do this."}
	case Forbidden:
		return rule{403, "Forbidden", "forbidden", "This is not allowed."}
	case NotFound:
		return rule{404, "Not Found", "not_found", "There is nothing here."}
	case Conflict:
		return rule{409, "Conflict", "conflict", "It was changed by someone else meanwhile."}
	case TooLarge:
		return rule{413, "Content Too Large", "too_large", "The request body is too large."}
	case UnsupportedMedia:
		return rule{415, "Unsupported Media Type", "unsupported_media_type", "Send application/json."}
	case Unprocessable:
		return rule{422, "Unprocessable Content", "unprocessable", "The request cannot be carried out."}
	case Limited:
		return rule{429, "Too Many Requests", "limited", "Too many requests. Try again later."}
	case Unavailable:
		return rule{503, "Service Unavailable", "unavailable", "This is not possible at the moment. Try again."}
	case Timeout:
		return rule{504, "Gateway Timeout", "timeout", "This took too long. Try again."}
	default:
		return rule{500, "Internal Server Error", "internal", "Something went wrong on our side."}
	}
}

// Status is the HTTP status of the kind.
func (k Kind) Status() int { return k.rule().status }

// Code is the public code of the kind, for errors that name none.
func (k Kind) Code() string { return k.rule().code }

// Hidden tells whether errors of the kind never show a detail of their own: those with a status of 500 and above.
func (k Kind) Hidden() bool { return k.Status() >= 500 }

// Field is one fault of the request. Either Pointer (RFC 6901, into the body) or Parameter (of the query) says where;
// with neither, it concerns the whole.
type Field struct {
	Pointer   string `json:"pointer,omitempty"`
	Parameter string `json:"parameter,omitempty"`
	Code      string `json:"code"`
	Detail    string `json:"detail,omitempty"`
}

// Error is a failure of a request. Code is stable and for programs, Detail is for people; both reach the caller, as do
// Fields and RetryAfter. An empty Code or Detail is the kind's own. Methods return copies, so that an Error can be a
// package's constant.
type Error struct {
	Kind       Kind
	Code       string
	Detail     string
	Fields     []Field
	RetryAfter time.Duration // 0: nothing is said about it
	cause      error
}

// New makes an error. Detail is shown to the caller: it must hold nothing private.
func New(kind Kind, code, detail string) *Error {
	return &Error{Kind: kind, Code: code, Detail: detail}
}

// Because is the error with a private cause, for logs and errors.Is.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// With is the error with these faults of the request in place of its own.
func (e *Error) With(fields ...Field) *Error {
	c := *e
	c.Fields = fields
	return &c
}

// After is the error that tells the caller when to try again.
func (e *Error) After(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// Error is for logs: the code, and the cause when there is one. It leaves out Detail and Fields.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.code()
	}
	return e.code() + ": " + e.cause.Error()
}

// Unwrap is the private cause.
func (e *Error) Unwrap() error { return e.cause }

func (e *Error) code() string {
	if e.Code == "" {
		return e.Kind.Code()
	}
	return e.Code
}

// From finds the *Error that err is or wraps. A deadline that passed is a Timeout; anything else is Internal.
// It returns nil only for nil.
func From(err error) *Error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded):
		return New(Timeout, "", "").Because(err)
	default:
		return New(Internal, "", "").Because(err)
	}
}
