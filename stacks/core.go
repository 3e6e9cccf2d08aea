package stacks

import (
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/expenzez/aws-backend/components"
	"github.com/expenzez/aws-backend/internal/service"
)

// Core is the stack of what has state and outlives any function: keys, secrets, tables, queues and the user pool. A queue
// is here because the service that sends to it and the one that consumes it are two, and each may do both.
type Core struct {
	pulumi.ResourceState
	Keys     map[string]*components.EncryptionKey // by purpose or declared key; several may be the same key
	Secrets  *components.SecretsStore
	Tables   map[string]*components.EncryptedTable // by declared key
	Queues   map[string]*components.Queue          // by declared key
	UserPool *components.UserPool
}

// Purposes of keys that the stacks own. Declared keys stand beside them.
const (
	purposeData    = "data"    // tables
	purposeSecrets = "secrets" // Secrets Manager
	purposeLogs    = "logs"    // log groups and the environment of functions
	purposeQueues  = "queues"  // queues, where there are any
)

func newCore(e *environment) (*Core, error) {
	core := &Core{Keys: map[string]*components.EncryptionKey{}, Tables: map[string]*components.EncryptedTable{}, Queues: map[string]*components.Queue{}}
	_, parent, err := e.newStack("core", "Core", core)
	if err != nil {
		return nil, err
	}
	if err := core.makeKeys(e, parent); err != nil {
		return nil, err
	}
	if err := core.makeSecrets(e, parent); err != nil {
		return nil, err
	}
	for _, t := range e.backend.Tables {
		if core.Tables[t.Key], err = newTable(e, core.Keys[purposeData], t, parent); err != nil {
			return nil, err
		}
	}
	for _, q := range e.backend.Queues {
		if core.Queues[q.Key], err = newQueue(e, core.Keys[purposeQueues], q, parent); err != nil {
			return nil, err
		}
	}
	core.UserPool, err = components.NewUserPool(e.ctx, "users", &components.UserPoolArgs{
		Place: e.place(), Tags: e.settings.Tags("auth", "confidential"), Name: e.settings.Name("users"),
		AllowSelfSignUp: true, // the client has a secret that only auth can read, so nobody registers past our limits
		OptionalMFA:     e.settings.Profile.OptionalMFA,
		AllowDestroy:    e.settings.Profile.AllowDestroy,
	}, parent)
	if err != nil {
		return nil, err
	}
	return core, e.ctx.RegisterResourceOutputs(core, pulumi.Map{"userPoolId": core.UserPool.PoolID, "secretArns": core.Secrets.SecretArns})
}

// makeKeys makes one key for each purpose, or one for all where the profile shares it.
func (c *Core) makeKeys(e *environment, parent pulumi.ResourceOption) error {
	protects := map[string]string{
		purposeData: "Tables", purposeSecrets: "Secrets", purposeLogs: "Log groups and function environments",
	}
	if queued(e.backend) {
		protects[purposeQueues] = "Queues"
	}
	for _, k := range e.backend.Keys {
		protects[k.Key] = k.Does
	}
	if e.settings.Profile.SharedKey {
		shared, err := c.makeKey(e, "shared", "Everything in "+e.settings.Environment, parent)
		for purpose := range protects {
			c.Keys[purpose] = shared
		}
		return err
	}
	for _, purpose := range sortedKeys(protects) {
		key, err := c.makeKey(e, purpose, protects[purpose], parent)
		if err != nil {
			return err
		}
		c.Keys[purpose] = key
	}
	return nil
}

func (c *Core) makeKey(e *environment, name, protects string, parent pulumi.ResourceOption) (*components.EncryptionKey, error) {
	args := &components.EncryptionKeyArgs{
		Place: e.place(), Tags: e.settings.Tags("core", "confidential"),
		Alias: e.settings.Name(name), Description: protects,
		DeletionWindowDays: e.settings.Profile.KeyDeletionDays, AllowDestroy: e.settings.Profile.AllowDestroy,
	}
	if name == purposeLogs || name == "shared" {
		// Names of execution log groups hold the API's id, which is not known before the key.
		args.LogGroups = []string{"/aws/lambda/" + e.settings.Name("*"), "/aws/apigateway/" + e.settings.Name("*"), "API-Gateway-Execution-Logs_*"}
	}
	return components.NewEncryptionKey(e.ctx, name, args, parent)
}

func (c *Core) makeSecrets(e *environment, parent pulumi.ResourceOption) error {
	var specs []components.SecretSpec
	for _, s := range e.backend.Secrets {
		specs = append(specs, components.SecretSpec{Name: s.Key, Description: s.Does})
	}
	var err error
	c.Secrets, err = components.NewSecretsStore(e.ctx, "secrets", &components.SecretsStoreArgs{
		Place: e.place(), Tags: e.settings.Tags("core", "secret"), Prefix: e.settings.SecretPrefix(), Key: c.Keys[purposeSecrets].ARN(),
		Secrets: specs, RecoveryWindowDays: e.settings.Profile.SecretRecoveryDays, AllowDestroy: e.settings.Profile.AllowDestroy,
	}, parent)
	return err
}

func newTable(e *environment, key *components.EncryptionKey, t service.Table, parent pulumi.ResourceOption) (*components.EncryptedTable, error) {
	days, class := e.settings.Profile.RecoveryDays, "internal"
	if t.Critical {
		days, class = e.settings.Profile.RecoveryDaysCritical, "confidential"
	}
	args := &components.EncryptedTableArgs{
		Place: e.place(), Tags: e.settings.Tags("core", class), Name: e.settings.Name(t.Key), Key: key.ARN(),
		HashKey: components.TableKey{Name: t.Hash}, RangeKey: components.TableKey{Name: t.Range}, TTLAttribute: t.TTL,
		RecoveryDays: days, AllowDestroy: e.settings.Profile.AllowDestroy,
		MaxReadUnits: e.settings.Profile.MaxReadUnits, MaxWriteUnits: e.settings.Profile.MaxWriteUnits,
	}
	if e.backend.Streamed(t.Key) {
		args.Stream = "NEW_AND_OLD_IMAGES"
	}
	for _, i := range t.Indexes {
		args.Indexes = append(args.Indexes, components.TableIndex{
			Name: i.Key, Projection: "ALL", HashKey: components.TableKey{Name: i.Hash}, RangeKey: components.TableKey{Name: i.Range},
		})
	}
	return components.NewEncryptedTable(e.ctx, t.Key, args, parent)
}

// queued tells whether the declaration has queues, or functions whose failures are kept in one.
func queued(b service.Backend) bool {
	return len(b.Queues) > 0 || slices.ContainsFunc(b.Functions(), service.Function.KeepsFailures)
}

func newQueue(e *environment, key *components.EncryptionKey, q service.Queue, parent pulumi.ResourceOption) (*components.Queue, error) {
	consumer := e.settings.Profile.Functions[e.backend.Consumer(q.Key).Size]
	return components.NewQueue(e.ctx, q.Key, &components.QueueArgs{
		Place: e.place(), Tags: e.settings.Tags("core", "confidential"), Name: e.settings.Name(q.Key), Key: key.ARN(),
		VisibilityTimeoutSeconds: int(consumer.Visibility().Seconds()),
	}, parent)
}
