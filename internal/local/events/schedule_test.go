package events

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/stretchr/testify/require"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/expenzez/aws-backend/internal/local/lambda"
)

// deadLetters keeps what is sent to it.
type deadLetters struct {
	bodies     []string
	attributes []map[string]string
	broken     error
}

func (d *deadLetters) SendMessage(_ context.Context, in *sqs.SendMessageInput, _ ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	if d.broken != nil {
		return nil, d.broken
	}
	all := map[string]string{}
	for name, a := range in.MessageAttributes {
		all[name] = sdk.ToString(a.StringValue)
	}
	d.bodies, d.attributes = append(d.bodies, sdk.ToString(in.MessageBody)), append(d.attributes, all)
	return &sqs.SendMessageOutput{}, nil
}

// onTime is a dispatcher of one schedule; it is not started. In a synctest bubble its clock begins at midnight UTC of 2000-01-01.
func onTime(t *testing.T, change m, f *consumer) (*Dispatcher, *deadLetters) {
	t.Helper()
	cfg := nowhere(t)
	cfg.Deployment, cfg.Invoke = deployed(deployedQueue("failures", ""), deployedSchedule(change)), f.invoke
	d, err := New(cfg)
	require.NoError(t, err)
	dead := &deadLetters{}
	d.schedules[0].out = dead
	return d, dead
}

// clocks is when the function was called, in UTC.
func clocks(f *consumer) []string {
	var all []string
	for _, at := range f.at {
		all = append(all, at.UTC().Format("02 15:04"))
	}
	return all
}

func TestSchedulesKeepTheirTimes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change m
		days   int
		want   []string
	}{
		"rate begins at once":    {m{"scheduleExpression": "rate(10 hours)"}, 1, []string{"01 00:00", "01 10:00", "01 20:00"}},
		"cron":                   {m{"scheduleExpression": "cron(30 6,18 * * ? *)"}, 2, []string{"01 06:30", "01 18:30", "02 06:30", "02 18:30"}},
		"cron in a time zone":    {m{"scheduleExpression": "cron(0 3 * * ? *)", "scheduleExpressionTimezone": "America/New_York"}, 2, []string{"01 08:00", "02 08:00"}},
		"once":                   {m{"scheduleExpression": "at(2000-01-01T12:34:00)"}, 3, []string{"01 12:34"}},
		"once in a time zone":    {m{"scheduleExpression": "at(2000-01-02T00:00:00)", "scheduleExpressionTimezone": "Asia/Tokyo"}, 3, []string{"01 15:00"}},
		"once in the past":       {m{"scheduleExpression": "at(1999-01-01T12:34:00)"}, 3, nil},
		"disabled":               {m{"state": "DISABLED"}, 1, nil},
		"no time zone and state": {m{"scheduleExpression": "cron(0 3 * * ? *)", "scheduleExpressionTimezone": nil, "state": nil}, 1, []string{"01 03:00"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &consumer{}
				d, dead := onTime(t, tc.change, f)
				d.Start()
				time.Sleep(time.Duration(tc.days)*24*time.Hour - time.Minute)
				require.NoError(t, d.Close())
				require.Equal(t, tc.want, clocks(f))
				require.Empty(t, dead.bodies)
				for _, p := range f.calls() {
					require.Equal(t, `{"task":"sweep"}`, p)
				}
			})
		})
	}
}

