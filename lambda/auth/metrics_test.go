package auth_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

// What a request found in memory, and what it had to ask for, is in the line that sums it up.
func TestRequestsCountTheirCaches(t *testing.T) {
	t.Parallel()
	w, p := signedIn(t)
	w.restart(t)
	counted := func(m telemetry.Metric) bool { return strings.Contains(w.log.String(), `"`+string(m)+`":`) }
	caches := func() map[telemetry.Cache]bool {
		hits := map[telemetry.Cache]bool{}
		for _, c := range telemetry.Caches() {
			if counted(c.Miss()) {
				hits[c] = false
			} else if counted(c.Hit()) {
				hits[c] = true
			}
		}
		w.log.Reset()
		return hits
	}
	w.log.Reset()
	w.refresh(t, p.RefreshToken)
	require.Equal(t, map[telemetry.Cache]bool{telemetry.SecretCache: false, telemetry.KeysetCache: false}, caches(), "cold")
	w.login(t)
	require.Equal(t, map[telemetry.Cache]bool{telemetry.SecretCache: true, telemetry.KeysetCache: true}, caches(), "warm")
	w.Do(t, "jwks", resttest.Request{})
	require.Equal(t, map[telemetry.Cache]bool{telemetry.PublicKeyCache: false}, caches(), "cold")
	w.Do(t, "jwks", resttest.Request{})
	require.Equal(t, map[telemetry.Cache]bool{telemetry.PublicKeyCache: true}, caches(), "warm")
}
