package provider

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

const (
	typeRole           = "aws:iam/role:Role"
	typeRolePolicy     = "aws:iam/rolePolicy:RolePolicy"
	typeManagedPolicy  = "aws:iam/policy:Policy"
	typeRoleAttachment = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"

	// Sizes in characters, white space not counted (IAM User Guide, "IAM and AWS STS quotas").
	maxTrustPolicy    = 2048
	maxInlinePolicies = 10240 // all inline policies of a role together
	maxManagedPolicy  = 6144
	maxAttached       = 10 // managed policies on one role

	iamNameForm  = `^[A-Za-z0-9+=,.@_-]+$`
	iamNameShape = "letters, digits and + = , . @ _ -"
)

func iamPath() property {
	return aText().from(1, 512).like(`^/(.*/)?$`, "a path that begins and ends with /").fixed().or(text("/"))
}

// role is an identity for a service or person to assume. Limits: IAM API reference, CreateRole.
func role() resourceType {
	return resourceType{
		token: typeRole,
		props: map[string]property{
			"assumeRolePolicy":    aPolicy().must(),
			"description":         aText().from(0, 1000),
			"forceDetachPolicies": aFlag(),
			"inlinePolicies":      setOf(anObject(map[string]property{"name": aText().from(1, 128), "policy": aPolicy()})).byAWS(),
			"managedPolicyArns":   setOf(anARN()).byAWS(),
			"maxSessionDuration":  aNumber().from(3600, 43200).or(number(3600)),
			"name":                aText().from(1, 64).like(iamNameForm, iamNameShape).fixed().not("namePrefix"),
			"namePrefix":          aText().from(1, 38).like(iamNameForm, iamNameShape).fixed(),
			"path":                iamPath(),
			"permissionsBoundary": anARN(),
		},
		outputs:  []string{"arn", "createDate", "uniqueId"},
		identity: []string{"name"},
		naming:   &naming{property: "name", limit: 64},
		tagged:   true,
		check:    checkRole,
		create:   createRole,
		update:   updateRole,
		remove:   removeRole,
	}
}

func checkRole(_ *cloud, in bag) []problem {
	out := checkPolicy(in, "assumeRolePolicy", trustPolicy, maxTrustPolicy)
	for i, b := range getBags(in, "inlinePolicies") {
		for _, p := range checkPolicy(b, "policy", identityPolicy, maxInlinePolicies) {
			out = append(out, problem{fmt.Sprintf("inlinePolicies[%d].%s", i, p.path), p.reason})
		}
	}
	if n := len(getList(in, "managedPolicyArns")); n > maxAttached {
		out = append(out, problemf("managedPolicyArns", "has %d entries: AWS allows %d", n, maxAttached))
	}
	return out
}

func createRole(o *op) (string, bag, error) {
	name := getText(o.in, "name")
	if _, taken := o.world.get(typeRole, name); taken {
		return "", nil, denyf("EntityAlreadyExists", "Role with name %s already exists.", name)
	}
	if err := o.checkRoleReferences(name); err != nil {
		return "", nil, err
	}
	unique, err := randomID(upperAlnum, 17)
	if err != nil {
		return "", nil, err
	}
	return name, bag{
		"arn":        text(o.globalARN("iam", "role"+getText(o.in, "path")+name)),
		"createDate": text(o.timestamp()), "uniqueId": text("AROA" + unique),
	}, nil
}

// checkRoleReferences refuses policies that do not exist and inline policies that do not fit together.
func (o *op) checkRoleReferences(name string) error {
	if boundary := getText(o.in, "permissionsBoundary"); boundary != "" && !o.policyExists(boundary) {
		return denyf("NoSuchEntity", "Scope ARN: %s does not exist or is not attachable.", boundary)
	}
	for _, arn := range getTexts(o.in, "managedPolicyArns") {
		if !o.policyExists(arn) {
			return denyf("NoSuchEntity", "Policy %s does not exist or is not attachable.", arn)
		}
	}
	return o.checkInlineSize(name, o.in, "")
}

