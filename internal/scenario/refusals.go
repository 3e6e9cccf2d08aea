package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
)

// refusals provokes what must be refused. The person ben is signed in.
func (r *run) refusals() {
	valid := newTransaction()
	with := func(name string, value any) map[string]any {
		b := maps.Clone(valid)
		b[name] = value
		return b
	}
	create := func(body any) Request {
		return Request{Method: "POST", Path: "/v1/transactions", Token: r.ben.Access, Header: map[string]string{"Idempotency-Key": "scenario-refused-1"}, Body: body}
	}
	typed := create("amount=1")
	typed.Header = map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Idempotency-Key": "scenario-refused-1"}
	keyless := create(valid)
	keyless.Header = nil
	foreign := create(valid)
	foreign.Header = map[string]string{"Idempotency-Key": "scenario-refused-1", "Origin": "https://evil.example"}

	cases := []struct {
		name   string
		send   Request
		status int
		code   string
	}{
		{"broken JSON", create(`{"amount":`), 400, "invalid"},
		{"unknown field", create(with("color", "red")), 400, "invalid"},
		{"missing field", create(map[string]any{"amount": "1"}), 400, "invalid"},
		{"an amount that is a number", create(with("amount", 12.5)), 400, "invalid"},
		{"more decimals than the currency has", create(with("amount", "1.234")), 400, "validation_failed"},
		{"a day that does not exist", create(with("date", "2026-02-30")), 400, "validation_failed"},
		{"a currency that does not exist", create(with("currency", "XXQ")), 400, "validation_failed"},
		{"wrong content type", typed, 415, "unsupported_media_type"},
		{"a description that is too long", create(with("description", strings.Repeat("x", 201))), 400, "invalid"},
		{"too large", create(padded(valid)), 413, "too_large"},
		{"no idempotency key", keyless, 400, "invalid"},
		{"no token", Request{Method: "GET", Path: "/v1/transactions"}, 401, "unauthenticated"},
		{"a token that is none", Request{Method: "GET", Path: "/v1/transactions", Token: "a.b.c"}, 401, "unauthenticated"},
		{"a token with another signature", Request{Method: "GET", Path: "/v1/transactions", Token: forged(r.ben.Access)}, 401, "unauthenticated"},
		{"unknown id", Request{Method: "GET", Path: "/v1/transactions/" + r.transactionID, Token: r.ben.Access}, 404, "not_found"},
		{"id of another form", Request{Method: "GET", Path: "/v1/transactions/1", Token: r.ben.Access}, 404, "not_found"},
		{"unknown route", Request{Method: "GET", Path: "/v1/nothing", Token: r.ben.Access}, 404, "not_found"},
		{"wrong method", Request{Method: "PUT", Path: "/v1/transactions", Token: r.ben.Access, Body: valid}, 404, "not_found"},
		{"broken cursor", Request{Method: "GET", Path: "/v1/transactions?cursor=AAAA", Token: r.ben.Access}, 400, "validation_failed"},
		{"filters that do not go together", Request{Method: "GET", Path: "/v1/transactions?description=x&month=2026-02", Token: r.ben.Access}, 400, "validation_failed"},
		{"an import of nothing", Request{Method: "POST", Path: "/v1/transactions/import", Token: r.ben.Access, Header: map[string]string{"Idempotency-Key": "scenario-refused-2"}, Body: map[string]any{"rows": []any{}}}, 400, "validation_failed"},
		{"a budget of nothing", Request{Method: "POST", Path: "/v1/budgets", Token: r.ben.Access, Header: map[string]string{"Idempotency-Key": "scenario-refused-3"}, Body: map[string]any{"category": "food", "currency": "EUR", "limit": "0"}}, 400, "validation_failed"},
		{"unknown category", Request{Method: "GET", Path: "/v1/categories/nothing", Token: r.ben.Access}, 404, "not_found"},
		{"a page of another origin", foreign, 403, "origin_not_allowed"},
		{"wrong password", Request{Method: "POST", Path: "/v1/auth/login", Body: map[string]any{"email": r.anna.Email, "password": "not the password"}}, 401, "invalid_credentials"},
		{"login of nobody", Request{Method: "POST", Path: "/v1/auth/login", Body: map[string]any{"email": "nobody@expenzez.example", "password": "not the password"}}, 401, "invalid_credentials"},
		{"wrong code", Request{Method: "POST", Path: "/v1/auth/confirm", Body: map[string]any{"email": r.anna.Email, "code": "000000"}}, 400, "validation_failed"},
	}
	for _, c := range cases {
		r.step("refused: "+c.name, func() error { return r.refused(r.bens, c.send, c.status, c.code) })
	}
	r.step("refused: expired token", r.expired)
	r.step("preflight of an allowed origin is answered", func() error { return r.preflight(r.target.Origin, r.target.Origin) })
	r.step("preflight of another origin gets no permission", func() error { return r.preflight("https://evil.example", "") })
	r.step("a page may read the gateway's refusal, without credentials", r.gatewayError)
	r.step("too many logins are refused", r.tooMany)
}

