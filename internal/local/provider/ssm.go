package provider

import (
	"fmt"
	"regexp"
	"strings"
)

const typeParameter = "aws:ssm/parameter:Parameter"

// parameter is a Parameter Store parameter. Limits: Systems Manager API reference, PutParameter.
func parameter() resourceType {
	return resourceType{
		token: typeParameter,
		props: map[string]property{
			"allowedPattern": aText().from(0, 1024),
			"arn":            aText().byAWS(),
			"dataType":       aText().oneOf("aws:ec2:image", "aws:ssm:integration", "text").fixed().byAWS(),
			"description":    aText().from(0, 1024),
			"insecureValue":  aText().not("value"),
			"keyId":          aText().byAWS(),
			"name":           aText().from(1, 1011).like(`^[a-zA-Z0-9_.\-/]+$`, "letters, digits and _ . - /").fixed(),
			"overwrite":      aFlag(),
			"tier":           aText().oneOf("Standard", "Advanced", "Intelligent-Tiering").byAWS(),
			"type":           aText().must().oneOf("String", "StringList", "SecureString"),
			"value":          aText(),
		},
		outputs:  []string{"version"},
		identity: []string{"name"},
		naming:   &naming{property: "name", limit: 1011},
		tagged:   true,
		check:    checkParameter,
		// A secret text cannot become a plain one in place, nor an advanced parameter a standard one.
		replaceIf: func(old, in bag) []string {
			var out []string
			if getText(old, "type") == "SecureString" && getText(in, "type") != "SecureString" {
				out = append(out, "type")
			}
			if getText(old, "tier") == "Advanced" && getText(in, "tier") == "Standard" {
				out = append(out, "tier")
			}
			return out
		},
		moves:  func(_, _ bag) []string { return []string{"version"} },
		create: createParameter,
		update: func(o *op) (bag, error) {
			return bag{"version": number(getNumber(o.state, "version") + 1)}, o.checkParameterKey()
		},
	}
}

func checkParameter(_ *cloud, in bag) []problem {
	var out []problem
	if !has(in, "value") && !has(in, "insecureValue") {
		out = append(out, problemf("value", "is missing: set value or insecureValue"))
	}
	if has(in, "insecureValue") && getText(in, "type") == "SecureString" {
		out = append(out, problemf("insecureValue", "cannot be used with type SecureString: use value"))
	}
	if has(in, "keyId") && known(in, "type") && getText(in, "type") != "SecureString" {
		out = append(out, problemf("keyId", "is only for type SecureString"))
	}
	out = append(out, checkParameterName(getText(in, "name"))...)
	limit := 4096
	if getText(in, "tier") == "Advanced" || getText(in, "tier") == "Intelligent-Tiering" {
		limit = 8192
	}
	for _, k := range []string{"value", "insecureValue"} {
		v := getText(in, k)
		if len(v) > limit {
			out = append(out, problemf(k, "has %d bytes: AWS allows %d in this tier", len(v), limit))
		}
		if has(in, k) && known(in, k) && v == "" {
			out = append(out, problemf(k, "is empty: a parameter needs a value"))
		}
		out = append(out, checkAllowed(k, v, getText(in, "allowedPattern"))...)
	}
	return out
}

func checkAllowed(key, v, pattern string) []problem {
	if v == "" || pattern == "" {
		return nil
	}
	allowed, err := regexp.Compile(pattern)
	if err != nil {
		return []problem{problemf("allowedPattern", "is not a regular expression")}
	}
	if !allowed.MatchString(v) {
		return []problem{problemf(key, "does not match allowedPattern")}
	}
	return nil
}

func checkParameterName(name string) []problem {
	var out []problem
	if strings.Contains(name, "/") && !strings.HasPrefix(name, "/") {
		out = append(out, problemf("name", "is %q: a name with / must begin with it", name))
	}
	if n := strings.Count(name, "/"); n > 15 {
		out = append(out, problemf("name", "has %d levels: AWS allows 15", n))
	}
	first := strings.ToLower(strings.TrimPrefix(name, "/"))
	if strings.HasPrefix(first, "aws") || strings.HasPrefix(first, "ssm") {
		out = append(out, problemf("name", "is %q: names that begin with aws or ssm are taken by AWS", name))
	}
	return out
}

func createParameter(o *op) (string, bag, error) {
	name := getText(o.in, "name")
	if _, taken := o.world.get(typeParameter, name); taken && !getBool(o.in, "overwrite") {
		return "", nil, denyf("ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true: %s", name)
	}
	if err := o.checkParameterKey(); err != nil {
		return "", nil, err
	}
	added := bag{
		"arn": text(o.arn("ssm", "parameter"+fmt.Sprintf("/%s", strings.TrimPrefix(name, "/")))), "dataType": text("text"), "tier": text("Standard"), "version": number(1),
	}
	if getText(o.in, "type") == "SecureString" && !has(o.in, "keyId") {
		set(added, "keyId", text("alias/aws/ssm"))
	}
	return name, added, nil
}

func (o *op) checkParameterKey() error {
	if key := getText(o.in, "keyId"); key != "" {
		return o.checkKeyARN(key)
	}
	return nil
}
