package stream_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/stream"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

func read[T any](t testing.TB, path string) (event T) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &event))
	return event
}

// changes is an event of records, each of the item of that name; its sequence number is its place.
func changes(items ...string) (event events.DynamoDBEvent) {
	for i, name := range items {
		event.Records = append(event.Records, events.DynamoDBEventRecord{EventID: fmt.Sprint("event-", i), EventName: "MODIFY", EventSourceArn: "arn:aws:dynamodb:stream",
			Change: events.DynamoDBStreamRecord{SequenceNumber: fmt.Sprint(i), Keys: map[string]events.DynamoDBAttributeValue{"pk": events.NewStringAttribute(name), "n": events.NewNumberAttribute("1"), "b": events.NewBinaryAttribute([]byte{1})}}})
	}
	return event
}

// failed are the identifiers of an answer.
func failed(answer events.DynamoDBEventResponse) []string {
	all := []string{}
	for _, f := range answer.BatchItemFailures {
		all = append(all, f.ItemIdentifier)
	}
	return all
}

func failedMessages(answer events.SQSEventResponse) []string {
	all := []string{}
	for _, f := range answer.BatchItemFailures {
		all = append(all, f.ItemIdentifier)
	}
	return all
}

func TestRecordsAreReadWhole(t *testing.T) {
	t.Parallel()
	var got []stream.Record
	answer := stream.Handle(t.Context(), read[events.DynamoDBEvent](t, "testdata/changes.json"), func(_ context.Context, r stream.Record) error {
		got = append(got, r)
		return nil
	})
	require.Empty(t, answer.BatchItemFailures)
	num := func(s string) types.AttributeValue { return &types.AttributeValueMemberN{Value: s} }
	list := func(all ...types.AttributeValue) types.AttributeValue {
		return &types.AttributeValueMemberL{Value: all}
	}
	mapping := func(it store.Item) types.AttributeValue { return &types.AttributeValueMemberM{Value: it} }
	null := &types.AttributeValueMemberNULL{Value: true}
	key := func(n string) store.Item { return store.Item{"pk": store.S("USER#ada"), "sk": store.S("TX#" + n)} }
	versioned := func(n string) store.Item {
		it := key("2")
		it["version"] = num(n)
		return it
	}
	require.Len(t, got, 4)
	require.Equal(t, stream.Record{ID: "c4ca4238a0b923820dcc509a6f75849b", Change: stream.Insert, Keys: key("1"), Time: time.Unix(1_800_000_000, 0), New: store.Item{
		"pk": store.S("USER#ada"), "sk": store.S("TX#1"), "amount": num("-1250.500"), "empty": store.S(""), "photo": store.B([]byte{0, 1, 42, 65}),
		"paid": store.Bool(true), "note": null, "tags": &types.AttributeValueMemberSS{Value: []string{"b", "a"}},
		"numbers": &types.AttributeValueMemberNS{Value: []string{"1234", "567.80"}}, "hashes": &types.AttributeValueMemberBS{Value: [][]byte{{0, 1, 42, 65}, {65, 42, 1, 0}}},
		"none":  &types.AttributeValueMemberSS{Value: []string{}},
		"lines": list(store.S("tea"), num("3.14159"), list([]types.AttributeValue{}...), mapping(store.Item{"deep": list(null)})),
		"place": mapping(store.Item{"name": store.S("Café"), "empty": mapping(store.Item{})}),
	}}, got[0])
	require.Equal(t, stream.Record{ID: "c81e728d9d4c2f636f067f89cc14862c", Change: stream.Modify, Keys: key("2"), Old: versioned("1"), New: versioned("2"), Time: time.Unix(1_800_000_001, 0)}, got[1])
	require.Equal(t, stream.Record{ID: "eccbc87e4b5ce2fe28308fd9f2a7baf3", Change: stream.Remove, Keys: key("2"), Old: versioned("2"), Time: time.Unix(1_800_000_002, 0), Expired: true}, got[2])
	require.Equal(t, stream.Record{ID: "a87ff679a2f3e71d9181a67b7542122c", Change: stream.Remove, Keys: key("1"), Time: time.Unix(1_800_000_003, 0)}, got[3])
}

