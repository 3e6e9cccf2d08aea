package provider

import (
	"encoding/json"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// change is one difference between the old and the new inputs of a resource.
type change struct {
	path     resource.PropertyPath
	old, new value
	replaces bool
}

// diffBags compares two sets of inputs property by property. An unknown new value is a change: the engine asks again
// once it is known.
func diffBags(at resource.PropertyPath, table map[string]property, old, new bag, replaces bool) []change {
	var out []change
	for _, name := range sortedKeys(table) {
		key := resource.PropertyKey(name)
		out = append(out, diffValue(grow(at, name), table[name], old[key], new[key], replaces)...)
	}
	return out
}

func grow(at resource.PropertyPath, step any) resource.PropertyPath {
	return append(slices.Clone(at), step)
}

func diffValue(at resource.PropertyPath, p property, old, new value, replaces bool) []change {
	replaces = replaces || p.replaces
	if absent(new) && p.given || same(p, old, new) {
		return nil
	}
	switch {
	case p.kind == kindObject && old.IsObject() && new.IsObject():
		return diffBags(at, p.fields, old.ObjectValue(), new.ObjectValue(), replaces)
	case p.kind == kindMap && old.IsObject() && new.IsObject():
		return diffMaps(at, *p.element, old.ObjectValue(), new.ObjectValue(), replaces)
	case p.kind == kindList && old.IsArray() && new.IsArray() && len(old.ArrayValue()) == len(new.ArrayValue()):
		var out []change
		for i := range old.ArrayValue() {
			out = append(out, diffValue(grow(at, i), *p.element, old.ArrayValue()[i], new.ArrayValue()[i], replaces)...)
		}
		return out
	}
	return []change{{path: at, old: old, new: new, replaces: replaces}}
}

func diffMaps(at resource.PropertyPath, element property, old, new bag, replaces bool) []change {
	var out []change
	for _, k := range sortedKeys(old, new) {
		if _, had := old[k]; had == has(new, string(k)) {
			out = append(out, diffValue(grow(at, string(k)), element, old[k], new[k], replaces)...)
			continue
		}
		out = append(out, change{path: grow(at, string(k)), old: old[k], new: new[k], replaces: replaces})
	}
	return out
}

// same says whether two values of a property mean the same to AWS. Unknown values are never the same.
func same(p property, a, b value) bool {
	if a.V != nil && a.ContainsUnknowns() || b.V != nil && b.ContainsUnknowns() {
		return false
	}
	return encode(p, a) == encode(p, b)
}

// encode writes a value in one form per meaning: empty entries are left out, sets are sorted, policies are canonical,
// and an archive is its content's hash.
func encode(p property, v value) string {
	if absent(v) {
		return "null"
	}
	switch {
	case v.IsArchive():
		return quote(v.ArchiveValue().Hash)
	case p.kind == kindJSON && v.IsString():
		if c, err := canonicalJSON(v.StringValue()); err == nil {
			return c
		}
	case v.IsObject():
		return encodeBag(p, v.ObjectValue())
	case v.IsArray():
		return encodeList(p, v.ArrayValue())
	}
	return quote(v.V)
}

func quote(v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		return "null"
	}
	return string(out)
}

func encodeBag(p property, b bag) string {
	out := map[string]string{}
	for k, e := range b {
		field, ok := p.fields[string(k)]
		if p.kind == kindMap {
			field, ok = *p.element, true
		}
		// An entry of a map counts even when it is empty: FOO= is not the same as no FOO.
		if ok && (p.kind == kindMap || !absent(e)) {
			out[string(k)] = encode(field, e)
		}
	}
	return quote(out)
}

func encodeList(p property, vs []value) string {
	out := make([]string, len(vs))
	for i, e := range vs {
		if p.element != nil {
			out[i] = encode(*p.element, e)
		}
	}
	if p.kind == kindSet {
		slices.Sort(out)
	}
	return quote(out)
}

// diffKind names a change for the engine's display.
func (c change) diffKind() pulumirpc.PropertyDiff_Kind {
	missing := func(v value) bool { return v.V == nil }
	switch {
	case missing(c.old) && c.replaces:
		return pulumirpc.PropertyDiff_ADD_REPLACE
	case missing(c.old):
		return pulumirpc.PropertyDiff_ADD
	case missing(c.new) && c.replaces:
		return pulumirpc.PropertyDiff_DELETE_REPLACE
	case missing(c.new):
		return pulumirpc.PropertyDiff_DELETE
	case c.replaces:
		return pulumirpc.PropertyDiff_UPDATE_REPLACE
	}
	return pulumirpc.PropertyDiff_UPDATE
}

// diff is what the engine shows and acts upon when old inputs become new ones.
func (t resourceType) diff(old, new bag) *pulumirpc.DiffResponse {
	changes := diffBags(nil, t.props, old, new, false)
	forced := []string{}
	if t.replaceIf != nil {
		forced = t.replaceIf(old, new)
	}
	out := &pulumirpc.DiffResponse{
		Changes:         pulumirpc.DiffResponse_DIFF_NONE,
		HasDetailedDiff: true,
		DetailedDiff:    map[string]*pulumirpc.PropertyDiff{},
	}
	for _, c := range changes {
		top, _ := c.path[0].(string)
		c.replaces = c.replaces || slices.Contains(forced, top)
		out.Changes = pulumirpc.DiffResponse_DIFF_SOME
		out.DetailedDiff[c.path.String()] = &pulumirpc.PropertyDiff{Kind: c.diffKind(), InputDiff: true}
		out.Diffs = appendOnce(out.Diffs, top)
		if c.replaces {
			out.Replaces = appendOnce(out.Replaces, top)
		}
	}
	out.DeleteBeforeReplace = len(out.Replaces) > 0 && t.sameIdentity(old, new)
	return out
}

func appendOnce(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// sameIdentity says whether old and new would carry the same name in AWS, so that the old one must go first. A
// generated name does not count: the engine asks for a fresh one when it replaces.
func (t resourceType) sameIdentity(old, new bag) bool {
	for _, name := range t.identity {
		key := resource.PropertyKey(name)
		if !same(t.props[name], old[key], new[key]) {
			return false
		}
		if t.naming != nil && t.naming.property == name && generated.MatchString(getText(new, name)) {
			return false
		}
	}
	return len(t.identity) > 0
}
