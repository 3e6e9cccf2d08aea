package components

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/kms"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// EncryptionKeyArgs are the arguments of an EncryptionKey.
type EncryptionKeyArgs struct {
	Place Place
	Tags  map[string]string
	// Alias is the key's name without "alias/". Required.
	Alias string
	// Description says what the key protects. Required.
	Description string
	// RotationDays is 90 to 2560; 0 means 365. Rotation cannot be turned off.
	RotationDays int
	// DeletionWindowDays is 7 to 30; 0 means 30. DynamoDB gives up a table
	// whose key is gone for seven days, so a shorter window is never useful.
	DeletionWindowDays int
	// LogGroups are the names of the CloudWatch log groups that this key may
	// encrypt; a name that ends in * is a prefix. None is allowed.
	LogGroups []string
	// AllowDestroy lets Pulumi destroy the key. What it encrypts is then lost
	// when the deletion window ends.
	AllowDestroy bool
}

// EncryptionKey is a symmetric KMS key with its alias. Its policy leaves
// the decision to IAM in the key's own account, so that it cannot lock the
// account out, and names one by one the services that use the key themselves.
type EncryptionKey struct {
	pulumi.ResourceState

	KeyArn    pulumi.StringOutput `pulumi:"keyArn"`
	KeyID     pulumi.StringOutput `pulumi:"keyId"`
	AliasName pulumi.StringOutput `pulumi:"aliasName"`

	place Place
}

// KeyUse binds the use of a key. At least one of its fields must be set.
type KeyUse struct {
	// Service is set when only this service may use the key on behalf of the
	// caller: "dynamodb", "lambda", "secretsmanager".
	Service string
	// Context are the pairs of encryption context that must be present.
	Context map[string]Text
}

// ARN is the key's ARN as other components take it.
func (k *EncryptionKey) ARN() Text { return Pending(k.KeyArn, k.place.ARN("kms", "key/"+unknown(36))) }

// GrantDecrypt lets a role decrypt with the key.
func (k *EncryptionKey) GrantDecrypt(use KeyUse) []Grant {
	return keyGrants(k.place, k.ARN(), use, "kms:Decrypt")
}

// GrantEncryptDecrypt lets a role encrypt, decrypt, and make data keys.
func (k *EncryptionKey) GrantEncryptDecrypt(use KeyUse) []Grant {
	return keyGrants(k.place, k.ARN(), use, "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey")
}

func keyGrants(place Place, key Text, use KeyUse, actions ...string) []Grant {
	g := Grant{Actions: actions, Resources: []Text{key}}
	if use.Service == "" && len(use.Context) == 0 {
		g.problem = "uses a key that is bound neither to a service nor to an encryption context"
	}
	for _, pair := range sortedKeys(use.Context) {
		g.Conditions = append(g.Conditions, Condition{Test: "StringEquals", Key: "kms:EncryptionContext:" + pair, Values: []Text{use.Context[pair]}})
	}
	if use.Service != "" {
		g.Conditions = append(g.Conditions, viaService(place, use.Service))
	}
	return []Grant{g}
}

func viaService(place Place, service string) Condition {
	return Condition{Test: "StringEquals", Key: "kms:ViaService", Values: known(service + "." + place.Region + ".amazonaws.com")}
}

// NewEncryptionKey makes the key and its alias.
func NewEncryptionKey(ctx *pulumi.Context, name string, args *EncryptionKeyArgs, opts ...pulumi.ResourceOption) (*EncryptionKey, error) {
	if args == nil {
		args = &EncryptionKeyArgs{}
	}
	c := begin("EncryptionKey", name, args.Place, args.Tags)
	args.check(c)
	if err := c.err(); err != nil {
		return nil, err
	}
	k := &EncryptionKey{place: args.Place}
	parent, err := register(ctx, "EncryptionKey", name, pulumi.Map{
		"place": args.Place.inputs(), "alias": pulumi.String(args.Alias), "logGroups": pulumi.ToStringArray(sortedUnique(args.LogGroups)),
		"rotationDays": pulumi.Int(args.rotation()), "deletionWindowDays": pulumi.Int(args.window()), "allowDestroy": pulumi.Bool(args.AllowDestroy),
	}, k, opts)
	if err != nil {
		return nil, err
	}
	if err := k.build(ctx, name, args, protect(args.AllowDestroy, parent)); err != nil {
		return nil, fmt.Errorf("EncryptionKey %q: %w", name, err)
	}
	return k, ctx.RegisterResourceOutputs(k, pulumi.Map{"keyArn": k.KeyArn, "keyId": k.KeyID, "aliasName": k.AliasName})
}

