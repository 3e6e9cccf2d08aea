package stacks

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Settings are the addresses and names that differ between environments, read from Pulumi.<env>.yaml and fully
// checked. What differs by policy (numbers, retention, protection) is in Profile.
type Settings struct {
	Environment string   // dev, staging or prod: the name of the Pulumi stack
	Account     string   // the AWS account that the environment lives in
	Region      string   // where everything regional is deployed
	Domain      string   // the API's host name; tokens are issued by https://<Domain>
	Origins     []string // web origins that may call the API from a browser
	Owner       string   // team that answers for the environment: the tag Owner
	CostCenter  string   // the tag CostCenter
	EmailFrom   string   // the address that functions send email from, of a domain that SES has verified; empty: none sends any
	// PushApplications are the SNS platform applications of the app, as APNS/name: they hold the credentials of Apple and
	// Google and are made by hand. None: no function sends push notifications.
	PushApplications []string
	Artifacts        string // directory of the functions' zips, relative to the working directory
	Architecture     string // arm64, or x86_64 where the local cloud runs on such a machine
	LimiterBudget    string // milliseconds that counting a request may take; empty: the limiter's own default
	Profile          Profile
}

// Configuration that only a declaration with functions that send needs.
const (
	keyEmailFrom         = "expenzez:emailFrom"
	ruleEmailFrom        = "a lower-case mail address whose domain SES has verified"
	keyPushApplications  = "expenzez:pushApplications"
	rulePushApplications = "a list of SNS platform applications: APNS, APNS_SANDBOX or GCM, a slash and the name"
)

// Lookup reads a configuration value by its full key, for example expenzez:account.
type Lookup func(key string) (value string, ok bool)