func TestInputHasTheSchedulersWords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &consumer{answer: func(_ context.Context, call int, _ string) (lambda.Result, error) {
			if call == 1 {
				return lambda.Result{}, errors.New("deliberate")
			}
			return fine()
		}}
		d, _ := onTime(t, m{"scheduleExpression": "at(2000-01-01T01:00:00)", "target": m{
			"input": `{"a":"<aws.scheduler.schedule-arn>","t":"<aws.scheduler.scheduled-time>","n":"<aws.scheduler.attempt-number>","id":"<aws.scheduler.execution-id>"}`,
		}}, f)
		d.Start()
		time.Sleep(2 * time.Hour)
		require.NoError(t, d.Close())
		require.Len(t, f.calls(), 2)
		var first, second map[string]string
		require.NoError(t, json.Unmarshal([]byte(f.calls()[0]), &first))
		require.NoError(t, json.Unmarshal([]byte(f.calls()[1]), &second))
		require.NotEmpty(t, first["id"])
		require.Equal(t, map[string]string{"a": scheduleARN, "t": "2000-01-01T01:00:00Z", "n": "1", "id": first["id"]}, first)
		require.Equal(t, map[string]string{"a": scheduleARN, "t": "2000-01-01T01:00:00Z", "n": "2", "id": first["id"]}, second)
	})
}

// What becomes of an event that cannot be given to Lambda, and of one whose function fails.
func TestScheduleFailures(t *testing.T) {
	t.Parallel()
	always := func(err error) func(context.Context, int, string) (lambda.Result, error) {
		return func(context.Context, int, string) (lambda.Result, error) { return lambda.Result{}, err }
	}
	failing := func(times int) func(context.Context, int, string) (lambda.Result, error) {
		return func(_ context.Context, call int, _ string) (lambda.Result, error) {
			if call <= times {
				return broken()
			}
			return fine()
		}
	}
	policy := func(attempts, age float64) m {
		return m{"retryPolicy": m{"maximumRetryAttempts": attempts, "maximumEventAgeInSeconds": age}}
	}
	for name, tc := range map[string]struct {
		target    m
		answer    func(context.Context, int, string) (lambda.Result, error)
		calls     int
		condition string // of the dead letter; "none": there is no dead letter
		code      string
		retries   string
		last      time.Duration // of the last call after the first
	}{
		"retries are used up":     {policy(3, 86400), always(errors.New("deliberate")), 4, "MaximumRetryAttempts", "ServiceException", "3", 7 * time.Second},
		"no retries":              {policy(0, 60), always(errors.New("deliberate")), 1, "MaximumRetryAttempts", "ServiceException", "0", 0},
		"too old":                 {policy(185, 60), always(errors.New("deliberate")), 7, "MaximumEventAgeInSeconds", "ServiceException", "6", 63 * time.Second},
		"no such function":        {policy(3, 86400), always(lambda.ErrNotFound), 1, "", "ResourceNotFoundException", "0", 0},
		"too large":               {policy(3, 86400), always(lambda.ErrTooLarge), 1, "", "RequestTooLargeException", "0", 0},
		"function fails for good": {policy(185, 86400), failing(99), 3, "none", "", "", 3 * time.Minute},
		"function fails once":     {policy(0, 60), failing(1), 2, "none", "", "", time.Minute},
		"throttled for good":      {policy(0, 60), always(lambda.ErrThrottled), 80, "none", "", "", 6 * time.Hour},
		"nowhere to bury":         {m{"deadLetterConfig": nil, "retryPolicy": m{"maximumRetryAttempts": 0.0}}, always(errors.New("deliberate")), 1, "none", "", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &consumer{answer: tc.answer}
				target := with(m{"deadLetterConfig": m{"arn": queueARN("failures")}}, tc.target)
				d, dead := onTime(t, m{"scheduleExpression": "at(2000-01-01T01:00:00)", "target": target}, f)
				d.Start()
				time.Sleep(8 * time.Hour)
				require.NoError(t, d.Close())
				require.InDelta(t, tc.calls, len(f.calls()), float64(tc.calls/20))
				require.InDelta(t, tc.last.Seconds(), f.at[len(f.at)-1].Sub(f.at[0]).Seconds(), 1+tc.last.Seconds()/60)
				if tc.condition == "none" {
					require.Empty(t, dead.bodies)
					return
				}
				require.Len(t, dead.bodies, 1)
				require.JSONEq(t, `{"FunctionName":"`+arns+`consumer:live","InvocationType":"Event","Payload":"{\"task\":\"sweep\"}"}`, dead.bodies[0])
				got := dead.attributes[0]
				require.NotEmpty(t, got["EXECUTION_ID"])
				require.NotEmpty(t, got["ERROR_MESSAGE"])
				delete(got, "EXECUTION_ID")
				delete(got, "ERROR_MESSAGE")
				want := map[string]string{
					"ERROR_CODE": tc.code, "IS_PAYLOAD_TRUNCATED": "false", "RETRY_ATTEMPTS": tc.retries, "SCHEDULED_TIME": "2000-01-01T01:00:00Z",
					"SCHEDULE_ARN": scheduleARN, "TARGET_ARN": arns + "consumer:live",
				}
				if tc.condition != "" {
					want["EXHAUSTED_RETRY_CONDITION"] = tc.condition
				}
				require.Equal(t, want, got)
			})
		})
	}
}

