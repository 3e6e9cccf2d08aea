// Command aws-backend is the Pulumi program of the Expenzez backend.
package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/expenzez/aws-backend/stacks"
)

func main() {
	pulumi.Run(stacks.Deploy)
}
