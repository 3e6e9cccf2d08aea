package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/deployment"
	"github.com/expenzez/aws-backend/internal/local/events"
)

// sources is what a test shows on the page; it notes what is run.
type sources struct {
	shown events.Status
	ran   []string
}

func (s *sources) Status(context.Context) events.Status { return s.shown }

func (s *sources) Run(_ context.Context, name string) error {
	switch name {
	case "ghost":
		return fmt.Errorf("%w: ghost", events.ErrNoSchedule)
	case "broken":
		return errors.New("consumer: Deliberate")
	}
	s.ran = append(s.ran, name)
	return nil
}

func ask(t *testing.T, h http.Handler, method, path string, change func(*http.Request)) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	r.Host = "127.0.0.1:8081"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, err := io.ReadAll(w.Body)
	require.NoError(t, err)
	return w.Code, string(body)
}

func TestScheduleRunsOverTheStatusServer(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		method, path string
		change       func(*http.Request)
		status       int
		body         string
		ran          []string
	}{
		"runs":                   {http.MethodPost, "/_local/run/nightly", nil, 200, "it ran", []string{"nightly"}},
		"by name":                {http.MethodPost, "/_local/run/nightly", func(r *http.Request) { r.Host = "localhost:8081" }, 200, "it ran", []string{"nightly"}},
		"from the page itself":   {http.MethodPost, "/_local/run/nightly", func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:8081") }, 200, "it ran", []string{"nightly"}},
		"unknown":                {http.MethodPost, "/_local/run/ghost", nil, 404, "no schedule has that name: ghost", nil},
		"fails":                  {http.MethodPost, "/_local/run/broken", nil, 502, "consumer: Deliberate", nil},
		"by a link":              {http.MethodGet, "/_local/run/nightly", nil, 404, "", nil},
		"other host":             {http.MethodPost, "/_local/run/nightly", func(r *http.Request) { r.Host = "evil.example:8081" }, 403, "open it as 127.0.0.1", nil},
		"no port":                {http.MethodPost, "/_local/run/nightly", func(r *http.Request) { r.Host = "127.0.0.1" }, 403, "", nil},
		"another site's page":    {http.MethodPost, "/_local/run/nightly", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403, "only this page itself", nil},
		"another site's fetch":   {http.MethodPost, "/_local/run/nightly", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403, "only this page itself", nil},
		"another port's page":    {http.MethodPost, "/_local/run/nightly", func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:8080") }, 403, "only this page itself", nil},
		"nothing else is posted": {http.MethodPost, "/", nil, 404, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &sources{}
			status, body := ask(t, (&status{resources: &deployment.Deployment{}}).handler("http://127.0.0.1:8080", d), tc.method, tc.path, tc.change)
			require.Equal(t, tc.status, status)
			require.Contains(t, body, tc.body)
			require.Equal(t, tc.ran, d.ran)
		})
	}
}

func TestStatusPageShowsEventSources(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	trouble := events.Trouble{Error: "consumer failed <1> of 2", At: at}
	d := &sources{shown: events.Status{
		Queues:    []events.QueueStatus{{Name: "jobs", Function: "worker", Waiting: 11, InFlight: 12, DeadLetters: 13, Trouble: trouble}, {Name: "failures", DeadLetters: -1}},
		Streams:   []events.StreamStatus{{Name: "orders", Function: "projector", Last: at, Lag: 1234 * time.Millisecond}},
		Schedules: []events.ScheduleStatus{{Name: "nightly", Function: "cleaner", Expression: "rate(1 day)", Last: at, Next: at.Add(24 * time.Hour)}, {Name: "off", Function: "cleaner"}},
	}}
	code, page := ask(t, (&status{resources: &deployment.Deployment{}}).handler("http://127.0.0.1:8080", d), http.MethodGet, "/", nil)
	require.Equal(t, http.StatusOK, code)
	for _, want := range []string{
		"<td>jobs</td><td>worker</td>", ">11<", ">12<", `<td class="n bad">13</td>`, "03:04:05 consumer failed &lt;1&gt; of 2", "<td>failures</td>",
		"<td>orders</td><td>projector</td><td>03:04:05</td>", "1234 ms", "<td>nightly</td><td>cleaner</td>", "rate(1 day)", "2026-01-03 03:04 UTC", "<td>off</td>", "never",
	} {
		require.Contains(t, page, want)
	}
	_, bare := ask(t, (&status{resources: &deployment.Deployment{}}).handler("http://127.0.0.1:8080", &sources{}), http.MethodGet, "/", nil)
	for _, heading := range []string{"<h2>Queues", "<h2>Streams", "<h2>Schedules"} {
		require.Contains(t, page, heading)
		require.False(t, strings.Contains(bare, heading), "nothing deployed, nothing shown")
	}
}
