package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	typeUserPool       = "aws:cognito/userPool:UserPool"
	typeUserPoolClient = "aws:cognito/userPoolClient:UserPoolClient"
	cognitoNameForm    = `^[\w\s+=,.@-]+$`
	cognitoNameShape   = "letters, digits, spaces and + = , . @ - _"
)

// userPool is a Cognito user pool. Limits: Cognito API reference, CreateUserPool and the data types it names.
func userPool() resourceType {
	message := func(limit float64) property { return aText().from(6, limit) }
	return resourceType{
		token: typeUserPool,
		props: map[string]property{
			"accountRecoverySetting": anObject(map[string]property{
				"recoveryMechanisms": setOf(anObject(map[string]property{
					"name": aText().must().oneOf("verified_email", "verified_phone_number", "admin_only"), "priority": aNumber().must().from(1, 2),
				})).must().from(1, 2),
			}).byAWS(),
			"adminCreateUserConfig": anObject(map[string]property{
				"allowAdminCreateUserOnly": aFlag(),
				"inviteMessageTemplate":    anObject(map[string]property{"emailMessage": message(20000), "emailSubject": aText().from(1, 140), "smsMessage": message(140)}),
			}).byAWS(),
			"aliasAttributes":          setOf(aText().oneOf("phone_number", "email", "preferred_username")).not("usernameAttributes").fixed(),
			"autoVerifiedAttributes":   setOf(aText().oneOf("phone_number", "email")),
			"deletionProtection":       aText().oneOf("ACTIVE", "INACTIVE").or(text("INACTIVE")),
			"deviceConfiguration":      anObject(map[string]property{"challengeRequiredOnNewDevice": aFlag(), "deviceOnlyRememberedOnUserPrompt": aFlag()}),
			"emailConfiguration":       emailConfiguration(),
			"emailMfaConfiguration":    anObject(map[string]property{"message": message(20000), "subject": aText().from(1, 140)}),
			"emailVerificationMessage": message(20000).byAWS(),
			"emailVerificationSubject": aText().from(1, 140).byAWS(),
			"lambdaConfig":             anObject(triggers()),
			"mfaConfiguration":         aText().oneOf("OFF", "ON", "OPTIONAL").or(text("OFF")),
			"name":                     aText().from(1, 128).like(cognitoNameForm, cognitoNameShape).fixed(),
			"passwordPolicy": anObject(map[string]property{
				"minimumLength": aNumber().from(6, 99), "passwordHistorySize": aNumber().from(0, 24), "requireLowercase": aFlag(),
				"requireNumbers": aFlag(), "requireSymbols": aFlag(), "requireUppercase": aFlag(), "temporaryPasswordValidityDays": aNumber().from(0, 365),
			}).byAWS(),
			"schemas":                  setOf(anObject(schemaFields())).from(1, 50),
			"signInPolicy":             anObject(map[string]property{"allowedFirstAuthFactors": setOf(aText().oneOf("PASSWORD", "EMAIL_OTP", "SMS_OTP", "WEB_AUTHN"))}).byAWS(),
			"smsAuthenticationMessage": message(140),
			"smsConfiguration": anObject(map[string]property{
				"externalId": aText().must(), "snsCallerArn": anARN().must(), "snsRegion": aText().byAWS(),
			}).byAWS(),
			"smsVerificationMessage":        message(140).byAWS(),
			"softwareTokenMfaConfiguration": anObject(map[string]property{"enabled": aFlag().must()}),
			"userAttributeUpdateSettings": anObject(map[string]property{
				"attributesRequireVerificationBeforeUpdates": setOf(aText().oneOf("phone_number", "email")).must(),
			}),
			"userPoolAddOns": anObject(map[string]property{
				"advancedSecurityAdditionalFlows": anObject(map[string]property{"customAuthMode": aText().oneOf("AUDIT", "ENFORCED")}),
				"advancedSecurityMode":            aText().must().oneOf("OFF", "AUDIT", "ENFORCED"),
			}),
			"userPoolTier":       aText().oneOf("LITE", "ESSENTIALS", "PLUS").byAWS(),
			"usernameAttributes": setOf(aText().oneOf("phone_number", "email")).fixed(),
			// Replacing on the flag is what the real provider does, and leaving it out means false on AWS.
			"usernameConfiguration": anObject(map[string]property{"caseSensitive": aFlag().fixed()}).byAWS(),
			"verificationMessageTemplate": anObject(map[string]property{
				"defaultEmailOption": aText().oneOf("CONFIRM_WITH_CODE", "CONFIRM_WITH_LINK").byAWS(), "emailMessage": message(20000).byAWS(),
				"emailMessageByLink": message(20000).byAWS(), "emailSubject": aText().from(1, 140).byAWS(), "emailSubjectByLink": aText().from(1, 140).byAWS(),
				"smsMessage": message(140).byAWS(),
			}).byAWS(),
			"webAuthnConfiguration": anObject(map[string]property{"relyingPartyId": aText().byAWS(), "userVerification": aText().oneOf("required", "preferred").byAWS()}),
		},
		outputs:  []string{"arn", "creationDate", "customDomain", "domain", "endpoint", "estimatedNumberOfUsers", "lastModifiedDate"},
		identity: nil, // pool names need not be unique
		naming:   &naming{property: "name", limit: 128},
		tagged:   true,
		check:    checkUserPool,
		moves:    func(_, _ bag) []string { return []string{"lastModifiedDate"} },
		create:   createUserPool,
		read:     readUserPool,
		update:   updateUserPool,
		remove:   removeUserPool,
	}
}

