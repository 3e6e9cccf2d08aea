package components

import "strings"

// actionNames lists the IAM actions that grants may name, by service prefix,
// from the Service Authorization Reference. What runs in a function has no
// business with the actions left out (those that change tables, keys, pools or
// roles); a new one is added here on purpose.
var actionNames = map[string]string{
	"cloudwatch": "PutMetricData",
	"codedeploy": "PutLifecycleEventHookExecutionStatus",
	"cognito-idp": "AdminAddUserToGroup AdminConfirmSignUp AdminCreateUser AdminDeleteUser AdminDeleteUserAttributes " +
		"AdminDisableUser AdminEnableUser AdminForgetDevice AdminGetDevice AdminGetUser AdminInitiateAuth AdminListDevices " +
		"AdminListGroupsForUser AdminListUserAuthEvents AdminRemoveUserFromGroup AdminResetUserPassword " +
		"AdminRespondToAuthChallenge AdminSetUserMFAPreference AdminSetUserPassword AdminUpdateAuthEventFeedback " +
		"AdminUpdateDeviceStatus AdminUpdateUserAttributes AdminUserGlobalSignOut DescribeUserPool DescribeUserPoolClient " +
		"GetGroup GetUserPoolMfaConfig ListGroups ListUsers ListUsersInGroup",
	"dynamodb": "BatchGetItem BatchWriteItem ConditionCheckItem DeleteItem DescribeStream DescribeTable DescribeTimeToLive " +
		"GetItem GetRecords GetShardIterator ListStreams PartiQLDelete PartiQLInsert PartiQLSelect PartiQLUpdate PutItem Query " +
		"Scan UpdateItem",
	"events": "PutEvents",
	"kms": "Decrypt DescribeKey Encrypt GenerateDataKey GenerateDataKeyWithoutPlaintext GenerateMac GetPublicKey " +
		"ReEncryptFrom ReEncryptTo Sign Verify VerifyMac",
	"lambda": "InvokeFunction",
	"logs": "CreateLogGroup CreateLogStream DescribeLogGroups DescribeLogStreams FilterLogEvents GetLogEvents PutLogEvents " +
		"StartQuery",
	"scheduler":      "CreateSchedule DeleteSchedule GetSchedule UpdateSchedule",
	"secretsmanager": "DescribeSecret GetSecretValue PutSecretValue UpdateSecretVersionStage",
	"ses":            "SendBulkEmail SendEmail SendRawEmail",
	"sns": "CreatePlatformEndpoint DeleteEndpoint GetEndpointAttributes GetPlatformApplicationAttributes " +
		"ListEndpointsByPlatformApplication Publish SetEndpointAttributes",
	"sqs":  "ChangeMessageVisibility DeleteMessage GetQueueAttributes GetQueueUrl ReceiveMessage SendMessage",
	"ssm":  "GetParameter GetParameters GetParametersByPath",
	"xray": "GetSamplingRules GetSamplingStatisticSummaries GetSamplingTargets PutTelemetryRecords PutTraceSegments",
}

// starOnly are the actions that have no resource type, so that IAM knows them
// only with the resource "*" (Service Authorization Reference, tables "Actions
// defined by"). Even then a grant has to give its reason.
var starOnly = map[string]bool{
	"cloudwatch:PutMetricData":                        true,
	"codedeploy:PutLifecycleEventHookExecutionStatus": true,
	"dynamodb:ListStreams":                            true,
	"logs:DescribeLogGroups":                          true,
	"sns:CreatePlatformEndpoint":                      true,
	"sns:DeleteEndpoint":                              true,
	"sns:GetEndpointAttributes":                       true,
	"sns:GetPlatformApplicationAttributes":            true,
	"sns:ListEndpointsByPlatformApplication":          true,
	"sns:SetEndpointAttributes":                       true,
	"xray:GetSamplingRules":                           true,
	"xray:GetSamplingStatisticSummaries":              true,
	"xray:GetSamplingTargets":                         true,
	"xray:PutTelemetryRecords":                        true,
	"xray:PutTraceSegments":                           true,
}

// keyDataActions use a key's material. They have to be bound to a service or
// to an encryption context.
var keyDataActions = map[string]bool{
	"kms:Decrypt": true, "kms:Encrypt": true, "kms:GenerateDataKey": true, "kms:GenerateDataKeyWithoutPlaintext": true,
	"kms:ReEncryptFrom": true, "kms:ReEncryptTo": true,
}

// actionProblem says why an action may not be granted, or is empty.
func actionProblem(action string) (rule, remedy string) {
	service, name, found := strings.Cut(action, ":")
	names, served := actionNames[service]
	switch {
	case strings.ContainsAny(action, "*?"):
		return "must not have a wildcard", "name each action"
	case !found:
		return `must be "service:Action"`, `write for example "dynamodb:GetItem"`
	case !served:
		return "is of a service that grants do not know", "known are " + strings.Join(sortedKeys(actionNames), ", ")
	}
	for known := range strings.FieldsSeq(names) {
		if known == name {
			return "", ""
		}
		if strings.EqualFold(known, name) {
			return "is no action of " + service, "write " + service + ":" + known
		}
	}
	return "is no action of " + service + " that may be granted", "known are " + strings.ReplaceAll(names, " ", ", ")
}
