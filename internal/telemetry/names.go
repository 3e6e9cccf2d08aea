package telemetry

// The fields of a line that tools rely on: queries, alarms, the forwarder of errors. Fields says what each holds.
const (
	FieldTimestamp   = "timestamp"
	FieldLevel       = "level"
	FieldMessage     = "message"
	FieldEnvironment = "environment"
	FieldService     = "service"
	FieldFunction    = "function"
	FieldVersion     = "version"
	FieldRequestID   = "request_id"
	FieldTraceID     = "trace_id"
	FieldUserHash    = "user_hash"
	FieldMethod      = "method"
	FieldRoute       = "route"
	FieldStatus      = "status"
	FieldDuration    = "dur_ms"
	FieldColdStart   = "cold_start"
	FieldCode        = "code"
	FieldError       = "error"
	FieldStack       = "stack"
	FieldDebug       = "debug"
	FieldEvent       = "event"
	FieldMetrics     = "_aws"
)

// Field is one member of a line.
type Field struct {
	Name    string
	Unit    string // empty: none
	Meaning string
	ID      bool // says which request or function a line is of: at the root of the line, inside groups too
}

// Fields are all fields that have a name of their own here, in the order in which a line has them.
func Fields() []Field {
	return []Field{
		{Name: FieldTimestamp, Meaning: "when it was written, RFC 3339 in UTC"},
		{Name: FieldLevel, Meaning: "DEBUG, INFO, WARN or ERROR"},
		{Name: FieldMessage, Meaning: "what happened; request on the line that sums a request up"},
		{Name: FieldEnvironment, Meaning: "dev, staging or prod", ID: true},
		{Name: FieldService, Meaning: "key of the service in the catalog; a dimension of every metric", ID: true},
		{Name: FieldFunction, Meaning: "key of the function in the catalog; a dimension of every metric", ID: true},
		{Name: FieldVersion, Meaning: "published version of the function", ID: true},
		{Name: FieldRequestID, Meaning: "the gateway's id of the request, which the caller sees too", ID: true},
		{Name: FieldTraceID, Meaning: "X-Ray's id of the trace", ID: true},
		{Name: FieldUserHash, Meaning: "stands for the user: lines of one user can be found together, the user cannot", ID: true},
		{Name: FieldMethod, Meaning: "HTTP method", ID: true},
		{Name: FieldRoute, Meaning: "path of the route as declared, without its values", ID: true},
		{Name: FieldStatus, Meaning: "HTTP status of the answer"},
		{Name: FieldDuration, Unit: "ms", Meaning: "from the event to the answer"},
		{Name: FieldColdStart, Meaning: "whether it is the sandbox's first request"},
		{Name: FieldCode, Meaning: "public code of the problem that was answered"},
		{Name: FieldError, Meaning: "private cause, scrubbed"},
		{Name: FieldStack, Meaning: "of a panic, innermost first"},
		{Name: FieldDebug, Meaning: "lines below the level that the request left before this error"},
		{Name: FieldEvent, Meaning: "the error in the shape of a Sentry event"},
		{Name: FieldMetrics, Meaning: "metadata of CloudWatch's embedded metric format"},
	}
}

// isID tells which attributes go to the root of a line: those of Fields with ID.
func isID(key string) bool {
	switch key {
	case FieldEnvironment, FieldService, FieldFunction, FieldVersion, FieldRequestID, FieldTraceID, FieldUserHash, FieldMethod, FieldRoute:
		return true
	}
	return false
}

// reserved tells which names at the root of a line are written by this package alone: an attribute of the same name
// would make the line mean something else to Lambda or CloudWatch.
func reserved(key string) bool {
	switch key {
	case FieldTimestamp, FieldLevel, FieldMessage, FieldDebug, FieldMetrics:
		return true
	}
	if key == "" || key[0] < 'A' || key[0] > 'Z' { // metrics begin with a capital
		return false
	}
	_, ok := Metric(key).info()
	return ok
}

// Namespace is the one of all metrics.
const Namespace = "Expenzez"

// Metric is the name of a metric. The closed set is Metrics: others are not counted.
type Metric string

// What is counted beside caches and breakers. Metrics says what each means.
const (
	Requests        Metric = "Requests"
	Errors5xx       Metric = "Errors5xx"
	Duration        Metric = "Duration"
	ColdStart       Metric = "ColdStart"
	Limited         Metric = "Limited"
	LimiterFallback Metric = "LimiterFallback"
	AWSRetries      Metric = "AWSRetries"
	EventsDropped   Metric = "ErrorEventsDropped"
)

