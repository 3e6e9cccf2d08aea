package local

import (
	"context"
	"errors"
	"html/template"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/expenzez/aws-backend/internal/deployment"
	"github.com/expenzez/aws-backend/internal/local/aws"
	"github.com/expenzez/aws-backend/internal/local/events"
	"github.com/expenzez/aws-backend/internal/local/gateway"
)

// kept is how many of each kind of event the status page shows.
const kept = 200

// status collects what the status page shows. It is safe for concurrent use once the API is served.
type status struct {
	resources *deployment.Deployment

	mu       sync.Mutex
	requests []gateway.RequestLog
	logs     []logLine
	mails    []aws.Mail
}

type logLine struct {
	At             time.Time
	Function, Line string
}

func newStatus() *status { return &status{} }

func (s *status) request(r gateway.RequestLog) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = newest(s.requests, r)
}

func (s *status) log(function, line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs = newest(s.logs, logLine{time.Now(), function, line})
}

func (s *status) mail(m aws.Mail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = newest(s.mails, m)
}

// newest puts x first and forgets what is too old to be shown.
func newest[T any](list []T, x T) []T {
	list = append([]T{x}, list...)
	return list[:min(len(list), kept)]
}

type statusView struct {
	API       string
	Requests  []gateway.RequestLog
	Logs      []logLine
	Mails     []aws.Mail
	Events    events.Status
	Resources []deployment.Resource
}

// dispatcher is what the page shows of event sources, and by which it runs schedules.
type dispatcher interface {
	Status(ctx context.Context) events.Status
	Run(ctx context.Context, schedule string) error
}

// runPath is where a POST runs a schedule at once: /_local/run/<name>.
const runPath = "/_local/run/"

// handler serves the page, and runs schedules. Only this machine's names are accepted as host, so that no web page can
// read it through a name of its own that points here (DNS rebinding); and no other site's page can make a browser post.
func (s *status) handler(api string, d dispatcher) http.Handler {
	sameSite := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil || (host != "127.0.0.1" && host != "localhost") {
			http.Error(w, "this page is for this machine: open it as 127.0.0.1", http.StatusForbidden)
			return
		}
		if err := sameSite.Check(r); err != nil {
			http.Error(w, "only this page itself may do that", http.StatusForbidden)
			return
		}
		if name, ok := strings.CutPrefix(r.URL.Path, runPath); ok && r.Method == http.MethodPost {
			run(w, r, d, name)
			return
		}
		if r.URL.Path != "/" || r.Method != http.MethodGet {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		if err := statusPage().Execute(w, s.view(api, d.Status(r.Context()))); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
}

// run answers when the function has: 200, 404 for an unknown schedule, or 502 with why it failed.
func run(w http.ResponseWriter, r *http.Request, d dispatcher, name string) {
	switch err := d.Run(r.Context(), name); {
	case errors.Is(err, events.ErrNoSchedule):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadGateway)
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "it ran\n") // a caller that left wants no answer
	}
}

func (s *status) view(api string, sources events.Status) statusView {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := statusView{API: api, Requests: s.requests, Logs: s.logs, Mails: s.mails, Events: sources}
	for _, r := range s.resources.Resources {
		if r.Custom && r.ID != "" {
			v.Resources = append(v.Resources, r)
		}
	}
	return v
}

// short is the name of a function of which the gateway knows the ARN of the alias.
func short(arn string) string {
	_, name, _ := strings.Cut(arn, ":function:")
	name, _, _ = strings.Cut(name, ":")
	return name
}

// clock is a time of today, "never" for none.
func clock(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Format("15:04:05")
}