func emailConfiguration() property {
	return anObject(map[string]property{
		"configurationSet": aText(), "emailSendingAccount": aText().oneOf("COGNITO_DEFAULT", "DEVELOPER").or(text("COGNITO_DEFAULT")),
		"fromEmailAddress": aText(), "replyToEmailAddress": aText(), "sourceArn": anARN(),
	})
}

func triggers() map[string]property {
	out := map[string]property{}
	for _, name := range []string{"createAuthChallenge", "customMessage", "defineAuthChallenge", "kmsKeyId", "postAuthentication",
		"postConfirmation", "preAuthentication", "preSignUp", "preTokenGeneration", "userMigration", "verifyAuthChallengeResponse"} {
		out[name] = anARN()
	}
	sender := func(versions ...string) property {
		return anObject(map[string]property{"lambdaArn": anARN().must(), "lambdaVersion": aText().must().oneOf(versions...)})
	}
	out["customEmailSender"] = sender("V1_0").with("kmsKeyId")
	out["customSmsSender"] = sender("V1_0").with("kmsKeyId")
	out["preTokenGenerationConfig"] = sender("V1_0", "V2_0", "V3_0")
	return out
}

func schemaFields() map[string]property {
	return map[string]property{
		"attributeDataType":          aText().must().oneOf("String", "Number", "DateTime", "Boolean"),
		"developerOnlyAttribute":     aFlag(),
		"mutable":                    aFlag(),
		"name":                       aText().must().from(1, 20),
		"numberAttributeConstraints": anObject(map[string]property{"maxValue": aText(), "minValue": aText()}),
		"required":                   aFlag(),
		"stringAttributeConstraints": anObject(map[string]property{"maxLength": aText(), "minLength": aText()}),
	}
}

// standardAttributes can be required; other attributes cannot (Cognito Developer Guide, "Working with user attributes").
func standardAttributes() []string {
	return []string{"address", "birthdate", "email", "family_name", "gender", "given_name", "locale", "middle_name", "name", "nickname",
		"phone_number", "picture", "preferred_username", "profile", "updated_at", "website", "zoneinfo"}
}

func checkUserPool(_ *cloud, in bag) []problem {
	var out []problem
	mfa := getText(in, "mfaConfiguration")
	if mfa == "ON" || mfa == "OPTIONAL" {
		totp := getBag(in, "softwareTokenMfaConfiguration")
		if known(in, "softwareTokenMfaConfiguration") && !getBool(totp, "enabled") && !has(in, "smsConfiguration") && !has(in, "emailMfaConfiguration") {
			out = append(out, problemf("mfaConfiguration", "is %s: enable softwareTokenMfaConfiguration, or set smsConfiguration or emailMfaConfiguration", mfa))
		}
	}
	names := map[string]bool{}
	for i, s := range getBags(in, "schemas") {
		at, name := fmt.Sprintf("schemas[%d]", i), getText(s, "name")
		if names[name] {
			out = append(out, problemf(at, "repeats the attribute %q", name))
		}
		names[name] = true
		if getBool(s, "required") && !slices.Contains(standardAttributes(), name) {
			out = append(out, problemf(at+".required", "cannot be true for the custom attribute %q", name))
		}
	}
	template := getBag(in, "verificationMessageTemplate")
	for path, m := range map[string]string{
		"emailVerificationMessage": getText(in, "emailVerificationMessage"), "smsVerificationMessage": getText(in, "smsVerificationMessage"),
		"verificationMessageTemplate.emailMessage": getText(template, "emailMessage"), "verificationMessageTemplate.smsMessage": getText(template, "smsMessage"),
	} {
		if m != "" && !strings.Contains(m, "{####}") {
			out = append(out, problemf(path, "has no {####}, where the code goes"))
		}
	}
	for top, inner := range map[string]string{"emailVerificationMessage": "emailMessage", "emailVerificationSubject": "emailSubject", "smsVerificationMessage": "smsMessage"} {
		if has(in, top) && has(template, inner) {
			out = append(out, problemf(top, "conflicts with verificationMessageTemplate.%s: set only one of them", inner))
		}
	}
	slices.SortFunc(out, func(a, b problem) int { return strings.Compare(a.path, b.path) })
	return out
}