func TestDeadLetterArrivesByTheSchedulesRole(t *testing.T) {
	t.Parallel()
	c := cloud(t)
	dead, deadQueue := makeQueue(t, c, "60", "", 0)
	f := &consumer{answer: func(context.Context, int, string) (lambda.Result, error) { return lambda.Result{}, lambda.ErrNotFound }}
	running(t, c, deployed(deadQueue, deployedSchedule(m{"target": m{"deadLetterConfig": m{"arn": queueARN(dead)}}})), f)
	var letters []types.Message
	eventually(t, "the dead letter arrives", func() bool {
		letters = append(letters, receive(t, c, dead)...)
		return len(letters) == 1
	})
	require.Equal(t, "ResourceNotFoundException", sdk.ToString(letters[0].MessageAttributes["ERROR_CODE"].StringValue))
	found := false
	for _, call := range theCloud.front.Calls() {
		found = found || call.Service == "sqs" && call.Principal == scheduler
	}
	require.True(t, found, "it was not sent with the credentials of the schedule's role")
}

func TestRunNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &consumer{answer: func(_ context.Context, call int, _ string) (lambda.Result, error) {
			switch call {
			case 1:
				return fine()
			case 2:
				return broken()
			}
			return lambda.Result{}, lambda.ErrThrottled
		}}
		d, dead := onTime(t, m{"state": "DISABLED", "target": m{"deadLetterConfig": m{"arn": queueARN("failures")}}}, f)
		require.NoError(t, d.Run(t.Context(), "nightly"), "a disabled schedule runs by hand")
		require.Equal(t, time.Now(), d.Status(t.Context()).Schedules[0].Last)
		err := d.Run(t.Context(), "nightly")
		require.ErrorContains(t, err, "consumer: Deliberate")
		require.NotContains(t, err.Error(), "secret words")
		require.ErrorIs(t, d.Run(t.Context(), "nightly"), lambda.ErrThrottled)
		require.ErrorIs(t, d.Run(t.Context(), "daily"), ErrNoSchedule)
		require.Len(t, f.calls(), 3, "nothing is tried again")
		require.Empty(t, dead.bodies)
		s := d.Status(t.Context()).Schedules[0]
		require.Equal(t, "nightly", s.Name)
		require.True(t, s.Next.IsZero())
		require.Contains(t, s.Error, "by hand")
		require.NoError(t, d.Close())
	})
}

func TestSlowScheduledRunsDoNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &consumer{answer: func(ctx context.Context, _ int, _ string) (lambda.Result, error) {
			select {
			case <-time.After(14 * time.Minute):
				return fine()
			case <-ctx.Done():
				return lambda.Result{}, ctx.Err()
			}
		}}
		d, dead := onTime(t, m{"scheduleExpression": "rate(1 minute)"}, f)
		d.Start()
		time.Sleep(10*time.Minute + time.Second)
		start := time.Now()
		require.NoError(t, d.Close())
		require.Equal(t, grace, time.Since(start))
		require.Len(t, f.calls(), 11)
		require.Empty(t, dead.bodies, "what was broken off is no failure")
	})
}

