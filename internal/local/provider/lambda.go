package provider

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

const (
	typeFunction      = "aws:lambda/function:Function"
	typeFunctionAlias = "aws:lambda/alias:Alias"
	typePermission    = "aws:lambda/permission:Permission"

	// Lambda Developer Guide, "Lambda quotas".
	maxEnvironment    = 4096  // bytes of all environment variables
	maxFunctionPolicy = 20480 // bytes of the resource policy of a function or alias
	accountExecutions = 1000  // default quota of concurrent executions
	leastUnreserved   = 100   // of them that must stay unreserved

	functionNameForm  = `^[a-zA-Z0-9_-]+$`
	functionNameShape = "letters, digits, - and _"
)

// functionHistory is what outlives one update of a function: its published versions.
type functionHistory struct {
	published   int
	fingerprint string // of the last published version
}

// function is a Lambda function. Limits: Lambda API reference, CreateFunction; Developer Guide, "Lambda quotas".
func function() resourceType {
	arnOf := func(name string) property { return anObject(map[string]property{name: anARN().must()}) }
	return resourceType{
		token: typeFunction,
		props: map[string]property{
			"architectures":        listOf(aText().oneOf("x86_64", "arm64")).from(0, 1).byAWS(),
			"code":                 {kind: kindArchive, apart: []string{"imageUri", "s3Bucket"}},
			"codeSigningConfigArn": anARN(),
			"deadLetterConfig":     arnOf("targetArn"),
			"description":          aText().from(0, 256),
			"environment":          anObject(map[string]property{"variables": mapOf(aText())}),
			"ephemeralStorage":     anObject(map[string]property{"size": aNumber().from(512, 10240).byAWS()}).byAWS(),
			"fileSystemConfig": anObject(map[string]property{
				"arn": anARN().must(), "localMountPath": aText().must().like(`^/mnt/[a-zA-Z0-9-_.]+$`, "a path under /mnt/"),
			}),
			"handler":  aText().from(1, 128).like(`^[^\s]+$`, "a handler without spaces"),
			"imageUri": aText().not("s3Bucket"),
			"imageConfig": anObject(map[string]property{
				"commands": listOf(aText()), "entryPoints": listOf(aText()), "workingDirectory": aText(),
			}),
			"kmsKeyArn": anARN(),
			"layers":    listOf(anARN()).from(0, 5),
			"loggingConfig": anObject(map[string]property{
				"applicationLogLevel": aText().oneOf("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"),
				"logFormat":           aText().must().oneOf("JSON", "Text"),
				"logGroup":            aText().from(1, 512).like(`^[.\-_/#A-Za-z0-9]+$`, "letters, digits and . - _ / #").byAWS(),
				"systemLogLevel":      aText().oneOf("DEBUG", "INFO", "WARN"),
			}).byAWS(),
			"memorySize":                     aNumber().from(128, 10240).or(number(128)),
			"name":                           aText().from(1, 64).like(functionNameForm, functionNameShape).fixed(),
			"packageType":                    aText().oneOf("Zip", "Image").fixed().or(text("Zip")),
			"publish":                        aFlag(),
			"replaceSecurityGroupsOnDestroy": aFlag(),
			"replacementSecurityGroupIds":    setOf(aText()).with("replaceSecurityGroupsOnDestroy"),
			"reservedConcurrentExecutions":   aNumber().from(-1, 1e6).or(number(-1)),
			"role":                           anARN().must(),
			"runtime":                        aText().oneOf(runtimes()...),
			"s3Bucket":                       aText().with("s3Key"),
			"s3Key":                          aText().with("s3Bucket"),
			"s3ObjectVersion":                aText().not("code", "imageUri"),
			"skipDestroy":                    aFlag(),
			"snapStart": anObject(map[string]property{
				"applyOn": aText().must().oneOf("PublishedVersions", "None"), "optimizationStatus": aText().byAWS(),
			}),
			"sourceCodeHash": aText().byAWS(),
			"timeout":        aNumber().from(1, 900).or(number(3)),
			"tracingConfig":  anObject(map[string]property{"mode": aText().must().oneOf("Active", "PassThrough")}).byAWS(),
			"vpcConfig": anObject(map[string]property{
				"ipv6AllowedForDualStack": aFlag(), "securityGroupIds": setOf(aText()).must().from(0, 5),
				"subnetIds": setOf(aText()).must().from(0, 16), "vpcId": aText().byAWS(),
			}),
		},
		outputs: []string{"arn", "codeSha256", "invokeArn", "lastModified", "qualifiedArn", "qualifiedInvokeArn", "signingJobArn",
			"signingProfileVersionArn", "sourceCodeSize", "version"},
		identity: []string{"name"},
		naming:   &naming{property: "name", limit: 64},
		tagged:   true,
		check:    checkFunction,
		moves:    functionMoves,
		create:   createFunction,
		update:   updateFunction,
		remove: func(o *op) error {
			delete(o.world.functions, o.id)
			o.world.dropFunction(o.id)
			return nil
		},
	}
}

