package local_test

import (
	"archive/zip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/deployment"
	"github.com/expenzez/aws-backend/internal/local"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/stacks"
)

// eventful is a backend with a function for each kind of trigger, and one that sends.
func eventful() service.Backend {
	pong := &service.Model{Name: "Pong", Fields: []service.Field{{Name: "status", Type: service.String, Required: true}}}
	return service.Backend{
		Tables:  []service.Table{{Key: "orders", Hash: "pk"}, {Key: "totals", Hash: "pk"}},
		Secrets: []service.Secret{{Key: "courier", Does: "The courier's key."}},
		Queues:  []service.Queue{{Key: "parcels", Does: "Orders to pack."}},
		Services: []service.Service{
			{Key: "shop", Functions: []service.Function{{
				Key: "shop-api", Does: "Takes orders.", Size: service.SizeAPI, Sends: []string{"parcels"},
				Routes: []service.Route{{ID: "ping", Method: "GET", Path: "/ping", Does: "Answer.", Caller: service.Public("It says nothing."), Status: 200, Response: pong}},
			}}},
			{Key: "depot", Functions: []service.Function{
				{Key: "packer", Does: "Packs orders.", Size: service.SizeQueue, Queues: []string{"parcels"},
					Emails: "Says what is on its way.", Pushes: "Says so at once."},
				{Key: "totals-stream", Does: "Sums orders up.", Size: service.SizeStream,
					Streams: []service.Stream{{Table: "orders", Filters: []string{`{"eventName":["INSERT","REMOVE"]}`}}},
					Tables:  []service.Access{{Table: "totals", Actions: []string{"UpdateItem"}}}},
				{Key: "cleaner", Does: "Forgets old orders.", Size: service.SizeSchedule,
					Schedules: []service.Schedule{{Key: "nightly", Does: "Forgets what is old.", When: "cron(0 3 * * ? *)"}}},
			}},
		},
	}
}

// eventfulOptions are the engine's options for that backend, whose functions are empty programs.
func eventfulOptions(t *testing.T, b service.Backend) local.EngineOptions {
	t.Helper()
	artifacts := t.TempDir()
	for _, f := range b.Functions() {
		file, err := os.Create(filepath.Join(artifacts, f.Key+".zip"))
		require.NoError(t, err)
		w := zip.NewWriter(file)
		header := &zip.FileHeader{Name: "bootstrap"}
		header.SetMode(0o755)
		_, err = w.CreateHeader(header)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		require.NoError(t, file.Close())
	}
	return local.EngineOptions{Dir: t.TempDir(), Program: stacks.Program(b), Config: map[string]any{
		"expenzez:artifacts": artifacts,
		"expenzez:emailFrom": "no-reply@mail.expenzez.example", "expenzez:pushApplications": []string{"APNS/expenzez", "GCM/expenzez"},
	}}
}

func readProject(t *testing.T, environment string) *local.Project {
	t.Helper()
	p, err := local.ReadProject(root, environment, local.HostArchitecture())
	require.NoError(t, err)
	return p
}

func TestTriggersArePreviewedInEveryEnvironment(t *testing.T) {
	b := eventful()
	require.NoError(t, service.Validate(b))
	for _, environment := range stacks.Environments() {
		p := readProject(t, environment)
		d, err := local.Planner(t.Context(), p, eventfulOptions(t, b))
		require.NoError(t, err)
		operations, _, err := d.Preview(t.Context(), io.Discard)
		require.NoError(t, err, environment)
		require.NoError(t, d.Close())
		count := map[string]int{}
		for _, o := range operations {
			require.Equal(t, "create", o.Op, o.URN)
			count[o.Type]++
		}
		require.Equal(t, 4, count["aws:sqs/queue:Queue"], "parcels, its dead letters, and the failures of two functions")
		require.Equal(t, 4, count["aws:sqs/queuePolicy:QueuePolicy"])
		require.Equal(t, 2, count["aws:lambda/eventSourceMapping:EventSourceMapping"])
		require.Equal(t, 1, count["aws:scheduler/schedule:Schedule"])
		keys := map[string]int{"dev": 1}[environment]
		if keys == 0 {
			keys = 4 // data, logs, queues, secrets
		}
		require.Equal(t, keys, count["aws:kms/key:Key"], environment)
	}
}

