package stacks

import (
	"fmt"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/require"
)

type nothing struct{}

func (nothing) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	return args.Name, args.Inputs, nil
}

func (nothing) Call(pulumi.MockCallArgs) (resource.PropertyMap, error) { return nil, nil }

// deployStack registers a stack with that many resources, some of them below a component of the stack.
func deployStack(resources int) error {
	return pulumi.RunErr(func(ctx *pulumi.Context) error {
		e := &environment{ctx: ctx}
		if _, _, err := e.newStack("small", "Small", &Edge{}); err != nil {
			return err
		}
		_, parent, err := e.newStack("crowded", "Crowded", &Edge{})
		if err != nil {
			return err
		}
		for i := range resources {
			child := &Edge{}
			if err := ctx.RegisterComponentResource("test:index:Child", fmt.Sprintf("child-%d", i), child, parent); err != nil {
				return err
			}
			if i%2 == 0 {
				parent = pulumi.Parent(child)
			}
		}
		return e.checkLimits()
	}, pulumi.WithMocks("expenzez", "dev", nothing{}))
}

func TestStackIsRefusedAboveTheLimit(t *testing.T) {
	t.Parallel()
	require.NoError(t, deployStack(MaxResources))
	err := deployStack(MaxResources + 1)
	require.ErrorContains(t, err, "stack crowded has 501 resources, more than 500: move a part of it")
	require.NotContains(t, err.Error(), "small")
}
