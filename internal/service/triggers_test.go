package service_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/service"
)

// busy is small with a function for each kind of trigger; each case of the tests below breaks one thing in it.
func busy() service.Backend {
	b := small()
	b.Queues = []service.Queue{{Key: "jobs", Does: "Things to pack."}}
	b.Services[0].Functions[1].Sends = []string{"jobs"}
	b.Services = append(b.Services, service.Service{Key: "depot", Functions: []service.Function{
		{Key: "packer", Size: service.SizeQueue, Queues: []string{"jobs"}, Sends: []string{"jobs"}, Emails: "Says what was packed.", Pushes: "Says so at once."},
		{Key: "counter", Size: service.SizeStream, Streams: []service.Stream{{Table: "things", Filters: []string{`{"eventName":["INSERT"]}`}}},
			Tables: []service.Access{{Table: "things", Actions: []string{"UpdateItem"}}}},
		{Key: "cleaner", Size: service.SizeSchedule, Schedules: []service.Schedule{
			{Key: "nightly", Does: "Sweeps the floor.", When: "cron(0 3 * * ? *)"}, {Key: "often", Does: "Opens a window.", When: "rate(1 hour)"}}},
	}})
	return b
}

func depot(b *service.Backend, key string) *service.Function {
	i := slices.IndexFunc(b.Services[1].Functions, func(f service.Function) bool { return f.Key == key })
	return &b.Services[1].Functions[i]
}

func TestValidateAcceptsTriggers(t *testing.T) {
	t.Parallel()
	require.NoError(t, service.Validate(busy()))
	for _, when := range []string{
		"rate(1 minute)", "rate(15 minutes)", "rate(2 hours)", "rate(1 day)", "rate(30 days)",
		"cron(0 3 * * ? *)", "cron(0/15 8-18 ? * MON-FRI *)", "cron(0 0 L * ? *)", "cron(0 0 ? * 2#1 2027-2030)", "cron(5,35 14 15W JAN,JUL ? *)",
	} {
		b := busy()
		depot(&b, "cleaner").Schedules[0].When = when
		require.NoError(t, service.Validate(b), when)
	}
}

