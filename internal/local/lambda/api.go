package lambda

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// api is the sandbox's Runtime API (page "Using the Lambda runtime API for custom runtimes").
func (s *sandbox) api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+runtimeAPIVersion+"/invocation/next", s.next)
	mux.HandleFunc("POST "+runtimeAPIVersion+"/invocation/{id}/response", s.response)
	mux.HandleFunc("POST "+runtimeAPIVersion+"/invocation/{id}/error", s.invocationError)
	mux.HandleFunc("POST "+runtimeAPIVersion+"/init/error", s.reportInitError)
	return mux
}

func (s *sandbox) next(w http.ResponseWriter, r *http.Request) {
	if !s.endCurrent() {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "answer the current invocation before asking for the next")
		return
	}
	select {
	case s.polled <- struct{}{}:
	case <-r.Context().Done():
		return
	}
	select {
	case inv := <-s.handover:
		s.mu.Lock()
		s.current, s.answered = inv, false
		s.mu.Unlock()
		inv.write(w)
	case <-r.Context().Done():
	}
}

// endCurrent forgets an answered invocation; false when one is unanswered.
func (s *sandbox) endCurrent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil && !s.answered {
		return false
	}
	s.current = nil
	return true
}

func (inv *invocation) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", inv.functionARN)
	h.Set("Lambda-Runtime-Trace-Id", inv.trace)
	_, _ = w.Write(inv.payload) // a process that is gone is seen by its exit
}

func (s *sandbox) response(w http.ResponseWriter, r *http.Request) {
	limit := int64(maxResponseBytes)
	if r.Header.Get("Lambda-Runtime-Function-Response-Mode") == "streaming" {
		limit = maxStreamedBytes
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		s.answer(w, r, http.StatusRequestEntityTooLarge, failure("Function.ResponseSizeTooLarge",
			"Response payload size exceeded maximum allowed payload size (%d bytes).", limit))
	case err != nil:
		refuse(w, http.StatusBadRequest, "InvalidRequest", "the response could not be read")
	default:
		s.answer(w, r, http.StatusAccepted, streamed(body, r.Trailer))
	}
}

// streamed turns an error reported after the first byte, in trailers, into the function's error.
func streamed(body []byte, trailer http.Header) Result {
	errorType := trailer.Get("Lambda-Runtime-Function-Error-Type")
	if errorType == "" {
		return Result{Payload: body}
	}
	detail, err := base64.StdEncoding.DecodeString(trailer.Get("Lambda-Runtime-Function-Error-Body"))
	if err != nil || len(detail) == 0 {
		return failure(errorType, "the response ended with an error")
	}
	return Result{Payload: detail, FunctionError: functionErrorUnhandled}
}

func (s *sandbox) invocationError(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxResponseBytes))
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidRequest", "the error could not be read")
		return
	}
	s.answer(w, r, http.StatusAccepted, Result{Payload: body, FunctionError: functionErrorUnhandled})
}

// answer completes the current invocation if it is the one the path names.
func (s *sandbox) answer(w http.ResponseWriter, r *http.Request, status int, result Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil || s.answered || s.current.id != r.PathValue("id") {
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "no such invocation waits for an answer")
		return
	}
	s.answered = true
	s.current.answered <- result
	if status != http.StatusAccepted {
		refuse(w, status, "RequestEntityTooLarge", "Exceeded maximum allowed payload size")
		return
	}
	accept(w)
}

func (s *sandbox) reportInitError(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxResponseBytes))
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidRequest", "the error could not be read")
		return
	}
	select {
	case s.initError <- Result{Payload: body, FunctionError: functionErrorUnhandled}:
	default: // reported already
	}
	accept(w)
}

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`) // a process that is gone is seen by its exit
}

func refuse(w http.ResponseWriter, status int, errorType, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"errorType":%q,"errorMessage":%q}`, errorType, message)
}