func TestRecordsOfExpiredItemsAreLeftOutWhenAsked(t *testing.T) {
	t.Parallel()
	event := read[events.DynamoDBEvent](t, "testdata/changes.json")
	count := func(wrap func(stream.Handler) stream.Handler) (n int) {
		stream.Handle(t.Context(), event, wrap(func(context.Context, stream.Record) error { n++; return nil }))
		return n
	}
	require.Equal(t, 4, count(func(h stream.Handler) stream.Handler { return h }))
	require.Equal(t, 3, count(stream.WithoutExpired))
	for name, spoil := range map[string]func(*events.DynamoDBEventRecord){
		"nobody":       func(r *events.DynamoDBEventRecord) { r.UserIdentity = nil },
		"a person":     func(r *events.DynamoDBEventRecord) { r.UserIdentity.Type = "User" },
		"another":      func(r *events.DynamoDBEventRecord) { r.UserIdentity.PrincipalID = "lambda.amazonaws.com" },
		"not a delete": func(r *events.DynamoDBEventRecord) { r.EventName = "MODIFY" },
	} {
		event = read[events.DynamoDBEvent](t, "testdata/changes.json")
		spoil(&event.Records[2])
		require.Equal(t, 4, count(stream.WithoutExpired), name)
	}
	event = read[events.DynamoDBEvent](t, "testdata/changes.json")
	require.Equal(t, []string{"222", "333"}, failed(stream.Handle(t.Context(), event, stream.WithoutExpired(func(_ context.Context, r stream.Record) error {
		if r.Change == stream.Modify {
			return errors.New("no")
		}
		return nil
	}))), "one that expired waits for what came before it")
}

func TestFailuresOfRecords(t *testing.T) {
	t.Parallel()
	no := errors.New("no")
	cases := map[string]struct {
		items []string
		fail  map[string]bool // event ids
		begun string
		want  []string
	}{
		"none":                  {[]string{"a", "b", "a"}, nil, "0 1 2", []string{}},
		"no records":            {nil, nil, "", []string{}},
		"the last":              {[]string{"a", "b", "a"}, map[string]bool{"event-2": true}, "0 1 2", []string{"2"}},
		"the item stops":        {[]string{"a", "b", "a", "b", "a"}, map[string]bool{"event-0": true}, "0 1 3", []string{"0", "2", "4"}},
		"of two items":          {[]string{"a", "b", "c", "b", "c", "a"}, map[string]bool{"event-1": true, "event-2": true}, "0 1 2 5", []string{"1", "2", "3", "4"}},
		"in the middle":         {[]string{"a", "a", "a"}, map[string]bool{"event-1": true}, "0 1", []string{"1", "2"}},
		"all":                   {[]string{"a", "b"}, map[string]bool{"event-0": true, "event-1": true}, "0 1", []string{"0", "1"}},
		"keys that look joined": {[]string{`a"n"1`, "a"}, map[string]bool{"event-0": true}, "0 1", []string{"0"}},
	}
	for name, c := range cases {
		for how, fail := range map[string]func() error{"error": func() error { return no }, "panic": func() error { panic("no") }} {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				var begun []string
				answer := stream.Handle(t.Context(), changes(c.items...), func(_ context.Context, r stream.Record) error {
					begun = append(begun, strings.TrimPrefix(r.ID, "event-"))
					if c.fail[r.ID] {
						return fail()
					}
					return nil
				})
				require.Equal(t, c.want, failed(answer))
				require.Equal(t, c.begun, strings.Join(begun, " "))
			})
		}
	}
}

// Tables of one event source mapping are one, but nobody promises that: an item is of its table.
func TestItemsOfTwoTablesAreTwo(t *testing.T) {
	t.Parallel()
	event := changes("a", "a")
	event.Records[1].EventSourceArn = "arn:aws:dynamodb:other"
	require.Equal(t, []string{"0"}, failed(stream.Handle(t.Context(), event, func(_ context.Context, r stream.Record) error {
		if r.ID == "event-0" {
			return errors.New("no")
		}
		return nil
	})))
}

