package provider

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

const (
	typeRestAPI        = "aws:apigateway/restApi:RestApi"
	typeDeployment     = "aws:apigateway/deployment:Deployment"
	typeStage          = "aws:apigateway/stage:Stage"
	typeMethodSettings = "aws:apigateway/methodSettings:MethodSettings"
	typeGatewayAccount = "aws:apigateway/account:Account"

	maxAPIPolicy = 8192 // API Gateway Developer Guide, "Quotas for configuring and running a REST API"
	maxStages    = 10   // per API, same page
)

// restAPI is a REST API, imported from an OpenAPI document. Limits: API Gateway API reference, CreateRestApi.
func restAPI() resourceType {
	return resourceType{
		token: typeRestAPI,
		props: map[string]property{
			"apiKeySource":              aText().oneOf("HEADER", "AUTHORIZER").byAWS(),
			"binaryMediaTypes":          listOf(aText()).byAWS(),
			"body":                      aText(),
			"description":               aText().byAWS(),
			"disableExecuteApiEndpoint": aFlag().byAWS(),
			"endpointConfiguration": anObject(map[string]property{
				"ipAddressType": aText().oneOf("ipv4", "dualstack").byAWS(), "types": aText().must().oneOf("REGIONAL", "EDGE", "PRIVATE"),
				"vpcEndpointIds": setOf(aText()),
			}).byAWS(),
			"failOnWarnings":         aFlag(),
			"minimumCompressionSize": aText().byAWS(),
			"name":                   aText().from(1, 1024),
			"parameters":             mapOf(aText()),
			"policy":                 aPolicy().byAWS(),
			"putRestApiMode":         aText().oneOf("merge", "overwrite").or(text("overwrite")),
		},
		outputs: []string{"arn", "createdDate", "executionArn", "rootResourceId"},
		naming:  &naming{property: "name", limit: 1024},
		tagged:  true,
		check:   checkRestAPI,
		create:  createRestAPI,
		update:  func(o *op) (bag, error) { return nil, o.checkAPITargets() },
		remove: func(o *op) error {
			for _, token := range []string{typeDeployment, typeStage, typeMethodSettings} {
				o.world.dropAll(token, "restApi", o.id)
			}
			return nil
		},
	}
}

func checkRestAPI(_ *cloud, in bag) []problem {
	out := checkPolicy(in, "policy", resourcePolicy, maxAPIPolicy)
	if size := getText(in, "minimumCompressionSize"); size != "" {
		if n, err := strconv.Atoi(size); err != nil || n < -1 || n > 10485760 {
			out = append(out, problemf("minimumCompressionSize", "is %q: AWS allows -1 to 10485760", size))
		}
	}
	if endpoint := getBag(in, "endpointConfiguration"); len(getList(endpoint, "vpcEndpointIds")) > 0 && known(endpoint, "types") && getText(endpoint, "types") != "PRIVATE" {
		out = append(out, problemf("endpointConfiguration.vpcEndpointIds", "needs types PRIVATE"))
	}
	if body := getText(in, "body"); body != "" {
		out = append(out, parseAPI(body).problems...)
	}
	return out
}

func createRestAPI(o *op) (string, bag, error) {
	if err := o.checkAPITargets(); err != nil {
		return "", nil, err
	}
	id, err := randomID(lowerAlnum, 10)
	if err != nil {
		return "", nil, err
	}
	root, err := randomID(lowerAlnum, 10)
	if err != nil {
		return "", nil, err
	}
	return id, bag{
		"arn":          text(fmt.Sprintf("arn:%s:apigateway:%s::/restapis/%s", o.partition, o.region, id)),
		"executionArn": text(o.arn("execute-api", id)), "createdDate": text(o.timestamp()), "rootResourceId": text(root),
		"apiKeySource": text("HEADER"), "disableExecuteApiEndpoint": boolean(false), "minimumCompressionSize": text(""),
		"endpointConfiguration": object(bag{"types": text("EDGE"), "ipAddressType": text("ipv4")}),
		"description":           text(""), "policy": text(""), "binaryMediaTypes": list(),
	}, nil
}

