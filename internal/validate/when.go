package validate

import "time"

// Codes of a fault in a time.
const (
	CodeTime = "time"
	CodeDate = "date"
)

// Time reads an instant (RFC 3339 §5.6, date-time) and gives it in UTC. code is empty, or CodeTime for what is not one.
// What time.Parse lets through beyond the RFC is refused: a comma before the fraction, an hour of one digit, an offset of
// 24 hours. So is what the RFC permits and we could not keep: T and Z in lower case, a leap second, more than nine
// digits of a fraction, a year that is beyond 0000 to 9999 in UTC.
func Time(s string) (t time.Time, code string) {
	const clock = "0000-00-00T00:00:00"
	if len(s) <= len(clock) || !shaped(s[:len(clock)], clock) || !fractionAndZone(s[len(clock):]) {
		return time.Time{}, CodeTime
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if t = t.UTC(); err != nil || t.Year() < 0 || t.Year() > 9999 {
		return time.Time{}, CodeTime
	}
	return t, ""
}

// Date reads a day of the calendar (RFC 3339 §5.6, full-date) and gives its first instant in UTC. code is empty, or
// CodeDate for what is not one. A day has one spelling.
func Date(s string) (t time.Time, code string) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return time.Time{}, CodeDate
	}
	return t, ""
}

// fractionAndZone takes what follows the seconds.
func fractionAndZone(s string) bool {
	if s[0] == '.' {
		n := 1
		for digitAt(s, n) {
			n++
		}
		if n == 1 || n > 10 {
			return false
		}
		s = s[n:]
	}
	if s == "Z" {
		return true
	}
	return (shaped(s, "+00:00") || shaped(s, "-00:00")) && s[1:3] <= "23" && s[4:] <= "59"
}

// shaped tells whether a text is like the shape, in which 0 stands for any digit.
func shaped(s, shape string) bool {
	if len(s) != len(shape) {
		return false
	}
	for i := range len(shape) {
		if shape[i] == '0' && !digitAt(s, i) || shape[i] != '0' && s[i] != shape[i] {
			return false
		}
	}
	return true
}
