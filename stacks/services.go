package stacks

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/expenzez/aws-backend/components"
	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/service"
)

// ServiceStack is the stack of one declared service: its functions, each with a role that may do what is declared.
type ServiceStack struct {
	pulumi.ResourceState
	Functions map[string]*components.LambdaFunction // by declared key
}

func newServiceStack(e *environment, core *Core, s service.Service) (*ServiceStack, error) {
	stack := &ServiceStack{Functions: map[string]*components.LambdaFunction{}}
	_, parent, err := e.newStack(s.Key, camelCase(s.Key), stack)
	if err != nil {
		return nil, err
	}
	arns := pulumi.StringMap{}
	for _, f := range s.Functions {
		fn, err := newFunction(e, core, s, f, parent)
		if err != nil {
			return nil, err
		}
		stack.Functions[f.Key] = fn
		arns[f.Key] = fn.AliasArn
	}
	return stack, e.ctx.RegisterResourceOutputs(stack, pulumi.Map{"aliasArns": arns})
}

func newFunction(e *environment, core *Core, s service.Service, f service.Function, parent pulumi.ResourceOption) (*components.LambdaFunction, error) {
	size := e.settings.Profile.Functions[f.Size]
	failures, err := newFailures(e, core, s, f, parent)
	if err != nil {
		return nil, err
	}
	return components.NewLambdaFunction(e.ctx, f.Key, &components.LambdaFunctionArgs{
		Place: e.place(), Tags: e.settings.Tags(s.Key, "internal"), Name: e.settings.Name(f.Key), Description: f.Does,
		Code:         filepath.Join(e.settings.Artifacts, f.Key+".zip"),
		Architecture: e.settings.Architecture,
		MemoryMB:     size.MemoryMB, TimeoutSeconds: int(size.Timeout.Seconds()),
		Environment: core.variables(e, f), Grants: core.grants(e, f),
		Key: core.Keys[purposeLogs].ARN(), LogRetentionDays: e.settings.Profile.LogDays,
		Sources: core.sources(e, f, failures), Schedules: schedules(f, failures),
	}, parent)
}

// failureDays is how long what failed for good waits to be looked at: the longest that SQS keeps anything (SQS API
// reference, SetQueueAttributes).
const failureDays = 14

// newFailures makes the queue of what the function failed for good; nil where it keeps none.
func newFailures(e *environment, core *Core, s service.Service, f service.Function, parent pulumi.ResourceOption) (*components.Queue, error) {
	if !f.KeepsFailures() {
		return nil, nil
	}
	name := f.Key + service.FailuresEnd
	return components.NewQueue(e.ctx, name, &components.QueueArgs{
		Place: e.place(), Tags: e.settings.Tags(s.Key, "confidential"), Name: e.settings.Name(name), Key: core.Keys[purposeQueues].ARN(),
		VisibilityTimeoutSeconds: 30, RetentionDays: failureDays, NoDeadLetter: true,
	}, parent)
}

// sources are the queues and streams that invoke the function, in order of declaration.
func (c *Core) sources(e *environment, f service.Function, failures *components.Queue) []components.EventSource {
	size := e.settings.Profile.Functions[f.Size]
	var all []components.EventSource
	for _, q := range f.Queues {
		all = append(all, components.EventSource{Queue: c.Queues[q], BatchSize: size.Batch, MaxConcurrency: size.Concurrency})
	}
	for _, s := range f.Streams {
		all = append(all, components.EventSource{Table: c.Tables[s.Table], Failures: failures, BatchSize: size.Batch, Filters: s.Filters})
	}
	return all
}

func schedules(f service.Function, failures *components.Queue) []components.Schedule {
	var all []components.Schedule
	for _, s := range f.Schedules {
		all = append(all, components.Schedule{Name: s.Key, Description: s.Does, Expression: s.When, Input: service.ScheduleInput(s.Key), Failures: failures})
	}
	return all
}

