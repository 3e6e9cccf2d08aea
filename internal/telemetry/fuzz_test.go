package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

// shape builds attributes as a program's bytes tell: kinds of values, names, nesting.
type shape struct {
	program []byte
	text    string
	planted string
}

func (s *shape) next() byte {
	if len(s.program) == 0 {
		return 0
	}
	b := s.program[0]
	s.program = s.program[1:]
	return b
}

var names = []string{"x", "error", "request_id", "route", "message", "level", "_aws", "Requests", "", "password", "auth_Token", "credentials", "debug", "g"}

func (s *shape) attr(depth int) slog.Attr {
	key := names[int(s.next())%len(names)]
	if s.next()%8 == 0 {
		key += s.text
	}
	hiding := []string{"password", "email", "refresh_token", "Authorization"}[int(s.next())%4]
	switch s.next() % 14 {
	case 0:
		return slog.Attr{Key: hiding, Value: slog.StringValue(s.planted)}
	case 1:
		return slog.Attr{Key: key, Value: slog.AnyValue(secret.NewValue(s.planted))}
	case 2:
		return slog.Any(key, struct{ X string }{s.planted})
	case 3:
		return slog.Any(key, map[string]any{"x": s.planted})
	case 4:
		return slog.Any(key, []byte(s.planted))
	case 5:
		return slog.Any(key, fmt.Errorf("%s: user %s@example.com: %w", s.text, s.planted, io.EOF))
	case 6:
		return slog.Any(key, []string{s.text, s.planted + "@example.com"})
	case 7:
		return slog.Any(key, telemetry.List{slog.StringValue(s.text), slog.GroupValue(slog.String(hiding, s.planted))})
	case 8:
		return slog.Group(hiding, slog.String(key, s.planted), slog.Group("in", slog.Any(key, errors.New(s.planted))))
	case 9, 10:
		if depth < 12 {
			return slog.Attr{Key: key, Value: slog.GroupValue(s.attr(depth+1), s.attr(depth+1))}
		}
		return slog.String(key, s.text)
	case 11:
		return slog.Any(key, &s.planted)
	case 12:
		return slog.Time(key, time.Unix(int64(s.next())<<24, 0))
	default:
		return slog.String(key, s.text)
	}
}

// No line holds what was planted, and every line is a JSON object, whatever is logged in whatever shape.
func FuzzLines(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}, "text")
	f.Add([]byte{9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 0, 1, 0, 0}, "\"\\\x00\xff\u2028")
	f.Add([]byte{3, 0, 1, 8, 3, 0, 1, 8, 3, 0, 1, 5}, "}{")
	f.Fuzz(func(t *testing.T, program []byte, text string) {
		const planted = "hunter2-hunter2"
		var b bytes.Buffer
		s := &shape{program, text, planted}
		ctx := telemetry.Begin(t.Context(), telemetry.New(&b, telemetry.Options{Function: text}), s.attr(0))
		log := telemetry.From(ctx)
		for len(s.program) > 0 {
			switch s.next() % 8 {
			case 0:
				log = log.WithGroup(names[int(s.next())%len(names)])
			case 1:
				log = log.With(s.attr(0))
			case 2:
				log.Debug(text, s.attr(0))
			case 3:
				log.Error(text, s.attr(0), s.attr(0))
			case 4:
				telemetry.Count(ctx, telemetry.Metrics()[int(s.next())%len(telemetry.Metrics())].Name, float64(s.next()))
			default:
				log.Info(text+" "+planted+"@example.com", s.attr(0))
			}
		}
		telemetry.End(ctx, slog.LevelError, text, s.attr(0))
		require.NotContains(t, b.String(), planted)
		for line := range bytes.Lines(b.Bytes()) {
			require.True(t, json.Valid(line), "%s", line)
			require.Equal(t, byte('{'), line[0])
		}
	})
}

// A text is read back as encoding/json would have written it.
func FuzzStrings(f *testing.F) {
	f.Add("a\"b\\c\n\t\x00\x7f\u2028é😀\xff")
	f.Fuzz(func(t *testing.T, s string) {
		s = telemetry.Text(s)
		want, err := json.Marshal(s)
		require.NoError(t, err)
		var a, b string
		require.NoError(t, json.Unmarshal(want, &a))
		require.NoError(t, json.Unmarshal(telemetry.Encode(slog.StringValue(s)), &b))
		require.Equal(t, a, b)
	})
}

// The metrics of a line are valid whatever was counted.
func FuzzMetrics(f *testing.F) {
	f.Add("auth", "auth-api", []byte{0, 1, 2}, 1.5)
	f.Add("", "\xff\"", []byte{255}, -1e300)
	f.Add(strings.Repeat("@ ", 32), strings.Repeat("\xff", 64), []byte{0}, 1.0)
	f.Fuzz(func(t *testing.T, service, function string, which []byte, value float64) {
		line := requestLine(t, telemetry.Options{Service: service, Function: function}, func(count func(telemetry.Metric, float64)) {
			for _, i := range which {
				count(telemetry.Metrics()[int(i)%len(telemetry.Metrics())].Name, value)
			}
		})
		require.True(t, json.Valid(line))
		if bytes.Contains(line, []byte(`"_aws":`)) && len(service) <= 64 && len(function) <= 64 { // redacted, they are longer
			validEMF(t, line)
		}
	})
}