// What is declared is deployed: as a person would write it, and with the access that the declaration derives.
func TestTriggersAreDeployed(t *testing.T) {
	b, p := eventful(), readProject(t, "staging")
	a := account(t, p)
	d := attach(t, a, eventfulOptions(t, b))
	_, err := d.Up(t.Context(), io.Discard)
	require.NoError(t, err)
	changes, err := d.Up(t.Context(), io.Discard)
	require.NoError(t, err)
	require.False(t, changes.Any(), "the second update does %v", changes)
	changes, err = d.Refresh(t.Context(), io.Discard)
	require.NoError(t, err)
	require.False(t, changes.Any(), "the refresh finds %v", changes)

	export, err := d.Export(t.Context())
	require.NoError(t, err)
	deployed, err := deployment.Parse(export)
	require.NoError(t, err)
	require.Equal(t, declaredRows(b), registeredRows(t, p, b, deployed), "what the engine registered is not what is declared")

	here := ":" + p.Settings.Region + ":" + p.Settings.Account + ":"
	arn := func(service, name string) string { return "arn:aws:" + service + here + name }
	queue := func(name string) *deployment.Resource { return named(t, deployed, "aws:sqs/queue:Queue", name) }
	keys := map[string]string{}
	for _, k := range deployed.ByType("aws:kms/key:Key") {
		keys[k.Text("description")] = k.Text("arn")
	}
	for name, days := range map[string]float64{"parcels": 4, "parcels-dlq": 14, "totals-stream-failures": 14, "cleaner-failures": 14} {
		q := queue(p.Settings.Name(name))
		require.Equal(t, keys["Queues"], q.Text("kmsMasterKeyId"), name)
		retention, _ := q.Number("messageRetentionSeconds")
		require.InDelta(t, days*24*60*60, retention, 0, name)
	}
	seconds, _ := queue(p.Settings.Name("parcels")).Number("visibilityTimeoutSeconds")
	require.InDelta(t, 360, seconds, 0, "six times the minute that packer has")
	require.Contains(t, queue(p.Settings.Name("parcels")).Text("redrivePolicy"), arn("sqs", p.Settings.Name("parcels-dlq")))
	require.True(t, named(t, deployed, "aws:dynamodb/table:Table", p.Settings.Name("orders")).Flag("streamEnabled"))
	require.False(t, named(t, deployed, "aws:dynamodb/table:Table", p.Settings.Name("totals")).Flag("streamEnabled"))

	for function, want := range map[string]struct {
		batch  float64
		source string
	}{"packer": {10, ":sqs:"}, "totals-stream": {100, ":dynamodb:"}} {
		i := slices.IndexFunc(deployed.ByType("aws:lambda/eventSourceMapping:EventSourceMapping"), func(r *deployment.Resource) bool {
			return r.Text("functionName") == arn("lambda", "function:"+p.Settings.Name(function)+":live")
		})
		require.GreaterOrEqual(t, i, 0, function)
		m := deployed.ByType("aws:lambda/eventSourceMapping:EventSourceMapping")[i]
		batch, _ := m.Number("batchSize")
		require.InDelta(t, want.batch, batch, 0, function)
		require.Contains(t, m.Text("eventSourceArn"), want.source)
		if function == "packer" {
			concurrency, _ := m.Number("scalingConfig", "maximumConcurrency")
			require.InDelta(t, 5, concurrency, 0)
			continue
		}
		require.Equal(t, `{"eventName":["INSERT","REMOVE"]}`, m.Text("filterCriteria", "filters", "0", "pattern"))
		require.Equal(t, arn("sqs", p.Settings.Name("totals-stream-failures")), m.Text("destinationConfig", "onFailure", "destinationArn"))
	}

	s := named(t, deployed, "aws:scheduler/schedule:Schedule", p.Settings.Name("cleaner-nightly"))
	require.Equal(t, "cron(0 3 * * ? *)", s.Text("scheduleExpression"))
	require.Equal(t, "UTC", s.Text("scheduleExpressionTimezone"))
	require.JSONEq(t, `{"schedule":"nightly"}`, s.Text("target", "input"))
	require.Equal(t, arn("lambda", "function:"+p.Settings.Name("cleaner")+":live"), s.Text("target", "arn"))
	require.Equal(t, arn("sqs", p.Settings.Name("cleaner-failures")), s.Text("target", "deadLetterConfig", "arn"))
	require.Equal(t, []string{
		"lambda:InvokeFunction " + arn("lambda", "function:"+p.Settings.Name("cleaner")+":live"),
		"sqs:SendMessage " + arn("sqs", p.Settings.Name("cleaner-failures")),
	}, roleActions(t, deployed, s.Text("target", "roleArn")))

	require.Equal(t, map[string]string{
		"shop-api":      "https://sqs." + p.Settings.Region + ".amazonaws.com/" + p.Settings.Account + "/" + p.Settings.Name("parcels"),
		"packer":        "", // Lambda reads the queue, not the function
		"totals-stream": "", "cleaner": "",
	}, variable(deployed, p, "QUEUE_URL_PARCELS"))
	require.Equal(t, map[string]string{"packer": "no-reply@mail.expenzez.example", "shop-api": "", "totals-stream": "", "cleaner": ""},
		variable(deployed, p, "EMAIL_FROM"))
}

