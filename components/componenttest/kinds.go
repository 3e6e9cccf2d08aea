package componenttest

import (
	"regexp"

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
	"aws:lambda/function:Function":                      {taggable: true, name: "name", pattern: name(`[a-zA-Z0-9_-]{1,64}`)},
	"aws:lambda/permission:Permission":                  {name: "statementId", pattern: name(`[a-zA-Z0-9_-]{1,100}`)},
	"aws:secretsmanager/secret:Secret":                  {taggable: true, name: "name", pattern: name(`[A-Za-z0-9/_+=.@-]{1,512}`)},
	"aws:secretsmanager/secretPolicy:SecretPolicy":      {policies: []string{"policy"}, own: true},
	"aws:secretsmanager/secretVersion:SecretVersion":    {},
}

// computed gives the id and the outputs that AWS gives a resource.
func computed(token, logical string, inputs resource.PropertyMap) (string, map[string]resource.PropertyValue) {
	arn := func(service, rest string) string {
		return "arn:aws:" + service + ":" + Region + ":" + Account + ":" + rest
	}
	text := resource.NewProperty[string]
	input := func(key resource.PropertyKey) string {
		if v, ok := inputs[key]; ok && v.IsString() {
			return v.StringValue()
		}
		return ""
	}
	outputs := map[string]resource.PropertyValue{}
	id := logical + "-id"
	physical := input("name")
	switch token {
	case "aws:kms/key:Key":
		h := digits(32, token, logical)
		id = h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
		outputs["keyId"], outputs["arn"] = text(id), text(arn("kms", "key/"+id))
	case "aws:secretsmanager/secret:Secret":
		id = arn("secretsmanager", "secret:"+physical+"-"+digits(6, token, physical))
		outputs["arn"] = text(id)
	case "aws:dynamodb/table:Table":
		id = physical
		outputs["arn"] = text(arn("dynamodb", "table/"+id))
		outputs["streamArn"] = text("")
		if input("streamViewType") != "" {
			outputs["streamArn"] = text(arn("dynamodb", "table/"+id+"/stream/2026-01-01T00:00:00.000"))
		}
	case "aws:iam/role:Role":
		id = physical
		if prefix := input("namePrefix"); prefix != "" {
			id = prefix + "20260101000000000000000001"
			outputs["name"] = text(id)
		}
		outputs["arn"] = text("arn:aws:iam::" + Account + ":role/" + id)
	case "aws:iam/policy:Policy":
		id = "arn:aws:iam::" + Account + ":policy/" + physical
		outputs["arn"] = text(id)
	case "aws:cloudwatch/logGroup:LogGroup":
		id = physical
		outputs["arn"] = text(arn("logs", "log-group:"+id))
	case "aws:lambda/function:Function":
		id = physical
		outputs["arn"], outputs["version"] = text(arn("lambda", "function:"+id)), text("1")
	case "aws:lambda/alias:Alias":
		id = arn("lambda", "function:"+input("functionName")+":"+physical)
		outputs["arn"] = text(id)
		outputs["invokeArn"] = text("arn:aws:apigateway:" + Region + ":lambda:path/2015-03-31/functions/" + id + "/invocations")
	case "aws:apigateway/restApi:RestApi":
		id = digits(10, token, physical)
		outputs["executionArn"] = text(arn("execute-api", id))
	case "aws:apigateway/stage:Stage":
		outputs["invokeUrl"] = text("https://" + input("restApi") + ".execute-api." + Region + ".amazonaws.com/" + input("stageName"))
		outputs["arn"] = text("arn:aws:apigateway:" + Region + "::/restapis/" + input("restApi") + "/stages/" + input("stageName"))
	case "aws:cognito/userPool:UserPool":
		id = Region + "_" + digits(9, token, physical)
		outputs["arn"] = text(arn("cognito-idp", "userpool/"+id))
	case "aws:cognito/userPoolClient:UserPoolClient":
		id = digits(26, token, physical)
		outputs["clientSecret"] = resource.MakeSecret(text(digits(52, "secret", physical)))
	}
	return id, outputs
}