// grants binds the declared statements to what core made. What Lambda does to read queues and streams, and to keep the
// failures of streams, comes with the sources.
func (c *Core) grants(e *environment, f service.Function) []components.Grant {
	var all []components.Grant
	for _, s := range service.Statements(f) {
		switch s.Resource.Kind {
		case service.KindTable:
			all = append(all, c.Tables[s.Resource.Name].Grant(s.Actions...)...)
		case service.KindIndex:
			all = append(all, c.Tables[s.Resource.Name].GrantIndex(s.Resource.Index, s.Actions...)...)
		case service.KindSecret:
			all = append(all, c.Secrets.GrantRead(s.Resource.Name)...)
		case service.KindKey:
			all = append(all, components.Grant{Actions: s.Actions, Resources: []components.Text{c.Keys[s.Resource.Name].ARN()}, Conditions: keyContext(e, s.Resource.Name)})
		case service.KindUserPool:
			all = append(all, c.UserPool.Grant(s.Actions...)...)
		case service.KindQueue:
			if slices.Contains(f.Sends, s.Resource.Name) {
				all = append(all, c.Queues[s.Resource.Name].GrantSend()...)
			}
		case service.KindEmail:
			all = append(all, emailGrant(e, s))
		case service.KindPush:
			all = append(all, pushGrant(e, s))
		case service.KindStream, service.KindFailures, service.KindAny:
		}
	}
	return all
}

// emailGrant lets a role send as the environment's one address, of the verified domain that SES knows as an identity
// (Service Authorization Reference, "Actions for Amazon Simple Email Service v2").
func emailGrant(e *environment, s service.Statement) components.Grant {
	_, domain, _ := strings.Cut(e.settings.EmailFrom, "@")
	return components.Grant{
		Actions: s.Actions, Resources: []components.Text{components.Known(e.place().ARN("ses", "identity/"+domain))},
		Conditions: []components.Condition{{Test: "StringEquals", Key: "ses:FromAddress", Values: []components.Text{components.Known(e.settings.EmailFrom)}}},
	}
}

// pushGrant lets a role publish to the devices of the environment's applications; their endpoints are made at run time.
func pushGrant(e *environment, s service.Statement) components.Grant {
	g := components.Grant{Actions: s.Actions, Reason: "devices register at run time"}
	for _, a := range e.settings.PushApplications {
		g.Resources = append(g.Resources, components.Known(e.place().ARN("sns", "endpoint/"+a+"/*")))
	}
	return g
}

// keyContext binds direct use of a key to its purpose in this environment, also where one key serves all purposes.
func keyContext(e *environment, purpose string) []components.Condition {
	var all []components.Condition
	for _, pair := range [][2]string{{"app", "expenzez"}, {"env", e.settings.Environment}, {"purpose", purpose}} {
		all = append(all, components.Condition{Test: "StringEquals", Key: "kms:EncryptionContext:" + pair[0], Values: []components.Text{components.Known(pair[1])}})
	}
	return all
}

// variables binds the derived environment to what core made.
func (c *Core) variables(e *environment, f service.Function) map[string]components.Text {
	all := map[string]components.Text{
		service.EnvironmentVariable: components.Known(e.settings.Environment),
		service.IssuerVariable:      components.Known(e.settings.Issuer()),
	}
	if len(f.Routes) > 0 {
		all[environ.OriginsVariable] = components.Known(strings.Join(e.settings.Origins, ","))
	}
	if e.settings.LimiterBudget != "" {
		all[environ.LimiterBudgetVariable] = components.Known(e.settings.LimiterBudget)
	}
	for _, v := range service.Environment(f) {
		all[v.Name] = c.value(e, v)
	}
	return all
}

func (c *Core) value(e *environment, v service.Variable) components.Text {
	switch {
	case v.Limit != service.LimitNone:
		l := e.settings.Profile.Limits[v.Limit]
		return components.Known(fmt.Sprintf("%d/%d", l.Max, int(l.Per.Seconds())))
	case v.Resource.Kind == service.KindTable:
		return components.Known(c.Tables[v.Resource.Name].Name())
	case v.Resource.Kind == service.KindSecret:
		return c.Secrets.ARN(v.Resource.Name)
	case v.Resource.Kind == service.KindKey:
		return c.Keys[v.Resource.Name].ARN()
	case v.Resource.Kind == service.KindQueue:
		return components.Known(c.Queues[v.Resource.Name].URL())
	case v.Resource.Kind == service.KindEmail:
		return components.Known(e.settings.EmailFrom)
	case v.Client:
		return c.UserPool.ClientIDText()
	default:
		return c.UserPool.IDText()
	}
}

func camelCase(key string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(key, "-") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}
