package provider

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

const (
	typeEventSource = "aws:lambda/eventSourceMapping:EventSourceMapping"
	typeSchedule    = "aws:scheduler/schedule:Schedule"
)

// eventSourceMapping reads a queue or a stream for a function. Limits: Lambda API reference, CreateEventSourceMapping.
// The properties of sources other than SQS and DynamoDB are left out: they are not held here.
func eventSourceMapping() resourceType {
	return resourceType{
		token: typeEventSource,
		props: map[string]property{
			"batchSize":                      aNumber().from(1, 10000).byAWS(),
			"bisectBatchOnFunctionError":     aFlag(),
			"destinationConfig":              anObject(map[string]property{"onFailure": anObject(map[string]property{"destinationArn": anARN().must()})}),
			"enabled":                        aFlag().or(boolean(true)),
			"eventSourceArn":                 anARN().must().fixed(),
			"filterCriteria":                 anObject(map[string]property{"filters": setOf(anObject(map[string]property{"pattern": aText().from(0, 4096)})).from(0, 10)}),
			"functionName":                   aText().must(),
			"functionResponseTypes":          setOf(aText().oneOf("ReportBatchItemFailures")),
			"kmsKeyArn":                      anARN(),
			"maximumBatchingWindowInSeconds": aNumber().from(0, 300),
			"maximumRecordAgeInSeconds":      aNumber().byAWS(),
			"maximumRetryAttempts":           aNumber().from(-1, 10000).byAWS(),
			"metricsConfig":                  anObject(map[string]property{"metrics": setOf(aText().oneOf("EventCount")).must()}),
			"parallelizationFactor":          aNumber().from(1, 10).byAWS(),
			"scalingConfig":                  anObject(map[string]property{"maximumConcurrency": aNumber().from(2, 1000)}),
			"startingPosition":               aText().oneOf("AT_TIMESTAMP", "LATEST", "TRIM_HORIZON").fixed(),
			"startingPositionTimestamp":      aText().fixed(),
			"tumblingWindowInSeconds":        aNumber().from(0, 900),
		},
		outputs: []string{"arn", "functionArn", "lastModified", "lastProcessingResult", "state", "stateTransitionReason", "uuid"},
		tagged:  true,
		check:   checkEventSource,
		create:  createEventSource,
		update: func(o *op) (bag, error) {
			return bag{"functionArn": text(qualified(o.functionName())), "lastModified": text(o.timestamp())}, o.checkEventSource()
		},
	}
}

