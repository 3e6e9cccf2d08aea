package awsconfig_test

import (
	"fmt"

	"github.com/expenzez/aws-backend/internal/awsconfig"
)

func Example() {
	environment := map[string]string{"AWS_REGION": "eu-west-2", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"}
	lookup := func(name string) (string, bool) { value, ok := environment[name]; return value, ok }
	cfg, err := awsconfig.Load(lookup)
	fmt.Println(cfg.Region, err)
	delete(environment, "AWS_REGION")
	_, err = awsconfig.Load(lookup)
	fmt.Println(err)
	// Output:
	// eu-west-2 <nil>
	// awsconfig: AWS_REGION is missing; Lambda sets it
}