// policyExists knows AWS's own managed policies by their form and the account's by the record.
func (o *op) policyExists(arn string) bool {
	if strings.HasPrefix(arn, "arn:"+o.partition+":iam::aws:policy/") {
		return true
	}
	_, ok := o.world.get(typeManagedPolicy, arn)
	return ok
}

// checkInlineSize adds up the inline policies of a role: those of the role's own inputs, those of policy resources
// other than the one named, and the one in the inputs at hand.
func (o *op) checkInlineSize(name string, in bag, except string) error {
	total := compactSize(getText(in, "policy"))
	own := in
	if r, ok := o.world.get(typeRole, name); ok && in["inlinePolicies"].V == nil {
		own = r.in
	}
	for _, b := range getBags(own, "inlinePolicies") {
		total += compactSize(getText(b, "policy"))
	}
	for _, r := range o.world.all(typeRolePolicy, "role", name) {
		if getText(r.out, "role")+":"+getText(r.out, "name") != except {
			total += compactSize(getText(r.out, "policy"))
		}
	}
	if total > maxInlinePolicies {
		return denyf("LimitExceeded", "Maximum policy size of %d bytes exceeded for role %s: its inline policies have %d characters together",
			maxInlinePolicies, name, total)
	}
	return nil
}

func updateRole(o *op) (bag, error) {
	if _, ok := o.world.get(typeRole, o.id); !ok {
		return nil, denyf("NoSuchEntity", "The role with name %s cannot be found.", o.id)
	}
	return nil, o.checkRoleReferences(o.id)
}

func removeRole(o *op) error {
	if getBool(o.old, "forceDetachPolicies") {
		o.world.dropAll(typeRolePolicy, "role", o.id)
		o.world.dropAll(typeRoleAttachment, "role", o.id)
		return nil
	}
	if len(o.world.all(typeRolePolicy, "role", o.id)) > 0 {
		return denyf("DeleteConflict", "Cannot delete entity, must delete policies first: role %s has inline policies.", o.id)
	}
	if len(o.world.all(typeRoleAttachment, "role", o.id)) > 0 {
		return denyf("DeleteConflict", "Cannot delete entity, must detach all policies first: role %s has managed policies.", o.id)
	}
	return nil
}

// roleByARN is the role that an ARN names.
func (o *op) roleByARN(arn string) (*record, bool) {
	return o.world.find(typeRole, "arn", arn)
}

// roleTrusts says whether a service may assume the role.
func roleTrusts(r *record, service string) bool {
	return slices.ContainsFunc(parsePolicy(getText(r.out, "assumeRolePolicy")), func(s statement) bool {
		return s.allows("Service", service, "sts:AssumeRole")
	})
}

// rolePolicy is an inline policy of a role.
func rolePolicy() resourceType {
	return resourceType{
		token: typeRolePolicy,
		props: map[string]property{
			"name":       aText().from(1, 128).like(iamNameForm, iamNameShape).fixed().not("namePrefix"),
			"namePrefix": aText().from(1, 102).like(iamNameForm, iamNameShape).fixed(),
			"policy":     aPolicy().must(),
			"role":       aText().must().from(1, 128).like(iamNameForm, "the name of a role (not its ARN)").fixed(),
		},
		identity: []string{"role", "name"},
		naming:   &naming{property: "name", limit: 128},
		check: func(_ *cloud, in bag) []problem {
			return checkPolicy(in, "policy", identityPolicy, maxInlinePolicies)
		},
		create: createRolePolicy,
		update: func(o *op) (bag, error) {
			return nil, o.checkInlineSize(getText(o.in, "role"), o.in, o.id)
		},
	}
}

func createRolePolicy(o *op) (string, bag, error) {
	role, name := getText(o.in, "role"), getText(o.in, "name")
	if _, ok := o.world.get(typeRole, role); !ok {
		return "", nil, denyf("NoSuchEntity", "The role with name %s cannot be found.", role)
	}
	id := role + ":" + name
	// PutRolePolicy would overwrite in silence; two resources that fight over one policy are a mistake.
	if _, taken := o.world.get(typeRolePolicy, id); taken {
		return "", nil, denyf("EntityAlreadyExists", "Role %s already has an inline policy %s.", role, name)
	}
	if err := o.checkInlineSize(role, o.in, id); err != nil {
		return "", nil, err
	}
	return id, bag{}, nil
}

