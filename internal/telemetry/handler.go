package telemetry

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// output takes whole lines, and what is counted beside requests.
type output struct {
	mu sync.Mutex
	w  io.Writer

	countedMu sync.Mutex // not mu: who counts does not wait for a write
	counted   []measure
}

func (o *output) count(m measure) {
	o.countedMu.Lock()
	defer o.countedMu.Unlock()
	o.counted = add(o.counted, m)
}

// take adds what was counted beside requests, once.
func (o *output) take(counted []measure) []measure {
	o.countedMu.Lock()
	defer o.countedMu.Unlock()
	for _, m := range o.counted {
		counted = add(counted, m)
	}
	o.counted = o.counted[:0]
	return counted
}

func (o *output) write(line []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, err := o.w.Write(line)
	return err
}

// handler is slog's backend. It is immutable: With and WithGroup make others.
type handler struct {
	out     *output
	o       Options
	ids     []id   // of the root, each once
	with    []byte // attributes of With, encoded, with the groups that are open among them
	groups  []string
	opened  int  // how many of groups are open in with
	hide    bool // the name of an open group says that all in it is private
	request *request
}

type id struct {
	key  string
	json []byte // the member, with the comma before it
}

// Enabled lets lines below the level through where a request may keep them.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level() || h.request != nil
}

func (h *handler) level() slog.Level {
	if h.o.Level == nil {
		return slog.LevelInfo
	}
	return h.o.Level.Level()
}

// WithAttrs encodes the attributes once for all lines.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.ids = slices.Clip(h.ids)
	c.with, c.opened = h.append(slices.Clip(h.with), attrs, func(a slog.Attr) { c.ids = setID(c.ids, a) })
	return &c
}

// WithGroup opens a group, which is written only if something is put into it.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.groups = append(slices.Clip(h.groups), name)
	c.hide = h.hide || private(name)
	return &c
}

// append adds attributes inside the groups, which it opens if there is anything to put into them. Ids go elsewhere. It
// returns how many groups are open then.
func (h *handler) append(b []byte, attrs []slog.Attr, root func(slog.Attr)) ([]byte, int) {
	mark := len(b)
	for _, name := range h.groups[h.opened:] {
		b = append(appendKey(b, name), '{')
	}
	start := len(b)
	for _, a := range attrs {
		switch {
		case isID(a.Key):
			root(a)
			continue
		case len(h.groups) == 0 && reserved(a.Key):
			a.Key += "_"
		}
		b = appendAttr(b, a, h.hide, len(h.groups))
	}
	if len(b) == start {
		return b[:mark], h.opened
	}
	return b, len(h.groups)
}

// setID makes an id a member of the root, in place of the one that has its name.
func setID(ids []id, a slog.Attr) []id {
	json := appendAttr(nil, a, false, 0)
	if i := slices.IndexFunc(ids, func(x id) bool { return x.key == a.Key }); i >= 0 {
		ids = slices.Clone(ids)
		ids[i].json = json
		return ids
	}
	return append(ids, id{a.Key, json})
}

// buffers are reused between lines.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 1<<10); return &b }}

// maxPooled bounds what an unusually long line leaves in memory.
const maxPooled = 16 << 10

// Handle writes a line, or keeps it when it is below the level.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	if r.Level < h.level() {
		h.request.remember(h, r)
		return nil
	}
	return h.line(r, nil)
}

// line writes a record, and the metrics when it is the line that sums a request up.
func (h *handler) line(r slog.Record, counted []measure) error {
	p := buffers.Get().(*[]byte)
	b := h.body((*p)[:0], r, h.ids)
	if r.Level >= slog.LevelError && h.request != nil {
		b = h.request.dump(b)
	}
	b = h.o.appendMetrics(b, r.Time, counted)
	b = append(b, '}', '\n')
	err := h.out.write(b)
	if cap(b) <= maxPooled {
		*p = b
		buffers.Put(p)
	}
	return err
}

// body is a record without the brace that ends it.
func (h *handler) body(b []byte, r slog.Record, ids []id) []byte {
	b = append(b, '{')
	if !r.Time.IsZero() { // slog says to leave it out
		b = append(b, `"`+FieldTimestamp+`":"`...)
		b = r.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
		b = append(b, `",`...)
	}
	b = append(b, `"`+FieldLevel+`":"`...)
	b = append(b, levelName(r.Level)...)
	b = append(b, `","`+FieldMessage+`":`...)
	b = appendString(b, Text(r.Message))
	var buffer [12]slog.Attr
	attrs := buffer[:0]
	r.Attrs(func(a slog.Attr) bool {
		if isID(a.Key) {
			ids = setID(slices.Clip(ids), a)
		} else {
			attrs = append(attrs, a)
		}
		return true
	})
	for _, i := range ids {
		b = append(b, i.json...)
	}
	b = append(b, h.with...)
	b, open := h.append(b, attrs, func(slog.Attr) {})
	for range open {
		b = append(b, '}')
	}
	return b
}

// levelName is one that Lambda's filter knows; levels between two have the name of the lower one.
func levelName(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "ERROR"
	case l >= slog.LevelWarn:
		return "WARN"
	case l >= slog.LevelInfo:
		return "INFO"
	default:
		return "DEBUG"
	}
}

// measure is what a request counted of a metric.
type measure struct {
	info  MetricInfo
	value float64
}

// appendMetrics adds the metrics and what makes CloudWatch read them (CloudWatch User Guide, "Specification: Embedded
// metric format"): at most 100 metrics, whose values and dimensions are members of the root. Dimensions are the service
// and the function, not the route, since each route would be billed as metrics of its own; the line has the route for
// queries.
func (o Options) appendMetrics(b []byte, at time.Time, counted []measure) []byte {
	if len(counted) == 0 {
		return b
	}
	for _, m := range counted {
		b = appendFloat(appendKey(b, string(m.info.Name)), m.value)
	}
	b = append(b, `,"`+FieldMetrics+`":{"Timestamp":`...)
	b = appendInt(b, at.UnixMilli())
	b = append(b, `,"CloudWatchMetrics":[{"Namespace":"`+Namespace+`","Dimensions":[[`...)
	if o.Service != "" {
		b = append(b, `"`+FieldService+`"`...)
	}
	if o.Function != "" {
		b = append(comma(b), `"`+FieldFunction+`"`...)
	}
	b = append(b, `]],"Metrics":[`...)
	for _, m := range counted {
		b = append(comma(b), `{"Name":"`...)
		b = append(b, m.info.Name...)
		b = append(b, `","Unit":"`...)
		b = append(b, m.info.Unit...)
		b = append(b, `"}`...)
	}
	return append(b, `]}]}`...)
}
