package events

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// timetable tells when a schedule runs.
type timetable interface {
	// next is the first time after another; the zero time when there is none.
	next(after time.Time) time.Time
}

var (
	ratePattern = regexp.MustCompile(`^rate\(([1-9]\d{0,5}) (minute|hour|day)s?\)$`)
	cronPattern = regexp.MustCompile(`^cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)$`)
	atPattern   = regexp.MustCompile(`^at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)$`)
)

// parseTimetable reads rate(…), cron(…) or at(…) (EventBridge Scheduler User Guide, "Schedule types"). A rate begins
// at once, since without a start date AWS begins when the schedule is made; start is that time.
func parseTimetable(expression, zone string, start time.Time) (timetable, error) {
	location, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return nil, fmt.Errorf("the time zone %q is not known here", zone)
	}
	if m := ratePattern.FindStringSubmatch(expression); m != nil {
		n, _ := strconv.Atoi(m[1]) // digits by the pattern
		unit := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[m[2]]
		return rate{start, time.Duration(n) * unit}, nil
	}
	if m := atPattern.FindStringSubmatch(expression); m != nil {
		t, err := time.ParseInLocation("2006-01-02T15:04:05", m[1], location)
		return at(t), err
	}
	if m := cronPattern.FindStringSubmatch(expression); m != nil {
		return parseCron(m[1:], location)
	}
	return nil, fmt.Errorf("the expression %q is not known here: rate(…), cron(…) and at(…) are", expression)
}

type at time.Time

func (a at) next(after time.Time) time.Time {
	if t := time.Time(a); t.After(after) {
		return t
	}
	return time.Time{}
}

type rate struct {
	start time.Time
	every time.Duration
}

func (r rate) next(after time.Time) time.Time {
	if after.Before(r.start) {
		return r.start
	}
	return r.start.Add((after.Sub(r.start)/r.every + 1) * r.every)
}

// cron is a parsed expression. A day matches by date or by weekday, whichever the expression gives.
type cron struct {
	zone                         *time.Location
	minutes, hours, months, year []bool // by value
	day                          []func(time.Time) bool
}

const (
	firstYear = 1970
	lastYear  = 2199
)

var (
	monthNames = strings.Fields("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC")
	dayNames   = strings.Fields("SUN MON TUE WED THU FRI SAT")
)

func parseCron(fields []string, zone *time.Location) (timetable, error) {
	c := cron{zone: zone}
	var problems []error
	set := func(name, field string, least, most int, names []string) []bool {
		s, err := parseSet(field, least, most, names)
		if err != nil {
			problems = append(problems, fmt.Errorf("cron: %s: %w", name, err))
		}
		return s
	}
	c.minutes, c.hours = set("minutes", fields[0], 0, 59, nil), set("hours", fields[1], 0, 23, nil)
	c.months, c.year = set("month", fields[3], 1, 12, monthNames), set("year", fields[5], firstYear, lastYear, nil)
	date, weekday := fields[2], fields[4]
	if (date == "?") == (weekday == "?") {
		problems = append(problems, errors.New("cron: exactly one of day-of-month and day-of-week is ?"))
	}
	parse, field := parseDate, date
	if date == "?" {
		parse, field = parseWeekday, weekday
	}
	for item := range strings.SplitSeq(field, ",") {
		matches, err := parse(item)
		if err != nil {
			problems = append(problems, fmt.Errorf("cron: day %q: %w", item, err))
		}
		c.day = append(c.day, matches)
	}
	return c, errors.Join(problems...)
}

// parseSet reads lists of values, ranges, steps and the asterisk.
func parseSet(field string, least, most int, names []string) ([]bool, error) {
	set := make([]bool, most+1)
	for item := range strings.SplitSeq(field, ",") {
		span, stepText, stepped := strings.Cut(item, "/")
		fromText, toText, ranged := strings.Cut(span, "-")
		from, to, step := least, most, 1
		var err error
		if fromText != "*" || ranged {
			if from, err = number(fromText, least, most, names); err != nil {
				return set, err
			}
			if to = from; stepped {
				to = most
			}
		}
		if ranged {
			if to, err = number(toText, from, most, names); err != nil {
				return set, err
			}
		}
		if stepped {
			if step, err = number(stepText, 1, most, nil); err != nil {
				return set, err
			}
		}
		for v := from; v <= to; v += step {
			set[v] = true
		}
	}
	return set, nil
}

