package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// session is one instance of the provider: what Configure said about it.
type session struct {
	mu          sync.Mutex
	configured  bool
	defaultTags map[string]string
	ignoredTags func(key string) bool
}

func sessionOf(ctx context.Context) *session {
	if s, ok := ctx.Value(sessionKey{}).(*session); ok {
		return s
	}
	return &session{}
}

// configKeys are the arguments of the provider itself (aws.ProviderArgs).
func configKeys() []string {
	return []string{
		"accessKey", "allowedAccountIds", "assumeRole", "assumeRoleWithWebIdentity", "customCaBundle", "defaultTags",
		"ec2MetadataServiceEndpoint", "ec2MetadataServiceEndpointMode", "endpoints", "forbiddenAccountIds", "httpProxy",
		"httpsProxy", "ignoreTags", "insecure", "maxRetries", "noProxy", "profile", "region", "retryMode",
		"s3UsEast1RegionalEndpoint", "s3UsePathStyle", "secretKey", "sharedConfigFiles", "sharedCredentialsFiles",
		"skipCredentialsValidation", "skipMetadataApiCheck", "skipRegionValidation", "skipRequestingAccountId",
		"stsRegion", "token", "tokenBucketRateLimiterCapacity", "useDualstackEndpoint", "useFipsEndpoint", "version",
	}
}

func checkConfig(in bag) []problem {
	var out []problem
	for _, k := range sortedKeys(in) {
		if !slices.Contains(configKeys(), string(k)) && !strings.HasPrefix(string(k), "__") {
			out = append(out, problemf(string(k), "is not an argument of provider aws: remove it, or check its spelling"))
		}
	}
	for _, k := range []string{"allowedAccountIds", "forbiddenAccountIds"} {
		if _, err := configTexts(in, k); err != nil {
			out = append(out, problemf(k, "%v", err))
		}
	}
	if _, err := configTags(in); err != nil {
		out = append(out, problemf("defaultTags", "%v", err))
	}
	return out
}

// decodeConfig reads a setting that arrives as a value or, from the engine, as its JSON text.
func decodeConfig(in bag, key string, into any) error {
	v, ok := in[resource.PropertyKey(key)]
	if !ok || v.IsNull() || v.ContainsUnknowns() {
		return nil
	}
	var encoded []byte
	if v.IsString() {
		encoded = []byte(v.StringValue())
	} else {
		var err error
		if encoded, err = json.Marshal(v.Mappable()); err != nil {
			return fmt.Errorf("cannot be read: %w", err)
		}
	}
	if len(encoded) == 0 {
		return nil
	}
	if err := json.Unmarshal(encoded, into); err != nil {
		return fmt.Errorf("has the wrong form: %w", err)
	}
	return nil
}

func configTexts(in bag, key string) ([]string, error) {
	var out []string
	err := decodeConfig(in, key, &out)
	return out, err
}

func configTags(in bag) (map[string]string, error) {
	var out struct {
		Tags map[string]string `json:"tags"`
	}
	err := decodeConfig(in, "defaultTags", &out)
	return out.Tags, err
}

func configIgnored(in bag) (func(string) bool, error) {
	var ignored struct {
		Keys        []string `json:"keys"`
		KeyPrefixes []string `json:"keyPrefixes"`
	}
	if err := decodeConfig(in, "ignoreTags", &ignored); err != nil {
		return nil, err
	}
	return func(key string) bool {
		return slices.Contains(ignored.Keys, key) ||
			slices.ContainsFunc(ignored.KeyPrefixes, func(p string) bool { return strings.HasPrefix(key, p) })
	}, nil
}

// configure takes the settings of one provider instance. It guards the account as the real provider does: with
// aws:allowedAccountIds of another environment, nothing can be planned or changed.
func (c *cloud) configure(s *session, in bag) error {
	if region := getText(in, "region"); region == "" {
		return fmt.Errorf("invalid or missing region: set aws:region to %s", c.region)
	} else if region != c.region {
		return fmt.Errorf("aws:region is %s, but the local cloud plays region %s: use the same in both", region, c.region)
	}
	if err := c.guardAccount(in); err != nil {
		return err
	}
	tags, err := configTags(in)
	if err != nil {
		return fmt.Errorf("aws:defaultTags %w", err)
	}
	ignored, err := configIgnored(in)
	if err != nil {
		return fmt.Errorf("aws:ignoreTags %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.configured, s.defaultTags, s.ignoredTags = true, tags, ignored
	return nil
}

func (c *cloud) guardAccount(in bag) error {
	allowed, err := configTexts(in, "allowedAccountIds")
	if err != nil {
		return fmt.Errorf("aws:allowedAccountIds %w", err)
	}
	if len(allowed) > 0 && !slices.Contains(allowed, c.account) {
		return fmt.Errorf("AWS account ID not allowed: %s: aws:allowedAccountIds has %s", c.account, strings.Join(allowed, ", "))
	}
	forbidden, err := configTexts(in, "forbiddenAccountIds")
	if err != nil {
		return fmt.Errorf("aws:forbiddenAccountIds %w", err)
	}
	if slices.Contains(forbidden, c.account) {
		return fmt.Errorf("AWS account ID not allowed: %s: aws:forbiddenAccountIds has it", c.account)
	}
	return nil
}

// allTags is the program's tags over the default ones, less the ignored ones; unknown when a tag is unknown.
func (s *session) allTags(in bag) value {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !known(in, "tags") {
		return unknown()
	}
	out := bag{}
	for k, v := range s.defaultTags {
		out[resource.PropertyKey(k)] = text(v)
	}
	for k, v := range getBag(in, "tags") {
		out[k] = v
	}
	for k := range out {
		if s.ignoredTags != nil && s.ignoredTags(string(k)) {
			delete(out, k)
		}
	}
	return object(out)
}

// ownTags is the live tags less those that only the defaults put there.
func (s *session) ownTags(in, live bag) bag {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := getBag(in, "tags")
	out := bag{}
	for k, v := range live {
		byDefault := v.IsString() && s.defaultTags[string(k)] == v.StringValue()
		if _, own := mine[k]; own || !byDefault || s.defaultTags[string(k)] == "" {
			out[k] = v
		}
	}
	return out
}