func int32Of(b bag, key string) *int32 {
	if !has(b, key) {
		return nil
	}
	return aws.Int32(int32(getNumber(b, key)))
}

func boolOf(b bag, key string) *bool {
	if !has(b, key) {
		return nil
	}
	return aws.Bool(getBool(b, key))
}

// enums turns texts into the SDK's string types.
func enums[T ~string](names []string) []T {
	var out []T
	for _, n := range names {
		out = append(out, T(n))
	}
	return out
}

func poolPolicies(in bag) *types.UserPoolPolicyType {
	p := getBag(in, "passwordPolicy")
	if p == nil {
		return nil
	}
	return &types.UserPoolPolicyType{PasswordPolicy: &types.PasswordPolicyType{
		MinimumLength: int32Of(p, "minimumLength"), PasswordHistorySize: int32Of(p, "passwordHistorySize"),
		RequireLowercase: getBool(p, "requireLowercase"), RequireNumbers: getBool(p, "requireNumbers"),
		RequireSymbols: getBool(p, "requireSymbols"), RequireUppercase: getBool(p, "requireUppercase"),
		TemporaryPasswordValidityDays: int32(orNumber(getNumber(p, "temporaryPasswordValidityDays"), 7)),
	}}
}

func poolRecovery(in bag) *types.AccountRecoverySettingType {
	var out []types.RecoveryOptionType
	for _, m := range getBags(getBag(in, "accountRecoverySetting"), "recoveryMechanisms") {
		out = append(out, types.RecoveryOptionType{Name: types.RecoveryOptionNameType(getText(m, "name")), Priority: int32Of(m, "priority")})
	}
	if out == nil {
		return nil
	}
	return &types.AccountRecoverySettingType{RecoveryMechanisms: out}
}

func poolAdminCreate(in bag) *types.AdminCreateUserConfigType {
	c := getBag(in, "adminCreateUserConfig")
	if c == nil {
		return nil
	}
	return &types.AdminCreateUserConfigType{AllowAdminCreateUserOnly: getBool(c, "allowAdminCreateUserOnly")}
}

func poolTemplate(in bag) *types.VerificationMessageTemplateType {
	t := getBag(in, "verificationMessageTemplate")
	if t == nil {
		return nil
	}
	return &types.VerificationMessageTemplateType{
		DefaultEmailOption: types.DefaultEmailOptionType(getText(t, "defaultEmailOption")), EmailMessage: optional(t, "emailMessage"),
		EmailSubject: optional(t, "emailSubject"), SmsMessage: optional(t, "smsMessage"),
		EmailMessageByLink: optional(t, "emailMessageByLink"), EmailSubjectByLink: optional(t, "emailSubjectByLink"),
	}
}

func poolSchemas(in bag) []types.SchemaAttributeType {
	var out []types.SchemaAttributeType
	for _, s := range getBags(in, "schemas") {
		out = append(out, poolSchema(s))
	}
	return out
}

func poolSchema(s bag) types.SchemaAttributeType {
	a := types.SchemaAttributeType{
		Name: aws.String(getText(s, "name")), AttributeDataType: types.AttributeDataType(getText(s, "attributeDataType")),
		Mutable: aws.Bool(getBool(s, "mutable")), Required: aws.Bool(getBool(s, "required")), DeveloperOnlyAttribute: aws.Bool(getBool(s, "developerOnlyAttribute")),
	}
	if c := getBag(s, "stringAttributeConstraints"); c != nil {
		a.StringAttributeConstraints = &types.StringAttributeConstraintsType{MinLength: optional(c, "minLength"), MaxLength: optional(c, "maxLength")}
	}
	if c := getBag(s, "numberAttributeConstraints"); c != nil {
		a.NumberAttributeConstraints = &types.NumberAttributeConstraintsType{MinValue: optional(c, "minValue"), MaxValue: optional(c, "maxValue")}
	}
	return a
}

