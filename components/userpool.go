package components

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cognito"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// UserPoolArgs are the arguments of a UserPool.
type UserPoolArgs struct {
	Place Place
	Tags  map[string]string
	// Name is the physical name. Required.
	Name string
	// OptionalMFA lets users do without a second factor. By default each has
	// to set up TOTP.
	OptionalMFA bool
	// PasswordMinLength is 12 to 99; 0 means 12. All four classes of
	// characters are required.
	PasswordMinLength int
	// AllowSelfSignUp lets anyone register. By default only an administrator
	// creates users.
	AllowSelfSignUp bool
	// Tier is "LITE", "ESSENTIALS" or "PLUS"; empty means ESSENTIALS. PLUS
	// turns threat protection on, enforced.
	Tier string
	// AuthFlows are the client's flows; none means ALLOW_ADMIN_USER_PASSWORD_AUTH
	// and ALLOW_REFRESH_TOKEN_AUTH. ALLOW_USER_PASSWORD_AUTH, which any caller
	// could use, is refused.
	AuthFlows []string
	// AccessTokenMinutes is 5 to 1440 and is the ID token's life as well; 0 means 15.
	AccessTokenMinutes int
	// RefreshTokenHours is 1 to 87600; 0 means 24.
	RefreshTokenHours int
	// AllowDestroy lets Pulumi and AWS delete the pool with all its users.
	AllowDestroy bool
}

// UserPool is a Cognito user pool whose users sign in with their email
// address, and one confidential client for the backend. The pool's schema
// cannot change after its creation, so changes to it are ignored.
type UserPool struct {
	pulumi.ResourceState

	PoolArn  pulumi.StringOutput `pulumi:"poolArn"`
	PoolID   pulumi.StringOutput `pulumi:"poolId"`
	ClientID pulumi.StringOutput `pulumi:"clientId"`
	// ClientSecret is a secret output and not one of the component's
	// registered outputs. A function that needs it asks Cognito
	// (DescribeUserPoolClient).
	ClientSecret pulumi.StringOutput

	place Place
}

// ARN is the pool's ARN.
func (p *UserPool) ARN() Text {
	return Pending(p.PoolArn, p.place.ARN("cognito-idp", "userpool/"+p.IDText().shape))
}

// IDText is the pool's id: the region, an underscore, and letters and digits
// up to 55 characters in all (Cognito API Reference, UserPoolType).
func (p *UserPool) IDText() Text {
	region := p.place.Region + "_"
	return Pending(p.PoolID, region+unknown(55-len(region)))
}

// ClientIDText is the client's id, 26 characters.
func (p *UserPool) ClientIDText() Text { return Pending(p.ClientID, unknown(26)) }

// Grant lets a role call exactly these actions, "AdminGetUser" or
// "cognito-idp:AdminGetUser", on this pool.
func (p *UserPool) Grant(actions ...string) []Grant {
	full := make([]string, len(actions))
	for i, action := range actions {
		full[i] = "cognito-idp:" + strings.TrimPrefix(action, "cognito-idp:")
	}
	return []Grant{{Actions: full, Resources: []Text{p.ARN()}}}
}

// NewUserPool makes the pool and its client.
func NewUserPool(ctx *pulumi.Context, name string, args *UserPoolArgs, opts ...pulumi.ResourceOption) (*UserPool, error) {
	if args == nil {
		args = &UserPoolArgs{}
	}
	c := begin("UserPool", name, args.Place, args.Tags)
	args.check(c)
	if err := c.err(); err != nil {
		return nil, err
	}
	p := &UserPool{place: args.Place}
	parent, err := register(ctx, "UserPool", name, pulumi.Map{
		"place": args.Place.inputs(), "name": pulumi.String(args.Name), "mfa": pulumi.String(args.mfa()), "tier": pulumi.String(args.tier()),
		"allowSelfSignUp": pulumi.Bool(args.AllowSelfSignUp), "allowDestroy": pulumi.Bool(args.AllowDestroy),
	}, p, opts)
	if err != nil {
		return nil, err
	}
	if err := p.build(ctx, name, args, protect(args.AllowDestroy, parent)); err != nil {
		return nil, fmt.Errorf("UserPool %q: %w", name, err)
	}
	return p, ctx.RegisterResourceOutputs(p, pulumi.Map{"poolArn": p.PoolArn, "poolId": p.PoolID, "clientId": p.ClientID})
}

