package events

// Difference is one thing that is otherwise here than on AWS.
type Difference struct {
	Source string // queue, stream, schedule or filter
	Topic  string
	Here   string
	AWS    string // what AWS does, by the named page of its documentation
}

// Differences is the table of all that is known, each row proven by the test of its name.
func Differences() []Difference {
	const q, s, t = "queue", "stream", "schedule"
	return []Difference{
		{q, "Concurrency", "five batches at a time unless maximumConcurrency says otherwise, and as many as that from the start", "begins with five and scales to 1,250 or maximumConcurrency (Configuring scaling behavior for SQS event source mappings)"},
		{q, "Sender", "SenderId is the same for all: moto does not keep who sent", "is who sent it (ReceiveMessage)"},
		{q, "Stop", "messages of a batch that has not ended two seconds after the stop are visible at once", "come back after their visibility timeout (Using Lambda with Amazon SQS)"},
		{s, "Polling", "four times a second while there are records, down to once when there are none", "four times a second (Using AWS Lambda with Amazon DynamoDB)"},
		{s, "Shards", "one for a table: moto never splits it", "split and end (Change data capture for DynamoDB Streams)"},
		{s, "Retry pauses", "a quarter of a second, doubling to five", "are longer, and not documented"},
		{s, "Retry count", "begins anew where a partial failure has moved on; at its end all that is left of the batch is given up", "is not documented for partial failures"},
		{s, "Time to live", "the REMOVE of an expired item has no userIdentity: the emulator does not know that nobody asked for it", "names dynamodb.amazonaws.com (DynamoDB Streams and Time to Live)"},
		{s, "Failure record", "requestId is the record's own, and the response is left out when the function was never invoked", "is the last invocation's (Retain discarded records for a DynamoDB event source)"},
		{t, "Retry pauses", "a second, doubling to five minutes", "back off exponentially, figures not documented (RetryPolicy)"},
		{t, "Missed times", "what was due while the machine slept runs once", "never sleeps"},
		{t, "Dead letter body", "the parameters of Lambda's Invoke", "is shown for SQS targets only (Configuring a schedule's dead-letter queue)"},
		{t, "Window", "FLEXIBLE is refused", "spreads invocations over a window (Configuring flexible time windows)"},
		{"filter", "Visible properties", "body of messages; dynamodb, eventName and userIdentity of records; others are refused", "has more for records (Control which events Lambda sends to your function)"},
	}
}
