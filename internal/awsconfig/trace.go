package awsconfig

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"go.opentelemetry.io/otel/trace"

	"github.com/expenzez/aws-backend/internal/telemetry"
)

// traceCalls makes every client of the configuration leave one span a call, its retries included, and count the retries.
// A span holds service, operation, region, tables, the request's id with AWS, status and number of attempts; nothing of
// what was sent or received.
func traceCalls(cfg *aws.Config) {
	cfg.APIOptions = append(cfg.APIOptions, func(s *middleware.Stack) error {
		return s.Initialize.Add(middleware.InitializeMiddlewareFunc("Trace", traceCall), middleware.After)
	})
}

func traceCall(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
	ctx, span := telemetry.StartSpan(ctx, awsmiddleware.GetServiceID(ctx), trace.WithSpanKind(trace.SpanKindClient))
	out, metadata, err := next.HandleInitialize(ctx, in)
	attempts := 1
	if results, ok := retry.GetAttemptResults(metadata); ok {
		attempts = max(attempts, len(results.Results))
	}
	if attempts > 1 {
		telemetry.Count(ctx, telemetry.AWSRetries, float64(attempts-1))
	}
	if span.IsRecording() {
		describe(ctx, span, in.Parameters, metadata, err, attempts)
	}
	telemetry.EndSpan(span, err)
	return out, metadata, err
}

func describe(ctx context.Context, span trace.Span, in any, metadata middleware.Metadata, err error, attempts int) {
	span.SetAttributes(
		telemetry.AttrAWSService.String(awsmiddleware.GetServiceID(ctx)),
		telemetry.AttrOperation.String(awsmiddleware.GetOperationName(ctx)),
		telemetry.AttrRegion.String(awsmiddleware.GetRegion(ctx)))
	if attempts > 1 {
		span.SetAttributes(telemetry.AttrAttempts.Int(attempts))
	}
	if names := tables(in); len(names) > 0 {
		span.SetAttributes(telemetry.AttrTables.StringSlice(names))
	}
	if id, ok := awsmiddleware.GetRequestIDMetadata(metadata); ok {
		span.SetAttributes(telemetry.AttrAWSRequest.String(id))
	}
	if status := status(metadata, err); status != 0 {
		span.SetAttributes(telemetry.AttrStatus.Int(status))
	}
	var coded smithy.APIError
	if errors.As(err, &coded) {
		_, throttled := retry.DefaultThrottleErrorCodes[coded.ErrorCode()]
		span.SetAttributes(telemetry.AttrThrottled.Bool(throttled))
	}
}

// status is that of the last answer; 0 when there was none.
func status(metadata middleware.Metadata, err error) int {
	var failed *smithyhttp.ResponseError
	if errors.As(err, &failed) && failed.Response != nil && failed.Response.Response != nil {
		return failed.HTTPStatusCode()
	}
	if response, ok := awsmiddleware.GetRawResponse(metadata).(*smithyhttp.Response); ok && response.Response != nil {
		return response.StatusCode
	}
	return 0
}

// tables are the tables of a call to DynamoDB, each once, sorted.
func tables(in any) []string {
	names := map[string]bool{}
	add := func(name *string) {
		if name != nil {
			names[*name] = true
		}
	}
	switch in := in.(type) {
	case *dynamodb.GetItemInput:
		add(in.TableName)
	case *dynamodb.PutItemInput:
		add(in.TableName)
	case *dynamodb.UpdateItemInput:
		add(in.TableName)
	case *dynamodb.DeleteItemInput:
		add(in.TableName)
	case *dynamodb.QueryInput:
		add(in.TableName)
	case *dynamodb.BatchGetItemInput:
		for name := range in.RequestItems {
			add(&name)
		}
	case *dynamodb.BatchWriteItemInput:
		for name := range in.RequestItems {
			add(&name)
		}
	case *dynamodb.TransactWriteItemsInput:
		for _, item := range in.TransactItems {
			add(tableOf(item))
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func tableOf(item types.TransactWriteItem) *string {
	switch {
	case item.Put != nil:
		return item.Put.TableName
	case item.Update != nil:
		return item.Update.TableName
	case item.Delete != nil:
		return item.Delete.TableName
	case item.ConditionCheck != nil:
		return item.ConditionCheck.TableName
	default:
		return nil
	}
}
