package components

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/secretsmanager"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/internals"
)

// SecretSpec is one secret of a store.
type SecretSpec struct {
	// Name is the last part of the secret's name: "jwt". Required.
	Name string
	// Description says what the secret is for and where its value comes from. Required.
	Description string
	// Value puts a value into the secret, and so into the stack's state,
	// encrypted. Leave it empty and set the value outside of Pulumi if you can.
	// Anything that is not a secret output is refused.
	Value pulumi.StringInput
}

// SecretsStoreArgs are the arguments of a SecretsStore.
type SecretsStoreArgs struct {
	Place Place
	Tags  map[string]string
	// Prefix begins the name of every secret, and ends in "/". Required.
	Prefix string
	// Key is the ARN of the customer managed key. Required.
	Key Text
	// Secrets are the secrets; their order means nothing. At least one.
	Secrets []SecretSpec
	// RecoveryWindowDays is 7 to 30; 0 means 30, or none at all when
	// AllowDestroy is set. A deleted secret keeps its name for that long.
	RecoveryWindowDays int
	// AllowDestroy lets Pulumi destroy the secrets.
	AllowDestroy bool
}

// SecretsStore is a set of secrets under one name prefix and one key. They are
// shells: their values are set outside of Pulumi, unless a spec opts in. The
// policy of each refuses plain HTTP and every other account.
type SecretsStore struct {
	pulumi.ResourceState

	// SecretArns maps the name of each spec to its ARN.
	SecretArns pulumi.StringMapOutput `pulumi:"secretArns"`

	args SecretsStoreArgs
	arns map[string]Text
}

// ARN is the ARN of a secret, with its random ending; no text if the store has
// no such secret.
func (s *SecretsStore) ARN(name string) Text { return s.arns[name] }

// SecretName is the full name of a secret, which a function gets instead of its value.
func (s *SecretsStore) SecretName(name string) string { return s.args.Prefix + name }

// GrantRead lets a role read the values of the named secrets, and use the key
// for them. Naming a secret that the store has not, or none, makes a grant
// that every role refuses.
func (s *SecretsStore) GrantRead(names ...string) []Grant {
	read := Grant{Actions: []string{"secretsmanager:GetSecretValue"}}
	if len(names) == 0 {
		read.problem = "GrantRead names no secret"
	}
	for _, name := range names {
		arn, exists := s.arns[name]
		if !exists {
			read.problem = fmt.Sprintf("GrantRead names %q, which the store under %q has not", name, s.args.Prefix)
		}
		read.Resources = append(read.Resources, arn)
	}
	decrypt := Grant{Actions: []string{"kms:Decrypt"}, Resources: []Text{s.args.Key}, problem: read.problem, Conditions: []Condition{
		{Test: "StringEquals", Key: "kms:EncryptionContext:SecretARN", Values: slices.Clone(read.Resources)},
		viaService(s.args.Place, "secretsmanager"),
	}}
	return []Grant{read, decrypt}
}

// NewSecretsStore makes the secrets.
func NewSecretsStore(ctx *pulumi.Context, name string, args *SecretsStoreArgs, opts ...pulumi.ResourceOption) (*SecretsStore, error) {
	if args == nil {
		args = &SecretsStoreArgs{}
	}
	c := begin("SecretsStore", name, args.Place, args.Tags)
	args.check(ctx, c)
	if err := c.err(); err != nil {
		return nil, err
	}
	s := &SecretsStore{args: *args, arns: map[string]Text{}}
	names := make([]string, len(args.Secrets))
	for i, spec := range args.Secrets {
		names[i] = spec.Name
	}
	parent, err := register(ctx, "SecretsStore", name, pulumi.Map{
		"place": args.Place.inputs(), "prefix": pulumi.String(args.Prefix), "names": pulumi.ToStringArray(sortedUnique(names)),
		"recoveryWindowDays": pulumi.Int(args.window()), "allowDestroy": pulumi.Bool(args.AllowDestroy),
	}, s, opts)
	if err != nil {
		return nil, err
	}
	arns := pulumi.StringMap{}
	for _, spec := range args.Secrets {
		secret, err := s.build(ctx, name+"-"+spec.Name, spec, protect(args.AllowDestroy, parent))
		if err != nil {
			return nil, fmt.Errorf("SecretsStore %q: %q: %w", name, spec.Name, err)
		}
		// A secret's ARN ends in its name, a hyphen and six random characters.
		s.arns[spec.Name] = Pending(secret.Arn, args.Place.ARN("secretsmanager", "secret:"+args.Prefix+spec.Name+"-"+unknown(6)))
		arns[spec.Name] = secret.Arn
	}
	s.SecretArns = arns.ToStringMapOutput()
	return s, ctx.RegisterResourceOutputs(s, pulumi.Map{"secretArns": s.SecretArns})
}

