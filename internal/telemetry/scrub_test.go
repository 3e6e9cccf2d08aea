package telemetry_test

import (
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/telemetry"
)

const refresh = "Zk3vQ9xLm2Tq8RbW5nYc1HdJ7sUe4GpA6oXiKfVt0Bw" // 32 bytes in base64url, as ours are

func TestText(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ in, want string }{
		"empty":              {"", ""},
		"blank":              {"  ", "  "},
		"plain":              {"store: get: no such table", "store: get: no such table"},
		"mail":               {"no ada@example.com here", "no [redacted] here"},
		"mail_encoded":       {"GET /x?u=ada%40example.com failed", "GET [redacted] failed"},
		"mail_at_line_end":   {"to\tada@example.com\nnext", "to\t[redacted]\nnext"},
		"mail_in_json":       {`{"email":"ada@example.com","x":1}`, "[redacted]"},
		"jwt":                {"bad eyJhbGciOiJF.eyJzdWIi.sig", "bad [redacted]"},
		"refresh":            {"cookie was " + refresh + ".", "cookie was [redacted]"},
		"bearer":             {"Authorization: Bearer " + refresh, "Authorization: Bearer [redacted]"},
		"model_key":          {"key sk-proj-" + refresh + " refused", "key [redacted] refused"},
		"phone":              {"call +447911123456 now", "call [redacted] now"},
		"phone_spaced":       {"call +44 7911 123 456 now", "call [redacted] now"},
		"phone_punctuated":   {"call (+44) 7911-123456", "call [redacted]"},
		"phone_dots":         {"tel:+44.7911.123456;ext=1 x", "[redacted] x"},
		"phone_national":     {"call 07911 123456 now", "call [redacted] now"},
		"phone_then_number":  {"call 07911123456 42 times", "call [redacted] 42 times"},
		"phone_brackets":     {"call (020) 7946 0958", "call [redacted]"},
		"phone_quoted":       {`user "+447911123456" exists`, "user [redacted] exists"},
		"time_zone":          {"2026-03-01T12:00:00+01:00 late", "2026-03-01T12:00:00+01:00 late"},
		"account":            {"arn:aws:dynamodb:eu-west-2:123456789012:table/expenzez-dev-users", "arn:aws:dynamodb:eu-west-2:123456789012:table/expenzez-dev-users"},
		"uuid":               {"6f1c2f6e-0000-4000-8000-000000000001", "6f1c2f6e-0000-4000-8000-000000000001"},
		"trace":              {"1-5759e988-bd862e3fe1be46a994272793", "1-5759e988-bd862e3fe1be46a994272793"},
		"aws_request":        {"RequestID: 9V5QKJ2N1M0PRSTUVWXYZABCDEFGHJKLMNPQRSTUVWXYZ0123456", "RequestID: 9V5QKJ2N1M0PRSTUVWXYZABCDEFGHJKLMNPQRSTUVWXYZ0123456"},
		"fraction":           {"0.0123456789", "0.0123456789"},
		"milliseconds":       {"1785000000123", "1785000000123"},
		"sum":                {"1 + 2 = 3", "1 + 2 = 3"},
		"path":               {"github.com/aws/aws-sdk-go-v2/service/dynamodb/api_op_GetItem.go:42", "github.com/aws/aws-sdk-go-v2/service/dynamodb/api_op_GetItem.go:42"},
		"all_hidden":         {"a@b c@d", "[redacted] [redacted]"},
		"long_then_mail":     {strings.Repeat("a ", telemetry.MaxField) + "a@b", strings.Repeat("a ", telemetry.MaxField/2) + "…"},
		"mail_across_limit":  {strings.Repeat("a", telemetry.MaxField-3) + " ada@example.com", strings.Repeat("a", telemetry.MaxField-3) + " [r…"},
		"token_across_limit": {strings.Repeat("a", telemetry.MaxField-9) + " " + refresh, strings.Repeat("a", telemetry.MaxField-9) + " [redacte…"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, telemetry.Text(c.in))
		})
	}
}

func TestPrivateNamesHoweverTheyAreSpelled(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"password", "PASSWORD", "new-password", "pass_word", "p.a.s.s.w.o.r.d", "userEmail", "e-mail", "e_mail_1", "toKen", "to\u212aen",
		"Phone Number", "x-api-key", "api/key", "BirthDate", "body", "iban", "firstName"} {
		got := line(t, func(l *slog.Logger) { l.Info("m", key, "hunter2") })
		require.NotContains(t, strings.Join(values(got), " "), "hunter2", key)
	}
	for _, key := range []string{"pass", "status", "words", "e", "", "mail_sent", "épée"} {
		got := line(t, func(l *slog.Logger) { l.Info("m", key, "fine") })
		require.Contains(t, values(got), "fine", key)
	}
}

func values(m map[string]any) []string {
	var all []string
	for _, v := range m {
		if s, ok := v.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

func TestNamesAreCleanedToo(t *testing.T) {
	t.Parallel()
	got := line(t, func(l *slog.Logger) { l.Info("m", "ada@example.com", 1, refresh, 2) })
	for key := range got {
		require.NotContains(t, key, "ada")
		require.NotContains(t, key, refresh)
	}
}

func FuzzText(f *testing.F) {
	f.Add("call ", " now")
	f.Add("", "")
	f.Add("+", "0")
	f.Add("eyJ", "%4")
	f.Add("\xff", "\xff")
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, planted := range []string{"ada@example.com", "ada%40example.com", "eyJhbGciOi.eyJzdWIi.c2ln", "+447911123456", refresh} {
			got := telemetry.Text(before + planted + after)
			require.NotContains(t, got, planted)
			require.LessOrEqual(t, len(got), telemetry.MaxField+len("…"))
			if utf8.ValidString(before + after) {
				require.True(t, utf8.ValidString(got))
			}
		}
	})
}