// checkAPITargets refuses a body that calls a function, version or alias that does not exist.
func (o *op) checkAPITargets() error {
	body := getText(o.in, "body")
	if body == "" {
		return nil
	}
	d := parseAPI(body)
	uris := d.authorizers
	for _, r := range d.routes {
		uris = append(uris, r.uri)
	}
	for _, uri := range uris {
		if arn := functionOf(uri); arn != "" {
			if err := o.checkTarget(arn, ""); err != nil {
				return fmt.Errorf("the body calls %s: %w", arn, err)
			}
		}
	}
	return nil
}

// liveAPI is an API by its id.
func (o *op) liveAPI(id string) (*record, error) {
	r, ok := o.world.get(typeRestAPI, id)
	if !ok {
		return nil, denyf("NotFoundException", "Invalid API identifier specified %s:%s", o.account, id)
	}
	return r, nil
}

// deployment is a snapshot of an API that a stage can serve.
func deployment() resourceType {
	return resourceType{
		token: typeDeployment,
		props: map[string]property{
			"canarySettings": anObject(map[string]property{
				"percentTraffic": aNumber().from(0, 100), "stageVariableOverrides": mapOf(aText()), "useStageCache": aFlag(),
			}).fixed(),
			"description":      aText(),
			"restApi":          aText().must().fixed(),
			"stageDescription": aText().fixed(),
			"stageName":        aText().fixed(),
			"triggers":         mapOf(aText()).fixed(),
			"variables":        mapOf(aText()).fixed(),
		},
		outputs: []string{"createdDate", "executionArn", "invokeUrl"},
		check: func(_ *cloud, in bag) []problem {
			var out []problem
			for _, k := range []string{"stageName", "stageDescription", "canarySettings"} {
				if has(in, k) {
					out = append(out, problemf(k, "is deprecated and not held by the local cloud: use aws.apigateway.Stage"))
				}
			}
			return out
		},
		create: createDeployment,
		update: func(*op) (bag, error) { return nil, nil },
		remove: func(o *op) error {
			for _, s := range o.world.all(typeStage, "deployment", o.id) {
				return denyf("BadRequestException", "Active stages pointing to this deployment must be moved or deleted: stage %s", getText(s.out, "stageName"))
			}
			return nil
		},
	}
}

func createDeployment(o *op) (string, bag, error) {
	api := getText(o.in, "restApi")
	r, err := o.liveAPI(api)
	if err != nil {
		return "", nil, err
	}
	if body := getText(r.in, "body"); body == "" || len(parseAPI(body).routes) == 0 {
		return "", nil, denyf("BadRequestException", "The REST API doesn't contain any methods")
	}
	id, err := randomID(lowerAlnum, 6)
	if err != nil {
		return "", nil, err
	}
	return id, bag{
		"createdDate": text(o.timestamp()), "executionArn": text(o.arn("execute-api", api+"/")), "invokeUrl": text(o.invokeURL(api, "")),
	}, nil
}

func (c *cloud) invokeURL(api, stage string) string {
	return fmt.Sprintf("https://%s.execute-api.%s.%s/%s", api, c.region, c.dnsSuffix(), stage)
}

// stage serves a deployment under a name. Limits: API Gateway API reference, CreateStage; Developer Guide, "important notes".
func stage() resourceType {
	return resourceType{
		token: typeStage,
		props: map[string]property{
			"accessLogSettings":   anObject(map[string]property{"destinationArn": anARN().must(), "format": aText().must().from(1, 3072)}),
			"cacheClusterEnabled": aFlag(),
			"cacheClusterSize":    aText().oneOf("0.5", "1.6", "6.1", "13.5", "28.4", "58.2", "118", "237"),
			"canarySettings": anObject(map[string]property{
				"deploymentId": aText().must(), "percentTraffic": aNumber().from(0, 100), "stageVariableOverrides": mapOf(aText()), "useStageCache": aFlag(),
			}),
			"clientCertificateId":  aText(),
			"deployment":           aText().must(),
			"description":          aText(),
			"documentationVersion": aText(),
			"restApi":              aText().must().fixed(),
			"stageName":            aText().must().from(1, 128).like(`^[A-Za-z0-9_-]+$`, "letters, digits, - and _").fixed(),
			"variables":            mapOf(aText().like(`^[A-Za-z0-9-._~:/?#&=,]*$`, "a value of letters, digits and -._~:/?#&=,")),
			"xrayTracingEnabled":   aFlag(),
		},
		outputs:  []string{"arn", "executionArn", "invokeUrl", "webAclArn"},
		identity: []string{"restApi", "stageName"},
		tagged:   true,
		check:    checkStage,
		create:   createStage,
		update:   func(o *op) (bag, error) { return nil, o.checkStageReferences() },
		remove: func(o *op) error {
			for id, r := range o.world.records[typeMethodSettings] {
				if getText(r.out, "restApi") == getText(o.state, "restApi") && getText(r.out, "stageName") == getText(o.state, "stageName") {
					o.world.drop(typeMethodSettings, id)
				}
			}
			return nil
		},
	}
}