// An answer without failures is a list without elements: Lambda takes null for success too, but not a missing member.
func TestTheAnswerAsLambdaReadsIt(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(stream.Handle(t.Context(), changes("a"), func(context.Context, stream.Record) error { return nil }))
	require.NoError(t, err)
	require.JSONEq(t, `{"batchItemFailures":[]}`, string(b))
	b, err = json.Marshal(stream.HandleQueue(t.Context(), events.SQSEvent{}, nil))
	require.NoError(t, err)
	require.JSONEq(t, `{"batchItemFailures":[]}`, string(b))
	b, err = json.Marshal(stream.Handle(t.Context(), changes("a"), func(context.Context, stream.Record) error { return errors.New("no") }))
	require.NoError(t, err)
	require.JSONEq(t, `{"batchItemFailures":[{"itemIdentifier":"0"}]}`, string(b))
}

func TestRecordsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*events.DynamoDBStreamRecord, map[string]events.DynamoDBAttributeValue){
		"keys": func(r *events.DynamoDBStreamRecord, image map[string]events.DynamoDBAttributeValue) { r.Keys = image },
		"new image": func(r *events.DynamoDBStreamRecord, image map[string]events.DynamoDBAttributeValue) {
			r.NewImage = image
		},
		"old image": func(r *events.DynamoDBStreamRecord, image map[string]events.DynamoDBAttributeValue) {
			r.OldImage = image
		},
	} {
		var deep events.DynamoDBAttributeValue // never decoded
		event := changes("a", "b")
		spoil(&event.Records[0].Change, map[string]events.DynamoDBAttributeValue{"x": events.NewListAttribute([]events.DynamoDBAttributeValue{deep})})
		var handled []string
		answer := stream.Handle(t.Context(), event, func(_ context.Context, r stream.Record) error {
			handled = append(handled, r.ID)
			return nil
		})
		require.Equal(t, []string{"0"}, failed(answer), name)
		require.Equal(t, []string{"event-1"}, handled, name)
	}
}

func TestWhatIsNotBegunInTimeFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		begun := time.Now()
		count := 0
		answer := stream.Handle(ctx, changes("a", "b", "c", "d", "e"), func(ctx context.Context, r stream.Record) error {
			count++
			if r.ID == "event-2" {
				<-ctx.Done() // one that is late, and heeds its context
				return ctx.Err()
			}
			time.Sleep(4 * time.Second)
			return nil
		})
		require.Equal(t, []string{"2", "3", "4"}, failed(answer))
		require.Equal(t, 3, count)
		require.Less(t, time.Since(begun), 10*time.Second, "there is time to answer")
		require.Greater(t, time.Since(begun), 9*time.Second, "and none is wasted")

		answer = stream.Handle(ctx, changes("a", "b"), func(context.Context, stream.Record) error { t.Error("begun"); return nil })
		require.Equal(t, []string{"0", "1"}, failed(answer), "when the time is up nothing is begun")
		queue := read[events.SQSEvent](t, "testdata/messages.json")
		require.Len(t, stream.HandleQueue(ctx, queue, func(context.Context, events.SQSMessage) error { t.Error("begun"); return nil }).BatchItemFailures, 2)
	})
}

func TestAContextWithoutADeadline(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	answer := stream.Handle(ctx, changes("a", "b", "c"), func(_ context.Context, r stream.Record) error {
		if r.ID == "event-1" {
			cancel()
		}
		return nil
	})
	require.Equal(t, []string{"2"}, failed(answer))
}