// managedPolicy is a policy with a name of its own. Limits: IAM API reference, CreatePolicy.
func managedPolicy() resourceType {
	return resourceType{
		token: typeManagedPolicy,
		props: map[string]property{
			"description": aText().from(0, 1000).fixed(),
			"name":        aText().from(1, 128).like(iamNameForm, iamNameShape).fixed().not("namePrefix"),
			"namePrefix":  aText().from(1, 102).like(iamNameForm, iamNameShape).fixed(),
			"path":        iamPath(),
			"policy":      aPolicy().must(),
		},
		outputs:  []string{"arn", "attachmentCount", "policyId"},
		identity: []string{"name", "path"},
		naming:   &naming{property: "name", limit: 128},
		tagged:   true,
		check: func(_ *cloud, in bag) []problem {
			return checkPolicy(in, "policy", identityPolicy, maxManagedPolicy)
		},
		create: createManagedPolicy,
		update: func(*op) (bag, error) { return nil, nil },
		remove: removeManagedPolicy,
	}
}

func createManagedPolicy(o *op) (string, bag, error) {
	name := getText(o.in, "name")
	if _, taken := o.world.find(typeManagedPolicy, "name", name); taken {
		return "", nil, denyf("EntityAlreadyExists", "A policy called %s already exists. Duplicate names are not allowed.", name)
	}
	unique, err := randomID(upperAlnum, 17)
	if err != nil {
		return "", nil, err
	}
	arn := o.globalARN("iam", "policy"+getText(o.in, "path")+name)
	return arn, bag{"arn": text(arn), "attachmentCount": number(0), "policyId": text("ANPA" + unique)}, nil
}

func removeManagedPolicy(o *op) error {
	attached := len(o.world.all(typeRoleAttachment, "policyArn", o.id)) + len(o.world.all(typeRole, "permissionsBoundary", o.id))
	if attached > 0 {
		return denyf("DeleteConflict", "Cannot delete a policy attached to entities: %s is attached %d times.", o.id, attached)
	}
	return nil
}

// rolePolicyAttachment puts a managed policy on a role.
func rolePolicyAttachment() resourceType {
	return resourceType{
		token: typeRoleAttachment,
		props: map[string]property{
			"policyArn": anARN().must().fixed(),
			"role":      aText().must().from(1, 64).like(iamNameForm, "the name of a role (not its ARN)").fixed(),
		},
		identity: []string{"policyArn", "role"},
		create: func(o *op) (string, bag, error) {
			role, arn := getText(o.in, "role"), getText(o.in, "policyArn")
			if _, ok := o.world.get(typeRole, role); !ok {
				return "", nil, denyf("NoSuchEntity", "The role with name %s cannot be found.", role)
			}
			if !o.policyExists(arn) {
				return "", nil, denyf("NoSuchEntity", "Policy %s does not exist or is not attachable.", arn)
			}
			if len(o.world.all(typeRoleAttachment, "role", role)) >= maxAttached {
				return "", nil, denyf("LimitExceeded", "Cannot exceed quota for PoliciesPerRole: %d", maxAttached)
			}
			id := role + "/" + arn
			if _, taken := o.world.get(typeRoleAttachment, id); taken {
				return "", nil, denyf("EntityAlreadyExists", "Policy %s is already attached to role %s.", arn, role)
			}
			o.countAttachments(arn, 1)
			return id, bag{}, nil
		},
		update: func(*op) (bag, error) { return nil, nil },
		remove: func(o *op) error {
			o.countAttachments(getText(o.state, "policyArn"), -1)
			return nil
		},
	}
}

func (o *op) countAttachments(arn string, by float64) {
	if r, ok := o.world.get(typeManagedPolicy, arn); ok {
		r.out = r.out.Copy()
		r.out["attachmentCount"] = resource.NewProperty(getNumber(r.out, "attachmentCount") + by)
	}
}
