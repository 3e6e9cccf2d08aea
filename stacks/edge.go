package stacks

import (
	"encoding/json"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/expenzez/aws-backend/components"
	"github.com/expenzez/aws-backend/internal/service"
)

// Edge is the stack that faces the internet: the REST API in front of the functions.
type Edge struct {
	pulumi.ResourceState
	API *components.RestApi
}

// apiVersion is the version of the published OpenAPI document.
const apiVersion = "1.0.0"

func newEdge(e *environment, core *Core, functions map[string]*components.LambdaFunction) (*Edge, error) {
	edge := &Edge{}
	_, parent, err := e.newStack("edge", "Edge", edge)
	if err != nil {
		return nil, err
	}
	account, err := components.NewApiGatewayAccount(e.ctx, "api-gateway", &components.ApiGatewayAccountArgs{
		Place: e.place(), Tags: e.settings.Tags("edge", "internal"), Mode: components.ModeCreate, Name: e.settings.Name("api-gateway-logs"),
	}, parent)
	if err != nil {
		return nil, err
	}
	document, err := json.Marshal(publishedDocument(e.backend))
	if err != nil {
		return nil, err
	}
	edge.API, err = components.NewRestApi(e.ctx, "api", &components.RestApiArgs{
		Place: e.place(), Tags: e.settings.Tags("edge", "internal"), Name: e.settings.Name("api"),
		Description: "The API of Expenzez.", Document: document, Stage: "live",
		Integrations: integrations(e.backend, functions), Authorizers: authorizers(e, functions), Public: public(e.backend),
		Origins:  e.settings.Origins,
		Throttle: components.RestApiThrottle{Rate: float64(e.settings.Profile.Throttle.Rate), Burst: e.settings.Profile.Throttle.Burst},
		Key:      core.Keys[purposeLogs].ARN(), LogRetentionDays: e.settings.Profile.LogDays, Account: account,
	}, parent)
	if err != nil {
		return nil, err
	}
	return edge, e.ctx.RegisterResourceOutputs(edge, pulumi.Map{"apiUrl": edge.API.URL})
}

// publishedDocument is the OpenAPI document without its security schemes, which the API's authorizers define.
func publishedDocument(b service.Backend) map[string]any {
	document := service.OpenAPI(b, "Expenzez", apiVersion)
	if parts, ok := document["components"].(map[string]any); ok {
		delete(parts, "securitySchemes")
	}
	return document
}

func integrations(b service.Backend, functions map[string]*components.LambdaFunction) map[string]components.RestApiIntegration {
	all := map[string]components.RestApiIntegration{}
	for operation, function := range b.Operations() {
		all[operation] = components.RestApiIntegration{Function: functions[function]}
	}
	return all
}

func authorizers(e *environment, functions map[string]*components.LambdaFunction) map[string]components.RestApiAuthorizer {
	all := map[string]components.RestApiAuthorizer{}
	for _, f := range e.backend.Functions() {
		if f.Authorizes {
			all[service.SecurityScheme] = components.RestApiAuthorizer{
				Function: functions[f.Key], ResultTTLSeconds: int(e.settings.Profile.AuthorizerCache.Seconds()),
			}
		}
	}
	return all
}

func public(b service.Backend) map[string]string {
	all := map[string]string{}
	for _, r := range b.Routes() {
		if reason, ok := r.Caller.IsPublic(); ok {
			all[r.ID] = reason
		}
	}
	return all
}
