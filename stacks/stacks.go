// Package stacks is what Expenzez deploys: the composition of the declared services out of components, for one
// environment. A stack here is a component resource inside the environment: core holds what has state, each service
// one for its functions, edge the API. Deploy is the whole program, on AWS and in the local cloud alike.
package stacks

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"

	"github.com/expenzez/aws-backend/components"
	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/service"
)

// Deploy checks the configuration and the declaration completely, then registers the environment's resources.
func Deploy(ctx *pulumi.Context) error {
	settings, settingsErr := ReadSettings(ctx.Stack(), func(key string) (string, bool) {
		v, err := config.Try(ctx, key)
		return v, err == nil
	})
	backend := catalog.Backend()
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

// covers reports classes of the declaration for which the profile has no number.
func (s Settings) covers(b service.Backend) error {
	if s.Profile.Functions == nil {
		return nil // the environment is unknown, which is reported already
	}
	var problems []error
	for _, size := range functionSizes(b) {
		if _, ok := s.Profile.Functions[size]; !ok {
			problems = append(problems, fmt.Errorf("profile %s: function size %s has no memory and timeout; add it in stacks/profiles.go", s.Environment, size))
		}
	}
	for _, f := range b.Functions() {
		for _, l := range service.Limits(f) {
			if _, ok := s.Profile.Limits[l]; !ok {
				problems = append(problems, fmt.Errorf("profile %s: caller limit %s has no numbers; add it in stacks/profiles.go", s.Environment, l))
			}
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