func (p *UserPool) build(ctx *pulumi.Context, name string, args *UserPoolArgs, opts []pulumi.ResourceOption) error {
	frozen := pulumi.IgnoreChanges([]string{"schemas"})
	pool, err := cognito.NewUserPool(ctx, name, args.pool(), append(slices.Clone(opts), frozen)...)
	if err != nil {
		return err
	}
	client, err := cognito.NewUserPoolClient(ctx, name, args.client(pool), opts...)
	if err != nil {
		return err
	}
	p.PoolArn, p.PoolID = pool.Arn, pool.ID().ToStringOutput()
	p.ClientID, p.ClientSecret = client.ID().ToStringOutput(), client.ClientSecret
	return nil
}

func (a *UserPoolArgs) pool() *cognito.UserPoolArgs {
	email := pulumi.StringArray{pulumi.String("email")}
	in := &cognito.UserPoolArgs{
		Name:                   pulumi.String(a.Name),
		UserPoolTier:           pulumi.String(a.tier()),
		UsernameAttributes:     email,
		UsernameConfiguration:  cognito.UserPoolUsernameConfigurationArgs{CaseSensitive: pulumi.Bool(false)},
		AutoVerifiedAttributes: email,
		UserAttributeUpdateSettings: cognito.UserPoolUserAttributeUpdateSettingsArgs{
			AttributesRequireVerificationBeforeUpdates: email,
		},
		Schemas: cognito.UserPoolSchemaArray{cognito.UserPoolSchemaArgs{
			Name: pulumi.String("email"), AttributeDataType: pulumi.String("String"), Required: pulumi.Bool(true), Mutable: pulumi.Bool(true),
			DeveloperOnlyAttribute: pulumi.Bool(false),
			// Cognito's own constraints; unset they show as a change for ever.
			StringAttributeConstraints: cognito.UserPoolSchemaStringAttributeConstraintsArgs{MinLength: pulumi.String("0"), MaxLength: pulumi.String("2048")},
		}},
		PasswordPolicy: cognito.UserPoolPasswordPolicyArgs{
			MinimumLength: pulumi.Int(a.minLength()), RequireLowercase: pulumi.Bool(true), RequireNumbers: pulumi.Bool(true),
			RequireSymbols: pulumi.Bool(true), RequireUppercase: pulumi.Bool(true), TemporaryPasswordValidityDays: pulumi.Int(1),
		},
		AccountRecoverySetting: cognito.UserPoolAccountRecoverySettingArgs{
			RecoveryMechanisms: cognito.UserPoolAccountRecoverySettingRecoveryMechanismArray{
				cognito.UserPoolAccountRecoverySettingRecoveryMechanismArgs{Name: pulumi.String("verified_email"), Priority: pulumi.Int(1)},
			},
		},
		AdminCreateUserConfig:         cognito.UserPoolAdminCreateUserConfigArgs{AllowAdminCreateUserOnly: pulumi.Bool(!a.AllowSelfSignUp)},
		MfaConfiguration:              pulumi.String(a.mfa()),
		SoftwareTokenMfaConfiguration: cognito.UserPoolSoftwareTokenMfaConfigurationArgs{Enabled: pulumi.Bool(true)},
		VerificationMessageTemplate:   cognito.UserPoolVerificationMessageTemplateArgs{DefaultEmailOption: pulumi.String("CONFIRM_WITH_CODE")},
		DeletionProtection:            pulumi.String("ACTIVE"),
		Tags:                          pulumi.ToStringMap(a.Tags),
	}
	if a.AllowDestroy {
		in.DeletionProtection = pulumi.String("INACTIVE")
	}
	if a.tier() == "PLUS" {
		in.UserPoolAddOns = cognito.UserPoolUserPoolAddOnsArgs{AdvancedSecurityMode: pulumi.String("ENFORCED")}
	}
	return in
}