// Cache names a cache whose hits and misses are counted.
type Cache string

// The caches.
const (
	SecretCache    Cache = "Secret"
	PublicKeyCache Cache = "PublicKey"
	KeysetCache    Cache = "Keyset"
	ResponseCache  Cache = "Response"
)

// Caches are all caches.
func Caches() []Cache {
	return []Cache{SecretCache, PublicKeyCache, KeysetCache, ResponseCache}
}

// Hit counts answers from the cache.
func (c Cache) Hit() Metric { return Metric(c + "CacheHit") }

// Miss counts questions that the cache could not answer.
func (c Cache) Miss() Metric { return Metric(c + "CacheMiss") }

// Breaker names a circuit breaker whose changes of state are counted.
type Breaker string

// The breakers.
const (
	OpenAIBreaker     Breaker = "OpenAI"
	AppleKeysBreaker  Breaker = "AppleKeys"
	AppleTokenBreaker Breaker = "AppleToken"
	PushBreaker       Breaker = "Push"
	SentryBreaker     Breaker = "Sentry"
	LimiterBreaker    Breaker = "Limiter" // of the counters of caller limits
)

// Breakers are all breakers.
func Breakers() []Breaker {
	return []Breaker{OpenAIBreaker, AppleKeysBreaker, AppleTokenBreaker, PushBreaker, SentryBreaker, LimiterBreaker}
}

// Opened counts changes to open, from whatever state.
func (b Breaker) Opened() Metric { return Metric(b + "BreakerOpened") }

// HalfOpened counts changes to half-open: it lets a few calls try.
func (b Breaker) HalfOpened() Metric { return Metric(b + "BreakerHalfOpened") }

// Closed counts changes to closed.
func (b Breaker) Closed() Metric { return Metric(b + "BreakerClosed") }

// Rejected counts calls that were not made because of it.
func (b Breaker) Rejected() Metric { return Metric(b + "BreakerRejected") }

// Unit is one of CloudWatch's (CloudWatch API Reference, "MetricDatum").
type Unit string

// The units in use.
const (
	UnitCount        Unit = "Count"
	UnitMilliseconds Unit = "Milliseconds"
)

// MetricInfo says what a metric is.
type MetricInfo struct {
	Name    Metric
	Unit    Unit
	Meaning string
}

var metrics = func() []MetricInfo {
	all := []MetricInfo{
		{Requests, UnitCount, "requests that were answered, whatever the answer"},
		{Errors5xx, UnitCount, "requests answered with a status of 500 and above"},
		{Duration, UnitMilliseconds, "from the event to the answer"},
		{ColdStart, UnitCount, "requests that were the first of their sandbox"},
		{Limited, UnitCount, "requests refused by a caller limit"},
		{LimiterFallback, UnitCount, "limits decided by the sandbox alone because the counters did not answer"},
		{AWSRetries, UnitCount, "attempts at AWS calls after their first"},
		{EventsDropped, UnitCount, "error events held back by the cap or as repetitions"},
	}
	for _, c := range Caches() {
		all = append(all,
			MetricInfo{c.Hit(), UnitCount, "answers from the cache"},
			MetricInfo{c.Miss(), UnitCount, "questions that the cache could not answer"})
	}
	for _, b := range Breakers() {
		all = append(all,
			MetricInfo{b.Opened(), UnitCount, "times that the breaker opened"},
			MetricInfo{b.HalfOpened(), UnitCount, "times that the breaker let a few calls try"},
			MetricInfo{b.Closed(), UnitCount, "times that the breaker closed"},
			MetricInfo{b.Rejected(), UnitCount, "calls that were not made because of the breaker"})
	}
	return all
}()

// Metrics are all metrics. A metric is in a line only when the request counted it: CloudWatch bills each combination of
// metric and dimensions for the hours in which it had a value (CloudWatch pricing, "Custom metrics"). An alarm must take
// a missing value for zero.
func Metrics() []MetricInfo { return append([]MetricInfo(nil), metrics...) }

func (m Metric) info() (MetricInfo, bool) {
	for _, i := range metrics {
		if i.Name == m {
			return i, true
		}
	}
	return MetricInfo{}, false
}