func TestValidateNamesEveryFaultOfTriggers(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		spoil func(*service.Backend)
		want  string
	}{
		"queue_twice":        {func(b *service.Backend) { b.Queues = append(b.Queues, b.Queues[0]) }, "queue jobs: declared twice"},
		"queue_key":          {func(b *service.Backend) { b.Queues[0].Key = "Jobs" }, `queue "Jobs": a key is`},
		"dead_letters":       {func(b *service.Backend) { b.Queues[0].Key = "jobs-dlq" }, "queue jobs-dlq: -dlq and -failures end the names"},
		"failures":           {func(b *service.Backend) { b.Queues[0].Key = "cleaner-failures" }, "queue cleaner-failures: -dlq and -failures end the names"},
		"no_consumer":        {func(b *service.Backend) { b.Services = b.Services[:1] }, "queue jobs: no function consumes it"},
		"two_consumers":      {func(b *service.Backend) { depot(b, "counter").Queues = []string{"jobs"} }, "queue jobs: packer, counter consume it"},
		"consumed_twice":     {func(b *service.Backend) { depot(b, "packer").Queues = []string{"jobs", "jobs"} }, `packer: consumes queue "jobs" twice`},
		"no_sender":          {func(b *service.Backend) { b.Services[0].Functions[1].Sends, depot(b, "packer").Sends = nil, nil }, "queue jobs: no function sends to it"},
		"sent_to_twice":      {func(b *service.Backend) { depot(b, "packer").Sends = []string{"jobs", "jobs"} }, `packer: sends to queue "jobs" twice`},
		"unknown_queue":      {func(b *service.Backend) { depot(b, "packer").Queues = []string{"dreams"} }, `function packer: queue "dreams" is not declared`},
		"unknown_target":     {func(b *service.Backend) { depot(b, "counter").Sends = []string{"dreams"} }, `function counter: queue "dreams" is not declared`},
		"no_trigger":         {func(b *service.Backend) { depot(b, "counter").Streams = nil }, "function counter: nothing invokes it"},
		"two_kinds":          {func(b *service.Backend) { depot(b, "cleaner").Streams = depot(b, "counter").Streams }, "function cleaner: either authorizes, or has"},
		"routes_and_queue":   {func(b *service.Backend) { b.Services[0].Functions[1].Queues = []string{"jobs"} }, "function shop-api: either authorizes, or has"},
		"authorizer_on_time": {func(b *service.Backend) { b.Services[0].Functions[0].Schedules = depot(b, "cleaner").Schedules }, "function guard: either authorizes, or has"},
		"unknown_table":      {func(b *service.Backend) { depot(b, "counter").Streams[0].Table = "ghosts" }, "stream of ghosts: the table is not declared"},
		"stream_twice":       {func(b *service.Backend) { f := depot(b, "counter"); f.Streams = append(f.Streams, f.Streams[0]) }, "stream counter/things: declared twice"},
		"filter_of_text":     {func(b *service.Backend) { depot(b, "counter").Streams[0].Filters[0] = "INSERT" }, "is no JSON object"},
		"filter_of_list":     {func(b *service.Backend) { depot(b, "counter").Streams[0].Filters[0] = "[]" }, "is no JSON object"},
		"filter_of_nothing":  {func(b *service.Backend) { depot(b, "counter").Streams[0].Filters[0] = "{}" }, "at least one rule"},
		"filter_huge": {func(b *service.Backend) {
			depot(b, "counter").Streams[0].Filters[0] = `{"a":["` + strings.Repeat("a", 4096) + `"]}`
		}, "at most 4096 bytes"},
		"filters": {func(b *service.Backend) {
			depot(b, "counter").Streams[0].Filters = slices.Repeat([]string{`{"a":[1]}`}, 6)
		}, "has 6 filters"},
		"schedule_twice": {func(b *service.Backend) { depot(b, "cleaner").Schedules[1].Key = "nightly" }, "schedule nightly: has the name of function cleaner, schedule nightly"},
		"schedule_of_another": {func(b *service.Backend) {
			f := depot(b, "counter")
			f.Key, f.Streams, f.Schedules = "cleaner-often", nil, []service.Schedule{{Key: "x", Does: "x", When: "rate(1 day)"}}
			depot(b, "cleaner").Schedules[0].Key = "often-x"
		}, "function cleaner, schedule often-x: has the name of function cleaner-often, schedule x"},
		"schedule_like_a_role": {func(b *service.Backend) { depot(b, "counter").Key = "cleaner-nightly" }, "schedule nightly: has the name of function cleaner-nightly"},
		"schedule_key":         {func(b *service.Backend) { depot(b, "cleaner").Schedules[0].Key = "At Night" }, "schedule At Night: a key is"},
		"schedule_silent":      {func(b *service.Backend) { depot(b, "cleaner").Schedules[0].Does = "" }, "schedule nightly: says in 0 bytes"},
		"schedule_never":       {func(b *service.Backend) { depot(b, "cleaner").Schedules[0].When = "" }, `"" is neither like rate(1 hour)`},
		"schedule_once":        {func(b *service.Backend) { depot(b, "cleaner").Schedules[0].When = "at(2027-01-01T00:00:00)" }, "is neither like"},
		"rate_zero":            {func(b *service.Backend) { depot(b, "cleaner").Schedules[0].When = "rate(0 minutes)" }, "is neither like"},
		"rate_of_one_hours":    {func(b *service.Backend) { depot(b, "cleaner").Schedules[0].When = "rate(1 hours)" }, "is neither like"},
		"rate_of_seconds":      {func(b *service.Backend) { depot(b, "cleaner").Schedules[0].When = "rate(30 seconds)" }, "is neither like"},
		"cron_of_five":         {func(b *service.Backend) { depot(b, "cleaner").Schedules[0].When = "cron(0 3 * * ?)" }, "is neither like"},
		"cron_of_two_days":     {func(b *service.Backend) { depot(b, "cleaner").Schedules[0].When = "cron(0 3 * * * *)" }, "is neither like"},
		"cron_without_any_day": {func(b *service.Backend) { depot(b, "cleaner").Schedules[0].When = "cron(0 3 ? * ? *)" }, "is neither like"},
		"too_many_on_one_table": {func(b *service.Backend) {
			for _, key := range []string{"second", "third"} {
				f := *depot(b, "counter")
				f.Key = key
				b.Services[1].Functions = append(b.Services[1].Functions, f)
			}
		}, "table things: its stream has 3 readers (counter, second, third), at most 2"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := busy()
			c.spoil(&b)
			require.ErrorContains(t, service.Validate(b), c.want)
		})
	}
}

