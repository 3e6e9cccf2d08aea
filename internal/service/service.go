// Package service is the vocabulary of the declaration: what the author of a service owns and a reviewer can check.
// A declaration is a plain value. Numbers that differ between environments (memory, timeouts, limits, retention)
// are not part of it; profiles map its classes to numbers. The package imports only the standard library, so that
// the infrastructure program and the Lambda functions read the same declaration.
package service

// Backend is everything that is declared: the tables, secrets, keys and queues that exist, and the services that use them.
type Backend struct {
	Tables   []Table
	Secrets  []Secret
	Keys     []Key
	Queues   []Queue
	Services []Service
}

// Service groups the functions that deploy as one stack. Its Key is immutable: resource names and URNs derive from it.
type Service struct {
	Key       string
	Does      string
	Functions []Function
}

// Function is one Lambda function. Exactly one of Authorizes, Routes, Queues, Streams and Schedules says what invokes
// it: its handler gets one kind of event. Its role may do exactly what the other fields say, and read what invokes it.
type Function struct {
	Key        string
	Does       string
	Size       Size
	Authorizes bool // it is the API's token authorizer
	Routes     []Route
	Queues     []string // consumed; no other function consumes them
	Streams    []Stream
	Schedules  []Schedule
	Tables     []Access
	Secrets    []string // read only
	Keys       []string // direct encryption and decryption of data keys, with encryption context
	UserPool   []string // exact cognito-idp actions on the user pool
	Sends      []string // queues that it sends to
	Emails     string   // why it sends email, from the environment's one address; empty: it sends none
	Pushes     string   // why it sends push notifications; empty: it sends none
	Internet   string   // why it must reach the internet; empty: it reaches only the AWS services it uses
}

// Size is a class of function that profiles map to memory, timeout, batch and concurrency.
type Size string

// The sizes of functions.
const (
	SizeAuthorizer Size = "authorizer" // on the path of every request; small and fast
	SizeAPI        Size = "api"        // one request, a few AWS calls
	SizeQueue      Size = "queue"      // a batch of messages, a few AWS calls each
	SizeStream     Size = "stream"     // a batch of records, in the order of their items
	SizeSchedule   Size = "schedule"   // one long run
)

// Queue carries messages from the functions that send to it to the one that consumes it, at least once and in no order.
// How long a message that was received is kept from others follows from its consumer's size.
type Queue struct {
	Key  string
	Does string
}

// Stream is the changes of a table's items, with the items before and after, as what invokes a function.
type Stream struct {
	Table   string
	Filters []string // event patterns as JSON of which a record has to match one; none: every record
}

// Schedule invokes a function at times, with ScheduleInput of its key.
type Schedule struct {
	Key  string
	Does string
	When string // rate(1 hour), or cron(0 3 * * ? *): minute hour day month weekday year, in UTC
}

// Access is the exact set of DynamoDB item actions on one table, or on one index of it when Index is set.
// Reason is needed when the table belongs to another concern than the function's own.
type Access struct {
	Table   string
	Index   string
	Actions []string
	Reason  string
}

// Table is a DynamoDB table. All key attributes are strings. Retention by TTL is the attribute TTL, in epoch seconds.
type Table struct {
	Key      string
	Does     string
	Hash     string
	Range    string
	Indexes  []Index
	TTL      string
	Critical bool     // losing it loses what users entrusted to us: point-in-time recovery to the longest period
	PII      []string // attributes that are encrypted before they are stored
}

// Index is a global secondary index that projects all attributes.
type Index struct {
	Key   string
	Hash  string
	Range string
}

// Secret is a value that functions read from Secrets Manager at run time. Only its shell is deployed.
type Secret struct {
	Key  string
	Does string
}

// Key is a KMS key that functions call directly. Keys of tables, logs and secrets are not declared: the stacks own them.
type Key struct {
	Key  string
	Does string
}

// Route is one operation of the REST API. ID is its immutable operationId.
type Route struct {
	ID         string
	Method     string
	Path       string
	Does       string
	Caller     Caller
	Limit      Limit
	LimitBy    string // the request field that names the account a public caller acts on; empty: user, else IP address
	Idempotent bool   // an Idempotency-Key header is required and replays are answered from the record
	Query      []Field
	Request    *Model
	MaxBody    int    // bytes of a request body; 0: the runtime library's own limit, 16 KiB
	Response   *Model // nil: no body
	Status     int    // of success
}

// Caller says who may call a route. Its zero value is an authenticated user.
type Caller struct{ public string }

// User is a caller with a valid access token of ours.
func User() Caller { return Caller{} }

// Public is any caller; reason says why no identity is needed.
func Public(reason string) Caller { return Caller{public: reason} }

// IsPublic reports whether no identity is needed, and why.
func (c Caller) IsPublic() (reason string, ok bool) { return c.public, c.public != "" }

// Limit is a class of caller limit, counted per subject and route. Profiles give its numbers.
type Limit string

// The classes of caller limit. LimitAuthIP is not used by routes: it counts one address over all routes of LimitAuth.
const (
	LimitNone      Limit = ""
	LimitAuth      Limit = "auth"
	LimitAuthIP    Limit = "auth-ip"
	LimitAI        Limit = "ai"
	LimitSensitive Limit = "sensitive"
	LimitAPI       Limit = "api"
	LimitWebhook   Limit = "webhook"
)

// Model is a JSON object. Unknown members are refused.
type Model struct {
	Name   string
	Fields []Field
}

// Type is the JSON type of a field.
type Type string

// The types of fields.
const (
	String  Type = "string"
	Integer Type = "integer"
	Boolean Type = "boolean"
	Array   Type = "array"
	Object  Type = "object"
)

// Field is a member of a Model, or a query parameter. Lengths are in characters; zero means no bound of its own.
type Field struct {
	Name     string
	Does     string
	Type     Type
	Required bool
	Min, Max int      // length of a string, items of an array, value of an integer
	Pattern  string   // of a string, ECMA 262
	Enum     []string // of a string
	Model    *Model   // of an object, or of the items of an array
}