// A declaration without triggers gets no queue, no key for one, no mapping and no schedule.
func TestNothingIsDeployedForTriggersThatAreNotDeclared(t *testing.T) {
	b := eventful()
	b.Queues, b.Services = nil, b.Services[:1]
	b.Services[0].Functions[0].Sends = nil
	d, err := local.Planner(t.Context(), readProject(t, "prod"), eventfulOptions(t, b))
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	operations, _, err := d.Preview(t.Context(), io.Discard)
	require.NoError(t, err)
	require.NotEmpty(t, operations)
	for _, o := range operations {
		require.NotContains(t, o.Type, "sqs")
		require.NotContains(t, o.Type, "scheduler")
		require.NotContains(t, o.Type, "eventSourceMapping")
		require.False(t, o.Type == "aws:kms/key:Key" && strings.HasSuffix(o.URN, "::queues"), "a key without use")
	}
}

// A declaration with faults registers nothing, and all faults are told with those of the configuration.
func TestFaultyTriggersAreRefusedBeforeAnythingIsMade(t *testing.T) {
	b := eventful()
	b.Queues = append(b.Queues, service.Queue{Key: "forgotten"})
	o := eventfulOptions(t, b)
	delete(o.Config, "expenzez:emailFrom")
	d, err := local.Planner(t.Context(), readProject(t, "dev"), o)
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	_, _, err = d.Preview(t.Context(), io.Discard)
	require.ErrorContains(t, err, "queue forgotten: no function consumes it")
	require.ErrorContains(t, err, "queue forgotten: no function sends to it")
	require.ErrorContains(t, err, "expenzez:emailFrom is missing")
}

// named is the one resource of a type with that physical name.
func named(t *testing.T, d *deployment.Deployment, resourceType, name string) *deployment.Resource {
	t.Helper()
	for _, r := range d.ByType(resourceType) {
		if r.Text("name") == name {
			return r
		}
	}
	require.Fail(t, "not deployed", "%s %s", resourceType, name)
	return nil
}

// roleActions lists what a role may do to what, sorted, less its use of keys through SQS.
func roleActions(t *testing.T, d *deployment.Deployment, roleARN string) []string {
	t.Helper()
	var all []string
	for _, r := range d.ByType("aws:iam/role:Role") {
		if r.Text("arn") != roleARN {
			continue
		}
		for _, policy := range d.ByType("aws:iam/rolePolicy:RolePolicy") {
			if policy.Text("role") != r.ID {
				continue
			}
			for _, s := range statements(t, policy.Text("policy")) {
				for _, action := range s.Action {
					if strings.HasPrefix(action, "kms:") {
						require.Contains(t, s.Condition["StringEquals"], "kms:ViaService")
						continue
					}
					for _, resource := range s.Resource {
						all = append(all, action+" "+resource)
					}
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// variable is what each function has in one environment variable; empty where it has none.
func variable(d *deployment.Deployment, p *local.Project, name string) map[string]string {
	all := map[string]string{}
	for _, f := range d.ByType("aws:lambda/function:Function") {
		all[strings.TrimPrefix(f.Text("name"), p.Settings.Name(""))] = f.Text("environment", "variables", name)
	}
	return all
}