func TestValidateReportsAllProblemsOfTriggersAtOnce(t *testing.T) {
	t.Parallel()
	b := busy()
	b.Queues[0].Key = "orphan"
	depot(&b, "counter").Streams[0].Table = "ghosts"
	depot(&b, "cleaner").Schedules[0].When = "daily"
	err := service.Validate(b)
	for _, want := range []string{
		"queue orphan: no function consumes it", "queue orphan: no function sends to it", `shop-api: queue "jobs" is not declared`,
		`packer: queue "jobs" is not declared`, "stream of ghosts", `"daily" is neither`,
	} {
		require.ErrorContains(t, err, want)
	}
}

// What a person would write for these functions.
func TestStatementsOfTriggers(t *testing.T) {
	t.Parallel()
	got := map[string][]string{}
	for _, r := range service.Matrix(busy()) {
		got[r.Function] = append(got[r.Function], r.Action+" "+r.Resource)
	}
	require.Equal(t, []string{
		"ses:SendEmail email", "sns:Publish push",
		"sqs:ChangeMessageVisibility queue:jobs", "sqs:DeleteMessage queue:jobs", "sqs:GetQueueAttributes queue:jobs",
		"sqs:ReceiveMessage queue:jobs", "sqs:SendMessage queue:jobs",
	}, got["packer"])
	require.Equal(t, []string{
		"dynamodb:ListStreams any", "sqs:SendMessage failures:counter",
		"dynamodb:DescribeStream stream:things", "dynamodb:GetRecords stream:things", "dynamodb:GetShardIterator stream:things",
		"dynamodb:UpdateItem table:things",
	}, got["counter"])
	require.Empty(t, got["cleaner"], "a schedule has a role of its own")
	require.Contains(t, got["shop-api"], "sqs:SendMessage queue:jobs")
	require.NotContains(t, got["shop-api"], "sqs:ReceiveMessage queue:jobs")
}

// Lambda reads queues and streams in a function's name: the function itself neither calls them nor is told of them.
func TestServicesAndEnvironmentAreOfWhatTheFunctionCalls(t *testing.T) {
	t.Parallel()
	b := busy()
	cases := map[string]struct{ services, variables []string }{
		"packer":  {[]string{"ses", "sns", "sqs"}, []string{"EMAIL_FROM", "QUEUE_URL_JOBS"}},
		"counter": {[]string{"dynamodb"}, []string{"TABLE_THINGS"}},
		"cleaner": {nil, nil},
	}
	for key, want := range cases {
		f := *depot(&b, key)
		var names []string
		for _, v := range service.Environment(f) {
			names = append(names, v.Name)
		}
		require.Equal(t, want.variables, names, key)
		require.Equal(t, want.services, service.Services(f), key)
	}
	silent := *depot(&b, "packer")
	silent.Sends, silent.Emails, silent.Pushes = nil, "", ""
	require.Empty(t, service.Environment(silent))
	require.Empty(t, service.Services(silent))
}

func TestWhoReadsWhat(t *testing.T) {
	t.Parallel()
	b := busy()
	require.Equal(t, "packer", b.Consumer("jobs").Key)
	require.Empty(t, b.Consumer("dreams").Key)
	require.True(t, b.Streamed("things"))
	require.False(t, small().Streamed("things"))
	for key, want := range map[string]bool{"packer": false, "counter": true, "cleaner": true} {
		require.Equal(t, want, depot(&b, key).KeepsFailures(), key)
	}
	require.JSONEq(t, `{"schedule":"nightly"}`, service.ScheduleInput("nightly"))
}

func TestAccessDocumentShowsTriggers(t *testing.T) {
	t.Parallel()
	text := service.AccessDocument(busy())
	for _, want := range []string{
		"| packer | queue jobs | Things to pack. From shop-api, packer. |\n",
		"| counter | stream of things | changes that match `{\"eventName\":[\"INSERT\"]}` |\n",
		"| cleaner | schedule nightly, `cron(0 3 * * ? *)` | Sweeps the floor. |\n",
		"| email | ses:SendEmail | Says what was packed. |\n",
		"| push | sns:Publish | Says so at once. |\n",
		"It reaches no network.\n",
	} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, service.AccessDocument(small()), "Triggers")
}