func (k *EncryptionKey) build(ctx *pulumi.Context, name string, args *EncryptionKeyArgs, opts []pulumi.ResourceOption) error {
	key, err := kms.NewKey(ctx, name, &kms.KeyArgs{
		Description:          pulumi.String(args.Description),
		EnableKeyRotation:    pulumi.Bool(true),
		RotationPeriodInDays: pulumi.Int(args.rotation()),
		DeletionWindowInDays: pulumi.Int(args.window()),
		Policy:               pulumi.String(document(args.policy(), shapeOf)),
		Tags:                 pulumi.ToStringMap(args.Tags),
	}, opts...)
	if err != nil {
		return err
	}
	alias, err := kms.NewAlias(ctx, name, &kms.AliasArgs{
		Name: pulumi.String("alias/" + args.Alias), TargetKeyId: key.KeyId,
	}, opts...)
	if err != nil {
		return err
	}
	k.KeyArn, k.KeyID, k.AliasName = key.Arn, key.KeyId, alias.Name
	return nil
}

func (a *EncryptionKeyArgs) rotation() int { return orDefault(a.RotationDays, 365) }
func (a *EncryptionKeyArgs) window() int   { return orDefault(a.DeletionWindowDays, 30) }

func orDefault(value, fallback int) int {
	if value == 0 {
		return fallback
	}
	return value
}

// policy grants through IAM what the key's administration and use need, action
// by action. The resource "*" of a key policy is the key itself (KMS Developer
// Guide, "Key policies").
func (a *EncryptionKeyArgs) policy() []statement {
	root := map[string]string{"AWS": a.Place.iamARN("root")}
	this := known("*")
	statements := []statement{
		{Sid: "AdministerThroughIAM", Principal: root, Resources: this, Actions: keyAdministration},
		{Sid: "GrantThroughServices", Principal: root, Resources: this, Actions: []string{"kms:CreateGrant"},
			Conditions: []Condition{{Test: "Bool", Key: "kms:GrantIsForAWSResource", Values: known("true")}}},
		{Sid: "UseThroughIAM", Principal: root, Resources: this, Actions: []string{
			"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo",
		}},
	}
	if len(a.LogGroups) > 0 {
		statements = append(statements, a.logs())
	}
	return statements
}

// logs lets CloudWatch Logs use the key for the named groups only (CloudWatch
// Logs User Guide, "Encrypt log data using AWS KMS"). That page lists
// kms:Describe* too, which has no encryption context and so never matched.
func (a *EncryptionKeyArgs) logs() statement {
	arns := make([]string, len(a.LogGroups))
	for i, group := range a.LogGroups {
		arns[i] = a.Place.ARN("logs", "log-group:"+group)
	}
	return statement{
		Sid: "CloudWatchLogs", Principal: map[string]string{"Service": "logs." + a.Place.Region + ".amazonaws.com"}, Resources: known("*"),
		Actions:    []string{"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"},
		Conditions: []Condition{{Test: "ArnLike", Key: "kms:EncryptionContext:aws:logs:arn", Values: known(arns...)}},
	}
}

// keyAdministration are the actions of the default key policy for
// administrators, written out.
var keyAdministration = []string{
	"kms:CancelKeyDeletion", "kms:CreateAlias", "kms:DeleteAlias", "kms:DescribeKey", "kms:DisableKey", "kms:DisableKeyRotation",
	"kms:EnableKey", "kms:EnableKeyRotation", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListGrants", "kms:ListKeyPolicies",
	"kms:ListKeyRotations", "kms:ListResourceTags", "kms:PutKeyPolicy", "kms:RetireGrant", "kms:RevokeGrant", "kms:RotateKeyOnDemand",
	"kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource", "kms:UpdateAlias", "kms:UpdateKeyDescription",
}

var (
	aliasPattern         = regexp.MustCompile(`^[a-zA-Z0-9/_-]{1,250}$`)
	logGroupMatchPattern = regexp.MustCompile(`^[.\-_/#A-Za-z0-9]{1,511}\*?$`)
)

func (a *EncryptionKeyArgs) check(c *checker) {
	c.pattern("Alias", a.Alias, aliasPattern, "1 to 250 letters, digits or /_-", "rename the alias")
	if strings.HasPrefix(a.Alias, "aws/") {
		c.add("Alias", a.Alias, `must not begin with "aws/"`, "rename the alias")
	}
	if n := len(a.Description); n == 0 || n > 8192 {
		c.add("Description", a.Description, "must have 1 to 8192 characters", "say what the key protects")
	}
	c.between("RotationDays", a.rotation(), 90, 2560, "KMS API, EnableKeyRotation")
	c.between("DeletionWindowDays", a.window(), 7, 30, "KMS API, ScheduleKeyDeletion")
	for i, group := range a.LogGroups {
		c.pattern(fmt.Sprintf("LogGroups[%d]", i), group, logGroupMatchPattern, "a log group's name, or its beginning and one *", "name the group")
	}
	if size := len(document(a.policy(), shapeOf)); size > 32768 {
		c.add("LogGroups", len(a.LogGroups), fmt.Sprintf("make a key policy of %d bytes, the limit is 32768", size), "use prefixes")
	}
}
