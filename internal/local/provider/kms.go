package provider

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

const (
	typeKmsKey   = "aws:kms/key:Key"
	typeKmsAlias = "aws:kms/alias:Alias"
)

// kmsKey is a customer managed key. Limits: KMS API reference, CreateKey, EnableKeyRotation, ScheduleKeyDeletion.
func kmsKey() resourceType {
	return resourceType{
		token: typeKmsKey,
		props: map[string]property{
			"bypassPolicyLockoutSafetyCheck": aFlag(),
			"customKeyStoreId":               aText().from(1, 64).fixed(),
			"customerMasterKeySpec": aText().oneOf("RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521",
				"ECC_SECG_P256K1", "SYMMETRIC_DEFAULT", "HMAC_224", "HMAC_256", "HMAC_384", "HMAC_512", "SM2").fixed().or(text("SYMMETRIC_DEFAULT")),
			"deletionWindowInDays": aNumber().from(7, 30),
			"description":          aText().from(0, 8192).byAWS(),
			"enableKeyRotation":    aFlag(),
			"isEnabled":            aFlag().or(boolean(true)),
			"keyUsage":             aText().oneOf("ENCRYPT_DECRYPT", "SIGN_VERIFY", "GENERATE_VERIFY_MAC").fixed().or(text("ENCRYPT_DECRYPT")),
			"multiRegion":          aFlag().fixed().byAWS(),
			"policy":               aPolicy().byAWS(),
			"rotationPeriodInDays": aNumber().from(90, 2560).byAWS(),
			"xksKeyId":             aText().from(1, 128).fixed().with("customKeyStoreId"),
		},
		outputs: []string{"arn", "keyId"},
		tagged:  true,
		check:   checkKey,
		create:  createKey,
		read:    readKey,
		update:  updateKey,
		remove:  removeKey,
	}
}

func checkKey(c *cloud, in bag) []problem {
	out := checkPolicy(in, "policy", resourcePolicy, 32768)
	if has(in, "rotationPeriodInDays") && known(in, "enableKeyRotation") && !getBool(in, "enableKeyRotation") {
		out = append(out, problemf("rotationPeriodInDays", "needs enableKeyRotation to be true"))
	}
	if getBool(in, "enableKeyRotation") && known(in, "customerMasterKeySpec") && getText(in, "customerMasterKeySpec") != "SYMMETRIC_DEFAULT" {
		out = append(out, problemf("enableKeyRotation", "is only for keys of spec SYMMETRIC_DEFAULT"))
	}
	if statements := parsePolicy(getText(in, "policy")); statements != nil && !getBool(in, "bypassPolicyLockoutSafetyCheck") {
		root := c.globalARN("iam", "root")
		keeps := func(s statement) bool {
			return s.allows("AWS", root, "kms:PutKeyPolicy") || s.allows("AWS", c.account, "kms:PutKeyPolicy")
		}
		if !slices.ContainsFunc(statements, keeps) {
			out = append(out, problemf("policy", "would lock everyone out: allow kms:PutKeyPolicy to %s", root))
		}
	}
	return out
}

func createKey(o *op) (string, bag, error) {
	made, err := o.keys.CreateKey(o, &kms.CreateKeyInput{
		Policy:                         optional(o.in, "policy"),
		Description:                    optional(o.in, "description"),
		KeySpec:                        types.KeySpec(getText(o.in, "customerMasterKeySpec")),
		KeyUsage:                       types.KeyUsageType(getText(o.in, "keyUsage")),
		MultiRegion:                    aws.Bool(getBool(o.in, "multiRegion")),
		BypassPolicyLockoutSafetyCheck: getBool(o.in, "bypassPolicyLockoutSafetyCheck"),
		Tags:                           keyTags(o.in),
	})
	if err != nil {
		return "", nil, err
	}
	id := aws.ToString(made.KeyMetadata.KeyId)
	added := bag{"arn": text(aws.ToString(made.KeyMetadata.Arn)), "keyId": text(id), "multiRegion": boolean(getBool(o.in, "multiRegion"))}
	if !has(o.in, "policy") {
		policy, err := o.keyPolicy(id)
		if err != nil {
			return id, added, err
		}
		added["policy"] = text(policy)
	}
	if getBool(o.in, "enableKeyRotation") {
		set(added, "rotationPeriodInDays", number(orNumber(getNumber(o.in, "rotationPeriodInDays"), 365)))
	}
	return id, added, o.setKeyState(id)
}

func orNumber(n, otherwise float64) float64 {
	if n == 0 {
		return otherwise
	}
	return n
}

// optional is the text under key for an API call, nil when there is none.
func optional(in bag, key string) *string {
	if s := getText(in, key); s != "" {
		return &s
	}
	return nil
}

func keyTags(in bag) []types.Tag {
	var out []types.Tag
	tags := getDictionary(in, "tagsAll")
	for _, k := range sortedKeys(tags) {
		out = append(out, types.Tag{TagKey: aws.String(k), TagValue: aws.String(tags[k])})
	}
	return out
}

