// Command bare is the least that a Go function can be: what others are compared with.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"
)

type handler struct{}

func (handler) Invoke(context.Context, []byte) ([]byte, error) { return nil, nil }

func main() { lambda.Start(handler{}) }
