package provider

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"regexp"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Config says which account the stand-in plays and what holds the resources that functions use.
type Config struct {
	// Account is the twelve-digit account, Region the region, for example "eu-central-1". Both are required.
	Account, Region string
	// Endpoint is the loopback URL of the emulator that holds tables, keys, secrets and user pools. Empty means that
	// nothing is behind: previews work, and everything that would change or read a resource is an error.
	Endpoint string
	// Credentials signs the calls to Endpoint. Nil means fixed credentials that no real account has.
	Credentials aws.CredentialsProvider
	// World holds what was deployed, for a second server on the same emulator. Nil means an empty one.
	World *World
	// Now is the clock for creation dates. Nil means time.Now.
	Now func() time.Time
	// Log gets one line per operation, never with property values. Nil means none.
	Log *slog.Logger
}

// cloud is the account that the stand-in plays.
type cloud struct {
	account, region, partition string
	real                       bool // an emulator is behind
	world                      *World
	now                        func() time.Time
	log                        *slog.Logger
	tables                     *dynamodb.Client
	keys                       *kms.Client
	secrets                    *secretsmanager.Client
	pools                      *cognitoidentityprovider.Client
	queues                     *sqs.Client
}

var (
	accountForm = regexp.MustCompile(`^[0-9]{12}$`)
	regionForm  = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)
)

func newCloud(cfg Config) (*cloud, error) {
	var wrong []error
	if !accountForm.MatchString(cfg.Account) {
		wrong = append(wrong, fmt.Errorf("account %q is not twelve digits", cfg.Account))
	}
	if !regionForm.MatchString(cfg.Region) {
		wrong = append(wrong, fmt.Errorf("region %q is not an AWS region such as eu-central-1", cfg.Region))
	}
	if err := checkLoopback(cfg.Endpoint); err != nil {
		wrong = append(wrong, err)
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("local provider: %w", errors.Join(wrong...))
	}
	c := &cloud{
		account: cfg.Account, region: cfg.Region, partition: partitionOf(cfg.Region), real: cfg.Endpoint != "",
		world: cfg.World, now: cfg.Now, log: cfg.Log,
	}
	if c.world == nil {
		c.world = NewWorld()
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.connect(cfg)
	return c, nil
}

// checkLoopback refuses an endpoint outside this machine: a stand-in that reached AWS would change a real account.
func checkLoopback(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return fmt.Errorf("endpoint %q is not a URL: %w", endpoint, err)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "http" || (u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())) {
		return fmt.Errorf("endpoint %q is not an http URL on this machine's loopback address", endpoint)
	}
	return nil
}

func (c *cloud) connect(cfg Config) {
	credentials := cfg.Credentials
	if credentials == nil {
		credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local", Source: "local provider"}, nil
		})
	}
	// The emulator closes each connection after its answer, and now and then a client sees that too early.
	retryer := func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = 3, 50*time.Millisecond })
	}
	base := aws.Config{Region: cfg.Region, Credentials: credentials, BaseEndpoint: aws.String(cfg.Endpoint), Retryer: retryer}
	c.tables = dynamodb.NewFromConfig(base)
	c.keys = kms.NewFromConfig(base)
	c.secrets = secretsmanager.NewFromConfig(base)
	c.pools = cognitoidentityprovider.NewFromConfig(base)
	c.queues = sqs.NewFromConfig(base)
}

// partitionOf is the partition of a region (General Reference, "AWS service endpoints").
func partitionOf(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

func (c *cloud) dnsSuffix() string {
	if c.partition == "aws-cn" {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

// arn is the name of a resource of this account and region.
func (c *cloud) arn(service, name string) string {
	return fmt.Sprintf("arn:%s:%s:%s:%s:%s", c.partition, service, c.region, c.account, name)
}

// globalARN is the name of a resource of this account without a region, as IAM has.
func (c *cloud) globalARN(service, name string) string {
	return fmt.Sprintf("arn:%s:%s::%s:%s", c.partition, service, c.account, name)
}

func (c *cloud) timestamp() string { return c.now().UTC().Format(time.RFC3339) }

// denial is an answer of AWS: the code that clients match and the text that people read.
type denial struct{ code, message string }

func (d *denial) Error() string { return d.code + ": " + d.message }

func denyf(code, format string, args ...any) error {
	return &denial{code, fmt.Sprintf(format, args...)}
}

const (
	lowerAlnum = "abcdefghijklmnopqrstuvwxyz0123456789"
	upperAlnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
)

// randomID is n characters of an alphabet, in the form of the ids that AWS makes.
func randomID(alphabet string, n int) (string, error) {
	var b strings.Builder
	for range n {
		i, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			return "", fmt.Errorf("make an id: %w", err)
		}
		b.WriteByte(alphabet[i.Int64()])
	}
	return b.String(), nil
}

// World is what the account holds. It lives as long as the emulator behind it; several servers may share it, one after
// the other or together. The zero value is not ready: use NewWorld.
type World struct {
	mu        sync.Mutex // held for a whole operation: one write at a time
	records   map[string]map[string]*record
	functions map[string]*functionHistory
	// gatewayRole is the CloudWatch role of API Gateway's account settings, which outlive the resource that set them.
	gatewayRole string
}

// record is one deployed resource.
type record struct{ in, out bag }

// NewWorld is an empty account.
func NewWorld() *World {
	return &World{records: map[string]map[string]*record{}, functions: map[string]*functionHistory{}}
}

// Resource names one deployed resource.
type Resource struct{ Type, ID string }

// Resources lists what is deployed, sorted by type and id.
func (w *World) Resources() []Resource {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []Resource
	for token, byID := range w.records {
		for id := range byID {
			out = append(out, Resource{token, id})
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Type != out[j].Type {
			return out[i].Type < out[j].Type
		}
		return out[i].ID < out[j].ID
	})
	return out
}

func (w *World) put(token, id string, in, out bag) {
	if w.records[token] == nil {
		w.records[token] = map[string]*record{}
	}
	w.records[token][id] = &record{in: in, out: out}
}

func (w *World) get(token, id string) (*record, bool) {
	r, ok := w.records[token][id]
	return r, ok
}

func (w *World) drop(token, id string) {
	delete(w.records[token], id)
}

// find is the first record, in the order of ids, whose output under key is want.
func (w *World) find(token, key, want string) (*record, bool) {
	found := w.all(token, key, want)
	if len(found) == 0 {
		return nil, false
	}
	return found[0], true
}

// all is the records whose output under key is want, in the order of ids.
func (w *World) all(token, key, want string) []*record {
	var out []*record
	for _, id := range sortedKeys(w.records[token]) {
		if r := w.records[token][id]; getText(r.out, key) == want {
			out = append(out, r)
		}
	}
	return out
}

// dropAll forgets the records whose output under key is want.
func (w *World) dropAll(token, key, want string) {
	for id, r := range w.records[token] {
		if getText(r.out, key) == want {
			delete(w.records[token], id)
		}
	}
}

// set writes a key of a property map given as a plain string.
func set(b bag, key string, v value) { b[resource.PropertyKey(key)] = v }
