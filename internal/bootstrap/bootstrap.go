// Package bootstrap starts functions. It reads what the deployment tells a declared function, makes what all of them work
// with, and hands both to who makes the handler, whose invocations are then traced. Nothing is called while starting.
package bootstrap

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/expenzez/aws-backend/internal/awsconfig"
	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/internal/telemetry/xray"
)

// Lookup is the environment: the value of a variable, and whether it is set. os.LookupEnv is one.
type Lookup func(name string) (string, bool)

// Environment is what every function works with.
type Environment struct {
	Values environ.Values // what the deployment tells the function
	AWS    aws.Config     // for clients of other services
	DB     *dynamodb.Client
	Log    *slog.Logger
}

// Start serves the handler that build makes, until the sandbox ends. An error of build ends the process with its text.
func Start(build func(Lookup) (lambda.Handler, error)) {
	handler, err := build(os.LookupEnv)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lambda.Start(handler)
}

// Build makes the handler of a service's function by its declared key. The error names every variable that is missing or
// wrong, or is that of the handler's maker.
func Build(s service.Service, key string, lookup Lookup, handler func(Environment) (lambda.Handler, error)) (lambda.Handler, error) {
	f, ok := s.Function(key)
	if !ok {
		return nil, fmt.Errorf("bootstrap: service %s declares no function %s", s.Key, key)
	}
	values, err := environ.Read(f, lookup)
	if err != nil {
		return nil, err
	}
	cfg, err := awsconfig.Load(lookup)
	if err != nil {
		return nil, err
	}
	log := telemetry.New(os.Stdout, telemetry.Options{Environment: values.Environment, Service: s.Key, Function: key, Version: lambdacontext.FunctionVersion})
	h, err := handler(Environment{Values: values, AWS: cfg, DB: store.Open(cfg, store.Options{}), Log: log})
	if err != nil {
		return nil, err
	}
	return xray.Trace(h, key, lookup, log), nil
}