func TestTimetables(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		expression, zone, after string
		want                    []string
	}{
		"every day":                  {"cron(0 3 * * ? *)", "UTC", "2026-02-28T03:00:00Z", []string{"2026-03-01T03:00:00Z", "2026-03-02T03:00:00Z"}},
		"just before":                {"cron(0 3 * * ? *)", "UTC", "2026-02-28T02:59:59Z", []string{"2026-02-28T03:00:00Z"}},
		"step":                       {"cron(*/20 9 * * ? *)", "UTC", "2026-01-01T09:10:00Z", []string{"2026-01-01T09:20:00Z", "2026-01-01T09:40:00Z", "2026-01-02T09:00:00Z"}},
		"step from a value":          {"cron(50/5 9 * * ? *)", "UTC", "2026-01-01T00:00:00Z", []string{"2026-01-01T09:50:00Z", "2026-01-01T09:55:00Z", "2026-01-02T09:50:00Z"}},
		"step in a range":            {"cron(0 8-12/2 * * ? *)", "UTC", "2026-01-01T08:00:00Z", []string{"2026-01-01T10:00:00Z", "2026-01-01T12:00:00Z", "2026-01-02T08:00:00Z"}},
		"weekdays by name":           {"cron(0 9 ? * MON-FRI *)", "UTC", "2026-01-02T10:00:00Z", []string{"2026-01-05T09:00:00Z", "2026-01-06T09:00:00Z"}},
		"weekdays by number":         {"cron(0 9 ? * 2,7 *)", "UTC", "2026-01-02T10:00:00Z", []string{"2026-01-03T09:00:00Z", "2026-01-05T09:00:00Z"}},
		"last day":                   {"cron(0 0 L * ? *)", "UTC", "2028-01-31T00:00:00Z", []string{"2028-02-29T00:00:00Z", "2028-03-31T00:00:00Z"}},
		"weekday nearest, Saturday":  {"cron(0 0 15W 8 ? 2026)", "UTC", "2026-01-01T00:00:00Z", []string{"2026-08-14T00:00:00Z", ""}},
		"weekday nearest, Sunday":    {"cron(0 0 15W 2 ? 2026)", "UTC", "2026-01-01T00:00:00Z", []string{"2026-02-16T00:00:00Z", ""}},
		"weekday nearest to the 1st": {"cron(0 0 1W 8 ? 2026)", "UTC", "2026-01-01T00:00:00Z", []string{"2026-08-03T00:00:00Z", ""}},
		"weekday nearest to the end": {"cron(0 0 31W 5 ? 2026)", "UTC", "2026-01-01T00:00:00Z", []string{"2026-05-29T00:00:00Z", ""}},
		"last Friday":                {"cron(0 0 ? * 6L *)", "UTC", "2026-01-01T00:00:00Z", []string{"2026-01-30T00:00:00Z", "2026-02-27T00:00:00Z"}},
		"last is Saturday":           {"cron(0 0 ? * L *)", "UTC", "2026-01-01T00:00:00Z", []string{"2026-01-03T00:00:00Z"}},
		"second Tuesday":             {"cron(0 0 ? * 3#2 *)", "UTC", "2026-01-01T00:00:00Z", []string{"2026-01-13T00:00:00Z", "2026-02-10T00:00:00Z"}},
		"fifth Monday":               {"cron(0 0 ? * MON#5 *)", "UTC", "2026-01-01T00:00:00Z", []string{"2026-03-30T00:00:00Z"}},
		"leap day":                   {"cron(0 0 29 2 ? *)", "UTC", "2026-01-01T00:00:00Z", []string{"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
		"months and years":           {"cron(0 0 1 JAN,jul ? 2027-2028)", "UTC", "2026-01-01T00:00:00Z", []string{"2027-01-01T00:00:00Z", "2027-07-01T00:00:00Z", "2028-01-01T00:00:00Z", "2028-07-01T00:00:00Z", ""}},
		"never":                      {"cron(0 0 30 2 ? *)", "UTC", "2026-01-01T00:00:00Z", []string{""}},
		"clocks go forward":          {"cron(30 2 * * ? *)", "Europe/Berlin", "2026-03-28T00:00:00Z", []string{"2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z"}},
		"clocks go back":             {"cron(30 2 * * ? *)", "Europe/Berlin", "2026-10-24T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		"clocks go back, each hour":  {"cron(0 * * * ? *)", "Europe/Berlin", "2026-10-24T23:30:00Z", []string{"2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"}},
		"clocks go back half":        {"cron(45 1 * * ? *)", "Australia/Lord_Howe", "2026-04-04T12:00:00Z", []string{"2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"}},
		"rate over a change of time": {"rate(1 day)", "Europe/Berlin", "2026-03-28T00:00:00Z", []string{"2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			after, err := time.Parse(time.RFC3339, tc.after)
			require.NoError(t, err)
			table, err := parseTimetable(tc.expression, tc.zone, after)
			require.NoError(t, err)
			for _, want := range tc.want {
				got := table.next(after)
				if want == "" {
					require.True(t, got.IsZero(), got)
					continue
				}
				require.Equal(t, want, got.UTC().Format(time.RFC3339))
				after = got
			}
		})
	}
}

func TestTimetablesRefuse(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		"every day": "is not known here", "rate(0 minutes)": "is not known here", "rate(5 seconds)": "is not known here", "rate(1 hour) ": "is not known here",
		"at(2026-02-30T00:00:00)": "out of range", "cron(0 3 * * ?)": "is not known here",
		"cron(0 3 * * * *)": "exactly one of day-of-month and day-of-week is ?", "cron(0 3 ? * ? *)": "exactly one of",
		"cron(60 3 * * ? *)": `minutes: "60" is not a value from 0 to 59`, "cron(0 24 * * ? *)": "hours", "cron(0 3 32 * ? *)": `day "32"`, "cron(0 3 0 * ? *)": `day "0"`,
		"cron(0 3 * 13 ? *)": "month", "cron(0 3 * * ? 1969)": "year", "cron(0 3 ? * 8 *)": `day "8"`, "cron(0 3 ? * 2#6 *)": `day "2#6"`, "cron(0 3 ? * FOO *)": `day "FOO"`,
		"cron(5-1 3 * * ? *)": "is not a value from 5 to 59", "cron(*/0 3 * * ? *)": "minutes", "cron(*-5 3 * * ? *)": "minutes", "cron(,1 3 * * ? *)": "minutes",
		"cron(+1 3 * * ? *)": "minutes", "cron(0 3 L-3 * ? *)": `day "L-3"`, "cron(0 3 XW * ? *)": `day "XW"`, "cron(61 25 * * ? *)": "hours",
	} {
		_, err := parseTimetable(expression, "UTC", time.Now())
		require.ErrorContains(t, err, want, expression)
	}
	for _, zone := range []string{"Mars/Olympus", "Local", "../etc"} {
		_, err := parseTimetable("rate(1 hour)", zone, time.Now())
		require.ErrorContains(t, err, "is not known here", zone)
	}
}

func FuzzTimetable(f *testing.F) {
	for _, seed := range []string{"rate(1 hour)", "cron(0/5 8-17 ? * MON-FRI *)", "cron(0 0 L * ? *)", "cron(0 0 ? * 2#1 2026)", "cron(0 0 15W 1,2 ? *)", "at(2026-01-01T00:00:00)"} {
		f.Add(seed)
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, expression string) {
		table, err := parseTimetable(expression, "Europe/London", start)
		if err != nil {
			return
		}
		after := start
		for range 3 {
			next := table.next(after)
			if next.IsZero() {
				return
			}
			if !next.After(after) || (strings.HasPrefix(expression, "cron") && next.Second() != 0) {
				t.Fatalf("%s: %v after %v", expression, next, after)
			}
			after = next
		}
	})
}
