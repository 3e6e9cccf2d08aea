package components

import (
	"regexp"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Text is a string of a policy, of an environment or of a reference whose
// final value may be known only after deployment. Its shape is known always:
// it bounds the length, it tells which resource is meant, and it stands in for
// the value in the access matrix. The zero value is no text.
type Text struct {
	value   pulumi.StringOutput
	pending bool
	shape   string
}

// Known is a text that is known before deployment.
func Known(s string) Text { return Text{shape: s} }

// Pending is a text whose value is known only after deployment. The shape must
// be at least as long as the value and must show its fixed beginning; the
// deployment fails when the value turns out longer, or has a wildcard that the
// shape has not.
func Pending(value pulumi.StringInput, shape string) Text {
	return Text{value: value.ToStringOutput(), pending: true, shape: shape}
}

// Input is the text as an input of a resource.
func (t Text) Input() pulumi.StringInput {
	if t.pending {
		return t.value
	}
	return pulumi.String(t.shape)
}

// Shape is the value when it is known, else what is known of it: the unknown
// part is drawn as x.
func (t Text) Shape() string { return t.shape }

// IsZero tells whether there is no text.
func (t Text) IsZero() bool { return !t.pending && t.shape == "" }

// String is the shape.
func (t Text) String() string { return `"` + t.shape + `"` }

// keyARNPattern matches the ARN of a KMS key, not of an alias: services resolve
// an alias only once (KMS Developer Guide, "Key identifiers").
var keyARNPattern = regexp.MustCompile(`^arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]{1,36}$`)

// key checks a customer managed key's ARN, which every component that stores
// something requires.
func (c *checker) key(argument string, t Text) {
	if !keyARNPattern.MatchString(t.shape) {
		c.add(argument, t, "must be the ARN of a customer managed KMS key", "pass EncryptionKey.ARN(), or Known(\"arn:aws:kms:…:key/…\")")
	}
}

// unknown draws n characters that are not known yet.
func unknown(n int) string { return strings.Repeat("x", n) }

// ptr is the text as an optional input.
func (t Text) ptr() pulumi.StringPtrInput {
	if t.pending {
		return t.value.ToStringPtrOutput()
	}
	return pulumi.String(t.shape)
}
