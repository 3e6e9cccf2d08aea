package provider

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

const (
	typeSecret        = "aws:secretsmanager/secret:Secret"
	typeSecretPolicy  = "aws:secretsmanager/secretPolicy:SecretPolicy"
	typeSecretVersion = "aws:secretsmanager/secretVersion:SecretVersion"
	// maxSecret is the size of a secret value in bytes (Secrets Manager User Guide, "Quotas").
	maxSecret = 65536
	// maxSecretPolicy is the size of a resource policy in characters (same page).
	maxSecretPolicy = 20480
)

// secret is the shell of a secret, without a value. Limits: Secrets Manager API reference, CreateSecret, DeleteSecret.
func secret() resourceType {
	return resourceType{
		token: typeSecret,
		props: map[string]property{
			"description":                 aText().from(0, 2048),
			"forceOverwriteReplicaSecret": aFlag(),
			"kmsKeyId":                    aText().from(0, 2048),
			"name":                        aText().from(1, 512).like(`^[A-Za-z0-9/_+=.@-]+$`, "letters, digits and / _ + = . @ -").fixed().not("namePrefix"),
			"namePrefix":                  aText().from(1, 504).like(`^[A-Za-z0-9/_+=.@-]+$`, "letters, digits and / _ + = . @ -").fixed(),
			"policy":                      aPolicy().byAWS(),
			"recoveryWindowInDays":        aNumber().or(number(30)),
			"replicas": setOf(anObject(map[string]property{
				"kmsKeyId": aText(), "region": aText().must(),
				"lastAccessedDate": aText().byAWS(), "status": aText().byAWS(), "statusMessage": aText().byAWS(),
			})),
		},
		outputs:  []string{"arn"},
		identity: []string{"name"},
		naming:   &naming{property: "name", limit: 512},
		tagged:   true,
		check:    checkSecret,
		create:   createSecret,
		read:     readSecret,
		update:   updateSecret,
		remove:   removeSecret,
	}
}

func checkSecret(_ *cloud, in bag) []problem {
	out := checkPolicy(in, "policy", resourcePolicy, maxSecretPolicy)
	days := getNumber(in, "recoveryWindowInDays")
	if known(in, "recoveryWindowInDays") && days != 0 && (days < 7 || days > 30) {
		out = append(out, problemf("recoveryWindowInDays", "is %g: use 0 to delete at once, or 7 to 30", days))
	}
	if len(getList(in, "replicas")) > 0 {
		out = append(out, problemf("replicas", "cannot be held by the local cloud, which plays one region: leave them out here"))
	}
	return out
}

