package componenttest

import (
	"regexp"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// kind is what the suite knows of a type of AWS resource.
type kind struct {
	taggable bool
	name     string         // the input that is its physical name; empty when it has none
	pattern  *regexp.Regexp // of that name
	policies []string       // inputs that are policy documents
	own      bool           // the policies stand on the resource, so that "*" means itself
}

func name(pattern string) *regexp.Regexp { return regexp.MustCompile(`^` + pattern + `$`) }

// kinds are the types that components register. The patterns are AWS's own.
var kinds = map[string]kind{
	"aws:apigateway/account:Account":                    {},
	"aws:apigateway/deployment:Deployment":              {},
	"aws:apigateway/methodSettings:MethodSettings":      {},
	"aws:apigateway/restApi:RestApi":                    {taggable: true, name: "name", pattern: name(`.{1,255}`), policies: []string{"policy"}, own: true},
	"aws:apigateway/stage:Stage":                        {taggable: true, name: "stageName", pattern: name(`[A-Za-z0-9_-]{1,128}`)},
	"aws:cloudwatch/logGroup:LogGroup":                  {taggable: true, name: "name", pattern: name(`[.\-_/#A-Za-z0-9]{1,512}`)},
	"aws:cognito/userPool:UserPool":                     {taggable: true, name: "name", pattern: name(`[\w\s+=,.@-]{1,128}`)},
	"aws:cognito/userPoolClient:UserPoolClient":         {name: "name", pattern: name(`[\w\s+=,.@-]{1,128}`)},
	"aws:dynamodb/resourcePolicy:ResourcePolicy":        {policies: []string{"policy"}, own: true},
	"aws:dynamodb/table:Table":                          {taggable: true, name: "name", pattern: name(`[a-zA-Z0-9_.-]{3,255}`)},
	"aws:iam/policy:Policy":                             {taggable: true, name: "name", pattern: name(`[\w+=,.@-]{1,128}`), policies: []string{"policy"}},
	"aws:iam/role:Role":                                 {taggable: true, name: "name", pattern: name(`[\w+=,.@-]{1,64}`), policies: []string{"assumeRolePolicy"}},
	"aws:iam/rolePolicy:RolePolicy":                     {name: "name", pattern: name(`[\w+=,.@-]{1,128}`), policies: []string{"policy"}},
	"aws:iam/rolePolicyAttachment:RolePolicyAttachment": {},
	"aws:kms/alias:Alias":                               {name: "name", pattern: name(`alias/[a-zA-Z0-9/_-]{1,250}`)},
	"aws:kms/key:Key":                                   {taggable: true, policies: []string{"policy"}, own: true},
	"aws:lambda/alias:Alias":                            {name: "name", pattern: name(`[a-zA-Z0-9_-]{1,128}`)},
	"aws:lambda/eventSourceMapping:EventSourceMapping":  {taggable: true},
	"aws:lambda/function:Function":                      {taggable: true, name: "name", pattern: name(`[a-zA-Z0-9_-]{1,64}`)},
	"aws:lambda/permission:Permission":                  {name: "statementId", pattern: name(`[a-zA-Z0-9_-]{1,100}`)},
	"aws:scheduler/schedule:Schedule":                   {name: "name", pattern: name(`[0-9a-zA-Z_.-]{1,64}`)},
	"aws:secretsmanager/secret:Secret":                  {taggable: true, name: "name", pattern: name(`[A-Za-z0-9/_+=.@-]{1,512}`)},
	"aws:secretsmanager/secretPolicy:SecretPolicy":      {policies: []string{"policy"}, own: true},
	"aws:secretsmanager/secretVersion:SecretVersion":    {},
	"aws:sqs/queue:Queue":                               {taggable: true, name: "name", pattern: name(`[A-Za-z0-9_-]{1,80}`)},
	"aws:sqs/queuePolicy:QueuePolicy":                   {policies: []string{"policy"}, own: true},
}

// computed gives the id and the outputs that AWS gives a resource.
func computed(token, logical string, inputs resource.PropertyMap) (string, map[string]resource.PropertyValue) {
	input := func(key resource.PropertyKey) string {
		if v, ok := inputs[key]; ok && v.IsString() {
			return v.StringValue()
		}
		return ""
	}
	id, texts := identity(token, logical, input)
	outputs := map[string]resource.PropertyValue{}
	for k, v := range texts {
		outputs[k] = resource.NewProperty(v)
	}
	if strings.HasSuffix(token, ":UserPoolClient") {
		outputs["clientSecret"] = resource.MakeSecret(resource.NewProperty(digits(52, "secret", input("name"))))
	}
	return id, outputs
}

func regional(service, rest string) string {
	return "arn:aws:" + service + ":" + Region + ":" + Account + ":" + rest
}

func global(rest string) string { return "arn:aws:iam::" + Account + ":" + rest }

// identity gives ids and ARNs of the form that AWS gives.
func identity(token, logical string, input func(resource.PropertyKey) string) (string, map[string]string) {
	name := input("name")
	switch token {
	case "aws:kms/key:Key":
		h := digits(32, token, logical)
		id := h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
		return id, map[string]string{"keyId": id, "arn": regional("kms", "key/"+id)}
	case "aws:secretsmanager/secret:Secret":
		arn := regional("secretsmanager", "secret:"+name+"-"+digits(6, token, name))
		return arn, map[string]string{"arn": arn}
	case "aws:dynamodb/table:Table":
		return name, map[string]string{"arn": regional("dynamodb", "table/"+name), "streamArn": streamARN(name, input("streamViewType"))}
	case "aws:iam/role:Role":
		if prefix := input("namePrefix"); prefix != "" {
			name = prefix + "20260101000000000000000001"
		}
		return name, map[string]string{"name": name, "arn": global("role/" + name)}
	case "aws:iam/policy:Policy":
		return global("policy/" + name), map[string]string{"arn": global("policy/" + name)}
	case "aws:cloudwatch/logGroup:LogGroup":
		return name, map[string]string{"arn": regional("logs", "log-group:"+name)}
	case "aws:lambda/function:Function":
		return name, map[string]string{"arn": regional("lambda", "function:"+name), "version": "1"}
	case "aws:lambda/alias:Alias":
		arn := regional("lambda", "function:"+input("functionName")+":"+name)
		return arn, map[string]string{"arn": arn, "invokeArn": "arn:aws:apigateway:" + Region + ":lambda:path/2015-03-31/functions/" + arn + "/invocations"}
	case "aws:apigateway/restApi:RestApi":
		id := digits(10, token, name)
		return id, map[string]string{"executionArn": regional("execute-api", id)}
	case "aws:apigateway/stage:Stage":
		api, stage := input("restApi"), input("stageName")
		return "ags-" + api + "-" + stage, map[string]string{
			"invokeUrl": "https://" + api + ".execute-api." + Region + ".amazonaws.com/" + stage,
			"arn":       "arn:aws:apigateway:" + Region + "::/restapis/" + api + "/stages/" + stage,
		}
	case "aws:cognito/userPool:UserPool":
		id := Region + "_" + digits(9, token, name)
		return id, map[string]string{"arn": regional("cognito-idp", "userpool/"+id)}
	case "aws:cognito/userPoolClient:UserPoolClient":
		return digits(26, token, name), nil
	case "aws:sqs/queue:Queue":
		url := "https://sqs." + Region + ".amazonaws.com/" + Account + "/" + name
		return url, map[string]string{"arn": regional("sqs", name), "url": url}
	}
	return logical + "-id", nil
}

func streamARN(table, view string) string {
	if view == "" {
		return ""
	}
	return regional("dynamodb", "table/"+table+"/stream/2026-01-01T00:00:00.000")
}
