package provider

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// resourceType is everything the provider knows of one type: a table of its inputs, what AWS adds, and the four
// operations. A new type is a new value in resourceTypes.
type resourceType struct {
	token    string
	props    map[string]property
	outputs  []string // set by AWS: unknown in the preview of a creation
	identity []string // the inputs that name the resource in AWS
	naming   *naming
	tagged   bool
	// check finds problems between inputs; each single input has been checked already.
	check func(c *cloud, in bag) []problem
	// replaceIf names changed properties that replace only for these values.
	replaceIf func(old, new bag) []string
	// moves names the outputs that the change from old to new makes unknown until it is done.
	moves func(old, new bag) []string

	// create makes the resource and returns its id and what AWS adds to the inputs. With an id and an error it exists
	// but is not complete; the engine then keeps it and repairs it with the next update.
	create func(o *op) (string, bag, error)
	// read returns the inputs and outputs as they are now, null for what is no longer set; false when it is gone.
	// Without it, the record is the answer.
	read   func(o *op) (bag, bool, error)
	update func(o *op) (bag, error)
	remove func(o *op) error
}

// naming says how a missing name is made: from the resource's logical name and seven hexadecimal digits.
type naming struct {
	property string
	prefix   string // what AWS demands before it
	limit    int
}

// generated recognizes names made here.
var generated = regexp.MustCompile(`-[0-9a-f]{7}$`)

// op is one operation on one resource.
type op struct {
	context.Context
	*cloud
	kind  resourceType
	id    string
	in    bag // the new inputs
	old   bag // the inputs before
	state bag // the outputs before
}

// resourceTypes is the table of all types this provider holds.
func resourceTypes() map[string]resourceType {
	all := []resourceType{
		kmsKey(), kmsAlias(),
		secret(), secretPolicy(), secretVersion(),
		table(), tablePolicy(),
		role(), rolePolicy(), managedPolicy(), rolePolicyAttachment(),
		logGroup(),
		function(), functionAlias(), permission(), eventSourceMapping(), schedule(),
		queue(), queuePolicy(),
		restAPI(), deployment(), stage(), methodSettings(), gatewayAccount(),
		userPool(), userPoolClient(),
		parameter(),
	}
	out := make(map[string]resourceType, len(all))
	for _, t := range all {
		out[t.token] = withTags(t)
	}
	return out
}

// tagLimits are the limits that all taggable services here share (General Reference, "Tag naming limits and requirements").
func tagLimits() property { return mapOf(aText().from(0, 256)).from(0, 50) }

// withTags adds tags, and tagsAll: the tags with the provider's default tags under them, which Check computes.
func withTags(t resourceType) resourceType {
	if !t.tagged {
		return t
	}
	t.props["tags"] = tagLimits()
	t.props["tagsAll"] = tagLimits()
	return t
}

func checkTags(in bag) []problem {
	var out []problem
	for _, k := range sortedKeys(getBag(in, "tags")) {
		name := string(k)
		if len(name) == 0 || len(name) > 128 {
			out = append(out, problemf("tags", "a tag key has %d characters: AWS allows 1 to 128", len(name)))
		}
		if strings.HasPrefix(strings.ToLower(name), "aws:") {
			out = append(out, problemf("tags", "tag key %q begins with aws:, which AWS keeps for itself", name))
		}
	}
	return out
}

// name gives in a name: the old one if that was made here, else a new one.
func (n *naming) name(logical string, seed []byte, old, in bag) error {
	prefix, length := n.prefix+logical+"-", 7
	if given := getText(in, n.property+"Prefix"); given != "" {
		prefix, length = given, 8
	}
	if before := getText(old, n.property); before != "" && strings.HasPrefix(before, prefix) && len(before) == len(prefix)+length {
		in[resource.PropertyKey(n.property)] = text(before)
		return nil
	}
	hex := []rune("0123456789abcdef")
	made, err := resource.NewUniqueName(seed, prefix, length, n.limit, hex)
	if err != nil {
		return fmt.Errorf("cannot be made from %q with at most %d characters: set it: %w", logical, n.limit, err)
	}
	in[resource.PropertyKey(n.property)] = text(made)
	return nil
}

// planned is what the preview shows for a resource that does not exist yet.
func (t resourceType) planned(in bag) bag {
	out := in.Copy()
	for _, name := range t.outputs {
		if !has(out, name) {
			out[resource.PropertyKey(name)] = unknown()
		}
	}
	for name, p := range t.props {
		if p.given && !has(out, name) {
			out[resource.PropertyKey(name)] = unknown()
		}
	}
	return out
}

// merged is the state after an update: what the program set, over what AWS keeps.
func (t resourceType) merged(state, in bag) bag {
	out := bag{}
	for k, v := range state {
		p, isInput := t.props[string(k)]
		if !isInput || p.given {
			out[k] = v
		}
	}
	for k, v := range in {
		out[k] = v
	}
	return out
}

// seen is the state and the inputs after a refresh: what is there now, over what was recorded. An input that means
// the same as before keeps the program's spelling; with no inputs before (an import), all that say something are taken.
func (t resourceType) seen(state, in, actual bag) (bag, bag) {
	outputs, inputs := state.Copy(), in.Copy()
	imported := len(in) == 0
	for k, now := range actual {
		p, isInput := t.props[string(k)]
		switch {
		case isInput && !imported && now.IsArchive() && same(p, in[k], now):
			// The engine sends old archives as hashes only; the record knows where the content is.
			inputs[k] = now
		case isInput && !imported && same(p, in[k], now):
			continue
		case isInput && !imported && p.given && !has(in, string(k)):
			// AWS chose it and the program has no say: not drift, but shown.
		case isInput && absent(now):
			delete(inputs, k)
		case isInput:
			inputs[k] = now
		}
		if now.IsNull() {
			delete(outputs, k)
			continue
		}
		outputs[k] = now
	}
	return outputs, inputs
}
