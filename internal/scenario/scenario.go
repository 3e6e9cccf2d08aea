package scenario

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
)

// Target is a running API.
type Target struct {
	URL     string
	Origin  string                                                  // a web origin that may call
	Code    func(ctx context.Context, email string) (string, error) // the newest confirmation code mailed to an address
	Expired func(ctx context.Context) (string, error)               // an access token of ours that has expired
	From    func(client int) net.IP                                 // the address of the nth client; nil: any
}

// Check is the outcome of one step: Err says what was not as promised.
type Check struct {
	Name string
	Err  error
}

// Run drives the whole scenario, reports each step as it ends, and returns an error that joins every failure. Steps
// that need an earlier one are left out when that failed.
func Run(ctx context.Context, t Target, report func(Check)) error {
	r := &run{ctx: ctx, target: t, report: report}
	r.health()
	if r.journey() {
		r.refusals()
	}
	if len(r.failed) > 0 {
		return fmt.Errorf("%d of %d steps failed:\n%w", len(r.failed), r.steps, errors.Join(r.failed...))
	}
	return nil
}

// Person is somebody with an account, signed in while Access is set.
type Person struct {
	Email, Password string
	Access, Refresh string
}

type run struct {
	ctx     context.Context
	target  Target
	report  func(Check)
	clients int
	steps   int
	failed  []error

	anna, ben     Person
	annas, bens   *Client
	transactionID string
}

// client is a caller from an address of its own.
func (r *run) client() *Client {
	r.clients++
	var from net.IP
	if r.target.From != nil {
		from = r.target.From(r.clients)
	}
	return NewClient(r.target.URL, from)
}

func (r *run) step(name string, do func() error) bool {
	r.steps++
	err := do()
	if err != nil {
		r.failed = append(r.failed, fmt.Errorf("%s: %w", name, err))
	}
	r.report(Check{name, err})
	return err == nil
}

func (r *run) health() {
	r.step("health answers anyone", func() error {
		_, err := r.want(r.client(), Request{Method: "GET", Path: "/v1/health"}, 200)
		return err
	})
	r.step("public keys are published", func() error {
		a, err := r.want(r.client(), Request{Method: "GET", Path: "/.well-known/jwks.json"}, 200)
		if keys, ok := a.Body["keys"].([]any); err == nil && (!ok || len(keys) == 0) {
			return errors.New("there is no key")
		}
		return err
	})
}

// Register makes a confirmed account: what a person does with the app and the mail.
func Register(ctx context.Context, c *Client, p Person, code func(context.Context, string) (string, error)) error {
	a, err := c.Do(ctx, Request{Method: "POST", Path: "/v1/auth/register", Body: map[string]any{"email": p.Email, "password": p.Password}})
	if err := expect(a, err, 202); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	digits, err := code(ctx, p.Email)
	if err != nil {
		return fmt.Errorf("code: %w", err)
	}
	a, err = c.Do(ctx, Request{Method: "POST", Path: "/v1/auth/confirm", Body: map[string]any{"email": p.Email, "code": digits}})
	if err := expect(a, err, 200); err != nil {
		return fmt.Errorf("confirm: %w", err)
	}
	return nil
}

// Login signs a person in.
func Login(ctx context.Context, c *Client, p *Person) error {
	a, err := c.Do(ctx, Request{Method: "POST", Path: "/v1/auth/login", Body: map[string]any{"email": p.Email, "password": p.Password}})
	if err := expect(a, err, 200); err != nil {
		return err
	}
	p.Access, p.Refresh = a.Text("accessToken"), a.Text("refreshToken")
	if p.Access == "" || p.Refresh == "" {
		return errors.New("there are no tokens in the answer")
	}
	return nil
}