func (a *UserPoolArgs) client(pool *cognito.UserPool) *cognito.UserPoolClientArgs {
	return &cognito.UserPoolClientArgs{
		Name:                       pulumi.String(a.Name + "-backend"),
		UserPoolId:                 pool.ID(),
		GenerateSecret:             pulumi.Bool(true),
		PreventUserExistenceErrors: pulumi.String("ENABLED"),
		EnableTokenRevocation:      pulumi.Bool(true),
		ExplicitAuthFlows:          pulumi.ToStringArray(a.flows()),
		SupportedIdentityProviders: pulumi.ToStringArray([]string{"COGNITO"}),
		ReadAttributes:             pulumi.ToStringArray([]string{"email", "email_verified"}),
		WriteAttributes:            pulumi.ToStringArray([]string{"email"}),
		AuthSessionValidity:        pulumi.Int(3),
		AccessTokenValidity:        pulumi.Int(a.accessMinutes()),
		IdTokenValidity:            pulumi.Int(a.accessMinutes()),
		RefreshTokenValidity:       pulumi.Int(a.refreshHours()),
		TokenValidityUnits: cognito.UserPoolClientTokenValidityUnitsArgs{
			AccessToken: pulumi.String("minutes"), IdToken: pulumi.String("minutes"), RefreshToken: pulumi.String("hours"),
		},
	}
}

func (a *UserPoolArgs) minLength() int     { return orDefault(a.PasswordMinLength, 12) }
func (a *UserPoolArgs) accessMinutes() int { return orDefault(a.AccessTokenMinutes, 15) }
func (a *UserPoolArgs) refreshHours() int  { return orDefault(a.RefreshTokenHours, 24) }

func (a *UserPoolArgs) mfa() string {
	if a.OptionalMFA {
		return "OPTIONAL"
	}
	return "ON"
}

func (a *UserPoolArgs) tier() string {
	if a.Tier == "" {
		return "ESSENTIALS"
	}
	return a.Tier
}

func (a *UserPoolArgs) flows() []string {
	if len(a.AuthFlows) == 0 {
		return []string{"ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"}
	}
	return sortedUnique(a.AuthFlows)
}

// poolNamePattern leaves room for the client's ending within Cognito's 128.
var poolNamePattern = regexp.MustCompile(`^[\w\s+=,.@-]{1,120}$`)

func (a *UserPoolArgs) check(c *checker) {
	c.pattern("Name", a.Name, poolNamePattern, "1 to 120 letters, digits, spaces or _+=,.@-", "rename the pool")
	c.between("PasswordMinLength", a.minLength(), 12, 99, "Cognito API, PasswordPolicyType; 12 is ours")
	c.oneOf("Tier", a.tier(), "ESSENTIALS", "LITE", "PLUS")
	c.between("AccessTokenMinutes", a.accessMinutes(), 5, 1440, "Cognito Developer Guide, app client token validity")
	c.between("RefreshTokenHours", a.refreshHours(), 1, 87600, "Cognito Developer Guide, app client token validity")
	for i, flow := range a.AuthFlows {
		c.oneOf(fmt.Sprintf("AuthFlows[%d]", i), flow, "ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_CUSTOM_AUTH", "ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH")
	}
	if a.refreshHours()*60 <= a.accessMinutes() {
		c.add("RefreshTokenHours", a.refreshHours(), "must outlive the access token", "make it longer")
	}
}