// padded is valid JSON of a valid transaction that is too large all the same.
func padded(transaction map[string]any) string {
	text, _ := json.Marshal(transaction) // strings always marshal
	return string(text) + strings.Repeat(" ", 40_000)
}

func (r *run) expired() error {
	token, err := r.target.Expired(r.ctx)
	if err != nil {
		return err
	}
	return r.refused(r.bens, Request{Method: "GET", Path: "/v1/transactions", Token: token}, 401, "unauthenticated")
}

// forged is the token with the last character of its signature's middle changed.
func forged(token string) string {
	i := len(token) - 20
	other := byte('A')
	if token[i] == other {
		other = 'B'
	}
	return token[:i] + string(other) + token[i+1:]
}

func (r *run) preflight(origin, allowed string) error {
	for _, path := range []string{"/v1/transactions", "/v1/transactions/1", "/v1/auth/login"} {
		a, err := r.bens.Do(r.ctx, Request{Method: "OPTIONS", Path: path, Header: map[string]string{
			"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}})
		if err != nil {
			return err
		}
		if got := a.Header.Get("Access-Control-Allow-Origin"); got != allowed {
			return fmt.Errorf("%s: Access-Control-Allow-Origin is %q, not %q", path, got, allowed)
		}
		if got := a.Header.Get("Access-Control-Allow-Credentials"); (got == "true") != (allowed != "") {
			return fmt.Errorf("%s: Access-Control-Allow-Credentials is %q", path, got)
		}
		if a.Status != 204 {
			return fmt.Errorf("%s: answered %d, not 204", path, a.Status)
		}
	}
	return nil
}

// gatewayError is a refusal that no function made: the page of any origin may read why.
func (r *run) gatewayError() error {
	a, err := r.bens.Do(r.ctx, Request{Method: "GET", Path: "/v1/transactions", Header: map[string]string{"Origin": r.target.Origin}})
	if err := expect(a, err, 401); err != nil {
		return err
	}
	if got := a.Header.Get("Access-Control-Allow-Origin"); got != r.target.Origin {
		return fmt.Errorf("the allowed origin is %q, not %q", got, r.target.Origin)
	}
	if got := a.Header.Get("Access-Control-Allow-Credentials"); got != "" {
		return fmt.Errorf("credentials are allowed: %q", got)
	}
	return nil
}

// tooMany logs in to one account until the limit of five in five minutes refuses.
func (r *run) tooMany() error {
	c, nobody := r.client(), newPerson("crowd")
	login := Request{Method: "POST", Path: "/v1/auth/login", Body: map[string]any{"email": nobody.Email, "password": nobody.Password}}
	for i := range 5 {
		if err := r.refused(c, login, 401, "invalid_credentials"); err != nil {
			return fmt.Errorf("login %d: %w", i+1, err)
		}
	}
	a, err := c.Do(r.ctx, login)
	if err := expect(a, err, 429); err != nil {
		return err
	}
	if a.Header.Get("Retry-After") == "" {
		return errors.New("the refusal has no Retry-After")
	}
	return nil
}
