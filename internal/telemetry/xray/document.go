package xray

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/expenzez/aws-backend/internal/telemetry"
)

const (
	// maxText is how many bytes a text of a document has; X-Ray takes 1,000 characters of an annotation.
	maxText = 250
	// maxName is how many characters the name of a segment may have.
	maxName = 200
	// maxTables is how many tables of one call are named; a transaction or batch touches more only by mistake.
	maxTables = 10
)

// document is a subsegment (X-Ray Developer Guide, "AWS X-Ray segment documents"). TraceID, ParentID and Type are of one
// that is sent by itself.
type document struct {
	Name        string            `json:"name"`
	ID          string            `json:"id"`
	TraceID     string            `json:"trace_id,omitempty"`
	ParentID    string            `json:"parent_id,omitempty"`
	Type        string            `json:"type,omitempty"`
	Start       float64           `json:"start_time"`
	End         float64           `json:"end_time,omitempty"`
	InProgress  bool              `json:"in_progress,omitempty"`
	Namespace   string            `json:"namespace,omitempty"`
	Error       bool              `json:"error,omitempty"`
	Throttle    bool              `json:"throttle,omitempty"`
	Fault       bool              `json:"fault,omitempty"`
	Cause       *cause            `json:"cause,omitempty"`
	HTTP        *httpData         `json:"http,omitempty"`
	AWS         *awsData          `json:"aws,omitempty"`
	Annotations map[string]any    `json:"annotations,omitempty"`
	Subsegments []json.RawMessage `json:"subsegments,omitempty"`
}

type cause struct {
	Exceptions []exception `json:"exceptions"`
}

type exception struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

type httpData struct {
	Request  *httpRequest  `json:"request,omitempty"`
	Response *httpResponse `json:"response,omitempty"`
}

type httpRequest struct {
	Method string `json:"method,omitempty"`
	URL    string `json:"url,omitempty"`
}

type httpResponse struct {
	Status int64 `json:"status"`
}

type awsData struct {
	Operation string   `json:"operation,omitempty"`
	Region    string   `json:"region,omitempty"`
	RequestID string   `json:"request_id,omitempty"`
	Table     string   `json:"table_name,omitempty"`
	Tables    []string `json:"table_names,omitempty"`
}

// annotations are the attributes by which traces can be found, and their names there.
var annotations = map[attribute.Key]string{
	telemetry.AttrRoute: "route", telemetry.AttrRequestID: "request_id", telemetry.AttrColdStart: "cold_start", telemetry.AttrAttempts: "attempts",
	telemetry.AttrModel: "model", telemetry.AttrInputTokens: "input_tokens", telemetry.AttrOutputTokens: "output_tokens", attrDropped: "dropped_spans",
}

// describe makes the document of a span, without those below it.
func describe(s sdktrace.ReadOnlySpan) document {
	d := document{Name: name(s.Name()), ID: s.SpanContext().SpanID().String(), Start: seconds(s.StartTime())}
	if s.EndTime().IsZero() {
		d.InProgress = true // it may still be written to: its attributes are not ours to read
		return d
	}
	d.End = seconds(s.EndTime())
	d.attributes(s.Attributes(), s.SpanKind() == trace.SpanKindClient)
	d.Fault = d.Fault || s.Status().Code == codes.Error && !d.Error
	return d
}

func (d *document) attributes(all []attribute.KeyValue, client bool) {
	var a awsData
	var method, host, service string
	var status int64
	for _, kv := range all {
		switch kv.Key {
		case telemetry.AttrAWSService:
			service = text(kv.Value)
		case telemetry.AttrOperation:
			a.Operation = text(kv.Value)
		case telemetry.AttrRegion:
			a.Region = text(kv.Value)
		case telemetry.AttrAWSRequest:
			a.RequestID = text(kv.Value)
		case telemetry.AttrTables:
			a.tables(kv.Value.AsStringSlice())
		case telemetry.AttrMethod:
			method = text(kv.Value)
		case telemetry.AttrHost:
			host = text(kv.Value)
		case telemetry.AttrStatus:
			status = kv.Value.AsInt64()
		case telemetry.AttrThrottled:
			d.Throttle = kv.Value.AsBool()
		case telemetry.AttrError:
			d.Cause = &cause{[]exception{{d.ID, name(text(kv.Value))}}}
		default:
			d.annotate(kv)
		}
	}
	d.statuses(status)
	switch {
	case service != "":
		d.Namespace, d.AWS = "aws", &a
	case client:
		d.Namespace = "remote"
		d.http().Request = &httpRequest{method, "https://" + host + "/"}
	}
}

// tables names the tables of a call: one where X-Ray's map looks for it, several as AWS's own SDKs do.
func (a *awsData) tables(names []string) {
	for i, n := range names[:min(len(names), maxTables)] {
		names[i] = cut(telemetry.Text(n))
	}
	if len(names) == 1 {
		a.Table = names[0]
	} else {
		a.Tables = names[:min(len(names), maxTables)]
	}
}

// statuses sets what follows from an HTTP status; 0 is none.
func (d *document) statuses(status int64) {
	if status >= 100 && status < 600 {
		d.http().Response = &httpResponse{status}
	}
	d.Throttle = d.Throttle || status == 429
	d.Error = d.Throttle || status >= 400 && status < 500
	d.Fault = status >= 500
}

func (d *document) http() *httpData {
	if d.HTTP == nil {
		d.HTTP = &httpData{}
	}
	return d.HTTP
}

// annotate takes over an attribute that is meant to find traces by, and no other.
func (d *document) annotate(kv attribute.KeyValue) {
	key, ok := annotations[kv.Key]
	if !ok {
		return
	}
	if d.Annotations == nil {
		d.Annotations = map[string]any{}
	}
	switch kv.Value.Type() {
	case attribute.STRING:
		d.Annotations[key] = text(kv.Value)
	case attribute.INT64:
		d.Annotations[key] = kv.Value.AsInt64()
	case attribute.BOOL:
		d.Annotations[key] = kv.Value.AsBool()
	}
}

func text(v attribute.Value) string { return cut(telemetry.Text(v.AsString())) }

func cut(s string) string {
	if len(s) > maxText {
		return strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}

// name leaves of a text the characters that X-Ray takes in the name of a segment.
func name(s string) string {
	n := 0
	s = strings.Map(func(r rune) rune {
		n++
		if n <= maxName && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" _.:/%&#=+\\-@", r)) && r != unicode.ReplacementChar {
			return r
		}
		return -1
	}, telemetry.Text(s))
	if s == "" {
		return "unnamed"
	}
	return s
}

// seconds is a time as X-Ray has them, to the microsecond.
func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// traceID is X-Ray's form of the id of a trace.
func traceID(id trace.TraceID) string {
	s := id.String()
	return "1-" + s[:8] + "-" + s[8:]
}
