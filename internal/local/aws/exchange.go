package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
)

// request is one call on its way to moto.
type request struct {
	Call
	ctx  context.Context //nolint:containedctx // lives as long as the call it belongs to
	http *http.Request
	raw  []byte
}

// with is the same call with other parameters.
func (q *request) with(body map[string]any) (*request, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("parameters: %w", err)
	}
	next := *q
	next.Body, next.raw = body, raw
	return &next, nil
}

// set is the call with one parameter replaced; the original is left as it was.
func (q *request) set(name string, value any) (*request, error) {
	body := map[string]any{}
	maps.Copy(body, q.Body)
	body[name] = value
	return q.with(body)
}

// setIn is the call with one parameter of a group of parameters replaced.
func (q *request) setIn(group, name string, value any) (*request, error) {
	inner := map[string]any{}
	maps.Copy(inner, object(q.Body, group))
	inner[name] = value
	return q.set(group, inner)
}

// answer is a whole response.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a *answer) ok() bool { return a.status/100 == 2 }

// fields decodes a JSON answer; one that is no JSON has no fields.
func (a *answer) fields() map[string]any {
	decoder := json.NewDecoder(bytes.NewReader(a.body))
	decoder.UseNumber()
	m := map[string]any{}
	if decoder.Decode(&m) != nil {
		return map[string]any{}
	}
	return m
}

// code is the error's name without its namespace; empty for a success.
func (a *answer) code() string {
	if a.ok() {
		return ""
	}
	name := text(a.fields(), "__type")
	return name[strings.LastIndex(name, "#")+1:]
}

// message is the error's text, under the name that the service gives it.
func (a *answer) message() string {
	fields := a.fields()
	return text(fields, "message") + text(fields, "Message")
}

// write sends the answer. The checksum is DynamoDB's, which its clients verify ("X-Amz-Crc32", DynamoDB low-level API).
func (a *answer) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	if w.Header().Get("X-Amz-Crc32") != "" {
		w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(a.body)), 10))
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // a caller that left wants no answer
}

// replace is the answer with another JSON body.
func (a *answer) replace(fields map[string]any) (*answer, error) {
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	return &answer{status: a.status, header: a.header, body: body}, nil
}

// success is a JSON answer of the front's own.
func success(fields map[string]any) (*answer, error) {
	a := &answer{status: http.StatusOK, header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}}
	return a.replace(fields)
}

// forward passes the call to moto and reads its answer whole. Moto is not told when the caller leaves: it would go on
// all the same, and what the front guards while a write runs must stay guarded until moto is done.
func (f *Front) forward(q *request) (*answer, error) {
	u := *q.http.URL
	u.Scheme, u.Host = f.backend.Scheme, f.backend.Host
	out, err := http.NewRequestWithContext(context.WithoutCancel(q.ctx), q.http.Method, u.String(), bytes.NewReader(q.raw))
	if err != nil {
		return nil, fmt.Errorf("request to the store: %w", err)
	}
	out.Header, out.Host = q.http.Header.Clone(), q.http.Host
	if out.Header.Get("Authorization") == "" {
		out.Header.Set("Authorization", f.scopeOnly(q.Service))
	}
	out.Header.Del("Accept-Encoding") // the transport asks for and undoes its own
	return f.exchange(out)
}

// ask makes a call of the front's own to a JSON service of moto, and decodes the answer.
func (f *Front) ask(ctx context.Context, service, target string, body map[string]any) (*answer, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("request to the store: %w", err)
	}
	out, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, f.backend.String(), bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("request to the store: %w", err)
	}
	out.Header.Set("Content-Type", "application/x-amz-json-1.1")
	out.Header.Set("X-Amz-Target", target)
	out.Header.Set("Authorization", f.scopeOnly(service))
	return f.exchange(out)
}

func (f *Front) exchange(out *http.Request) (*answer, error) {
	resp, err := f.client.Do(out)
	if err != nil {
		return nil, f.backendFailure(err)
	}
	defer func() { _ = resp.Body.Close() }() // read to its end below
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, f.backendFailure(err)
	}
	resp.Header.Del("Content-Length")
	if resp.StatusCode >= http.StatusInternalServerError {
		f.config.Log.Warn("moto failed", "target", out.Header.Get("X-Amz-Target"), "status", resp.StatusCode)
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// scopeOnly is an Authorization header from which moto reads service and region; it verifies no signature.
func (f *Front) scopeOnly(service string) string {
	return fmt.Sprintf("%s Credential=%s/20150830/%s/%s/aws4_request, SignedHeaders=host, Signature=0", algorithm, f.keys.operatorKey.id, f.config.Region, service)
}

// text is a string parameter, empty when absent or of another type.
func text(m map[string]any, name string) string {
	s, _ := m[name].(string)
	return s
}

// object is an object parameter, nil when absent or of another type.
func object(m map[string]any, name string) map[string]any {
	o, _ := m[name].(map[string]any)
	return o
}

// list is an array parameter, nil when absent or of another type.
func list(m map[string]any, name string) []any {
	l, _ := m[name].([]any)
	return l
}

// statusWriter remembers the status for the record of the call.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes and sends the status.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets streamed answers be flushed.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
