package money_test

import (
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/expenzez/aws-backend/internal/money"
)

func TestParseAndFormat(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		amount, currency string
		minor            int64
		canonical        string // as Format writes it; empty: as it came
	}{
		"all_decimals":        {"12.50", "USD", 1250, ""},
		"one_decimal":         {"12.5", "USD", 1250, "12.50"},
		"no_decimals":         {"12", "EUR", 1200, "12.00"},
		"negative":            {"-0.01", "GBP", -1, ""},
		"zero":                {"0", "USD", 0, "0.00"},
		"minus_zero":          {"-0.00", "USD", 0, "0.00"},
		"yen_has_none":        {"-150", "JPY", -150, ""},
		"dinar_has_three":     {"1.005", "KWD", 1005, ""},
		"below_one":           {"0.005", "BHD", 5, ""},
		"unidad_has_four":     {"38000.1234", "CLF", 380001234, ""},
		"largest":             {"92233720368547758.07", "USD", math.MaxInt64, ""},
		"smallest":            {"-92233720368547758.07", "USD", -math.MaxInt64, ""},
		"largest_without":     {"9223372036854775807", "JPY", math.MaxInt64, ""},
		"not_a_binary_number": {"0.29", "USD", 29, ""}, // 0.29 × 100 is 28.999… in a float
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			minor, err := money.Parse(c.amount, c.currency)
			require.NoError(t, err)
			require.Equal(t, c.minor, minor)
			if c.canonical == "" {
				c.canonical = c.amount
			}
			text, err := money.Format(minor, c.currency)
			require.NoError(t, err)
			require.Equal(t, c.canonical, text)
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		amount, currency string
		want             error
	}{
		"empty":               {"", "USD", money.ErrFormat},
		"only_minus":          {"-", "USD", money.ErrFormat},
		"only_dot":            {".", "USD", money.ErrFormat},
		"nothing_before_dot":  {".50", "USD", money.ErrFormat},
		"nothing_after_dot":   {"1.", "USD", money.ErrFormat},
		"nothing_after_yen":   {"1.", "JPY", money.ErrFormat},
		"two_dots":            {"1.2.3", "BHD", money.ErrFormat},
		"plus":                {"+1", "USD", money.ErrFormat},
		"two_minus":           {"--1", "USD", money.ErrFormat},
		"minus_after_dot":     {"1.-5", "USD", money.ErrFormat},
		"leading_zero":        {"01.00", "USD", money.ErrFormat},
		"two_zeros":           {"00", "JPY", money.ErrFormat},
		"space":               {" 1", "USD", money.ErrFormat},
		"newline":             {"1\n", "USD", money.ErrFormat},
		"comma":               {"1,50", "EUR", money.ErrFormat},
		"thousands":           {"1,000.00", "USD", money.ErrFormat},
		"exponent":            {"1e3", "USD", money.ErrFormat},
		"hexadecimal":         {"0x10", "USD", money.ErrFormat},
		"underscore":          {"1_000", "USD", money.ErrFormat},
		"not_a_number":        {"NaN", "USD", money.ErrFormat},
		"infinite":            {"Inf", "USD", money.ErrFormat},
		"other_digits":        {"١٢", "USD", money.ErrFormat},
		"null_byte":           {"1\x00", "USD", money.ErrFormat},
		"third_decimal":       {"1.005", "USD", money.ErrDecimals},
		"third_decimal_zero":  {"1.500", "USD", money.ErrDecimals},
		"decimals_of_yen":     {"1.0", "JPY", money.ErrDecimals},
		"fifth_decimal":       {"1.00001", "CLF", money.ErrDecimals},
		"one_too_large":       {"92233720368547758.08", "USD", money.ErrRange},
		"one_too_small":       {"-92233720368547758.08", "USD", money.ErrRange},
		"large_by_its_scale":  {"9223372036854775807", "USD", money.ErrRange},
		"very_large":          {strings.Repeat("9", 400), "JPY", money.ErrRange},
		"currency_empty":      {"1", "", money.ErrCurrency},
		"currency_lower_case": {"1", "usd", money.ErrCurrency},
		"currency_unknown":    {"1", "ABC", money.ErrCurrency},
		"currency_withdrawn":  {"1", "HRK", money.ErrCurrency},
		"no_minor_unit":       {"1", "XAU", money.ErrCurrency},
		"for_tests_only":      {"1", "XTS", money.ErrCurrency},
		"no_currency":         {"1", "XXX", money.ErrCurrency},
		"two_codes":           {"1", "USDEUR", money.ErrCurrency},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := money.Parse(c.amount, c.currency)
			require.ErrorIs(t, err, c.want)
		})
	}
}

func TestFormatRefuses(t *testing.T) {
	t.Parallel()
	_, err := money.Format(1, "usd")
	require.ErrorIs(t, err, money.ErrCurrency)
	_, err = money.Format(math.MinInt64, "USD")
	require.ErrorIs(t, err, money.ErrRange, "it has no positive counterpart")
}

// Whatever minor units Format writes, Parse reads back.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		minor := rapid.Int64Range(-math.MaxInt64, math.MaxInt64).Draw(t, "minor")
		currency := rapid.SampledFrom([]string{"JPY", "USD", "KWD", "UYW"}).Draw(t, "currency")
		text, err := money.Format(minor, currency)
		if err != nil {
			t.Fatal(err)
		}
		back, err := money.Parse(text, currency)
		if err != nil || back != minor {
			t.Fatalf("%d %s is %s, which is %d, %v", minor, currency, text, back, err)
		}
	})
}

// The list has as many codes as list one has with a minor unit, and each is counted once: currencies that are easy to get
// wrong are named.
func TestDecimals(t *testing.T) {
	t.Parallel()
	count := map[int]int{}
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			for c := 'A'; c <= 'Z'; c++ {
				if n, ok := money.Decimals(string([]rune{a, b, c})); ok {
					count[n]++
				}
			}
		}
	}
	require.Equal(t, map[int]int{0: 17, 2: 139, 3: 7, 4: 2}, count)
	for currency, want := range map[string]int{"ISK": 0, "UGX": 0, "XPF": 0, "HUF": 2, "MGA": 2, "MRU": 2, "COP": 2, "TND": 3, "IQD": 3, "UYW": 4} {
		got, ok := money.Decimals(currency)
		require.True(t, ok, currency)
		require.Equal(t, want, got, currency)
	}
}

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

// FuzzParse holds Parse against the documented form, and what it takes against a round trip.
func FuzzParse(f *testing.F) {
	for _, amount := range []string{"0", "-0", "12.50", "1.", ".5", "1.005", "92233720368547758.08", "1e3", "١", "-"} {
		f.Add(amount, "USD")
	}
	f.Add("9223372036854775807", "JPY")
	f.Add("1.2345", "CLF")
	f.Fuzz(func(t *testing.T, amount, currency string) {
		minor, err := money.Parse(amount, currency)
		if err != nil {
			require.Zero(t, minor)
			return
		}
		require.Regexp(t, decimal, amount)
		text, err := money.Format(minor, currency)
		require.NoError(t, err)
		again, err := money.Parse(text, currency)
		require.NoError(t, err)
		require.Equal(t, minor, again)
		want, _, _ := strings.Cut(strings.TrimPrefix(amount, "-"), ".")
		got, _, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
		require.Equal(t, want, got, "the whole units stay")
	})
}