func (s *SecretsStore) build(ctx *pulumi.Context, name string, spec SecretSpec, opts []pulumi.ResourceOption) (*secretsmanager.Secret, error) {
	secret, err := secretsmanager.NewSecret(ctx, name, &secretsmanager.SecretArgs{
		Name:                 pulumi.String(s.args.Prefix + spec.Name),
		Description:          pulumi.String(spec.Description),
		KmsKeyId:             s.args.Key.ptr(),
		RecoveryWindowInDays: pulumi.Int(s.args.window()),
		Tags:                 pulumi.ToStringMap(s.args.Tags),
	}, opts...)
	if err != nil {
		return nil, err
	}
	shape := s.args.Place.ARN("secretsmanager", "secret:"+s.args.Prefix+spec.Name+"-"+unknown(6))
	policy := secretPolicy(s.args.Place, Pending(secret.Arn, shape))
	if _, err := secretsmanager.NewSecretPolicy(ctx, name, &secretsmanager.SecretPolicyArgs{
		SecretArn: secret.Arn, Policy: policyInput(policy), BlockPublicPolicy: pulumi.Bool(true),
	}, opts...); err != nil {
		return nil, err
	}
	if spec.Value == nil {
		return secret, nil
	}
	_, err = secretsmanager.NewSecretVersion(ctx, name, &secretsmanager.SecretVersionArgs{
		SecretId: secret.ID(), SecretString: pulumi.ToSecret(spec.Value).(pulumi.StringOutput).ToStringPtrOutput(),
	}, opts...)
	return secret, err
}

// secretPolicy refuses what must never be, whatever IAM allows. Services that
// act by themselves (replication) belong to no account and are left out.
func secretPolicy(place Place, secret Text) []statement {
	all := []string{"secretsmanager:*"}
	return []statement{
		{Sid: "DenyOtherAccounts", Effect: "Deny", Principal: everyone(), Actions: all, Resources: []Text{secret}, Conditions: []Condition{
			{Test: "Bool", Key: "aws:PrincipalIsAWSService", Values: known("false")},
			{Test: "StringNotEquals", Key: "aws:PrincipalAccount", Values: known(place.Account)},
		}},
		{Sid: "DenyPlainHTTP", Effect: "Deny", Principal: everyone(), Actions: all, Resources: []Text{secret}, Conditions: []Condition{denyPlainHTTP}},
	}
}

var denyPlainHTTP = Condition{Test: "Bool", Key: "aws:SecureTransport", Values: known("false")}

func (a *SecretsStoreArgs) window() int {
	if a.AllowDestroy {
		return a.RecoveryWindowDays
	}
	return orDefault(a.RecoveryWindowDays, 30)
}

var (
	prefixPattern = regexp.MustCompile(`^([A-Za-z0-9/_+=.@-]*[A-Za-z0-9_+=.@-])?/$`)
	secretPattern = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]+$`)
	arnLikeEnding = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)
)

func (a *SecretsStoreArgs) check(ctx *pulumi.Context, c *checker) {
	c.pattern("Prefix", a.Prefix, prefixPattern, "a path that ends in one /", `write for example "/expenzez/dev/"`)
	c.key("Key", a.Key)
	if w := a.window(); w != 0 || a.RecoveryWindowDays < 0 {
		c.between("RecoveryWindowDays", w, 7, 30, "Secrets Manager API, DeleteSecret")
	}
	if len(a.Secrets) == 0 {
		c.add("Secrets", 0, "must name at least one secret", "name it or remove the store")
	}
	var names []string
	for i, spec := range a.Secrets {
		spec.check(ctx, c, fmt.Sprintf("Secrets[%d]", i), a.Prefix)
		names = append(names, spec.Name)
	}
	c.unique("Secrets", names)
}

func (s SecretSpec) check(ctx *pulumi.Context, c *checker, at, prefix string) {
	c.pattern(at+".Name", s.Name, secretPattern, "letters, digits or /_+=.@-", "rename the secret")
	if n := len(prefix + s.Name); n > 512 {
		c.add(at+".Name", s.Name, fmt.Sprintf("makes a name of %d characters, the limit is 512", n), "shorten it")
	}
	if arnLikeEnding.MatchString(s.Name) {
		c.add(at+".Name", s.Name, "must not end in a hyphen and six characters, as the ARNs of secrets do (Secrets Manager API, CreateSecret)", "rename the secret")
	}
	if n := len(s.Description); n == 0 || n > 2048 {
		c.add(at+".Description", s.Description, "must have 1 to 2048 characters", "say what the secret is for")
	}
	if s.Value != nil && !isSecret(ctx, s.Value) {
		c.add(at+".Value", hidden{}, "must be a secret output", "wrap it: pulumi.ToSecret(…), or read it with config.RequireSecret")
	}
}

// hidden stands for a value that must not be shown.
type hidden struct{}

func (hidden) String() string { return "(hidden)" }

// isSecret is false for a plain value and for an output that is known and not
// secret. It waits for the output; one that is not known yet passes, and is
// stored as a secret anyway.
func isSecret(ctx *pulumi.Context, value pulumi.StringInput) bool {
	out, isOutput := value.(pulumi.Output)
	if !isOutput {
		return false
	}
	result, err := internals.UnsafeAwaitOutput(ctx.Context(), out)
	return err != nil || result.Secret || !result.Known
}