func TestFailuresAreLoggedWithoutWhatTheyAreAbout(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	ctx := telemetry.Into(t.Context(), telemetry.New(&out, telemetry.Options{}))
	event := changes("s3cr3t", "b", "s3cr3t")
	stream.Handle(ctx, event, func(_ context.Context, r stream.Record) error {
		if r.ID == "event-1" {
			panic("upside down")
		}
		return errors.New("no room")
	})
	log := out.String()
	require.Equal(t, 3, strings.Count(log, "\n"))
	for _, part := range []string{`"id":"event-0"`, "no room", `"id":"event-1"`, "panic: upside down", "stream_test.go", `"records were not begun","count":1`} {
		require.Contains(t, log, part)
	}
	require.NotContains(t, log, "s3cr3t")
	out.Reset()
	stream.Handle(ctx, event, func(context.Context, stream.Record) error { return nil })
	require.Empty(t, out.String(), "nothing is said where all went well")
}

// queue is an event of messages, of the groups where they are given.
func queue(arn string, groups ...string) (event events.SQSEvent) {
	for i, group := range groups {
		m := events.SQSMessage{MessageId: fmt.Sprint(i), EventSourceARN: arn, Attributes: map[string]string{"MessageGroupId": group}}
		if group == "" {
			m.Attributes = nil
		}
		event.Records = append(event.Records, m)
	}
	return event
}

func TestFailuresOfMessages(t *testing.T) {
	t.Parallel()
	const standard, fifo = "arn:aws:sqs:eu-west-2:111122223333:jobs", "arn:aws:sqs:eu-west-2:111122223333:jobs.fifo"
	for name, c := range map[string]struct {
		arn    string
		groups []string
		fail   string
		begun  string
		want   []string
	}{
		"none":                       {standard, []string{"", "", ""}, "", "0 1 2", []string{}},
		"each for itself":            {standard, []string{"", "", ""}, "0", "0 1 2", []string{"0"}},
		"groups of a standard queue": {standard, []string{"a", "a", "a"}, "0", "0 1 2", []string{"0"}}, // which are for fairness, not for order
		"the group stops":            {fifo, []string{"a", "b", "a", "b"}, "0", "0 1 3", []string{"0", "2"}},
		"one group":                  {fifo, []string{"a", "a", "a"}, "1", "0 1", []string{"1", "2"}},
		"no group named":             {fifo, []string{"", "", ""}, "0", "0", []string{"0", "1", "2"}},
		"all groups":                 {fifo, []string{"a", "b", "a", "b"}, "01", "0 1", []string{"0", "1", "2", "3"}},
	} {
		for how, fail := range map[string]func() error{"error": func() error { return errors.New("no") }, "panic": func() error { panic("no") }} {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				var begun []string
				answer := stream.HandleQueue(t.Context(), queue(c.arn, c.groups...), func(_ context.Context, m events.SQSMessage) error {
					begun = append(begun, m.MessageId)
					if strings.Contains(c.fail, m.MessageId) {
						return fail()
					}
					return nil
				})
				require.Equal(t, c.want, failedMessages(answer))
				require.Equal(t, c.begun, strings.Join(begun, " "))
			})
		}
	}
}

func TestMessagesAreHandedOverWhole(t *testing.T) {
	t.Parallel()
	event := read[events.SQSEvent](t, "testdata/messages.json")
	var got []events.SQSMessage
	answer := stream.HandleQueue(t.Context(), event, func(_ context.Context, m events.SQSMessage) error {
		got = append(got, m)
		return nil
	})
	require.Empty(t, answer.BatchItemFailures)
	require.Equal(t, event.Records, got)
	require.Equal(t, `{"userId":"ada"}`, got[0].Body)
}

