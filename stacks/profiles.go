package stacks

import (
	"maps"
	"slices"
	"time"

	"github.com/expenzez/aws-backend/internal/service"
)

// Profile holds the policy numbers of an environment. It is the only place where environments differ by policy.
type Profile struct {
	Functions map[service.Size]FunctionProfile
	Limits    map[service.Limit]CallerLimit
	Throttle  Throttle

	AuthorizerCache time.Duration // how long the gateway reuses the authorizer's answer; functions check the expiry again

	SharedKey          bool // one KMS key for data, secrets, logs and fields; otherwise one each
	KeyDeletionDays    int  // waiting period before a deleted KMS key is gone
	SecretRecoveryDays int  // 0 deletes at once

	RecoveryDays         int  // point-in-time recovery of tables
	RecoveryDaysCritical int  // the same for tables that hold what people entrusted to us
	AllowDestroy         bool // data may be deleted with the stack; otherwise it is protected in Pulumi and in AWS
	MaxReadUnits         int  // ceiling of on-demand reads per second and table: bounds a runaway bill
	MaxWriteUnits        int

	LogDays     int  // retention of function and access logs
	OptionalMFA bool // people may sign in without a second factor
}

// FunctionProfile sizes a class of functions.
type FunctionProfile struct {
	MemoryMB int
	Timeout  time.Duration
	// Batch is how many messages or records invoke the function at most; 0: it gets no batches.
	Batch int
	// Concurrency is how many batches of a queue are worked on at once, 2 to 1000; 0 is no bound. A stream has one for
	// each shard.
	Concurrency int
}

// Visibility is how long a queue keeps a message that this class of functions has received from others: six times the
// timeout, so that Lambda can try a batch again that it could not start (AWS Lambda Developer Guide, "Creating and
// configuring an Amazon SQS event source mapping").
func (f FunctionProfile) Visibility() time.Duration { return 6 * f.Timeout }

// CallerLimit admits Max requests per subject and route in any window of Per.
type CallerLimit struct {
	Max int
	Per time.Duration
}

// Throttle bounds all callers of the API together: steady requests per second and burst.
type Throttle struct{ Rate, Burst int }

// Environments lists the environments in order of promotion.
func Environments() []string { return []string{"dev", "staging", "prod"} }

// profiles are the environments' policies. dev is cheap and can be destroyed, staging is prod made smaller,
// prod is protected and retained.
func profiles() map[string]Profile {
	limits := map[service.Limit]CallerLimit{
		service.LimitAuth:      {5, 5 * time.Minute},
		service.LimitAuthIP:    {100, 5 * time.Minute},
		service.LimitAI:        {300, time.Hour},
		service.LimitSensitive: {10, 15 * time.Minute},
		service.LimitAPI:       {120, time.Minute},
		service.LimitWebhook:   {60, time.Minute},
	}
	functions := map[service.Size]FunctionProfile{
		service.SizeAuthorizer: {MemoryMB: 256, Timeout: 5 * time.Second},
		service.SizeAPI:        {MemoryMB: 512, Timeout: 15 * time.Second},
		service.SizeQueue:      {MemoryMB: 512, Timeout: time.Minute, Batch: 10, Concurrency: 5},
		service.SizeStream:     {MemoryMB: 512, Timeout: time.Minute, Batch: 100},
		service.SizeSchedule:   {MemoryMB: 512, Timeout: 5 * time.Minute},
	}
	base := Profile{
		Functions: functions, Limits: limits, AuthorizerCache: 5 * time.Minute,
		KeyDeletionDays: 30, SecretRecoveryDays: 30,
		RecoveryDays: 35, RecoveryDaysCritical: 35,
		LogDays:     90,
		OptionalMFA: true, // until people can set up a second factor in the API, requiring one would lock them out
	}

	dev, staging, prod := base, base, base
	dev.SharedKey = true
	dev.KeyDeletionDays = 8 // DynamoDB archives a table whose key is gone for more than seven days
	dev.SecretRecoveryDays = 0
	dev.RecoveryDays, dev.RecoveryDaysCritical = 7, 7
	dev.AllowDestroy = true
	dev.MaxReadUnits, dev.MaxWriteUnits = 100, 100
	dev.LogDays = 7
	dev.Throttle = Throttle{Rate: 50, Burst: 100}

	staging.SecretRecoveryDays = 7
	staging.KeyDeletionDays = 14
	staging.RecoveryDays = 14
	staging.MaxReadUnits, staging.MaxWriteUnits = 1000, 1000
	staging.LogDays = 30
	staging.Throttle = Throttle{Rate: 100, Burst: 200}

	prod.MaxReadUnits, prod.MaxWriteUnits = 4000, 4000
	prod.Throttle = Throttle{Rate: 500, Burst: 1000}

	all := map[string]Profile{"dev": dev, "staging": staging, "prod": prod}
	for name, p := range all {
		p.Functions, p.Limits = maps.Clone(functions), maps.Clone(limits)
		all[name] = p
	}
	return all
}

// functionSizes lists the sizes that a profile must give numbers for, sorted.
func functionSizes(b service.Backend) []service.Size {
	var all []service.Size
	for _, f := range b.Functions() {
		all = append(all, f.Size)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
