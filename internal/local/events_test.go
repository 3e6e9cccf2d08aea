package local_test

import (
	"archive/zip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/components"
	"github.com/expenzez/aws-backend/internal/deployment"
	"github.com/expenzez/aws-backend/internal/local"
	"github.com/expenzez/aws-backend/internal/local/engine"
	"github.com/expenzez/aws-backend/internal/local/events"
	"github.com/expenzez/aws-backend/internal/local/lambda"
	"github.com/expenzez/aws-backend/internal/local/provider"
)

// consumerZip builds testdata/consumer as a deployment package.
func consumerZip(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "bootstrap"), "./testdata/consumer")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	file, err := os.Create(filepath.Join(dir, "consumer.zip"))
	require.NoError(t, err)
	archive := zip.NewWriter(file)
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Store}
	header.SetMode(0o755)
	to, err := archive.CreateHeader(header)
	require.NoError(t, err)
	from, err := os.Open(filepath.Join(dir, "bootstrap"))
	require.NoError(t, err)
	defer func() { require.NoError(t, from.Close()) }()
	_, err = io.Copy(to, from)
	require.NoError(t, err)
	require.NoError(t, archive.Close())
	require.NoError(t, file.Close())
	return file.Name()
}

// consumerProgram is a function with a queue, a stream and a schedule, of the components that every program uses.
func consumerProgram(p *local.Project, zip string) pulumi.RunFunc {
	place := components.Place{Account: p.Settings.Account, Region: p.Settings.Region}
	return func(ctx *pulumi.Context) error {
		key, err := components.NewEncryptionKey(ctx, "data", &components.EncryptionKeyArgs{
			Place: place, Alias: "events/data", Description: "Everything of this test", LogGroups: []string{"/aws/lambda/*"}, AllowDestroy: true,
		})
		if err != nil {
			return err
		}
		jobs, err := components.NewQueue(ctx, "jobs", &components.QueueArgs{Place: place, Name: "jobs", Key: key.ARN(), VisibilityTimeoutSeconds: 60})
		if err != nil {
			return err
		}
		failures, err := components.NewQueue(ctx, "failures", &components.QueueArgs{Place: place, Name: "failures", Key: key.ARN(), VisibilityTimeoutSeconds: 60, NoDeadLetter: true})
		if err != nil {
			return err
		}
		orders, err := components.NewEncryptedTable(ctx, "orders", &components.EncryptedTableArgs{
			Place: place, Name: "orders", Key: key.ARN(), HashKey: components.TableKey{Name: "pk"}, Stream: "NEW_AND_OLD_IMAGES", AllowDestroy: true,
		})
		if err != nil {
			return err
		}
		_, err = components.NewLambdaFunction(ctx, "consumer", &components.LambdaFunctionArgs{
			Place: place, Name: "consumer", Description: "Tells what it gets", Code: zip, Architecture: string(local.HostArchitecture()),
			MemoryMB: 128, TimeoutSeconds: 10, Key: key.ARN(), NoTracing: true,
			Environment: map[string]components.Text{"TABLE": components.Known("orders")}, Grants: orders.Grant("PutItem"),
			Sources: []components.EventSource{
				{Queue: jobs, MaxConcurrency: 2},
				{Table: orders, Failures: failures, Filters: []string{`{"eventName":["INSERT"]}`}},
			},
			Schedules: []components.Schedule{{Name: "sweep", Description: "Cleans up", Expression: "rate(1 day)", Input: `{"task":"sweep"}`, Failures: failures}},
		})
		return err
	}
}

// deployConsumer deploys the program by the real engine into an account.
func deployConsumer(t *testing.T, p *local.Project, a *local.Account) *deployment.Deployment {
	t.Helper()
	server, err := provider.Start(t.Context(), provider.Config{
		Account: p.Settings.Account, Region: p.Settings.Region, Endpoint: a.URL, World: a.World, Credentials: config(p, a).Credentials,
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Close()) }()
	cli, err := engine.FindCLI(root)
	require.NoError(t, err)
	e, err := engine.Open(t.Context(), engine.Options{
		Root: root, Dir: t.TempDir(), Environment: "dev", ProviderPort: server.Port(), Program: consumerProgram(p, consumerZip(t)), CLI: cli,
	})
	require.NoError(t, err)
	var out strings.Builder
	_, err = e.Up(t.Context(), &out)
	require.NoError(t, err, out.String())
	export, err := e.Export(t.Context())
	require.NoError(t, err)
	deployed, err := deployment.Parse(export)
	require.NoError(t, err)
	return deployed
}