// number reads a value between two bounds, or the name of one.
func number(text string, least, most int, names []string) (int, error) {
	if i := slices.Index(names, strings.ToUpper(text)); i >= 0 {
		text = strconv.Itoa(i + 1)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most || text[0] == '+' {
		return least, fmt.Errorf("%q is not a value from %d to %d", text, least, most)
	}
	return n, nil
}

// parseDate reads one item of day-of-month: L is the last day, 15W the weekday nearest to the 15th.
func parseDate(item string) (func(time.Time) bool, error) {
	if item == "L" {
		return func(t time.Time) bool { return t.Day() == lastDay(t) }, nil
	}
	if text, ok := strings.CutSuffix(item, "W"); ok {
		day, err := number(text, 1, 31, nil)
		return func(t time.Time) bool { return t.Day() == nearestWeekday(t, day) }, err
	}
	set, err := parseSet(item, 1, 31, nil)
	return func(t time.Time) bool { return set[t.Day()] }, err
}

// parseWeekday reads one item of day-of-week: 5L is the last Thursday, 3#2 the second Tuesday; L alone is Saturday.
func parseWeekday(item string) (func(time.Time) bool, error) {
	if item == "L" {
		item = "7"
	}
	if text, ok := strings.CutSuffix(item, "L"); ok {
		day, err := number(text, 1, 7, dayNames)
		return func(t time.Time) bool { return weekday(t) == day && t.Day() > lastDay(t)-7 }, err
	}
	if text, nth, ok := strings.Cut(item, "#"); ok {
		day, err := number(text, 1, 7, dayNames)
		n, nthErr := number(nth, 1, 5, nil)
		return func(t time.Time) bool { return weekday(t) == day && (t.Day()+6)/7 == n }, errors.Join(err, nthErr)
	}
	set, err := parseSet(item, 1, 7, dayNames)
	return func(t time.Time) bool { return set[weekday(t)] }, err
}

func weekday(t time.Time) int { return int(t.Weekday()) + 1 }

func lastDay(t time.Time) int {
	return time.Date(t.Year(), t.Month()+1, 0, 12, 0, 0, 0, time.UTC).Day()
}

// nearestWeekday is Monday to Friday nearest to a day, in the same month; 0 when the month has no such day.
func nearestWeekday(t time.Time, day int) int {
	last := lastDay(t)
	if day > last {
		return 0
	}
	switch time.Date(t.Year(), t.Month(), day, 12, 0, 0, 0, time.UTC).Weekday() {
	case time.Saturday:
		if day == 1 {
			return 3
		}
		return day - 1
	case time.Sunday:
		if day == last {
			return day - 2
		}
		return day + 1
	}
	return day
}

// next looks day by day. A time that does not exist, since clocks go forward, is left out; one that exists twice runs
// at the first (page "Schedule types", daylight savings time).
func (c cron) next(after time.Time) time.Time {
	local := after.In(c.zone)
	for day := time.Date(local.Year(), local.Month(), local.Day(), 12, 0, 0, 0, time.UTC); day.Year() <= lastYear; day = day.AddDate(0, 0, 1) {
		if !c.runsOn(day) {
			continue
		}
		for hour, on := range c.hours {
			for minute := 0; on && minute < len(c.minutes); minute++ {
				if !c.minutes[minute] {
					continue
				}
				if t := c.first(day, hour, minute); t.After(after) {
					return t
				}
			}
		}
	}
	return time.Time{}
}

func (c cron) runsOn(day time.Time) bool {
	return day.Year() >= firstYear && c.year[day.Year()] && c.months[day.Month()] &&
		slices.ContainsFunc(c.day, func(matches func(time.Time) bool) bool { return matches(day) })
}

// first is the first instant that clocks show a time of a day; the zero time when they never do.
func (c cron) first(day time.Time, hour, minute int) time.Time {
	t := time.Date(day.Year(), day.Month(), day.Day(), hour, minute, 0, 0, c.zone)
	if t.Hour() != hour || t.Minute() != minute {
		return time.Time{}
	}
	for _, shift := range []time.Duration{time.Hour, 30 * time.Minute} { // what zones go back by
		if earlier := t.Add(-shift); earlier.Hour() == hour && earlier.Minute() == minute {
			return earlier
		}
	}
	return t
}
