// Package components holds importable Pulumi component resources for a
// serverless backend on AWS: arguments in, resources out.
//
// Each component has the type expenzez:components:<Name> and a constructor
// New<Name>. Arguments are plain values where they decide what exists, and a
// Text where a value may be known only after deployment. A constructor checks
// every argument before it registers anything and reports all problems at
// once, as joined *ArgumentError values. The zero value of an optional
// argument is the safe choice; what weakens a default has to be written out.
// Children are parented to their component, so that aliases, providers and
// protection given to a component reach all of them.
package components

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// typePrefix begins the type token of every component.
const typePrefix = "expenzez:components:"

// Place says where resources live. ARNs and the sizes of policies are computed
// from it before anything is deployed.
type Place struct {
	// Account is the 12-digit account id. Required.
	Account string
	// Region is for example "eu-west-2". Required.
	Region string
	// Partition is "aws" when empty, or "aws-us-gov". The China partition is
	// refused: its service names and features differ.
	Partition string
}

func (p Place) partition() string {
	if p.Partition == "" {
		return "aws"
	}
	return p.Partition
}

// ARN is the Amazon Resource Name of a resource of a regional service in this
// place: ARN("dynamodb", "table/users").
func (p Place) ARN(service, resource string) string {
	return "arn:" + p.partition() + ":" + service + ":" + p.Region + ":" + p.Account + ":" + resource
}

func (p Place) iamARN(resource string) string {
	return "arn:" + p.partition() + ":iam::" + p.Account + ":" + resource
}

func (p Place) inputs() pulumi.Map {
	return pulumi.Map{
		"account": pulumi.String(p.Account), "partition": pulumi.String(p.partition()), "region": pulumi.String(p.Region),
	}
}

var (
	accountPattern = regexp.MustCompile(`^\d{12}$`)
	regionPattern  = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d$`)
)

func (p Place) check(c *checker) {
	c.pattern("Place.Account", p.Account, accountPattern, "12 digits", "set the id of the account that is deployed to")
	c.pattern("Place.Region", p.Region, regionPattern, "a region's name", `set for example "eu-west-2"`)
	c.oneOf("Place.Partition", p.partition(), "aws", "aws-us-gov")
}

// ArgumentError is one thing wrong with one argument of a component. It never
// holds the value of a secret.
type ArgumentError struct {
	Component string // "EncryptedTable"
	Name      string // the component's logical name
	Argument  string // path of the argument: "Indexes[1].HashKey"
	Value     string // what was given
	Rule      string // what is allowed
	Remedy    string // what to do
}

// Error names the component, the argument, its value, the rule and the remedy.
func (e *ArgumentError) Error() string {
	return fmt.Sprintf("%s %q: %s = %s: %s; %s", e.Component, e.Name, e.Argument, e.Value, e.Rule, e.Remedy)
}

// checker collects the problems of one component's arguments.
type checker struct {
	component, name string
	problems        []error
}

func (c *checker) add(argument string, value any, rule, remedy string) {
	shown := fmt.Sprintf("%#v", value)
	if s, ok := value.(fmt.Stringer); ok {
		shown = s.String()
	}
	c.problems = append(c.problems, &ArgumentError{
		Component: c.component, Name: c.name, Argument: argument, Value: shown, Rule: rule, Remedy: remedy,
	})
}

// err joins what was found, or is nil.
func (c *checker) err() error { return errors.Join(c.problems...) }

func (c *checker) pattern(argument, value string, re *regexp.Regexp, rule, remedy string) {
	if !re.MatchString(value) {
		c.add(argument, value, "must be "+rule, remedy)
	}
}

func (c *checker) between(argument string, value, low, high int, source string) {
	if value < low || value > high {
		c.add(argument, value, fmt.Sprintf("must be %d to %d (%s)", low, high, source), "set a number in that range")
	}
}

func (c *checker) oneOf(argument, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.add(argument, value, "must be one of "+strings.Join(allowed, ", "), "choose one of them")
	}
}

func (c *checker) required(argument, value, remedy string) {
	if strings.TrimSpace(value) == "" {
		c.add(argument, value, "is required", remedy)
	}
}

// unique reports each value that occurs more than once.
func (c *checker) unique(argument string, values []string) {
	seen := map[string]bool{}
	for _, v := range values {
		if seen[v] {
			c.add(argument, v, "must be unique", "remove or rename the second one")
		}
		seen[v] = true
	}
}

var tagPattern = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// tags checks the rules that hold for every service (General Reference,
// "Tag naming limits and requirements").
func (c *checker) tags(tags map[string]string) {
	if len(tags) > 50 {
		c.add("Tags", len(tags), "at most 50 tags", "remove some")
	}
	for _, k := range sortedKeys(tags) {
		argument := fmt.Sprintf("Tags[%q]", k)
		switch {
		case k == "" || len(k) > 128 || !tagPattern.MatchString(k):
			c.add(argument, k, "a key has 1 to 128 letters, digits, spaces or _.:/=+-@", "rename it")
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			c.add(argument, k, `must not begin with "aws:"`, "rename it")
		}
		if len(tags[k]) > 256 || !tagPattern.MatchString(tags[k]) {
			c.add(argument, tags[k], "a value has at most 256 letters, digits, spaces or _.:/=+-@", "shorten it")
		}
	}
}

// begin checks what every component checks and starts the collection.
func begin(component, name string, place Place, tags map[string]string) *checker {
	c := &checker{component: component, name: name}
	c.required("name", name, "give the component a logical name")
	place.check(c)
	c.tags(tags)
	return c
}

// register registers the component itself and gives the options of its
// children. inputs are plain values, so that a component never depends on its
// own children. The component's output fields are assigned after it: the SDK
// replaces what they held before with outputs that nothing resolves.
func register(ctx *pulumi.Context, component, name string, inputs pulumi.Map, r pulumi.ComponentResource, opts []pulumi.ResourceOption) (pulumi.ResourceOption, error) {
	if err := ctx.RegisterComponentResourceV2(typePrefix+component, name, inputs, r, opts...); err != nil {
		return nil, fmt.Errorf("%s %q: %w", component, name, err)
	}
	return pulumi.Parent(r), nil
}

// fitName is name when it has at most limit bytes, else its beginning and
// eight digits of its SHA-256, so that two long names stay different.
func fitName(name string, limit int) string {
	if len(name) <= limit {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return strings.TrimRight(name[:limit-9], "-_.") + "-" + hex.EncodeToString(sum[:4])
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// protect adds pulumi.Protect unless destroying was allowed. It never removes
// the protection that a parent gives.
func protect(allowDestroy bool, opts ...pulumi.ResourceOption) []pulumi.ResourceOption {
	if allowDestroy {
		return opts
	}
	return append(opts, pulumi.Protect(true))
}