func createUserPool(o *op) (string, bag, error) {
	if err := o.checkTriggers(); err != nil {
		return "", nil, err
	}
	in := &cognitoidentityprovider.CreateUserPoolInput{
		PoolName: aws.String(getText(o.in, "name")), Policies: poolPolicies(o.in), Schema: poolSchemas(o.in),
		DeletionProtection:          types.DeletionProtectionType(getText(o.in, "deletionProtection")),
		AutoVerifiedAttributes:      enums[types.VerifiedAttributeType](getTexts(o.in, "autoVerifiedAttributes")),
		AliasAttributes:             enums[types.AliasAttributeType](getTexts(o.in, "aliasAttributes")),
		UsernameAttributes:          enums[types.UsernameAttributeType](getTexts(o.in, "usernameAttributes")),
		AccountRecoverySetting:      poolRecovery(o.in),
		AdminCreateUserConfig:       poolAdminCreate(o.in),
		VerificationMessageTemplate: poolTemplate(o.in),
		EmailVerificationMessage:    optional(o.in, "emailVerificationMessage"),
		EmailVerificationSubject:    optional(o.in, "emailVerificationSubject"),
		UserPoolTags:                getDictionary(o.in, "tagsAll"),
		UsernameConfiguration:       usernameConfiguration(o.in),
	}
	made, err := o.pools.CreateUserPool(o, in)
	if err != nil {
		return "", nil, err
	}
	added := o.describedPool(made.UserPool)
	delete(added, "name")
	return aws.ToString(made.UserPool.Id), added, o.setPoolMFA(aws.ToString(made.UserPool.Id))
}

func usernameConfiguration(in bag) *types.UsernameConfigurationType {
	return &types.UsernameConfigurationType{CaseSensitive: aws.Bool(getBool(getBag(in, "usernameConfiguration"), "caseSensitive"))}
}

// checkTriggers refuses functions that do not exist.
func (o *op) checkTriggers() error {
	config := getBag(o.in, "lambdaConfig")
	for _, k := range sortedKeys(config) {
		arn := getText(config, string(k))
		if arn == "" {
			arn = getText(getBag(config, string(k)), "lambdaArn")
		}
		if k == "kmsKeyId" || arn == "" {
			continue
		}
		if err := o.checkTarget(arn, ""); err != nil {
			return fmt.Errorf("lambdaConfig.%s: %w", k, err)
		}
	}
	return nil
}

// setPoolMFA sets the factors. The emulator holds them for authenticator apps; the other factors are recorded.
func (o *op) setPoolMFA(id string) error {
	in := &cognitoidentityprovider.SetUserPoolMfaConfigInput{UserPoolId: &id, MfaConfiguration: types.UserPoolMfaType(getText(o.in, "mfaConfiguration"))}
	if totp := getBag(o.in, "softwareTokenMfaConfiguration"); totp != nil {
		in.SoftwareTokenMfaConfiguration = &types.SoftwareTokenMfaConfigType{Enabled: getBool(totp, "enabled")}
	}
	if sms := getBag(o.in, "smsConfiguration"); sms != nil {
		in.SmsMfaConfiguration = &types.SmsMfaConfigType{SmsConfiguration: &types.SmsConfigurationType{SnsCallerArn: optional(sms, "snsCallerArn"), ExternalId: optional(sms, "externalId")}}
	}
	_, err := o.pools.SetUserPoolMfaConfig(o, in)
	return err
}

// describedPool is what the emulator says of a pool, in the provider's words.
func (o *op) describedPool(p *types.UserPoolType) bag {
	stamp := func(t *time.Time) value { return text(aws.ToTime(t).UTC().Format(time.RFC3339)) }
	id := aws.ToString(p.Id)
	return bag{
		"arn": text(aws.ToString(p.Arn)), "name": text(aws.ToString(p.Name)), "endpoint": text(fmt.Sprintf("cognito-idp.%s.%s/%s", o.region, o.dnsSuffix(), id)),
		"creationDate": stamp(p.CreationDate), "lastModifiedDate": stamp(p.LastModifiedDate),
		"estimatedNumberOfUsers": number(float64(p.EstimatedNumberOfUsers)), "domain": text(aws.ToString(p.Domain)), "customDomain": text(aws.ToString(p.CustomDomain)),
	}
}

