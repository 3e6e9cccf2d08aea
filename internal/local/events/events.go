// Package events is what AWS does between a source and a function: it reads queues and the streams of tables in
// batches and invokes functions at times, all as the event source mappings and schedules of a deployment say. A source
// is read with the credentials of the function's own role, a schedule sends with those of its own.
//
// What is guaranteed: a message is deleted only after its function has handled it, records of one shard reach the
// function in order, and a setting that is not known is an error of New, never ignored. Delivery is at least once, as
// on AWS. The limits of it are the rows of Differences.
package events

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/expenzez/aws-backend/internal/deployment"
	"github.com/expenzez/aws-backend/internal/local/lambda"
)

// Config is what a Dispatcher needs: all but Now and Log.
type Config struct {
	Deployment *deployment.Deployment
	// Invoke runs a function by its qualified ARN; a lambda.Runtime's does.
	Invoke func(ctx context.Context, functionARN string, payload []byte) (lambda.Result, error)
	// Credentials gives temporary credentials of a role that live for hours; an aws.Front's does.
	Credentials func(ctx context.Context, roleARN string) (id, secret, token string, err error)
	// Endpoint is the URL of every AWS service.
	Endpoint string
	// Operator reads how deep queues are, for people.
	Operator aws.CredentialsProvider
	Now      func() time.Time // nil means time.Now
	// Log gets a line for what failed, several at a time; source is a queue's, table's or schedule's name. nil drops
	// them. A line holds no part of a message, record or answer.
	Log func(source, line string)
}

const (
	idle    = 250 * time.Millisecond // between looks at a source that had nothing, at first
	slowest = time.Second            // the longest such pause
	grace   = 2 * time.Second        // for invocations under way at Close
	ending  = 5 * time.Second        // for calls that put things in order after that
	// credentialLife is less than an aws.Front's credentials live.
	credentialLife = time.Hour
	// maxPayload is Lambda's limit of a request, less what surrounds the records (page "Lambda quotas").
	maxPayload = 6<<20 - 64
)

// Dispatcher reads sources for functions. It is safe for concurrent use.
type Dispatcher struct {
	cfg       Config
	queues    []*queue
	streams   []*stream
	schedules []*schedule
	depths    []depth
	roles     map[string]aws.CredentialsProvider

	stopping context.Context // ends when Close begins: nothing new is begun
	working  context.Context // ends when the grace of Close is over
	stop     context.CancelFunc
	abandon  context.CancelFunc
	start    sync.Once
	done     sync.WaitGroup
}

// New reads the deployment. The error lists every setting of a mapping or schedule that cannot be run here, and why.
func New(cfg Config) (*Dispatcher, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = func(string, string) {}
	}
	d := &Dispatcher{cfg: cfg, roles: map[string]aws.CredentialsProvider{}}
	d.stopping, d.stop = context.WithCancel(context.Background())
	d.working, d.abandon = context.WithCancel(context.Background())
	var problems []error
	for _, r := range cfg.Deployment.ByType(typeMapping) {
		if err := d.addMapping(r); err != nil {
			problems = append(problems, fmt.Errorf("event source %s: %w", r.Name, err))
		}
	}
	names := map[string]bool{}
	for _, r := range cfg.Deployment.ByType(typeSchedule) {
		s, err := d.newSchedule(r)
		if err == nil && names[s.name] {
			err = errors.New("its name is taken by another")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("schedule %s: %w", r.Name, err))
			continue
		}
		names[s.name] = true
		d.schedules = append(d.schedules, s)
	}
	d.depths = d.newDepths()
	if len(problems) > 0 {
		d.stop()
		d.abandon()
		return nil, errors.Join(problems...)
	}
	return d, nil
}

// Start begins to read and to keep times, until Close. Later calls do nothing.
func (d *Dispatcher) Start() {
	d.start.Do(func() {
		for _, q := range d.queues {
			d.done.Go(q.read)
		}
		for _, s := range d.streams {
			d.done.Go(s.read)
		}
		if len(d.schedules) > 0 {
			d.done.Go(d.keepTimes)
		}
	})
}

// Close ends all reading and returns when nothing runs any more. Invocations under way have two seconds to end; the
// messages of those that have not, and those that were only just received, are made visible again. It may be called
// more than once, and without Start.
func (d *Dispatcher) Close() error {
	d.stop()
	late := time.AfterFunc(grace, d.abandon)
	d.done.Wait()
	late.Stop()
	d.abandon()
	return nil
}

// client is the configuration of clients that act as a role; empty is the operator.
func (d *Dispatcher) client(role, region string) aws.Config {
	provider := d.cfg.Operator
	if role != "" {
		if d.roles[role] == nil {
			d.roles[role] = aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
				id, secret, token, err := d.cfg.Credentials(ctx, role)
				return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token, CanExpire: true, Expires: time.Now().Add(credentialLife)}, err
			}))
		}
		provider = d.roles[role]
	}
	return aws.Config{Region: region, BaseEndpoint: &d.cfg.Endpoint, Credentials: provider}
}

func (d *Dispatcher) sqs(role, region string) *sqs.Client {
	return sqs.NewFromConfig(d.client(role, region))
}

func (d *Dispatcher) streamsClient(role, region string) *dynamodbstreams.Client {
	return dynamodbstreams.NewFromConfig(d.client(role, region))
}

// pause waits; false means that ctx ended first.
func pause(ctx context.Context, long time.Duration) bool {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// orderly is a context for what has to be put in order although the work was ended.
func orderly(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), ending)
}

// functionName is the name in a qualified or unqualified ARN of a function.
func functionName(arn string) string {
	parts := strings.Split(arn, ":")
	return parts[min(6, len(parts)-1)]
}

// lastPart is the name in the ARN of a queue.
func lastPart(arn string) string { return arn[strings.LastIndexByte(arn, ':')+1:] }

// regionOf is the region in an ARN.
func regionOf(arn string) string {
	if parts := strings.Split(arn, ":"); len(parts) > 3 {
		return parts[3]
	}
	return ""
}