func checkStage(_ *cloud, in bag) []problem {
	log := getBag(in, "accessLogSettings")
	format := getText(log, "format")
	if format == "" {
		return nil
	}
	var out []problem
	if !strings.Contains(format, "$context.requestId") && !strings.Contains(format, "$context.extendedRequestId") {
		out = append(out, problemf("accessLogSettings.format", "must have $context.requestId or $context.extendedRequestId"))
	}
	if strings.Contains(format, "\n") {
		out = append(out, problemf("accessLogSettings.format", "must be one line"))
	}
	return out
}

func stageID(api, name string) string { return "ags-" + api + "-" + name }

func createStage(o *op) (string, bag, error) {
	api, name := getText(o.in, "restApi"), getText(o.in, "stageName")
	if _, err := o.liveAPI(api); err != nil {
		return "", nil, err
	}
	id := stageID(api, name)
	if _, taken := o.world.get(typeStage, id); taken {
		return "", nil, denyf("ConflictException", "Stage already exists: %s", name)
	}
	if len(o.world.all(typeStage, "restApi", api)) >= maxStages {
		return "", nil, denyf("LimitExceededException", "Maximum number of stages for this API has been reached: %d", maxStages)
	}
	if err := o.checkStageReferences(); err != nil {
		return "", nil, err
	}
	return id, bag{
		"arn":          text(fmt.Sprintf("arn:%s:apigateway:%s::/restapis/%s/stages/%s", o.partition, o.region, api, name)),
		"executionArn": text(o.arn("execute-api", api+"/"+name)), "invokeUrl": text(o.invokeURL(api, name)), "webAclArn": text(""),
	}, nil
}

func (o *op) checkStageReferences() error {
	d, ok := o.world.get(typeDeployment, getText(o.in, "deployment"))
	if !ok || getText(d.out, "restApi") != getText(o.in, "restApi") {
		return denyf("NotFoundException", "Invalid Deployment identifier specified: %s", getText(o.in, "deployment"))
	}
	log := getText(getBag(o.in, "accessLogSettings"), "destinationArn")
	if log == "" {
		return nil
	}
	if o.world.gatewayRole == "" {
		return denyf("BadRequestException", "CloudWatch Logs role ARN must be set in account settings to enable logging")
	}
	if strings.Contains(log, ":logs:") {
		if _, ok := o.logGroupByARN(log); !ok {
			return denyf("BadRequestException", "Invalid ARN specified in the request: log group %s does not exist", log)
		}
	}
	return nil
}

// methodSettings is throttling, logging and caching of the methods of a stage.
func methodSettings() resourceType {
	return resourceType{
		token: typeMethodSettings,
		props: map[string]property{
			"methodPath": aText().must().like(`^(\*/\*|[^\s]*/(GET|PUT|POST|DELETE|OPTIONS|HEAD|PATCH|ANY))$`, "*/* or PATH/METHOD without a leading /").fixed(),
			"restApi":    aText().must().fixed(),
			"settings": anObject(map[string]property{
				"cacheDataEncrypted": aFlag().byAWS(), "cacheTtlInSeconds": aNumber().from(0, 3600).byAWS(), "cachingEnabled": aFlag().byAWS(),
				"dataTraceEnabled": aFlag().byAWS(), "loggingLevel": aText().oneOf("OFF", "ERROR", "INFO").byAWS(), "metricsEnabled": aFlag().byAWS(),
				"requireAuthorizationForCacheControl": aFlag().byAWS(),
				"throttlingBurstLimit":                aNumber().from(-1, 2147483647).or(number(-1)),
				"throttlingRateLimit":                 aNumber().from(-1, 2147483647).or(number(-1)),
				"unauthorizedCacheControlHeaderStrategy": aText().oneOf("FAIL_WITH_403", "SUCCEED_WITH_RESPONSE_HEADER",
					"SUCCEED_WITHOUT_RESPONSE_HEADER").byAWS(),
			}).must(),
			"stageName": aText().must().fixed(),
		},
		identity: []string{"restApi", "stageName", "methodPath"},
		create: func(o *op) (string, bag, error) {
			id := getText(o.in, "restApi") + "-" + getText(o.in, "stageName") + "-" + getText(o.in, "methodPath")
			if _, taken := o.world.get(typeMethodSettings, id); taken {
				return "", nil, denyf("ConflictException", "%s has method settings already: two resources would overwrite each other", id)
			}
			if err := o.checkMethodSettings(); err != nil {
				return "", nil, err
			}
			return id, bag{}, nil
		},
		update: func(o *op) (bag, error) { return nil, o.checkMethodSettings() },
	}
}

