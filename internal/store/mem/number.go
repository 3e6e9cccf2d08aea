package mem

import (
	"math/big"
	"strconv"
	"strings"
)

// number is coef × 10^exp without trailing zeros in coef, so that equal numbers are equal values. DynamoDB keeps 38
// significant digits and magnitudes from 1E-130 to 9.99E+125 (DynamoDB guide, "Supported data types", Number).
type number struct {
	coef *big.Int
	exp  int
}

const (
	numberDigits = 38
	numberMost   = 125
	numberLeast  = -130
)

// parseNumber reads what DynamoDB accepts as a number; otherwise the error is DynamoDB's.
func parseNumber(s string) (number, error) {
	mantissa, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		e, err := strconv.Atoi(s[i+1:])
		if err != nil || e > 1000 || e < -1000 {
			return number{}, notNumeric(s)
		}
		mantissa, exponent = s[:i], e
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole, "+-") + fraction
	if digits == "" || len(whole)-len(strings.TrimLeft(whole, "+-")) > 1 || strings.Trim(digits, "0123456789") != "" {
		return number{}, notNumeric(s)
	}
	coef, _ := new(big.Int).SetString(digits, 10)
	if strings.HasPrefix(whole, "-") {
		coef.Neg(coef)
	}
	return number{coef, exponent - len(fraction)}.checked()
}

func notNumeric(s string) error {
	return invalid("The parameter cannot be converted to a numeric value: %s", s)
}

// checked brings n to its one form and refuses what DynamoDB cannot hold.
func (n number) checked() (number, error) {
	if n.coef.Sign() == 0 {
		return number{new(big.Int), 0}, nil
	}
	text := n.coef.Text(10)
	trimmed := strings.TrimRight(text, "0")
	n.exp += len(text) - len(trimmed)
	n.coef, _ = new(big.Int).SetString(trimmed, 10)
	digits := len(strings.TrimPrefix(trimmed, "-"))
	switch magnitude := digits + n.exp - 1; {
	case digits > numberDigits:
		return number{}, invalid("Attempting to store more than 38 significant digits in a Number")
	case magnitude > numberMost:
		return number{}, invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
	case magnitude < numberLeast:
		return number{}, invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")
	}
	return n, nil
}

// String is the plain decimal form, without exponent, as DynamoDB returns it.
func (n number) String() string {
	text := n.coef.Text(10)
	if n.exp >= 0 {
		return text + strings.Repeat("0", n.exp)
	}
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "-", text[1:]
	}
	if missing := 1 - n.exp - len(text); missing > 0 {
		text = strings.Repeat("0", missing) + text
	}
	point := len(text) + n.exp
	return sign + text[:point] + "." + text[point:]
}

func (n number) add(m number) (number, error) {
	a, b := aligned(n, m)
	return number{a.Add(a, b), min(n.exp, m.exp)}.checked()
}

func (n number) negated() number {
	return number{new(big.Int).Neg(n.coef), n.exp}
}

func (n number) compare(m number) int {
	a, b := aligned(n, m)
	return a.Cmp(b)
}

// aligned gives both coefficients for the smaller exponent.
func aligned(n, m number) (a, b *big.Int) {
	scale := func(n number, exp int) *big.Int {
		factor := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n.exp-exp)), nil)
		return factor.Mul(factor, n.coef)
	}
	exp := min(n.exp, m.exp)
	return scale(n, exp), scale(m, exp)
}
