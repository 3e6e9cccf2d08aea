package xray

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	// Bound is how long the spans of an invocation may take to be written. What is not written by then is dropped.
	Bound = 5 * time.Millisecond
	// MaxDatagram is how many bytes a datagram has at most, header included: what UDP over IPv4 carries (RFC 768, RFC 791),
	// which is below the 64 KB that X-Ray takes as one document.
	MaxDatagram = 65_507
	// header is the line before each document (X-Ray Developer Guide, "Sending trace data to X-Ray").
	header = `{"format":"json","version":1}` + "\n"
	// envelope is how much longer a document becomes when it is sent by itself.
	envelope = 256
)

// Conn takes datagrams; net.Conn is one.
type Conn interface {
	Write(datagram []byte) (int, error)
	SetWriteDeadline(time.Time) error
}

// Exporter writes spans as documents of X-Ray. It is safe for concurrent use.
type Exporter struct {
	mu   sync.Mutex
	conn Conn
}

var _ sdktrace.SpanExporter = (*Exporter)(nil)

// NewExporter makes an exporter that writes to conn.
func NewExporter(conn Conn) *Exporter { return &Exporter{conn: conn} }

// Dial makes an exporter for the agent at an IP address and port. It calls nobody.
func Dial(address string) (*Exporter, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("xray: %q is not an IP address and a port", address)
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, fmt.Errorf("xray: %w", err)
	}
	return NewExporter(conn), nil
}

// ExportSpans writes the spans of one invocation: one datagram with the invocation's span and all others inside it. What
// does not fit into a datagram is sent in one of its own, as a child of where it belongs. The error is that of the first
// datagram that could not be written; those after it are not tried.
func (e *Exporter) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	datagrams, err := encode(spans)
	if err != nil {
		return fmt.Errorf("xray: %w", err)
	}
	deadline := time.Now().Add(Bound) // before waiting for others, whose deadlines are earlier
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.conn.SetWriteDeadline(deadline); err != nil {
		return fmt.Errorf("xray: %w", err)
	}
	for i, d := range datagrams {
		if _, err := e.conn.Write(d); err != nil {
			return fmt.Errorf("xray: datagram %d of %d: %w", i+1, len(datagrams), err)
		}
	}
	return nil
}

// Shutdown does nothing: nothing is kept.
func (*Exporter) Shutdown(context.Context) error { return nil }

// encoder makes the datagrams of spans that belong together.
type encoder struct {
	children map[trace.SpanID][]sdktrace.ReadOnlySpan
	out      [][]byte
}

// encode makes datagrams. A span whose parent is neither among them nor another service's, since it was dropped, is put
// under the first one that has a parent elsewhere: the invocation's.
func encode(spans []sdktrace.ReadOnlySpan) ([][]byte, error) {
	known := map[trace.SpanID]bool{}
	for _, s := range spans {
		known[s.SpanContext().SpanID()] = true
	}
	e := &encoder{children: map[trace.SpanID][]sdktrace.ReadOnlySpan{}}
	var roots, orphans []sdktrace.ReadOnlySpan
	for _, s := range spans {
		switch parent := s.Parent(); {
		case parent.IsRemote():
			roots = append(roots, s)
		case known[parent.SpanID()]:
			e.children[parent.SpanID()] = append(e.children[parent.SpanID()], s)
		default:
			orphans = append(orphans, s)
		}
	}
	if len(roots) == 0 {
		return nil, nil
	}
	first := roots[0].SpanContext().SpanID()
	e.children[first] = append(e.children[first], orphans...)
	for _, s := range roots {
		d, _, err := e.node(s)
		if err == nil {
			err = e.send(d, s, s.Parent().SpanID())
		}
		if err != nil {
			return nil, err
		}
	}
	return e.out, nil
}

// node makes a document with those below it, except those that were sent by themselves because it was full. It fits
// into a datagram.
func (e *encoder) node(s sdktrace.ReadOnlySpan) (document, json.RawMessage, error) {
	d := describe(s)
	own, err := json.Marshal(d)
	if err != nil {
		return document{}, nil, err
	}
	size := len(own) + len(`,"subsegments":[]`)
	for _, c := range e.children[s.SpanContext().SpanID()] {
		child, raw, err := e.node(c)
		if err != nil {
			return document{}, nil, err
		}
		if size+len(raw)+1 > MaxDatagram-len(header)-envelope {
			if err := e.send(child, c, s.SpanContext().SpanID()); err != nil {
				return document{}, nil, err
			}
			continue
		}
		size += len(raw) + 1
		d.Subsegments = append(d.Subsegments, raw)
	}
	raw, err := json.Marshal(d)
	return d, raw, err
}

// send adds a datagram with one document.
func (e *encoder) send(d document, s sdktrace.ReadOnlySpan, parent trace.SpanID) error {
	d.TraceID, d.ParentID, d.Type = traceID(s.SpanContext().TraceID()), parent.String(), "subsegment"
	raw, err := json.Marshal(d)
	if err != nil {
		return err
	}
	e.out = append(e.out, append([]byte(header), raw...))
	return nil
}
