package ratelimit

import (
	"fmt"
	"math"
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

// verdict joins the results. A refusal needs no other answer; to admit, all are needed.
func (l *Limiter) verdict(checks []check, results []result) (rest.Verdict, error) {
	var wait time.Duration
	var failed error
	refused := false
	for i, r := range results {
		switch {
		case r.err != nil:
			failed = r.err
		case !r.allowed:
			refused = true
			wait = max(wait, checks[i].until(r.room, checks[i].now))
		}
	}
	if failed != nil && !refused {
		return rest.Verdict{}, failed
	}
	v := rest.Verdict{Allowed: !refused, Headers: headers(checks, results)}
	if refused { // up to a fifth later, so that callers refused together do not come back together
		v.RetryAfter = wait + time.Duration(0.2*l.o.Random()*float64(wait))
	}
	return v, nil
}

// headers tells, for each class, the limit with its window, and how many requests are left and in how many seconds there
// will be more.
func headers(checks []check, results []result) map[string]string {
	var policies, limits []string
	for i, c := range checks {
		r := results[i]
		if r.err != nil {
			continue
		}
		left := int64(0)
		if r.allowed {
			left = int64(c.Max) - r.counted
		}
		policies = append(policies, fmt.Sprintf("%q;q=%d;w=%d", c.class, c.Max, seconds(c.Per)))
		limits = append(limits, fmt.Sprintf("%q;r=%d;t=%d", c.class, left, seconds(c.until(r.room, c.now))))
	}
	if len(policies) == 0 {
		return nil
	}
	return map[string]string{policyField: strings.Join(policies, ", "), limitField: strings.Join(limits, ", ")}
}

// seconds rounds up: to come too early would be refused.
func seconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }
