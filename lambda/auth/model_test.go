package auth

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/rest/resttest"
)

// The Go types of bodies and the declared models say the same, in both directions.
func TestBodiesAreAsDeclared(t *testing.T) {
	t.Parallel()
	bodies := map[string]struct{ request, response any }{
		"register": {registration{}, accepted{}}, "confirm": {confirmation{}, accepted{}}, "resend": {resending{}, accepted{}},
		"login": {credentials{}, tokens{}}, "refresh": {renewal{}, tokens{}}, "logout": {}, "jwks": {nil, publicKeys{}}, "health": {nil, healthy{}},
	}
	f, ok := catalog.Auth().Function("auth-api")
	require.True(t, ok)
	require.Len(t, bodies, len(f.Routes))
	for _, r := range f.Routes {
		b, ok := bodies[r.ID]
		require.True(t, ok, r.ID)
		require.Equal(t, r.Request == nil, b.request == nil, r.ID)
		require.Equal(t, r.Response == nil, b.response == nil, r.ID)
		if r.Request != nil {
			resttest.Conforms(t, r.Request, reflect.TypeOf(b.request))
		}
		if r.Response != nil {
			resttest.Conforms(t, r.Response, reflect.TypeOf(b.response))
		}
	}
}