// journey is what a person does, in order; it reports whether all of it went well.
func (r *run) journey() bool {
	r.annas, r.bens = r.client(), r.client()
	r.anna, r.ben = newPerson("anna"), newPerson("ben")
	steps := []struct {
		name string
		do   func() error
	}{
		{"register and confirm", func() error { return Register(r.ctx, r.annas, r.anna, r.target.Code) }},
		{"log in", func() error { return Login(r.ctx, r.annas, &r.anna) }},
		{"create a transaction", r.create},
		{"create is repeated without a second transaction", r.createAgain},
		{"list transactions", r.list},
		{"read a transaction", func() error { return r.amountIs("-12.34") }},
		{"change a transaction", r.change},
		{"import transactions", r.imports},
		{"list transactions by amount", func() error { return r.amounts("currency=GBP&minAmount=-5&maxAmount=0", "-4.00", "-5.00") }},
		{"list transactions by description", func() error { return r.amounts("description=TRAIN%20to%20l", "-4.00", "-6.00") }},
		{"name, change and delete a category", r.category},
		{"set and change a budget", r.budget},
		{"read the monthly summaries", r.summaries},
		{"another person registers and logs in", func() error {
			if err := Register(r.ctx, r.bens, r.ben, r.target.Code); err != nil {
				return err
			}
			return Login(r.ctx, r.bens, &r.ben)
		}},
		{"another person sees nothing of it", r.isolation},
		{"delete a transaction", r.remove},
		{"renew the tokens", r.renew},
		{"log out", func() error {
			_, err := r.want(r.annas, Request{Method: "POST", Path: "/v1/auth/logout", Token: r.anna.Access}, 204)
			return err
		}},
		{"the old access token is refused", func() error {
			return r.refused(r.annas, Request{Method: "GET", Path: "/v1/transactions", Token: r.anna.Access}, 401, "session_ended")
		}},
		{"the old refresh token is refused", func() error {
			return r.refused(r.annas, Request{Method: "POST", Path: "/v1/auth/refresh", Body: map[string]any{"refreshToken": r.anna.Refresh}}, 401, "invalid_refresh_token")
		}},
	}
	for _, s := range steps {
		if !r.step(s.name, s.do) {
			return false
		}
	}
	return true
}

const createKey = "scenario-create-0001"

func newTransaction() map[string]any {
	return map[string]any{"amount": "-12.34", "currency": "EUR", "category": "groceries", "date": "2026-01-31", "description": "Bread & butter"}
}

func (r *run) createRequest() Request {
	return Request{Method: "POST", Path: "/v1/transactions", Token: r.anna.Access, Header: map[string]string{"Idempotency-Key": createKey}, Body: newTransaction()}
}

func (r *run) create() error {
	a, err := r.want(r.annas, r.createRequest(), 201)
	r.transactionID = a.Text("id")
	if err == nil && (r.transactionID == "" || a.Text("amount") != "-12.34") {
		return fmt.Errorf("the answer has id %q and amount %q", r.transactionID, a.Text("amount"))
	}
	return err
}

func (r *run) createAgain() error {
	a, err := r.want(r.annas, r.createRequest(), 201)
	if err == nil && (a.Text("id") != r.transactionID || a.Header.Get("Idempotency-Replayed") != "true") {
		return fmt.Errorf("the second answer has id %q, not %q, and Idempotency-Replayed %q", a.Text("id"), r.transactionID, a.Header.Get("Idempotency-Replayed"))
	}
	return err
}

func (r *run) list() error {
	a, err := r.want(r.annas, Request{Method: "GET", Path: "/v1/transactions?month=2026-01&category=groceries", Token: r.anna.Access}, 200)
	if items, ok := a.Body["items"].([]any); err == nil && (!ok || len(items) != 1) {
		return fmt.Errorf("the list has %d transactions, not 1", len(items))
	}
	return err
}

func (r *run) path() string { return "/v1/transactions/" + r.transactionID }

func (r *run) amountIs(want string) error {
	a, err := r.want(r.annas, Request{Method: "GET", Path: r.path(), Token: r.anna.Access}, 200)
	if err == nil && a.Text("amount") != want {
		return fmt.Errorf("the amount is %q, not %q", a.Text("amount"), want)
	}
	return err
}