func (o *op) keyPolicy(id string) (string, error) {
	policy, err := o.keys.GetKeyPolicy(o, &kms.GetKeyPolicyInput{KeyId: &id, PolicyName: aws.String("default")})
	if err != nil {
		return "", err
	}
	return aws.ToString(policy.Policy), nil
}

// setKeyState turns rotation and the key itself on or off, as the inputs say.
func (o *op) setKeyState(id string) error {
	var err error
	if getBool(o.in, "enableKeyRotation") {
		days := aws.Int32(int32(orNumber(getNumber(o.in, "rotationPeriodInDays"), 365)))
		_, err = o.keys.EnableKeyRotation(o, &kms.EnableKeyRotationInput{KeyId: &id, RotationPeriodInDays: days})
	} else if getText(o.in, "customerMasterKeySpec") == "SYMMETRIC_DEFAULT" {
		_, err = o.keys.DisableKeyRotation(o, &kms.DisableKeyRotationInput{KeyId: &id})
	}
	if err != nil {
		return err
	}
	if getBool(o.in, "isEnabled") {
		_, err = o.keys.EnableKey(o, &kms.EnableKeyInput{KeyId: &id})
	} else {
		_, err = o.keys.DisableKey(o, &kms.DisableKeyInput{KeyId: &id})
	}
	return err
}