func (o *op) checkMethodSettings() error {
	api, name, path := getText(o.in, "restApi"), getText(o.in, "stageName"), getText(o.in, "methodPath")
	r, err := o.liveAPI(api)
	if err != nil {
		return err
	}
	if _, ok := o.world.get(typeStage, stageID(api, name)); !ok {
		return denyf("NotFoundException", "Invalid stage identifier specified: %s", name)
	}
	level := getText(getBag(o.in, "settings"), "loggingLevel")
	if level != "" && level != "OFF" && o.world.gatewayRole == "" {
		return denyf("BadRequestException", "CloudWatch Logs role ARN must be set in account settings to enable logging")
	}
	if path != "*/*" && !hasMethod(parseAPI(getText(r.in, "body")), path) {
		return denyf("NotFoundException", "Invalid method setting path: the API has no method %s", path)
	}
	return nil
}

// hasMethod looks for PATH/METHOD, where PATH may have its slashes written as ~1.
func hasMethod(d *apiDefinition, methodPath string) bool {
	methodPath = strings.ReplaceAll(methodPath, "~1", "/")
	cut := strings.LastIndex(methodPath, "/")
	path, method := strings.TrimPrefix(methodPath[:cut], "/"), methodPath[cut+1:]
	for _, r := range d.routes {
		if strings.TrimPrefix(r.path, "/") == path && (r.method == method || r.method == "ANY") {
			return true
		}
	}
	return false
}

// gatewayAccount is API Gateway's settings of the account and region: one for all stacks. AWS keeps them when the
// resource goes, unless resetOnDelete is set.
func gatewayAccount() resourceType {
	return resourceType{
		token:   typeGatewayAccount,
		props:   map[string]property{"cloudwatchRoleArn": anARN(), "resetOnDelete": aFlag()},
		outputs: []string{"apiKeyVersion", "features", "throttleSettings"},
		create: func(o *op) (string, bag, error) {
			if err := o.setGatewayRole(); err != nil {
				return "", nil, err
			}
			throttle := bag{"burstLimit": number(5000), "rateLimit": number(10000)}
			return "api-gateway-account", bag{
				"apiKeyVersion": text("4"), "features": texts("UsagePlans"), "throttleSettings": list(resource.NewProperty(throttle)),
			}, nil
		},
		update: func(o *op) (bag, error) { return nil, o.setGatewayRole() },
		remove: func(o *op) error {
			if getBool(o.old, "resetOnDelete") {
				o.world.gatewayRole = ""
			}
			return nil
		},
	}
}

func (o *op) setGatewayRole() error {
	arn := getText(o.in, "cloudwatchRoleArn")
	if arn == "" {
		o.world.gatewayRole = ""
		return nil
	}
	r, ok := o.roleByARN(arn)
	if !ok || !roleTrusts(r, "apigateway.amazonaws.com") {
		return denyf("BadRequestException", "The role ARN does not have required trust relationship with API Gateway: %s", arn)
	}
	name := getText(r.out, "name")
	attached := len(o.world.all(typeRoleAttachment, "role", name)) + len(o.world.all(typeRolePolicy, "role", name)) +
		len(getList(r.out, "managedPolicyArns")) + len(getList(r.out, "inlinePolicies"))
	if attached == 0 {
		return denyf("BadRequestException", "The role ARN does not have required permissions set to API Gateway: %s has no policy", arn)
	}
	o.world.gatewayRole = arn
	return nil
}