func (r *run) change() error {
	change := Request{Method: "PATCH", Path: r.path(), Token: r.anna.Access, Body: map[string]any{"version": 1, "amount": "-15"}}
	if _, err := r.want(r.annas, change, 200); err != nil {
		return err
	}
	if err := r.refused(r.annas, change, 409, "version_conflict"); err != nil {
		return fmt.Errorf("the same change again: %w", err)
	}
	return r.amountIs("-15.00")
}

func (r *run) isolation() error {
	for _, q := range []Request{
		{Method: "GET", Path: r.path()},
		{Method: "PATCH", Path: r.path(), Body: map[string]any{"version": 2, "amount": "1"}},
		{Method: "DELETE", Path: r.path()},
		{Method: "GET", Path: "/v1/budgets/transport.GBP"},
		{Method: "PATCH", Path: "/v1/budgets/transport.GBP", Body: map[string]any{"version": 2, "limit": "1"}},
		{Method: "DELETE", Path: "/v1/budgets/transport.GBP"},
	} {
		q.Token = r.ben.Access
		if err := r.refused(r.bens, q, 404, "not_found"); err != nil {
			return fmt.Errorf("%s: %w", q.Method, err)
		}
	}
	a, err := r.want(r.bens, Request{Method: "GET", Path: "/v1/transactions", Token: r.ben.Access}, 200)
	if items, _ := a.Body["items"].([]any); err == nil && len(items) != 0 {
		return fmt.Errorf("the list has %d transactions of somebody else", len(items))
	}
	return err
}

func (r *run) remove() error {
	if _, err := r.want(r.annas, Request{Method: "DELETE", Path: r.path(), Token: r.anna.Access}, 204); err != nil {
		return err
	}
	return r.refused(r.annas, Request{Method: "GET", Path: r.path(), Token: r.anna.Access}, 404, "not_found")
}

func (r *run) renew() error {
	old := r.anna
	a, err := r.want(r.annas, Request{Method: "POST", Path: "/v1/auth/refresh", Body: map[string]any{"refreshToken": old.Refresh}}, 200)
	if err != nil {
		return err
	}
	r.anna.Access, r.anna.Refresh = a.Text("accessToken"), a.Text("refreshToken")
	if r.anna.Refresh == old.Refresh || r.anna.Access == "" {
		return errors.New("the refresh token did not rotate")
	}
	_, err = r.want(r.annas, Request{Method: "GET", Path: "/v1/transactions", Token: r.anna.Access}, 200)
	return err
}

// want sends a request that must succeed with that status.
func (r *run) want(c *Client, q Request, status int) (Answer, error) {
	a, err := c.Do(r.ctx, q)
	return a, expect(a, err, status)
}

func expect(a Answer, err error, status int) error {
	if err == nil && a.Status != status {
		return fmt.Errorf("answered %d %s %s, not %d", a.Status, a.Text("code"), a.Text("detail"), status)
	}
	return err
}

// refused sends a request that must be refused with that status and code, as problem+json.
func (r *run) refused(c *Client, q Request, status int, code string) error {
	a, err := c.Do(r.ctx, q)
	if err := expect(a, err, status); err != nil {
		return err
	}
	if got := a.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/problem+json") {
		return fmt.Errorf("the refusal is %q, not application/problem+json", got)
	}
	if n, ok := a.Body["status"].(float64); !ok || int(n) != status || a.Text("title") == "" {
		return fmt.Errorf("the problem has status %v and title %q", a.Body["status"], a.Text("title"))
	}
	if a.Text("code") != code {
		return fmt.Errorf("the problem's code is %q, not %q", a.Text("code"), code)
	}
	return nil
}

func newPerson(name string) Person {
	random := make([]byte, 8)
	_, _ = rand.Read(random) // never fails (crypto/rand)
	id := hex.EncodeToString(random)
	return Person{Email: name + "-" + id + "@expenzez.example", Password: "Aa1-" + id}
}
