// Package stacks is what Expenzez deploys: the composition of the declared services out of components, for one
// environment. A stack here is a component resource inside the environment: core holds what has state, each service
// one for its functions, edge the API. Deploy is the whole program, on AWS and in the local cloud alike.
package stacks

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"

	"github.com/expenzez/aws-backend/components"
	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/service"
)

// Deploy deploys the catalog.
func Deploy(ctx *pulumi.Context) error { return Program(catalog.Backend())(ctx) }

// Program deploys a declaration: it checks the configuration and the declaration completely, then registers the
// environment's resources.
func Program(backend service.Backend) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error { return deploy(ctx, backend) }
}

func deploy(ctx *pulumi.Context, backend service.Backend) error {
	settings, settingsErr := ReadSettings(ctx.Stack(), func(key string) (string, bool) {
		v, err := config.Try(ctx, key)
		return v, err == nil
	})
	if err := errors.Join(settingsErr, service.Validate(backend), settings.covers(backend)); err != nil {
		return err
	}

	e := &environment{ctx: ctx, settings: settings, backend: backend}
	core, err := newCore(e)
	if err != nil {
		return err
	}
	functions := map[string]*components.LambdaFunction{}
	for _, s := range backend.Services {
		stack, err := newServiceStack(e, core, s)
		if err != nil {
			return err
		}
		maps.Copy(functions, stack.Functions)
	}
	edge, err := newEdge(e, core, functions)
	if err != nil {
		return err
	}
	ctx.Export("apiUrl", edge.API.URL)
	ctx.Export("userPoolId", core.UserPool.PoolID)
	return e.checkLimits()
}

// gatewayPatience is how long API Gateway waits for a function (API Gateway Developer Guide, "Amazon API Gateway quotas").
const gatewayPatience = 29 * time.Second

// covers reports what the declaration needs and the configuration or the profile lacks.
func (s Settings) covers(b service.Backend) error {
	if s.Profile.Functions == nil {
		return nil // the environment is unknown, which is reported already
	}
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	for _, size := range functionSizes(b) {
		if _, ok := s.Profile.Functions[size]; !ok {
			problem("profile %s: function size %s has no memory and timeout; add it in stacks/profiles.go", s.Environment, size)
		}
	}
	missing := func(f service.Function, key, rule, example string) {
		problems = append(problems, Problem{key, "", rule, "set it, because " + f.Key + " sends, with: pulumi config set --stack " + s.Environment + " " + example})
	}
	for _, f := range b.Functions() {
		for _, l := range service.Limits(f) {
			if _, ok := s.Profile.Limits[l]; !ok {
				problem("profile %s: caller limit %s has no numbers; add it in stacks/profiles.go", s.Environment, l)
			}
		}
		size := s.Profile.Functions[f.Size]
		if (f.Authorizes || len(f.Routes) > 0) && size.Timeout > gatewayPatience {
			problem("profile %s: function size %s has %s, but %s answers API Gateway, which gives up after %s", s.Environment, f.Size, size.Timeout, f.Key, gatewayPatience)
		}
		if len(f.Queues)+len(f.Streams) > 0 && size.Batch == 0 {
			problem("profile %s: function size %s has no batch, but %s gets batches; add it in stacks/profiles.go", s.Environment, f.Size, f.Key)
		}
		if f.Emails != "" && s.EmailFrom == "" {
			missing(f, keyEmailFrom, ruleEmailFrom, keyEmailFrom+" no-reply@example.com")
		}
		if f.Pushes != "" && len(s.PushApplications) == 0 {
			missing(f, keyPushApplications, rulePushApplications, "--path '"+keyPushApplications+"[0]' APNS/expenzez")
		}
	}
	return errors.Join(problems...)
}

// environment is what every stack is made from.
type environment struct {
	ctx      *pulumi.Context
	settings Settings
	backend  service.Backend
	stacks   []*stack
}

func (e *environment) place() components.Place {
	return components.Place{Account: e.settings.Account, Region: e.settings.Region}
}

// CloudFormation holds 500 resources in a stack (CloudFormation User Guide, "Understand CloudFormation quotas").
// Pulumi has no such limit; keeping each stack below it keeps them small enough to review and to move.
const (
	MaxResources  = 500
	warnResources = MaxResources * 8 / 10
)

// stack is one component expenzez:stacks:<Name>, which counts what registers below it.
type stack struct {
	pulumi.ResourceState
	name      string
	resources int
}

// newStack registers a stack's component. typeName is upper camel case of its key.
func (e *environment) newStack(key, typeName string, outer pulumi.ComponentResource) (*stack, pulumi.ResourceOption, error) {
	s := &stack{name: key}
	count := func(args *pulumi.ResourceTransformationArgs) *pulumi.ResourceTransformationResult {
		if args.Resource != outer {
			s.resources++
		}
		return nil
	}
	err := e.ctx.RegisterComponentResource("expenzez:stacks:"+typeName, key, outer, pulumi.Transformations([]pulumi.ResourceTransformation{count}))
	if err != nil {
		return nil, nil, err
	}
	e.stacks = append(e.stacks, s)
	return s, pulumi.Parent(outer), nil
}

// checkLimits refuses an environment one of whose stacks is too large, and warns before it is.
func (e *environment) checkLimits() error {
	var problems []error
	for _, s := range e.stacks {
		switch {
		case s.resources > MaxResources:
			problems = append(problems, fmt.Errorf("stack %s has %d resources, more than %d: move a part of it into a stack of its own", s.name, s.resources, MaxResources))
		case s.resources > warnResources:
			if err := e.ctx.Log.Warn(fmt.Sprintf("stack %s has %d of at most %d resources", s.name, s.resources, MaxResources), nil); err != nil {
				problems = append(problems, err)
			}
		}
	}
	return errors.Join(problems...)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