// As Lambda does it: a batch comes again from its first failure on until none fails. Whatever fails and however often, every
// record is handled in the end, those of one item in their order, and a handler that knows the IDs does each once.
func TestABatchThatComesAgainIsHandledInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		items := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 12).Draw(r, "items")
		rest := changes(items...)
		item := map[string]string{}
		for i, name := range items {
			item[fmt.Sprint("event-", i)] = name
		}
		done, last := map[string]bool{}, map[string]int{}
		for rounds := 0; len(rest.Records) > 0; rounds++ {
			if rounds > 60 {
				r.Fatal("it does not end")
			}
			answer := stream.Handle(context.Background(), rest, func(_ context.Context, record stream.Record) error {
				if done[record.ID] {
					return nil
				}
				if rounds < 20 && rapid.IntRange(0, 3).Draw(r, "fails") == 0 {
					return errors.New("no")
				}
				var n int
				_, _ = fmt.Sscanf(record.ID, "event-%d", &n)
				name := item[record.ID]
				if before, some := last[name]; some && before > n {
					r.Fatalf("%d of %s after %d", n, name, before)
				}
				done[record.ID], last[name] = true, n
				return nil
			})
			again := rest.Records[len(rest.Records):]
			for i, one := range rest.Records {
				if len(answer.BatchItemFailures) > 0 && one.Change.SequenceNumber == answer.BatchItemFailures[0].ItemIdentifier {
					again = rest.Records[i:]
				}
			}
			rest.Records = again
		}
		if len(done) != len(items) {
			r.Fatalf("%d of %d handled", len(done), len(items))
		}
	})
}

// FuzzItem: what is decoded from the wire is converted to what would be written to the wire alike.
func FuzzItem(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":{"S":"x"}}`, `{"a":{"N":"-0.50E+3"}}`, `{"a":{"B":"AAEqQQ=="}}`, `{"a":{"BOOL":false},"b":{"NULL":true}}`, `{"a":{"SS":[]},"b":{"NS":["1","1.0"]},"c":{"BS":["","AA=="]}}`,
		`{"a":{"L":[{"L":[]},{"M":{"":{"S":""}}}]}}`, `{"a":{"M":{"b":{"M":{"c":{"L":[{"N":"1"},{"NULL":true}]}}}}}}`, `{"a":null}`, `{"a":{"S":"\ud800"}}`, `{"a":{"X":1}}`, `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		var image map[string]events.DynamoDBAttributeValue
		if !decoded(wire, &image) {
			return
		}
		item, err := stream.Item(image)
		require.NoError(t, err)
		want, err := json.Marshal(image)
		require.NoError(t, err)
		got, err := json.Marshal(written(item))
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(got))
	})
}

// decoded tells whether the library reads the text. It panics on sets of bytes that hold something else.
func decoded(wire []byte, image *map[string]events.DynamoDBAttributeValue) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	return json.Unmarshal(wire, image) == nil
}

// written is an item as the SDK would send it.
func written(item store.Item) map[string]any {
	if item == nil {
		return nil
	}
	all := map[string]any{}
	for name, v := range item {
		all[name] = wireValue(v)
	}
	return all
}

func wireValue(v types.AttributeValue) map[string]any {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return map[string]any{"S": v.Value}
	case *types.AttributeValueMemberN:
		return map[string]any{"N": v.Value}
	case *types.AttributeValueMemberB:
		return map[string]any{"B": v.Value}
	case *types.AttributeValueMemberBOOL:
		return map[string]any{"BOOL": v.Value}
	case *types.AttributeValueMemberNULL:
		return map[string]any{"NULL": v.Value}
	case *types.AttributeValueMemberSS:
		return map[string]any{"SS": v.Value}
	case *types.AttributeValueMemberNS:
		return map[string]any{"NS": v.Value}
	case *types.AttributeValueMemberBS:
		return map[string]any{"BS": v.Value}
	case *types.AttributeValueMemberL:
		list := []any{}
		for _, element := range v.Value {
			list = append(list, wireValue(element))
		}
		return map[string]any{"L": list}
	case *types.AttributeValueMemberM:
		return map[string]any{"M": written(v.Value)}
	}
	return nil
}

func BenchmarkItem(b *testing.B) {
	image := read[events.DynamoDBEvent](b, "testdata/changes.json").Records[0].Change.NewImage
	b.ReportAllocs()
	for b.Loop() {
		if _, err := stream.Item(image); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHandle(b *testing.B) {
	event := read[events.DynamoDBEvent](b, "testdata/changes.json")
	b.ReportAllocs()
	for b.Loop() {
		stream.Handle(b.Context(), event, func(context.Context, stream.Record) error { return nil })
	}
}