// runtimes is the runtimes in which a function can still be created (Lambda Developer Guide, "Lambda runtimes").
func runtimes() []string {
	return []string{"provided.al2023", "provided.al2", "nodejs22.x", "nodejs20.x", "python3.13", "python3.12", "python3.11",
		"python3.10", "python3.9", "java21", "java17", "java11", "java8.al2", "dotnet8", "ruby3.4", "ruby3.3", "ruby3.2"}
}

// reservedVariables cannot be set (Lambda Developer Guide, "Defined runtime environment variables").
func reservedVariables() []string {
	return []string{"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
		"AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
		"AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY",
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT",
		"LAMBDA_RUNTIME_DIR"}
}

var variableForm = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]+$`)

func checkFunction(_ *cloud, in bag) []problem {
	var out []problem
	if !has(in, "code") && !has(in, "imageUri") && !has(in, "s3Bucket") {
		out = append(out, problemf("code", "is missing: set code, imageUri or s3Bucket"))
	}
	if zip := getText(in, "packageType") == "Zip"; zip {
		for _, k := range []string{"handler", "runtime"} {
			if !has(in, k) {
				out = append(out, problemf(k, "is required with packageType Zip"))
			}
		}
	}
	if has(in, "imageUri") || has(in, "s3Bucket") || getText(in, "packageType") == "Image" {
		out = append(out, problemf("code", "must be an archive: the local cloud runs no images and reads no buckets"))
	}
	if logging := getBag(in, "loggingConfig"); getText(logging, "logFormat") == "Text" && (has(logging, "applicationLogLevel") || has(logging, "systemLogLevel")) {
		out = append(out, problemf("loggingConfig", "has a log level, which needs logFormat JSON"))
	}
	if snap := getBag(in, "snapStart"); getText(snap, "applyOn") == "PublishedVersions" && strings.HasPrefix(getText(in, "runtime"), "provided") {
		out = append(out, problemf("snapStart", "is not available for runtime %s", getText(in, "runtime")))
	}
	out = append(out, checkEnvironment(in)...)
	return append(out, checkCode(in)...)
}

func checkEnvironment(in bag) []problem {
	environment := getBag(in, "environment")
	var out []problem
	for _, k := range sortedKeys(getBag(environment, "variables")) {
		name := string(k)
		if slices.Contains(reservedVariables(), name) {
			out = append(out, problemf("environment.variables", "sets %s, which Lambda keeps for itself", name))
		} else if !variableForm.MatchString(name) {
			out = append(out, problemf("environment.variables", "has the name %q: use letters, digits and _, beginning with a letter, two or more", name))
		}
	}
	encoded, err := json.Marshal(getDictionary(environment, "variables"))
	if err == nil && len(encoded) > maxEnvironment {
		out = append(out, problemf("environment.variables", "have %d bytes: AWS allows %d", len(encoded), maxEnvironment))
	}
	return out
}

func checkCode(in bag) []problem {
	code := in["code"]
	if !code.IsArchive() {
		return nil
	}
	if err := inspectArchive(code.ArchiveValue(), strings.HasPrefix(getText(in, "runtime"), "provided")); err != nil {
		return []problem{problemf("code", "%v", err)}
	}
	return nil
}

func (c *cloud) functionARN(name string) string { return c.arn("lambda", "function:"+name) }

// invokeARN is the ARN by which API Gateway calls a function (API Gateway API reference, Integration: uri).
func (c *cloud) invokeARN(function string) string {
	return fmt.Sprintf("arn:%s:apigateway:%s:lambda:path/2015-03-31/functions/%s/invocations", c.partition, c.region, function)
}

// fingerprint is everything that a published version freezes.
func fingerprint(in bag) string {
	frozen := in.Copy()
	for _, k := range []string{"publish", "tags", "tagsAll", "reservedConcurrentExecutions", "skipDestroy", "sourceCodeHash",
		"replaceSecurityGroupsOnDestroy", "replacementSecurityGroupIds"} {
		delete(frozen, resource.PropertyKey(k))
	}
	return encodeBag(property{kind: kindObject, fields: function().props}, frozen)
}

func functionMoves(old, in bag) []string {
	out := []string{"lastModified"}
	if !same(function().props["code"], old["code"], in["code"]) {
		out = append(out, "codeSha256", "sourceCodeHash", "sourceCodeSize")
	}
	if getBool(in, "publish") && (!getBool(old, "publish") || fingerprint(old) != fingerprint(in)) {
		out = append(out, "version", "qualifiedArn", "qualifiedInvokeArn")
	}
	return out
}

func createFunction(o *op) (string, bag, error) {
	name := getText(o.in, "name")
	if _, taken := o.world.get(typeFunction, name); taken {
		return "", nil, denyf("ResourceConflictException", "Function already exist: %s", name)
	}
	if err := o.checkFunctionReferences(name); err != nil {
		return "", nil, err
	}
	o.world.functions[name] = &functionHistory{}
	added, err := o.describeFunction(name)
	if err != nil {
		delete(o.world.functions, name)
		return "", nil, err
	}
	set(added, "arn", text(o.functionARN(name)))
	set(added, "invokeArn", text(o.invokeARN(o.functionARN(name))))
	set(added, "signingJobArn", text(""))
	set(added, "signingProfileVersionArn", text(""))
	set(added, "architectures", texts("x86_64"))
	set(added, "ephemeralStorage", object(bag{"size": number(512)}))
	set(added, "tracingConfig", object(bag{"mode": text("PassThrough")}))
	set(added, "loggingConfig", object(bag{"logFormat": text("Text"), "logGroup": text("/aws/lambda/" + name)}))
	return name, added, nil
}

func updateFunction(o *op) (bag, error) {
	if err := o.checkFunctionReferences(o.id); err != nil {
		return nil, err
	}
	return o.describeFunction(o.id)
}

// describeFunction is what depends on the code and the versions; it publishes a version when that is asked for and
// anything a version freezes has changed.
func (o *op) describeFunction(name string) (bag, error) {
	sha, size, err := archiveSum(o.in["code"].ArchiveValue())
	if err != nil {
		return nil, denyf("InvalidParameterValueException", "code: %v", err)
	}
	history := o.world.functions[name]
	if history == nil {
		return nil, denyf("ResourceNotFoundException", "Function not found: %s", o.functionARN(name))
	}
	version := "$LATEST"
	if getBool(o.in, "publish") {
		if now := fingerprint(o.in); history.fingerprint != now {
			history.published++
			history.fingerprint = now
		}
		version = strconv.Itoa(history.published)
	}
	arn := o.functionARN(name)
	out := bag{
		"codeSha256": text(sha), "sourceCodeSize": number(float64(size)), "lastModified": text(o.timestamp()),
		"version": text(version), "qualifiedArn": text(arn + ":" + version), "qualifiedInvokeArn": text(o.invokeARN(arn + ":" + version)),
	}
	if !has(o.in, "sourceCodeHash") {
		set(out, "sourceCodeHash", text(sha))
	}
	return out, nil
}

func (o *op) checkFunctionReferences(name string) error {
	role := getText(o.in, "role")
	r, ok := o.roleByARN(role)
	if !ok {
		return denyf("InvalidParameterValueException", "The role defined for the function does not exist: %s", role)
	}
	if !roleTrusts(r, "lambda.amazonaws.com") {
		return denyf("InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda: %s must trust lambda.amazonaws.com", role)
	}
	if err := o.checkKeyARN(getText(o.in, "kmsKeyArn")); err != nil {
		return err
	}
	reserved := 0.0
	for id, other := range o.world.records[typeFunction] {
		if n := getNumber(other.out, "reservedConcurrentExecutions"); id != name && n > 0 {
			reserved += n
		}
	}
	if mine := getNumber(o.in, "reservedConcurrentExecutions"); mine > 0 && accountExecutions-reserved-mine < leastUnreserved {
		return denyf("InvalidParameterValueException",
			"Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", leastUnreserved)
	}
	return nil
}

// splitFunction reads a function's name, partial or whole ARN, with or without a qualifier
// (Lambda API reference, Invoke: FunctionName).
func splitFunction(s string) (name, qualifier string) {
	if i := strings.Index(s, ":function:"); i >= 0 {
		s = s[i+len(":function:"):]
	} else if i := strings.Index(s, "function:"); i == 0 {
		s = s[len("function:"):]
	} else if account, rest, ok := strings.Cut(s, ":"); ok && accountForm.MatchString(account) {
		s = rest
	}
	name, qualifier, _ = strings.Cut(s, ":")
	return name, qualifier
}

// checkTarget refuses a function, version or alias that does not exist.
func (o *op) checkTarget(function, qualifier string) error {
	name, own := splitFunction(function)
	if qualifier == "" {
		qualifier = own
	}
	history := o.world.functions[name]
	if history == nil {
		return denyf("ResourceNotFoundException", "Function not found: %s", o.functionARN(name))
	}
	if qualifier == "" || qualifier == "$LATEST" {
		return nil
	}
	if n, err := strconv.Atoi(qualifier); err == nil && n >= 1 && n <= history.published {
		return nil
	}
	if _, ok := o.world.get(typeFunctionAlias, o.functionARN(name)+":"+qualifier); ok {
		return nil
	}
	return denyf("ResourceNotFoundException", "Function not found: %s:%s", o.functionARN(name), qualifier)
}

// dropFunction forgets what Lambda deletes with a function: its aliases and its resource policies.
func (w *World) dropFunction(name string) {
	for token, key := range map[string]string{typeFunctionAlias: "functionName", typePermission: "function"} {
		for id, r := range w.records[token] {
			if of, _ := splitFunction(getText(r.out, key)); of == name {
				delete(w.records[token], id)
			}
		}
	}
}

// functionAlias is a name for a version. Limits: Lambda API reference, CreateAlias.
func functionAlias() resourceType {
	return resourceType{
		token: typeFunctionAlias,
		props: map[string]property{
			"description":     aText().from(0, 256),
			"functionName":    aText().must().fixed(),
			"functionVersion": aText().must().like(`^(\$LATEST|[0-9]+)$`, "$LATEST or a version number"),
			"name":            aText().from(1, 128).like(functionNameForm, functionNameShape).fixed(),
			"routingConfig":   anObject(map[string]property{"additionalVersionWeights": mapOf(aNumber().from(0, 1)).from(0, 1)}),
		},
		outputs:  []string{"arn", "invokeArn"},
		identity: []string{"functionName", "name"},
		naming:   &naming{property: "name", limit: 128},
		check: func(_ *cloud, in bag) []problem {
			if name := getText(in, "name"); regexp.MustCompile(`^[0-9]+$`).MatchString(name) {
				return []problem{problemf("name", "is %q: an alias cannot be a number", name)}
			}
			return nil
		},
		create: createFunctionAlias,
		update: func(o *op) (bag, error) { return nil, o.checkAliasVersions() },
	}
}

func createFunctionAlias(o *op) (string, bag, error) {
	name, _ := splitFunction(getText(o.in, "functionName"))
	arn := o.functionARN(name) + ":" + getText(o.in, "name")
	if _, taken := o.world.get(typeFunctionAlias, arn); taken {
		return "", nil, denyf("ResourceConflictException", "Alias already exists: %s", arn)
	}
	if err := o.checkAliasVersions(); err != nil {
		return "", nil, err
	}
	return arn, bag{"arn": text(arn), "invokeArn": text(o.invokeARN(arn))}, nil
}

func (o *op) checkAliasVersions() error {
	name, _ := splitFunction(getText(o.in, "functionName"))
	if err := o.checkTarget(name, getText(o.in, "functionVersion")); err != nil {
		return err
	}
	weights := getBag(getBag(o.in, "routingConfig"), "additionalVersionWeights")
	for _, version := range sortedKeys(weights) {
		if getText(o.in, "functionVersion") == "$LATEST" || version == "$LATEST" {
			return denyf("InvalidParameterValueException", "$LATEST is not supported for an alias pointing to more than 1 version")
		}
		if err := o.checkTarget(name, string(version)); err != nil {
			return err
		}
	}
	return nil
}

// permission is a statement in the resource policy of a function, version or alias. Limits: Lambda API reference,
// AddPermission.
func permission() resourceType {
	return resourceType{
		token: typePermission,
		props: map[string]property{
			"action":              aText().must().like(`^(lambda:[*]|lambda:[a-zA-Z]+|[*])$`, "an action of lambda").fixed(),
			"eventSourceToken":    aText().from(1, 256).fixed(),
			"function":            aText().must().from(1, 140).fixed(),
			"functionUrlAuthType": aText().oneOf("NONE", "AWS_IAM").fixed(),
			"principal":           aText().must().like(`^[^\s]+$`, "a service, account or ARN").fixed(),
			"principalOrgId":      aText().like(`^o-[a-z0-9]{10,32}$`, "an organization id").fixed(),
			"qualifier":           aText().from(1, 128).fixed(),
			"sourceAccount":       aText().like(`^[0-9]{12}$`, "an account").fixed(),
			"sourceArn":           anARN().fixed(),
			"statementId":         aText().from(1, 100).like(functionNameForm, functionNameShape).fixed().not("statementIdPrefix"),
			"statementIdPrefix":   aText().from(1, 74).like(functionNameForm, functionNameShape).fixed(),
		},
		identity: []string{"function", "qualifier", "statementId"},
		naming:   &naming{property: "statementId", limit: 100},
		create:   createPermission,
		update:   func(*op) (bag, error) { return nil, nil },
	}
}

func createPermission(o *op) (string, bag, error) {
	function, qualifier, sid := getText(o.in, "function"), getText(o.in, "qualifier"), getText(o.in, "statementId")
	if err := o.checkTarget(function, qualifier); err != nil {
		return "", nil, err
	}
	name, own := splitFunction(function)
	if qualifier == "" {
		qualifier = own
	}
	size := len(o.functionARN(name)) + permissionSize(o.in)
	for _, r := range o.world.records[typePermission] {
		otherName, otherQualifier := splitFunction(getText(r.out, "function"))
		if q := getText(r.out, "qualifier"); q != "" {
			otherQualifier = q
		}
		if otherName != name || otherQualifier != qualifier {
			continue
		}
		if getText(r.out, "statementId") == sid {
			return "", nil, denyf("ResourceConflictException", "The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", sid)
		}
		size += len(o.functionARN(name)) + permissionSize(r.in)
	}
	if size > maxFunctionPolicy {
		return "", nil, denyf("PolicyLengthExceededException", "The final policy size (%d) is bigger than the limit (%d).", size, maxFunctionPolicy)
	}
	// The real id is the statement's alone; two functions may use the same one, so the record's key has the function too.
	return o.functionARN(name) + ":" + qualifier + "/" + sid, bag{}, nil
}

// permissionSize is the length of the statement that Lambda makes of a permission, without the function's ARN.
func permissionSize(in bag) int {
	statement := map[string]any{
		"Sid": getText(in, "statementId"), "Effect": "Allow", "Principal": map[string]string{"Service": getText(in, "principal")},
		"Action": getText(in, "action"), "Resource": "",
	}
	conditions := map[string]any{}
	if arn := getText(in, "sourceArn"); arn != "" {
		conditions["ArnLike"] = map[string]string{"AWS:SourceArn": arn}
	}
	if account := getText(in, "sourceAccount"); account != "" {
		conditions["StringEquals"] = map[string]string{"AWS:SourceAccount": account}
	}
	if len(conditions) > 0 {
		statement["Condition"] = conditions
	}
	return len(quote(statement))
}