func statusPage() *template.Template {
	return template.Must(template.New("status").Funcs(template.FuncMap{"short": short, "clock": clock}).Parse(`{{define "trouble"}}{{if .Error}}<span class="bad">{{.At.Format "15:04:05"}} {{.Error}}</span>{{end}}{{end}}<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5"><meta name="viewport" content="width=device-width">
<title>Expenzez on this machine</title>
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #888; --good: #2a8a4a; --bad: #c33 }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem } h2 small, .soft { color: var(--soft); font-weight: normal }
table { border-collapse: collapse; width: 100%; font-size: .87rem } th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
td.n { text-align: right; font-variant-numeric: tabular-nums } code, pre { font: .84rem ui-monospace, monospace } td:first-child, td code { white-space: nowrap } pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere }
.good { color: var(--good) } .bad { color: var(--bad) } details { margin-top: 2rem } summary { cursor: pointer; font-weight: 600 } .scroll { overflow-x: auto }
</style></head><body>
<h1>Expenzez on this machine</h1>
<p>The API is at <code>{{.API}}</code>. <span class="soft">Nothing here is on AWS; everything is gone when the local cloud stops.</span></p>

<h2>Mails <small>codes arrive here instead of in a mailbox</small></h2>
{{if .Mails}}<div class="scroll"><table><tr><th>at</th><th>to</th><th>subject</th><th>text</th></tr>
{{range .Mails}}<tr><td>{{.At.Format "15:04:05"}}</td><td>{{.To}}</td><td>{{.Subject}}</td><td>{{.Body}}</td></tr>{{end}}</table></div>{{else}}<p class="soft">None yet.</p>{{end}}

<h2>Requests <small>newest first</small></h2>
{{if .Requests}}<div class="scroll"><table><tr><th>at</th><th>request</th><th>status</th><th>took</th><th>function</th><th>id</th></tr>
{{range .Requests}}<tr><td>{{.Time.Format "15:04:05"}}</td><td><code>{{.Method}} {{.Path}}</code></td><td class="{{if lt .Status 400}}good{{else}}bad{{end}}">{{.Status}}</td><td class="n">{{.Duration.Milliseconds}} ms</td><td>{{short .Function}}{{if .Cold}} <span class="soft">cold start</span>{{end}}</td><td class="soft"><code>{{.RequestID}}</code></td></tr>{{end}}</table></div>{{else}}<p class="soft">None yet.</p>{{end}}

{{with .Events}}{{if .Queues}}<h2>Queues</h2>
<div class="scroll"><table><tr><th>queue</th><th>read by</th><th>waiting</th><th>in flight</th><th>dead letters</th><th>last trouble</th></tr>
{{range .Queues}}<tr><td>{{.Name}}</td><td>{{.Function}}</td><td class="n">{{.Waiting}}</td><td class="n">{{.InFlight}}</td><td class="n{{if gt .DeadLetters 0}} bad{{end}}">{{if ge .DeadLetters 0}}{{.DeadLetters}}{{end}}</td><td>{{template "trouble" .Trouble}}</td></tr>{{end}}</table></div>{{end}}
{{if .Streams}}<h2>Streams</h2>
<div class="scroll"><table><tr><th>table</th><th>read by</th><th>last batch</th><th>lag</th><th>last trouble</th></tr>
{{range .Streams}}<tr><td>{{.Name}}</td><td>{{.Function}}</td><td>{{clock .Last}}</td><td class="n">{{.Lag.Milliseconds}} ms</td><td>{{template "trouble" .Trouble}}</td></tr>{{end}}</table></div>{{end}}
{{if .Schedules}}<h2>Schedules <small>run one now: curl -X POST http://127.0.0.1:PORT/_local/run/NAME, with the port of this page</small></h2>
<div class="scroll"><table><tr><th>schedule</th><th>runs</th><th>when</th><th>last run</th><th>next run</th><th>last trouble</th></tr>
{{range .Schedules}}<tr><td>{{.Name}}</td><td>{{.Function}}</td><td><code>{{.Expression}}</code></td><td>{{clock .Last}}</td><td>{{if .Next.IsZero}}never{{else}}{{.Next.Format "2006-01-02 15:04 MST"}}{{end}}</td><td>{{template "trouble" .Trouble}}</td></tr>{{end}}</table></div>{{end}}{{end}}

<h2>Logs <small>what the functions wrote, newest first</small></h2>
{{if .Logs}}<div class="scroll"><table>
{{range .Logs}}<tr><td>{{.At.Format "15:04:05"}}</td><td>{{.Function}}</td><td><pre>{{.Line}}</pre></td></tr>{{end}}</table></div>{{else}}<p class="soft">None yet.</p>{{end}}

<details><summary>{{len .Resources}} resources are deployed</summary><div class="scroll"><table><tr><th>name</th><th>type</th><th>id</th></tr>
{{range .Resources}}<tr><td>{{.Name}}</td><td>{{.Type}}</td><td><code>{{.ID}}</code></td></tr>{{end}}</table></div></details>
</body></html>
`))
}
