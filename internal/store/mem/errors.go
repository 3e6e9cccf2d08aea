package mem

import (
	"errors"
	"fmt"

	"github.com/aws/smithy-go"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// invalid is a ValidationException, which the SDK has no type for.
func invalid(format string, args ...any) error {
	return &smithy.GenericAPIError{Code: "ValidationException", Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}

// unsupported refuses a parameter that this store does not carry out, rather than ignore it.
func unsupported(parameter string) error {
	return invalid("mem: %s is not supported by the in-memory store", parameter)
}

func notFound() error {
	return &types.ResourceNotFoundException{Message: aws.String("Requested resource not found")}
}

func conditionFailed(old item) error {
	return &types.ConditionalCheckFailedException{Message: aws.String("The conditional request failed"), Item: cloneItem(old)}
}

// message is the text of an error of this package.
func message(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorMessage()
	}
	return err.Error()
}