// sourceKind is the service of an event source's ARN: sqs or dynamodb.
func sourceKind(in bag) string {
	parts := strings.SplitN(getText(in, "eventSourceArn"), ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[2]
}

func checkEventSource(_ *cloud, in bag) []problem {
	if !known(in, "eventSourceArn") {
		return nil
	}
	var out []problem
	onlyFor := func(kind, words string, keys ...string) {
		for _, k := range keys {
			if has(in, k) && sourceKind(in) != kind {
				out = append(out, problemf(k, "is for %s only: remove it", words))
			}
		}
	}
	onlyFor("sqs", "queues", "scalingConfig")
	onlyFor("dynamodb", "streams", "bisectBatchOnFunctionError", "destinationConfig", "maximumRecordAgeInSeconds", "maximumRetryAttempts",
		"parallelizationFactor", "startingPosition", "tumblingWindowInSeconds")
	switch sourceKind(in) {
	case "sqs":
		if getNumber(in, "batchSize") > 10 && getNumber(in, "maximumBatchingWindowInSeconds") < 1 {
			out = append(out, problemf("maximumBatchingWindowInSeconds", "must be at least 1 for a batch of more than 10 messages"))
		}
	case "dynamodb":
		if !has(in, "startingPosition") {
			out = append(out, problemf("startingPosition", "is required for a stream: set LATEST or TRIM_HORIZON"))
		}
		if getText(in, "startingPosition") == "AT_TIMESTAMP" {
			out = append(out, problemf("startingPosition", "is AT_TIMESTAMP, which streams of DynamoDB do not have"))
		}
		if age := getNumber(in, "maximumRecordAgeInSeconds"); has(in, "maximumRecordAgeInSeconds") && age != -1 && (age < 60 || age > 604800) {
			out = append(out, problemf("maximumRecordAgeInSeconds", "is %g: use -1 for no end, or 60 to 604800", age))
		}
	default:
		out = append(out, problemf("eventSourceArn", "must be of a queue or of a table's stream: the local cloud reads no others"))
	}
	for _, f := range getBags(getBag(in, "filterCriteria"), "filters") {
		if pattern := getText(f, "pattern"); pattern != "" && !json.Valid([]byte(pattern)) {
			out = append(out, problemf("filterCriteria.filters", "has a pattern that is not JSON"))
		}
	}
	return out
}

// functionName is the function's ARN with its qualifier, however the program names it.
func (o *op) functionName() (arn, qualifier string) {
	name, qualifier := splitFunction(getText(o.in, "functionName"))
	return o.functionARN(name), qualifier
}

func qualified(arn, qualifier string) string {
	if qualifier == "" {
		return arn
	}
	return arn + ":" + qualifier
}

// checkEventSource refuses what Lambda refuses: a function or source that does not exist, a queue whose messages would
// come back before the function must have ended, and a role that may not read the source.
func (o *op) checkEventSource() error {
	if err := o.checkTarget(getText(o.in, "functionName"), ""); err != nil {
		return err
	}
	name, _ := splitFunction(getText(o.in, "functionName"))
	function, _ := o.world.get(typeFunction, name)
	source := getText(o.in, "eventSourceArn")
	actions := []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
	if sourceKind(o.in) == "sqs" {
		queue, found := o.world.find(typeQueue, "arn", source)
		if !found {
			return denyf("InvalidParameterValueException", "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue: %s", source)
		}
		if getNumber(queue.in, "visibilityTimeoutSeconds") < getNumber(function.in, "timeout") {
			return denyf("InvalidParameterValueException", "Queue visibility timeout: %g seconds is less than Function timeout: %g seconds",
				getNumber(queue.in, "visibilityTimeoutSeconds"), getNumber(function.in, "timeout"))
		}
	} else {
		if _, found := o.world.find(typeTable, "streamArn", source); !found {
			return denyf("InvalidParameterValueException", "Stream not found: %s", source)
		}
		actions = []string{"dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream"}
	}
	for _, action := range actions {
		if !o.roleAllows(getText(function.in, "role"), action, source) {
			return denyf("InvalidParameterValueException", "The function execution role does not have permissions to call %s on %s", action, source)
		}
	}
	return nil
}

// roleAllows tells whether a policy of the role has an allowance of the action on the resource.
func (o *op) roleAllows(role, action, resource string) bool {
	found, ok := o.roleByARN(role)
	if !ok {
		return false
	}
	name := getText(found.out, "name")
	policies := o.world.all(typeRolePolicy, "role", name)
	for _, r := range o.world.all(typeRoleAttachment, "role", name) {
		if managed, ok := o.world.find(typeManagedPolicy, "arn", getText(r.in, "policyArn")); ok {
			policies = append(policies, managed)
		}
	}
	return slices.ContainsFunc(policies, func(r *record) bool {
		return slices.ContainsFunc(parsePolicy(getText(r.in, "policy")), func(s statement) bool { return s.covers(action, resource) })
	})
}

func createEventSource(o *op) (string, bag, error) {
	if err := o.checkEventSource(); err != nil {
		return "", nil, err
	}
	arn := qualified(o.functionName())
	for _, r := range o.world.all(typeEventSource, "eventSourceArn", getText(o.in, "eventSourceArn")) {
		if getText(r.out, "functionArn") == arn {
			return "", nil, denyf("ResourceConflictException", "An event source mapping with %s and %s already exists", getText(o.in, "eventSourceArn"), arn)
		}
	}
	id, err := randomID("0123456789abcdef", 32)
	if err != nil {
		return "", nil, err
	}
	uuid := id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
	added := bag{
		"arn": text(o.arn("lambda", "event-source-mapping:"+uuid)), "functionArn": text(arn), "lastModified": text(o.timestamp()),
		"lastProcessingResult": text(""), "state": text("Enabled"), "stateTransitionReason": text("USER_INITIATED"), "uuid": text(uuid),
	}
	presets := map[string]float64{"batchSize": 10}
	if sourceKind(o.in) == "dynamodb" {
		presets = map[string]float64{"batchSize": 100, "maximumRecordAgeInSeconds": -1, "maximumRetryAttempts": -1, "parallelizationFactor": 1}
	}
	for k, v := range presets {
		if !has(o.in, k) {
			set(added, k, number(v))
		}
	}
	return uuid, added, nil
}

// scheduleForm is a schedule expression (EventBridge Scheduler User Guide, "Schedule types").
var scheduleForm = regexp.MustCompile(`^(rate\([1-9][0-9]* (minute|minutes|hour|hours|day|days)\)|cron\([^()]+\)|at\([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\))$`)

// schedule invokes a target at times. Limits: EventBridge Scheduler API reference, CreateSchedule. Targets other than
// Lambda functions are not held here.
func schedule() resourceType {
	return resourceType{
		token: typeSchedule,
		props: map[string]property{
			"actionAfterCompletion": aText().oneOf("DELETE", "NONE"),
			"description":           aText().from(0, 512),
			"endDate":               aText(),
			"flexibleTimeWindow": anObject(map[string]property{
				"maximumWindowInMinutes": aNumber().from(1, 1440), "mode": aText().must().oneOf("FLEXIBLE", "OFF"),
			}).must(),
			"groupName":                  aText().from(1, 64).fixed().byAWS(),
			"kmsKeyArn":                  anARN(),
			"name":                       aText().from(1, 64).like(`^[0-9a-zA-Z_.-]+$`, "letters, digits and - _ .").fixed().not("namePrefix"),
			"namePrefix":                 aText().from(1, 38).fixed(),
			"scheduleExpression":         aText().must().from(1, 256),
			"scheduleExpressionTimezone": aText().from(1, 50).or(text("UTC")),
			"startDate":                  aText(),
			"state":                      aText().oneOf("DISABLED", "ENABLED").or(text("ENABLED")),
			"target": anObject(map[string]property{
				"arn": anARN().must(), "roleArn": anARN().must(), "input": aText().from(1, 262144),
				"deadLetterConfig": anObject(map[string]property{"arn": anARN().must()}),
				"retryPolicy": anObject(map[string]property{
					"maximumEventAgeInSeconds": aNumber().from(60, 86400), "maximumRetryAttempts": aNumber().from(0, 185),
				}),
			}).must(),
		},
		outputs:  []string{"arn"},
		identity: []string{"groupName", "name"},
		naming:   &naming{property: "name", limit: 64},
		check: func(_ *cloud, in bag) []problem {
			if e := getText(in, "scheduleExpression"); e != "" && !scheduleForm.MatchString(e) {
				return []problem{problemf("scheduleExpression", "is %q: use rate(…), cron(…) or at(…)", e)}
			}
			return nil
		},
		create: func(o *op) (string, bag, error) {
			group := getText(o.in, "groupName")
			if group == "" {
				group = "default"
			}
			id := group + "/" + getText(o.in, "name")
			if _, taken := o.world.get(typeSchedule, id); taken {
				return "", nil, denyf("ConflictException", "Schedule %s already exists.", getText(o.in, "name"))
			}
			if group != "default" {
				return "", nil, denyf("ResourceNotFoundException", "Schedule group %s does not exist.", group)
			}
			return id, bag{"arn": text(o.arn("scheduler", "schedule/"+id)), "groupName": text(group)}, o.checkScheduleTarget()
		},
		update: func(o *op) (bag, error) { return nil, o.checkScheduleTarget() },
	}
}

// checkScheduleTarget refuses a target or a role that does not exist, and a role that the scheduler may not assume or
// that may not invoke the target.
func (o *op) checkScheduleTarget() error {
	target := getBag(o.in, "target")
	arn, role := getText(target, "arn"), getText(target, "roleArn")
	if !strings.HasPrefix(arn, o.arn("lambda", "function:")) {
		return denyf("ValidationException", "Provided Arn %s is no function of this account: the local cloud invokes no other targets", arn)
	}
	if err := o.checkTarget(arn, ""); err != nil {
		return err
	}
	found, ok := o.roleByARN(role)
	if !ok || !roleTrusts(found, "scheduler.amazonaws.com") {
		return denyf("ValidationException", "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.")
	}
	if queue := getText(getBag(target, "deadLetterConfig"), "arn"); queue != "" {
		if _, found := o.world.find(typeQueue, "arn", queue); !found {
			return denyf("ValidationException", "The dead-letter queue %s does not exist.", queue)
		}
	}
	return nil
}