func readKey(o *op) (bag, bool, error) {
	described, err := o.keys.DescribeKey(o, &kms.DescribeKeyInput{KeyId: &o.id})
	if gone(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	key := described.KeyMetadata
	if key.KeyState == types.KeyStatePendingDeletion {
		return nil, false, nil
	}
	policy, err := o.keyPolicy(o.id)
	if err != nil {
		return nil, false, err
	}
	tags, err := o.keys.ListResourceTags(o, &kms.ListResourceTagsInput{KeyId: &o.id})
	if err != nil {
		return nil, false, err
	}
	live := map[string]string{}
	for _, t := range tags.Tags {
		live[aws.ToString(t.TagKey)] = aws.ToString(t.TagValue)
	}
	out := bag{
		"arn": text(aws.ToString(key.Arn)), "keyId": text(o.id), "description": text(aws.ToString(key.Description)),
		"isEnabled": boolean(key.Enabled), "customerMasterKeySpec": text(string(key.KeySpec)), "keyUsage": text(string(key.KeyUsage)),
		"multiRegion": boolean(aws.ToBool(key.MultiRegion)), "policy": text(policy), "tagsAll": dictionary(live),
	}
	if key.KeySpec == types.KeySpecSymmetricDefault {
		rotation, err := o.keys.GetKeyRotationStatus(o, &kms.GetKeyRotationStatusInput{KeyId: &o.id})
		if err != nil {
			return nil, false, err
		}
		out["enableKeyRotation"] = boolean(rotation.KeyRotationEnabled)
	}
	return out, true, nil
}

func updateKey(o *op) (bag, error) {
	if has(o.in, "description") {
		if _, err := o.keys.UpdateKeyDescription(o, &kms.UpdateKeyDescriptionInput{KeyId: &o.id, Description: aws.String(getText(o.in, "description"))}); err != nil {
			return nil, err
		}
	}
	if policy := getText(o.in, "policy"); policy != "" {
		if _, err := o.keys.PutKeyPolicy(o, &kms.PutKeyPolicyInput{KeyId: &o.id, Policy: &policy, PolicyName: aws.String("default")}); err != nil {
			return nil, err
		}
	}
	if err := o.setKeyState(o.id); err != nil {
		return nil, err
	}
	if dropped := o.droppedTags(); len(dropped) > 0 {
		if _, err := o.keys.UntagResource(o, &kms.UntagResourceInput{KeyId: &o.id, TagKeys: dropped}); err != nil {
			return nil, err
		}
	}
	if tags := keyTags(o.in); len(tags) > 0 {
		if _, err := o.keys.TagResource(o, &kms.TagResourceInput{KeyId: &o.id, Tags: tags}); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// droppedTags is the keys of the tags that were there and are no longer wanted.
func (o *op) droppedTags() []string {
	wanted := getBag(o.in, "tagsAll")
	var out []string
	for _, before := range []bag{getBag(o.old, "tagsAll"), getBag(o.state, "tagsAll")} {
		for _, k := range sortedKeys(before) {
			if _, ok := wanted[k]; !ok {
				out = appendOnce(out, string(k))
			}
		}
	}
	return out
}

func removeKey(o *op) error {
	days := aws.Int32(int32(orNumber(getNumber(o.old, "deletionWindowInDays"), 30)))
	_, err := o.keys.ScheduleKeyDeletion(o, &kms.ScheduleKeyDeletionInput{KeyId: &o.id, PendingWindowInDays: days})
	return err
}

// usableKey is the key that an ARN, id or alias names, or AWS's answer when a service could not use it.
func (o *op) usableKey(name string) (*types.KeyMetadata, error) {
	if alias := name[strings.LastIndex(name, ":")+1:]; strings.HasPrefix(alias, "alias/aws/") {
		return &types.KeyMetadata{Arn: aws.String(name), Enabled: true}, nil
	}
	described, err := o.keys.DescribeKey(o, &kms.DescribeKeyInput{KeyId: &name})
	if err != nil {
		if gone(err) {
			return nil, denyf("KMSNotFoundException", "KMS key %s does not exist", name)
		}
		return nil, err
	}
	if !described.KeyMetadata.Enabled {
		return nil, denyf("KMSInvalidStateException", "KMS key %s is %s", name, described.KeyMetadata.KeyState)
	}
	return described.KeyMetadata, nil
}

// checkKeyARN refuses a key that does not exist or is not enabled; no key is fine.
func (o *op) checkKeyARN(name string) error {
	if name == "" {
		return nil
	}
	_, err := o.usableKey(name)
	return err
}

// kmsAlias is another name of a key. Limits: KMS API reference, CreateAlias.
func kmsAlias() resourceType {
	return resourceType{
		token: typeKmsAlias,
		props: map[string]property{
			"name":        aText().like(`^alias/[a-zA-Z0-9/_-]+$`, "alias/ and letters, digits, / _ -").from(7, 256).fixed().not("namePrefix"),
			"namePrefix":  aText().like(`^alias/[a-zA-Z0-9/_-]*$`, "alias/ and letters, digits, / _ -").fixed(),
			"targetKeyId": aText().must(),
		},
		outputs:  []string{"arn", "targetKeyArn"},
		identity: []string{"name"},
		naming:   &naming{property: "name", prefix: "alias/", limit: 256},
		check:    checkAlias,
		create:   createAlias,
		read:     readAlias,
		update:   updateAlias,
		remove: func(o *op) error {
			_, err := o.keys.DeleteAlias(o, &kms.DeleteAliasInput{AliasName: &o.id})
			return err
		},
	}
}

func checkAlias(_ *cloud, in bag) []problem {
	if strings.HasPrefix(getText(in, "name"), "alias/aws/") {
		return []problem{problemf("name", "begins with alias/aws/, which AWS keeps for its own keys")}
	}
	return nil
}

func (o *op) aliasTarget() (bag, error) {
	key, err := o.usableKey(getText(o.in, "targetKeyId"))
	if err != nil {
		return nil, err
	}
	return bag{"targetKeyArn": text(aws.ToString(key.Arn))}, nil
}

func createAlias(o *op) (string, bag, error) {
	added, err := o.aliasTarget()
	if err != nil {
		return "", nil, err
	}
	name := getText(o.in, "name")
	_, err = o.keys.CreateAlias(o, &kms.CreateAliasInput{AliasName: &name, TargetKeyId: aws.String(getText(o.in, "targetKeyId"))})
	if err != nil {
		return "", nil, err
	}
	added["arn"] = text(o.arn("kms", name))
	return name, added, nil
}

func updateAlias(o *op) (bag, error) {
	added, err := o.aliasTarget()
	if err != nil {
		return nil, err
	}
	_, err = o.keys.UpdateAlias(o, &kms.UpdateAliasInput{AliasName: &o.id, TargetKeyId: aws.String(getText(o.in, "targetKeyId"))})
	return added, err
}

func readAlias(o *op) (bag, bool, error) {
	pages := kms.NewListAliasesPaginator(o.keys, &kms.ListAliasesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(o)
		if err != nil {
			return nil, false, err
		}
		for _, a := range page.Aliases {
			if aws.ToString(a.AliasName) == o.id {
				return o.seenAlias(aws.ToString(a.TargetKeyId)), true, nil
			}
		}
	}
	return nil, false, nil
}

// seenAlias says what an alias points at, in the spelling the program used if that means the same key.
func (o *op) seenAlias(keyID string) bag {
	target := o.arn("kms", "key/"+keyID)
	out := bag{"name": text(o.id), "arn": text(o.arn("kms", o.id)), "targetKeyArn": text(target), "targetKeyId": text(keyID)}
	if before := getText(o.old, "targetKeyId"); before == target {
		out["targetKeyId"] = resource.NewProperty(before)
	}
	return out
}

// keyAllowsService says whether the key's policy lets an AWS service encrypt with it, which a service checks before it
// takes a key.
func (o *op) keyAllowsService(name, service string) error {
	key, err := o.usableKey(name)
	if err != nil {
		return err
	}
	if key.KeyId == nil {
		return nil
	}
	policy, err := o.keyPolicy(aws.ToString(key.KeyId))
	if err != nil {
		return err
	}
	for _, s := range parsePolicy(policy) {
		if s.allows("Service", service, "kms:GenerateDataKey") {
			return nil
		}
	}
	return denyf("AccessDeniedException",
		"the KMS key %s is not allowed for %s: its key policy must allow that service kms:GenerateDataKey*", name, service)
}