// lines is what a function has written.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(_, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, line)
}

func (l *lines) count(line string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, have := range l.all {
		if have == line {
			n++
		}
	}
	return n
}

func (l *lines) has(line string) bool { return l.count(line) > 0 }

// One function is invoked by its queue, by the stream of the table that it writes to, and by its schedule: all of it as
// the components deploy it, with the real engine, functions as processes, and the credentials of their roles.
func TestEventSourcesOnTheRealMachinery(t *testing.T) {
	p, err := local.ReadProject(root, "dev", local.HostArchitecture())
	require.NoError(t, err)
	a := account(t, p)
	deployed := deployConsumer(t, p, a)
	functions, err := lambda.FromDeployment(deployed, root)
	require.NoError(t, err)
	var wrote lines
	runtime, err := lambda.New(t.Context(), lambda.Config{Functions: functions, Credentials: a.Front.Credentials, Endpoint: a.URL, Dir: t.TempDir(), Logs: wrote.add})
	require.NoError(t, err)
	defer func() { require.NoError(t, runtime.Close()) }()
	d, err := events.New(events.Config{
		Deployment: deployed, Invoke: runtime.Invoke, Credentials: a.Front.Credentials, Endpoint: a.URL, Operator: config(p, a).Credentials,
		Log: func(source, line string) { t.Log(source, line) },
	})
	require.NoError(t, err)
	d.Start()
	defer func() { require.NoError(t, d.Close()) }()

	client := sqs.NewFromConfig(config(p, a))
	url := "https://sqs." + p.Settings.Region + ".amazonaws.com/" + p.Settings.Account + "/jobs"
	for _, body := range []string{"order-1", "fail"} {
		_, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String(body)})
		require.NoError(t, err)
	}
	for _, line := range []string{"schedule sweep", "queue order-1", "queue fail", "stream INSERT order-1"} {
		require.Eventually(t, func() bool { return wrote.has(line) }, time.Minute, 50*time.Millisecond, "%q was not written", line)
	}
	jobs := func(s events.Status) events.QueueStatus {
		return s.Queues[slices.IndexFunc(s.Queues, func(q events.QueueStatus) bool { return q.Name == "jobs" })]
	}
	require.Eventually(t, func() bool { return jobs(d.Status(t.Context())).InFlight == 1 }, time.Minute, 50*time.Millisecond, "the message that failed waits for its visibility timeout")
	require.Eventually(t, func() bool { return !d.Status(t.Context()).Streams[0].Last.IsZero() }, time.Minute, 50*time.Millisecond)
	s := d.Status(t.Context())
	require.Len(t, s.Queues, 2, "jobs with its dead-letter queue, and failures")
	require.Equal(t, "consumer", jobs(s).Function)
	require.Zero(t, jobs(s).DeadLetters)
	require.Contains(t, jobs(s).Error, "consumer failed 1 of")
	require.Equal(t, "orders", s.Streams[0].Name)
	require.Empty(t, s.Streams[0].Error)
	require.Equal(t, "consumer-sweep", s.Schedules[0].Name)
	require.Empty(t, s.Schedules[0].Error)
	require.True(t, s.Schedules[0].Next.After(time.Now().Add(23*time.Hour)))

	before := wrote.count("schedule sweep")
	require.NoError(t, d.Run(t.Context(), "consumer-sweep"))
	require.Eventually(t, func() bool { return wrote.count("schedule sweep") == before+1 }, time.Minute, 50*time.Millisecond)
	require.Equal(t, 1, wrote.count("queue order-1"), "what is done comes once")

	roleCalls := map[string]bool{}
	for _, call := range a.Front.Calls() {
		roleCalls[call.Principal[strings.LastIndexByte(call.Principal, '/')+1:]+" "+call.Action] = true
	}
	for _, want := range []string{"consumer ReceiveMessage", "consumer DeleteMessage", "consumer GetRecords", "consumer PutItem"} {
		require.True(t, roleCalls[want], "%s is missing in %v", want, roleCalls)
	}
	require.NoError(t, d.Close())
	require.NoError(t, runtime.Close())
	require.Zero(t, runtime.Processes())
}