func secretTags(in bag) []types.Tag {
	var out []types.Tag
	tags := getDictionary(in, "tagsAll")
	for _, k := range sortedKeys(tags) {
		out = append(out, types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
	}
	return out
}

func createSecret(o *op) (string, bag, error) {
	if err := o.checkKeyARN(getText(o.in, "kmsKeyId")); err != nil {
		return "", nil, err
	}
	made, err := o.secrets.CreateSecret(o, &secretsmanager.CreateSecretInput{
		Name:        aws.String(getText(o.in, "name")),
		Description: optional(o.in, "description"),
		KmsKeyId:    optional(o.in, "kmsKeyId"),
		Tags:        secretTags(o.in),
	})
	if err != nil {
		return "", nil, err
	}
	arn := aws.ToString(made.ARN)
	added := bag{"arn": text(arn), "policy": text(getText(o.in, "policy"))}
	if policy := getText(o.in, "policy"); policy != "" {
		err = o.putSecretPolicy(arn, policy, false)
	}
	return arn, added, err
}

// putSecretPolicy attaches a policy. The emulator does not know blockPublic, so it is checked here
// (Secrets Manager API reference, PutResourcePolicy).
func (o *op) putSecretPolicy(arn, policy string, blockPublic bool) error {
	if blockPublic && slices.ContainsFunc(parsePolicy(policy), statement.public) {
		return denyf("PublicPolicyException", "the policy gives everyone access to %s: name principals or add a condition", arn)
	}
	_, err := o.secrets.PutResourcePolicy(o, &secretsmanager.PutResourcePolicyInput{SecretId: &arn, ResourcePolicy: &policy})
	return err
}

// liveSecret is the secret as it is now; false when it does not exist or is scheduled for deletion.
func (o *op) liveSecret(arn string) (*secretsmanager.DescribeSecretOutput, bool, error) {
	described, err := o.secrets.DescribeSecret(o, &secretsmanager.DescribeSecretInput{SecretId: &arn})
	if gone(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return described, described.DeletedDate == nil, nil
}

func readSecret(o *op) (bag, bool, error) {
	live, found, err := o.liveSecret(o.id)
	if !found {
		return nil, false, err
	}
	tags := map[string]string{}
	for _, t := range live.Tags {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	out := bag{
		"arn": text(aws.ToString(live.ARN)), "name": text(aws.ToString(live.Name)), "description": text(aws.ToString(live.Description)),
		"kmsKeyId": text(aws.ToString(live.KmsKeyId)), "tagsAll": dictionary(tags),
	}
	if !has(o.old, "policy") {
		return out, true, nil // a SecretPolicy may hold it: that is no change of this resource
	}
	policy, err := o.secretPolicyText(o.id)
	set(out, "policy", text(policy))
	return out, err == nil, err
}

func (o *op) secretPolicyText(arn string) (string, error) {
	policy, err := o.secrets.GetResourcePolicy(o, &secretsmanager.GetResourcePolicyInput{SecretId: &arn})
	if err != nil {
		return "", err
	}
	return aws.ToString(policy.ResourcePolicy), nil
}

func updateSecret(o *op) (bag, error) {
	if err := o.checkKeyARN(getText(o.in, "kmsKeyId")); err != nil {
		return nil, err
	}
	_, err := o.secrets.UpdateSecret(o, &secretsmanager.UpdateSecretInput{
		SecretId: &o.id, Description: aws.String(getText(o.in, "description")), KmsKeyId: optional(o.in, "kmsKeyId"),
	})
	if err != nil {
		return nil, err
	}
	if policy := getText(o.in, "policy"); policy != "" {
		if err := o.putSecretPolicy(o.id, policy, false); err != nil {
			return nil, err
		}
	}
	if dropped := o.droppedTags(); len(dropped) > 0 {
		if _, err := o.secrets.UntagResource(o, &secretsmanager.UntagResourceInput{SecretId: &o.id, TagKeys: dropped}); err != nil {
			return nil, err
		}
	}
	if tags := secretTags(o.in); len(tags) > 0 {
		if _, err := o.secrets.TagResource(o, &secretsmanager.TagResourceInput{SecretId: &o.id, Tags: tags}); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// removeSecret deletes at once with a window of 0, and else schedules it: the name stays taken until then.
func removeSecret(o *op) error {
	if _, found, err := o.liveSecret(o.id); !found {
		return err
	}
	in := &secretsmanager.DeleteSecretInput{SecretId: &o.id}
	if days := getNumber(o.old, "recoveryWindowInDays"); days == 0 {
		in.ForceDeleteWithoutRecovery = aws.Bool(true)
	} else {
		in.RecoveryWindowInDays = aws.Int64(int64(days))
	}
	_, err := o.secrets.DeleteSecret(o, in)
	return err
}

// secretPolicy is the resource policy of a secret.
func secretPolicy() resourceType {
	return resourceType{
		token: typeSecretPolicy,
		props: map[string]property{
			"blockPublicPolicy": aFlag(),
			"policy":            aPolicy().must(),
			"secretArn":         anARN().must().fixed(),
		},
		identity: []string{"secretArn"},
		check: func(_ *cloud, in bag) []problem {
			return checkPolicy(in, "policy", resourcePolicy, maxSecretPolicy)
		},
		create: func(o *op) (string, bag, error) {
			arn := getText(o.in, "secretArn")
			if _, found, err := o.liveSecret(arn); err != nil {
				return "", nil, err
			} else if !found {
				return "", nil, denyf("ResourceNotFoundException", "Secrets Manager can't find the secret %s", arn)
			}
			if err := o.putSecretPolicy(arn, getText(o.in, "policy"), getBool(o.in, "blockPublicPolicy")); err != nil {
				return "", nil, err
			}
			return arn, bag{}, nil
		},
		read: readSecretPolicy,
		update: func(o *op) (bag, error) {
			return nil, o.putSecretPolicy(o.id, getText(o.in, "policy"), getBool(o.in, "blockPublicPolicy"))
		},
		remove: func(o *op) error {
			_, err := o.secrets.DeleteResourcePolicy(o, &secretsmanager.DeleteResourcePolicyInput{SecretId: &o.id})
			return err
		},
	}
}

func readSecretPolicy(o *op) (bag, bool, error) {
	if _, found, err := o.liveSecret(o.id); !found {
		return nil, false, err
	}
	policy, err := o.secretPolicyText(o.id)
	if err != nil || policy == "" {
		return nil, false, err
	}
	return bag{"secretArn": text(o.id), "policy": text(policy)}, true, nil
}

// secretVersion is a value of a secret. Its id is the secret's ARN, a bar and the version's id.
func secretVersion() resourceType {
	return resourceType{
		token: typeSecretVersion,
		props: map[string]property{
			"secretBinary":  aText().fixed().not("secretString"),
			"secretId":      aText().must().fixed(),
			"secretString":  aText().fixed(),
			"versionStages": setOf(aText().from(1, 256)).from(0, 20).byAWS(),
		},
		outputs: []string{"arn", "versionId"},
		check:   checkSecretVersion,
		create:  createSecretVersion,
		read:    readSecretVersion,
		update:  updateSecretVersion,
		remove:  removeSecretVersion,
	}
}

func checkSecretVersion(_ *cloud, in bag) []problem {
	var out []problem
	if !has(in, "secretString") && !has(in, "secretBinary") {
		out = append(out, problemf("secretString", "is missing: set secretString or secretBinary"))
	}
	for _, k := range []string{"secretString", "secretBinary"} {
		if n := len(getText(in, k)); n > maxSecret {
			out = append(out, problemf(k, "has %d bytes: AWS allows %d", n, maxSecret))
		}
	}
	if _, err := base64.StdEncoding.DecodeString(getText(in, "secretBinary")); err != nil {
		out = append(out, problemf("secretBinary", "is not base64"))
	}
	return out
}

func createSecretVersion(o *op) (string, bag, error) {
	in := &secretsmanager.PutSecretValueInput{
		SecretId: aws.String(getText(o.in, "secretId")), SecretString: optional(o.in, "secretString"), VersionStages: getTexts(o.in, "versionStages"),
	}
	if encoded := getText(o.in, "secretBinary"); encoded != "" {
		decoded, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return "", nil, denyf("InvalidParameterException", "secretBinary is not base64")
		}
		in.SecretBinary = decoded
	}
	made, err := o.secrets.PutSecretValue(o, in)
	if err != nil {
		return "", nil, err
	}
	id, version := aws.ToString(made.ARN), aws.ToString(made.VersionId)
	return id + "|" + version, bag{"arn": text(id), "versionId": text(version), "versionStages": texts(made.VersionStages...)}, nil
}

func splitVersion(id string) (arn, version string, err error) {
	arn, version, ok := strings.Cut(id, "|")
	if !ok {
		return "", "", fmt.Errorf("%q is not the id of a secret version: it has the form ARN|VERSION", id)
	}
	return arn, version, nil
}

func readSecretVersion(o *op) (bag, bool, error) {
	arn, version, err := splitVersion(o.id)
	if err != nil {
		return nil, false, err
	}
	if _, found, err := o.liveSecret(arn); !found {
		return nil, false, err
	}
	live, err := o.secrets.GetSecretValue(o, &secretsmanager.GetSecretValueInput{SecretId: &arn, VersionId: &version})
	if gone(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	out := bag{"arn": text(aws.ToString(live.ARN)), "versionId": text(version), "versionStages": texts(live.VersionStages...)}
	if live.SecretString != nil {
		out["secretString"] = text(aws.ToString(live.SecretString))
	}
	if len(live.SecretBinary) > 0 {
		out["secretBinary"] = text(base64.StdEncoding.EncodeToString(live.SecretBinary))
	}
	if imported := len(o.old) == 0; imported {
		out["secretId"] = text(arn)
	}
	return out, true, nil
}

// updateSecretVersion moves stage labels: a new value is a new version, so nothing else changes in place.
func updateSecretVersion(o *op) (bag, error) {
	arn, version, err := splitVersion(o.id)
	if err != nil {
		return nil, err
	}
	live, err := o.secrets.DescribeSecret(o, &secretsmanager.DescribeSecretInput{SecretId: &arn})
	if err != nil {
		return nil, err
	}
	wanted, have := getTexts(o.in, "versionStages"), live.VersionIdsToStages[version]
	for _, label := range wanted {
		if slices.Contains(have, label) {
			continue
		}
		move := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &arn, VersionStage: &label, MoveToVersionId: &version}
		if holder := versionWith(live.VersionIdsToStages, label); holder != "" {
			move.RemoveFromVersionId = &holder
		}
		if _, err := o.secrets.UpdateSecretVersionStage(o, move); err != nil {
			return nil, err
		}
	}
	return nil, o.dropStages(arn, version, wanted)
}

func versionWith(stages map[string][]string, label string) string {
	for _, version := range sortedKeys(stages) {
		if slices.Contains(stages[version], label) {
			return version
		}
	}
	return ""
}

// dropStages takes labels off a version. AWSCURRENT stays: AWS never leaves a secret without it.
func (o *op) dropStages(arn, version string, keep []string) error {
	live, found, err := o.liveSecret(arn)
	if !found {
		return err
	}
	for _, label := range live.VersionIdsToStages[version] {
		if label == "AWSCURRENT" || slices.Contains(keep, label) {
			continue
		}
		_, err := o.secrets.UpdateSecretVersionStage(o, &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &arn, VersionStage: &label, RemoveFromVersionId: &version,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// removeSecretVersion takes the version's labels off, after which AWS may forget it. A version that is AWSCURRENT stays
// until the secret goes, as on AWS.
func removeSecretVersion(o *op) error {
	arn, version, err := splitVersion(o.id)
	if err != nil {
		return err
	}
	return o.dropStages(arn, version, nil)
}
