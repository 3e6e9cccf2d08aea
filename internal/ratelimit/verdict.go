package ratelimit

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/expenzez/aws-backend/internal/rest"
)

// The fields that tell a caller about its limits (draft-ietf-httpapi-ratelimit-headers-10, §3 and §4). Retry-After is
// rest's to write.
const (
	policyField = "RateLimit-Policy"
	limitField  = "RateLimit"
)

// admitted tells whether all of a group was.
func (a answer) admitted() bool {
	return a.token != rest.TokenEnded && !slices.ContainsFunc(a.results, func(r result) bool { return r.err != nil || !r.allowed })
}

// verdict joins the answers. A refusal needs no other answer; to admit, all are needed.
func (l *Limiter) verdict(groups []group, answers []answer) (rest.Verdict, error) {
	var wait time.Duration
	var failed error
	v := rest.Verdict{Allowed: true, Headers: headers(groups, answers)}
	for i, g := range groups {
		a := answers[i]
		v.Token = max(v.Token, a.token)
		v.Allowed = v.Allowed && a.token != rest.TokenEnded
		for j, c := range g.checks {
			switch r := a.results[j]; {
			case r.err != nil:
				failed = r.err
			case !r.allowed:
				v.Allowed = false
				wait = max(wait, c.until(r.room, g.now))
			}
		}
	}
	if failed != nil && v.Allowed {
		return rest.Verdict{Token: v.Token, RetryAfter: time.Second + time.Duration(2*l.o.Random()*float64(time.Second))}, failed
	}
	if wait > 0 { // up to a fifth later, so that callers refused together do not come back together
		v.RetryAfter = wait + time.Duration(0.2*l.o.Random()*float64(wait))
	}
	return v, nil
}

// headers tells, for each class, the limit with its window, and how many requests are left and in how many seconds there
// will be more.
func headers(groups []group, answers []answer) map[string]string {
	var policies, limits []string
	for i, g := range groups {
		for j, c := range g.checks {
			r := answers[i].results[j]
			if r.err != nil {
				continue
			}
			left, most := int64(0), c.Max
			if r.local {
				most = c.own
			}
			if r.allowed {
				left = max(int64(most)-r.counted, 0)
			}
			policies = append(policies, fmt.Sprintf("%q;q=%d;w=%d", c.class, c.Max, seconds(c.Per)))
			limits = append(limits, fmt.Sprintf("%q;r=%d;t=%d", c.class, left, seconds(c.until(r.room, g.now))))
		}
	}
	if len(policies) == 0 {
		return nil
	}
	return map[string]string{policyField: strings.Join(policies, ", "), limitField: strings.Join(limits, ", ")}
}