var (
	accountPattern = regexp.MustCompile(`^[0-9]{12}$`)
	regionPattern  = regexp.MustCompile(`^[a-z]{2}(-gov)?-[a-z]+-[0-9]$`)
	hostPattern    = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`)
	emailPattern   = regexp.MustCompile(`^[a-z0-9._+-]{1,64}@([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`)
	// SNS API reference, CreatePlatformApplication; the platforms are those of the app.
	pushPattern = regexp.MustCompile(`^(APNS|APNS_SANDBOX|GCM)/[A-Za-z0-9_.-]{1,256}$`)
	tagPattern  = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+@-]{1,256}$`)
)

// Problem is one fault of the configuration: where, what, the rule and how to mend it.
type Problem struct{ Key, Value, Rule, Remedy string }

// Error is the problem on one line.
func (p Problem) Error() string {
	if p.Value == "" {
		return fmt.Sprintf("%s is missing: %s; %s", p.Key, p.Rule, p.Remedy)
	}
	return fmt.Sprintf("%s is %q: %s; %s", p.Key, p.Value, p.Rule, p.Remedy)
}

// ReadSettings reads and checks the whole configuration of an environment. The error joins every Problem found.
func ReadSettings(environment string, lookup Lookup) (Settings, error) {
	r := &reader{environment: environment, lookup: lookup}
	profile, ok := profiles()[environment]
	if !ok {
		r.add(Problem{"environment", environment, "the stack must be one of " + strings.Join(Environments(), ", "),
			"select one of them, for example: pulumi stack select dev"})
	}
	s := Settings{
		Environment:      environment,
		Account:          r.matching("expenzez:account", accountPattern, "an AWS account id has 12 digits"),
		Region:           r.matching("aws:region", regionPattern, "a region looks like eu-central-1"),
		Domain:           r.matching("expenzez:domain", hostPattern, "a lower-case host name without scheme or path"),
		Origins:          r.origins("expenzez:origins"),
		Owner:            r.matching("expenzez:owner", tagPattern, "letters, digits and _.:/=+@- as AWS tags allow"),
		CostCenter:       r.matching("expenzez:costCenter", tagPattern, "letters, digits and _.:/=+@- as AWS tags allow"),
		EmailFrom:        r.emailFrom(),
		PushApplications: r.pushApplications(),
		Artifacts:        r.optional("expenzez:artifacts", "build/lambda"),
		Architecture:     r.oneOf("expenzez:architecture", "arm64", "x86_64"),
		LimiterBudget:    r.optional("expenzez:limiterBudgetMillis", ""),
		Profile:          profile,
	}
	r.allowedAccounts(s.Account)
	return s, errors.Join(r.problems...)
}

type reader struct {
	environment string
	lookup      Lookup
	problems    []error
}

func (r *reader) add(p Problem) { r.problems = append(r.problems, p) }

func (r *reader) remedy(key, example string) string {
	return fmt.Sprintf("set it with: pulumi config set --stack %s %s %s", r.environment, key, example)
}

func (r *reader) required(key, rule string) (string, bool) {
	v, ok := r.lookup(key)
	if !ok || v == "" {
		r.add(Problem{key, "", rule, r.remedy(key, "VALUE")})
		return "", false
	}
	return v, true
}

func (r *reader) matching(key string, pattern *regexp.Regexp, rule string) string {
	v, ok := r.required(key, rule)
	if ok && !pattern.MatchString(v) {
		r.add(Problem{key, v, rule, r.remedy(key, "VALUE")})
	}
	return v
}

func (r *reader) optional(key, preset string) string {
	if v, ok := r.lookup(key); ok && v != "" {
		return v
	}
	return preset
}

func (r *reader) oneOf(key string, allowed ...string) string {
	v := r.optional(key, allowed[0])
	if !slices.Contains(allowed, v) {
		r.add(Problem{key, v, "must be one of " + strings.Join(allowed, ", "), r.remedy(key, allowed[0])})
	}
	return v
}

// list reads a JSON array of strings, as Pulumi hands structured configuration to the program.
func (r *reader) list(key, rule, example string) []string {
	v, ok := r.required(key, rule)
	if !ok {
		return nil
	}
	var all []string
	if err := json.Unmarshal([]byte(v), &all); err != nil || len(all) == 0 {
		r.add(Problem{key, v, rule, r.remedy("--path '"+key+"[0]'", example)})
		return nil
	}
	return all
}

func (r *reader) emailFrom() string {
	v := r.optional(keyEmailFrom, "")
	if v != "" && !emailPattern.MatchString(v) {
		r.add(Problem{keyEmailFrom, v, ruleEmailFrom, r.remedy(keyEmailFrom, "no-reply@example.com")})
	}
	return v
}

func (r *reader) pushApplications() []string {
	if r.optional(keyPushApplications, "") == "" {
		return nil
	}
	all := r.list(keyPushApplications, rulePushApplications, "APNS/expenzez")
	for i, a := range all {
		if !pushPattern.MatchString(a) {
			at := fmt.Sprintf("%s[%d]", keyPushApplications, i)
			r.add(Problem{at, a, rulePushApplications, r.remedy("--path '"+at+"'", "APNS/expenzez")})
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (r *reader) origins(key string) []string {
	const rule = "a list of web origins: scheme and host, https except for localhost, no path and no *"
	all := r.list(key, rule, "https://app.example.com")
	for i, o := range all {
		if !validOrigin(o) {
			r.add(Problem{fmt.Sprintf("%s[%d]", key, i), o, rule, r.remedy(fmt.Sprintf("--path '%s[%d]'", key, i), "https://app.example.com")})
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// validOrigin accepts what a browser sends as Origin (RFC 6454): plain http only from the developer's own machine.
func validOrigin(o string) bool {
	u, err := url.Parse(o)
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != o || strings.ContainsAny(o, "*") {
		return false
	}
	local := u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1"
	return u.Scheme == "https" || (u.Scheme == "http" && local)
}

// allowedAccounts holds aws:allowedAccountIds and expenzez:account together: the provider refuses any account that
// is not listed, so that one environment is never deployed into another's account.
func (r *reader) allowedAccounts(account string) {
	const key = "aws:allowedAccountIds"
	rule := "must list exactly the environment's account, expenzez:account"
	all := r.list(key, rule, account)
	if all != nil && !slices.Equal(all, []string{account}) {
		r.add(Problem{key, strings.Join(all, ", "), rule + " " + account, r.remedy("--path '"+key+"[0]'", account)})
	}
}

// Issuer is the iss of access tokens.
func (s Settings) Issuer() string { return "https://" + s.Domain }

// SecretPrefix begins the name of every secret of the environment.
func (s Settings) SecretPrefix() string { return "/expenzez/" + s.Environment + "/" }

// Name is a physical name in this environment: expenzez-<env>-<name>.
func (s Settings) Name(name string) string { return "expenzez-" + s.Environment + "-" + name }

// Tags are on every taggable resource of a stack's service.
func (s Settings) Tags(serviceKey, dataClass string) map[string]string {
	return map[string]string{
		"Project": "expenzez", "Environment": s.Environment, "Service": serviceKey, "Owner": s.Owner,
		"CostCenter": s.CostCenter, "DataClass": dataClass, "ManagedBy": "pulumi",
	}
}