func (o *op) livePool(id string) (*types.UserPoolType, bool, error) {
	live, err := o.pools.DescribeUserPool(o, &cognitoidentityprovider.DescribeUserPoolInput{UserPoolId: &id})
	if gone(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return live.UserPool, true, nil
}

func readUserPool(o *op) (bag, bool, error) {
	live, found, err := o.livePool(o.id)
	if !found {
		return nil, false, err
	}
	mfa, err := o.pools.GetUserPoolMfaConfig(o, &cognitoidentityprovider.GetUserPoolMfaConfigInput{UserPoolId: &o.id})
	if err != nil {
		return nil, false, err
	}
	out := o.describedPool(live)
	set(out, "deletionProtection", text(string(live.DeletionProtection)))
	set(out, "mfaConfiguration", text(string(mfa.MfaConfiguration)))
	set(out, "tagsAll", dictionary(live.UserPoolTags))
	set(out, "autoVerifiedAttributes", namesOf(live.AutoVerifiedAttributes))
	set(out, "aliasAttributes", namesOf(live.AliasAttributes))
	set(out, "usernameAttributes", namesOf(live.UsernameAttributes))
	if mfa.SoftwareTokenMfaConfiguration != nil {
		set(out, "softwareTokenMfaConfiguration", object(bag{"enabled": boolean(mfa.SoftwareTokenMfaConfiguration.Enabled)}))
	}
	if live.Policies != nil && live.Policies.PasswordPolicy != nil && has(o.old, "passwordPolicy") {
		set(out, "passwordPolicy", object(o.describedPassword(live.Policies.PasswordPolicy)))
	}
	return out, true, nil
}

func namesOf[T ~string](names []T) value {
	var out []string
	for _, n := range names {
		out = append(out, string(n))
	}
	return texts(out...)
}

func (o *op) describedPassword(p *types.PasswordPolicyType) bag {
	out := bag{
		"minimumLength": number(float64(aws.ToInt32(p.MinimumLength))), "requireLowercase": boolean(p.RequireLowercase), "requireNumbers": boolean(p.RequireNumbers),
		"requireSymbols": boolean(p.RequireSymbols), "requireUppercase": boolean(p.RequireUppercase),
	}
	before := getBag(o.old, "passwordPolicy")
	if days := p.TemporaryPasswordValidityDays; days != 7 || has(before, "temporaryPasswordValidityDays") {
		set(out, "temporaryPasswordValidityDays", number(float64(days)))
	}
	if has(before, "passwordHistorySize") {
		set(out, "passwordHistorySize", before["passwordHistorySize"])
	}
	return out
}

func updateUserPool(o *op) (bag, error) {
	if err := o.changeSchemas(); err != nil {
		return nil, err
	}
	if err := o.checkTriggers(); err != nil {
		return nil, err
	}
	_, err := o.pools.UpdateUserPool(o, &cognitoidentityprovider.UpdateUserPoolInput{
		UserPoolId: &o.id, Policies: poolPolicies(o.in), DeletionProtection: types.DeletionProtectionType(getText(o.in, "deletionProtection")),
		AutoVerifiedAttributes:      enums[types.VerifiedAttributeType](getTexts(o.in, "autoVerifiedAttributes")),
		MfaConfiguration:            types.UserPoolMfaType(getText(o.in, "mfaConfiguration")),
		AccountRecoverySetting:      poolRecovery(o.in),
		AdminCreateUserConfig:       poolAdminCreate(o.in),
		VerificationMessageTemplate: poolTemplate(o.in),
		EmailVerificationMessage:    optional(o.in, "emailVerificationMessage"),
		EmailVerificationSubject:    optional(o.in, "emailVerificationSubject"),
		UserPoolTags:                getDictionary(o.in, "tagsAll"),
	}, o.keepingIdentity)
	if err != nil {
		return nil, err
	}
	if err := o.setPoolMFA(o.id); err != nil {
		return nil, err
	}
	live, found, err := o.livePool(o.id)
	if err != nil || !found {
		return nil, err
	}
	return o.describedPool(live), nil
}

// changeSchemas adds attributes. AWS can neither change nor remove one.
func (o *op) changeSchemas() error {
	element := *userPool().props["schemas"].element
	have, want := map[string]bool{}, map[string]bool{}
	for _, v := range getBags(o.old, "schemas") {
		have[encode(element, object(v))] = true
	}
	var added []types.SchemaAttributeType
	for _, s := range getBags(o.in, "schemas") {
		want[encode(element, object(s))] = true
		if !have[encode(element, object(s))] {
			added = append(added, poolSchema(s))
		}
	}
	for s := range have {
		if !want[s] {
			return denyf("InvalidParameterException", "cannot modify or remove schema items of user pool %s: add new ones only, or replace the pool", o.id)
		}
	}
	if len(added) == 0 {
		return nil
	}
	_, err := o.pools.AddCustomAttributes(o, &cognitoidentityprovider.AddCustomAttributesInput{UserPoolId: &o.id, CustomAttributes: added})
	return err
}

// keepingIdentity sends along what AWS keeps by itself: the emulator forgets whatever an update leaves out, and after
// that nobody could sign in by email.
func (o *op) keepingIdentity(options *cognitoidentityprovider.Options) {
	kept := map[string]any{
		"UsernameConfiguration": map[string]bool{"CaseSensitive": getBool(getBag(o.in, "usernameConfiguration"), "caseSensitive")},
	}
	for name, key := range map[string]string{"UsernameAttributes": "usernameAttributes", "AliasAttributes": "aliasAttributes"} {
		if names := getTexts(o.in, key); len(names) > 0 {
			kept[name] = names
		}
	}
	options.APIOptions = append(options.APIOptions, func(stack *middleware.Stack) error {
		return stack.Serialize.Add(middleware.SerializeMiddlewareFunc("KeepIdentity", func(ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler) (middleware.SerializeOutput, middleware.Metadata, error) {
			if err := addToBody(&in, kept); err != nil {
				return middleware.SerializeOutput{}, middleware.Metadata{}, err
			}
			return next.HandleSerialize(ctx, in)
		}), middleware.After)
	})
}

func addToBody(in *middleware.SerializeInput, more map[string]any) error {
	request, ok := in.Request.(*smithyhttp.Request)
	if !ok {
		return fmt.Errorf("cannot add to a request of type %T", in.Request)
	}
	raw, err := io.ReadAll(request.GetStream())
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	body := map[string]any{}
	if err := json.Unmarshal(raw, &body); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	for k, v := range more {
		body[k] = v
	}
	if raw, err = json.Marshal(body); err != nil {
		return fmt.Errorf("write the request: %w", err)
	}
	in.Request, err = request.SetStream(bytes.NewReader(raw))
	return err
}

// removeUserPool deletes the pool unless it is protected, in the words of AWS. The emulator does not look.
func removeUserPool(o *op) error {
	live, found, err := o.livePool(o.id)
	if !found {
		return err
	}
	if live.DeletionProtection == types.DeletionProtectionTypeActive {
		return denyf("InvalidParameterException", "The user pool cannot be deleted because deletion protection is activated. Deletion protection must be inactivated first.")
	}
	_, err = o.pools.DeleteUserPool(o, &cognitoidentityprovider.DeleteUserPoolInput{UserPoolId: &o.id})
	return err
}

// userPoolClient is an application of a pool. Limits: Cognito API reference, CreateUserPoolClient.
func userPoolClient() resourceType {
	unit := func() property { return aText().oneOf("seconds", "minutes", "hours", "days").byAWS() }
	urls := func() property { return setOf(aText().from(1, 1024)).from(0, 100) }
	return resourceType{
		token: typeUserPoolClient,
		props: map[string]property{
			"accessTokenValidity":             aNumber().from(1, 86400).byAWS(),
			"allowedOauthFlows":               setOf(aText().oneOf("code", "implicit", "client_credentials")).from(0, 3).byAWS(),
			"allowedOauthFlowsUserPoolClient": aFlag().byAWS(),
			"allowedOauthScopes":              setOf(aText()).from(0, 50).byAWS(),
			"analyticsConfiguration": anObject(map[string]property{
				"applicationArn": anARN(), "applicationId": aText(), "externalId": aText(), "roleArn": anARN(), "userDataShared": aFlag(),
			}),
			"authSessionValidity":                      aNumber().from(3, 15).byAWS(),
			"callbackUrls":                             urls().byAWS(),
			"defaultRedirectUri":                       aText().from(1, 1024).byAWS(),
			"enablePropagateAdditionalUserContextData": aFlag().byAWS(),
			"enableTokenRevocation":                    aFlag().byAWS(),
			"explicitAuthFlows":                        setOf(aText().oneOf(authFlows()...)).byAWS(),
			"generateSecret":                           aFlag().fixed(),
			"idTokenValidity":                          aNumber().from(1, 86400).byAWS(),
			"logoutUrls":                               urls().byAWS(),
			"name":                                     aText().from(1, 128).like(cognitoNameForm, cognitoNameShape),
			"preventUserExistenceErrors":               aText().oneOf("ENABLED", "LEGACY").byAWS(),
			"readAttributes":                           setOf(aText().from(1, 2048)).byAWS(),
			"refreshTokenRotation":                     anObject(map[string]property{"feature": aText().must().oneOf("ENABLED", "DISABLED"), "retryGracePeriodSeconds": aNumber().from(0, 60)}),
			"refreshTokenValidity":                     aNumber().from(0, 315360000).byAWS(),
			"supportedIdentityProviders":               setOf(aText().from(1, 32)).byAWS(),
			"tokenValidityUnits":                       anObject(map[string]property{"accessToken": unit(), "idToken": unit(), "refreshToken": unit()}),
			"userPoolId":                               aText().must().from(1, 55).like(`^[\w-]+_[0-9a-zA-Z]+$`, "the id of a user pool").fixed(),
			"writeAttributes":                          setOf(aText().from(1, 2048)).byAWS(),
		},
		outputs: []string{"clientSecret"},
		naming:  &naming{property: "name", limit: 128},
		check:   checkPoolClient,
		create:  createPoolClient,
		read:    readPoolClient,
		update:  updatePoolClient,
		remove: func(o *op) error {
			_, err := o.pools.DeleteUserPoolClient(o, &cognitoidentityprovider.DeleteUserPoolClientInput{ClientId: &o.id, UserPoolId: aws.String(getText(o.state, "userPoolId"))})
			return err
		},
	}
}

func authFlows() []string {
	return []string{"ADMIN_NO_SRP_AUTH", "CUSTOM_AUTH_FLOW_ONLY", "USER_PASSWORD_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_CUSTOM_AUTH",
		"ALLOW_USER_PASSWORD_AUTH", "ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_AUTH"}
}

var allowFlow = regexp.MustCompile(`^ALLOW_`)

func checkPoolClient(_ *cloud, in bag) []problem {
	var out []problem
	flows := getTexts(in, "explicitAuthFlows")
	modern := 0
	for _, f := range flows {
		if allowFlow.MatchString(f) {
			modern++
		}
	}
	if modern != 0 && modern != len(flows) {
		out = append(out, problemf("explicitAuthFlows", "mixes ALLOW_ flows with older ones: use only one kind"))
	}
	if getText(getBag(in, "refreshTokenRotation"), "feature") == "ENABLED" && slices.Contains(flows, "ALLOW_REFRESH_TOKEN_AUTH") {
		out = append(out, problemf("explicitAuthFlows", "has ALLOW_REFRESH_TOKEN_AUTH, which cannot be combined with refreshTokenRotation"))
	}
	oauth := getTexts(in, "allowedOauthFlows")
	if slices.Contains(oauth, "client_credentials") && (len(oauth) > 1 || !getBool(in, "generateSecret")) {
		out = append(out, problemf("allowedOauthFlows", "has client_credentials, which must stand alone and needs generateSecret"))
	}
	if getBool(in, "allowedOauthFlowsUserPoolClient") && known(in, "allowedOauthFlows", "allowedOauthScopes") && (len(oauth) == 0 || len(getList(in, "allowedOauthScopes")) == 0) {
		out = append(out, problemf("allowedOauthFlowsUserPoolClient", "needs allowedOauthFlows and allowedOauthScopes"))
	}
	return append(out, checkTokenValidity(in)...)
}

// checkTokenValidity checks the lifetimes in seconds: access and id tokens 5 minutes to 1 day, refresh tokens 60 minutes to
// 10 years (Cognito API reference, CreateUserPoolClient).
func checkTokenValidity(in bag) []problem {
	if !known(in, "tokenValidityUnits") {
		return nil
	}
	seconds := map[string]float64{"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
	units := getBag(in, "tokenValidityUnits")
	var out []problem
	for _, t := range []struct {
		key, unit, usual string
		low, high        float64
	}{
		{"accessTokenValidity", "accessToken", "hours", 300, 86400},
		{"idTokenValidity", "idToken", "hours", 300, 86400},
		{"refreshTokenValidity", "refreshToken", "days", 3600, 315360000},
	} {
		unit := getText(units, t.unit)
		if unit == "" {
			unit = t.usual
		}
		n := getNumber(in, t.key)
		if life := n * seconds[unit]; n != 0 && (life < t.low || life > t.high) {
			out = append(out, problemf(t.key, "is %g %s: AWS allows %g to %g seconds", n, unit, t.low, t.high))
		}
	}
	return out
}

func validityUnits(in bag) *types.TokenValidityUnitsType {
	u := getBag(in, "tokenValidityUnits")
	if u == nil {
		return nil
	}
	return &types.TokenValidityUnitsType{
		AccessToken: types.TimeUnitsType(getText(u, "accessToken")), IdToken: types.TimeUnitsType(getText(u, "idToken")), RefreshToken: types.TimeUnitsType(getText(u, "refreshToken")),
	}
}

func createPoolClient(o *op) (string, bag, error) {
	pool := getText(o.in, "userPoolId")
	if _, found, err := o.livePool(pool); err != nil {
		return "", nil, err
	} else if !found {
		return "", nil, denyf("ResourceNotFoundException", "User pool %s does not exist.", pool)
	}
	made, err := o.pools.CreateUserPoolClient(o, &cognitoidentityprovider.CreateUserPoolClientInput{
		UserPoolId: &pool, ClientName: aws.String(getText(o.in, "name")), GenerateSecret: getBool(o.in, "generateSecret"),
		AccessTokenValidity: int32Of(o.in, "accessTokenValidity"), IdTokenValidity: int32Of(o.in, "idTokenValidity"),
		RefreshTokenValidity: int32(getNumber(o.in, "refreshTokenValidity")), AuthSessionValidity: int32Of(o.in, "authSessionValidity"),
		AllowedOAuthFlows: enums[types.OAuthFlowType](getTexts(o.in, "allowedOauthFlows")), AllowedOAuthFlowsUserPoolClient: getBool(o.in, "allowedOauthFlowsUserPoolClient"),
		AllowedOAuthScopes: getTexts(o.in, "allowedOauthScopes"), CallbackURLs: getTexts(o.in, "callbackUrls"), LogoutURLs: getTexts(o.in, "logoutUrls"),
		DefaultRedirectURI: optional(o.in, "defaultRedirectUri"), EnableTokenRevocation: boolOf(o.in, "enableTokenRevocation"),
		EnablePropagateAdditionalUserContextData: boolOf(o.in, "enablePropagateAdditionalUserContextData"),
		ExplicitAuthFlows:                        enums[types.ExplicitAuthFlowsType](getTexts(o.in, "explicitAuthFlows")),
		PreventUserExistenceErrors:               types.PreventUserExistenceErrorTypes(getText(o.in, "preventUserExistenceErrors")),
		ReadAttributes:                           getTexts(o.in, "readAttributes"), WriteAttributes: getTexts(o.in, "writeAttributes"),
		SupportedIdentityProviders: getTexts(o.in, "supportedIdentityProviders"), TokenValidityUnits: validityUnits(o.in),
	})
	if err != nil {
		return "", nil, err
	}
	added := bag{
		"clientSecret": text(aws.ToString(made.UserPoolClient.ClientSecret)), "refreshTokenValidity": number(30), "authSessionValidity": number(3),
		"enableTokenRevocation": boolean(true), "preventUserExistenceErrors": text("LEGACY"), "accessTokenValidity": number(1), "idTokenValidity": number(1),
	}
	return aws.ToString(made.UserPoolClient.ClientId), added, nil
}

func readPoolClient(o *op) (bag, bool, error) {
	pool := getText(o.state, "userPoolId")
	if pool == "" {
		// An import names the client as POOL/CLIENT.
		var ok bool
		if pool, o.id, ok = strings.Cut(o.id, "/"); !ok {
			return nil, false, fmt.Errorf("%q is not the id of a user pool client to import: use POOL/CLIENT", pool)
		}
	}
	live, err := o.pools.DescribeUserPoolClient(o, &cognitoidentityprovider.DescribeUserPoolClientInput{ClientId: &o.id, UserPoolId: &pool})
	if gone(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	c := live.UserPoolClient
	out := bag{
		"userPoolId": text(pool), "name": text(aws.ToString(c.ClientName)), "clientSecret": text(aws.ToString(c.ClientSecret)),
		"generateSecret": boolean(aws.ToString(c.ClientSecret) != ""), "explicitAuthFlows": namesOf(c.ExplicitAuthFlows),
		"enableTokenRevocation": boolean(aws.ToBool(c.EnableTokenRevocation)), "refreshTokenValidity": number(float64(c.RefreshTokenValidity)),
	}
	for key, live := range map[string]*int32{"accessTokenValidity": c.AccessTokenValidity, "idTokenValidity": c.IdTokenValidity, "authSessionValidity": c.AuthSessionValidity} {
		if live != nil {
			set(out, key, number(float64(*live)))
		}
	}
	if c.PreventUserExistenceErrors != "" {
		set(out, "preventUserExistenceErrors", text(string(c.PreventUserExistenceErrors)))
	}
	return out, true, nil
}

func updatePoolClient(o *op) (bag, error) {
	_, err := o.pools.UpdateUserPoolClient(o, &cognitoidentityprovider.UpdateUserPoolClientInput{
		ClientId: &o.id, UserPoolId: aws.String(getText(o.in, "userPoolId")), ClientName: aws.String(getText(o.in, "name")),
		AccessTokenValidity: int32Of(o.in, "accessTokenValidity"), IdTokenValidity: int32Of(o.in, "idTokenValidity"),
		RefreshTokenValidity: int32(orNumber(getNumber(o.in, "refreshTokenValidity"), 30)), AuthSessionValidity: int32Of(o.in, "authSessionValidity"),
		AllowedOAuthFlows: enums[types.OAuthFlowType](getTexts(o.in, "allowedOauthFlows")), AllowedOAuthFlowsUserPoolClient: getBool(o.in, "allowedOauthFlowsUserPoolClient"),
		AllowedOAuthScopes: getTexts(o.in, "allowedOauthScopes"), CallbackURLs: getTexts(o.in, "callbackUrls"), LogoutURLs: getTexts(o.in, "logoutUrls"),
		DefaultRedirectURI: optional(o.in, "defaultRedirectUri"), EnableTokenRevocation: boolOf(o.in, "enableTokenRevocation"),
		EnablePropagateAdditionalUserContextData: boolOf(o.in, "enablePropagateAdditionalUserContextData"),
		ExplicitAuthFlows:                        enums[types.ExplicitAuthFlowsType](getTexts(o.in, "explicitAuthFlows")),
		PreventUserExistenceErrors:               types.PreventUserExistenceErrorTypes(getText(o.in, "preventUserExistenceErrors")),
		ReadAttributes:                           getTexts(o.in, "readAttributes"), WriteAttributes: getTexts(o.in, "writeAttributes"),
		SupportedIdentityProviders: getTexts(o.in, "supportedIdentityProviders"), TokenValidityUnits: validityUnits(o.in),
	})
	return nil, err
}
