// Package money reads and writes amounts of money. Inside, an amount is a whole number of its currency's minor unit, so
// that sums are exact; on the wire it is a decimal string, which no JSON parser rounds. There are no floats.
package money

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// What an amount can be wrong in; Parse and Format return no other errors.
var (
	ErrCurrency = errors.New("this is not the code of a currency in ISO 4217")
	ErrFormat   = errors.New("an amount has digits, with an optional minus before and decimals after a dot: -12.50")
	ErrDecimals = errors.New("the amount has more decimals than its currency")
	ErrRange    = errors.New("the amount is too large")
)

// Parse reads a decimal amount as minor units: 12.5 USD is 1250, 12 JPY is 12. It takes exactly the strings
// -?(0|[1-9][0-9]*)(\.[0-9]+)? that have at most the decimals of the currency, zeros included, and minor units within 64
// bits less the smallest, so that every amount can be negated. Minus zero is zero. Errors say which rule failed; they
// repeat nothing of the input.
func Parse(amount, currency string) (int64, error) {
	decimals, ok := Decimals(currency)
	if !ok {
		return 0, ErrCurrency
	}
	digits, negative := strings.CutPrefix(amount, "-")
	whole, fraction, dotted := strings.Cut(digits, ".")
	if !wellFormed(whole, fraction, dotted) {
		return 0, ErrFormat
	}
	if len(fraction) > decimals {
		return 0, ErrDecimals
	}
	minor, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", decimals-len(fraction)), 10, 64)
	if err != nil { // only digits: it can only be out of range
		return 0, ErrRange
	}
	if negative {
		minor = -minor
	}
	return minor, nil
}

func wellFormed(whole, fraction string, dotted bool) bool {
	if whole == "" || len(whole) > 1 && whole[0] == '0' || dotted && fraction == "" {
		return false
	}
	return onlyDigits(whole) && onlyDigits(fraction)
}

func onlyDigits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// Format writes minor units as the decimal amount with all decimals of the currency: 1250 USD is 12.50, 12 JPY is 12.
// Parse reads it back as the same number. The error is ErrCurrency, or ErrRange for the one number that Parse never gives.
func Format(minor int64, currency string) (string, error) {
	decimals, ok := Decimals(currency)
	if !ok {
		return "", ErrCurrency
	}
	if minor == math.MinInt64 {
		return "", ErrRange
	}
	sign := ""
	if minor < 0 {
		sign, minor = "-", -minor
	}
	if decimals == 0 {
		return sign + strconv.FormatInt(minor, 10), nil
	}
	digits := fmt.Sprintf("%0*d", decimals+1, minor)
	return sign + digits[:len(digits)-decimals] + "." + digits[len(digits)-decimals:], nil
}
