// Package deployment reads what `pulumi stack export` prints, ours or anybody's, into plain values.
//
// It knows nothing of Pulumi's SDK or of AWS: resources are maps as the engine recorded them, with the engine's
// special objects recognized (secrets, assets, archives). The local cloud serves requests from these values and the
// audit checks them, so the same reading serves a live local stack and an exported production one.
package deployment

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Deployment is one exported stack, in the order the engine recorded its resources (dependencies first).
type Deployment struct {
	Resources []Resource
}

// Resource is one resource of a deployment. Inputs and Outputs hold only nil, bool, float64, string, []any,
// map[string]any, Secret, Asset, Archive and Reference; they are never nil.
type Resource struct {
	URN, Type, Name, ID, Parent string
	// Custom says that a provider manages it; false for components and the stack itself.
	Custom bool
	// Protect is the engine's own deletion guard, not the service's.
	Protect bool
	// Delete marks the old half of a replacement that is still waiting for its deletion.
	Delete bool
	// External marks a resource that was read, not managed.
	External        bool
	Inputs, Outputs map[string]any
	Dependencies    []string
}

// export is the file's outer shape (apitype.UntypedDeployment and DeploymentV3 in the engine's sources).
type export struct {
	Version    int `json:"version"`
	Deployment *struct {
		Resources []rawResource `json:"resources"`
	} `json:"deployment"`
}

type rawResource struct {
	URN          string         `json:"urn"`
	Type         string         `json:"type"`
	ID           string         `json:"id"`
	Parent       string         `json:"parent"`
	Custom       bool           `json:"custom"`
	Protect      bool           `json:"protect"`
	Delete       bool           `json:"delete"`
	External     bool           `json:"external"`
	Inputs       map[string]any `json:"inputs"`
	Outputs      map[string]any `json:"outputs"`
	Dependencies []string       `json:"dependencies"`
}

// Parse reads a stack export of schema version 3 or 4 (version 4 only adds fields). It never panics; the error names
// every malformed resource at once.
func Parse(data []byte) (*Deployment, error) {
	raw, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("stack export: %w", err)
	}
	d := &Deployment{Resources: make([]Resource, 0, len(raw))}
	var problems []error
	for i, r := range raw {
		resource, err := r.resource()
		if err != nil {
			problems = append(problems, fmt.Errorf("resources[%d]: %w", i, err))
			continue
		}
		d.Resources = append(d.Resources, resource)
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("stack export: %w", errors.Join(problems...))
	}
	return d, nil
}

func decode(data []byte) ([]rawResource, error) {
	var e export
	decoder := json.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&e); err != nil {
		return nil, fmt.Errorf("not the JSON that `pulumi stack export` prints: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value in the file; export the stack again into an empty file")
	}
	if e.Version != 3 && e.Version != 4 {
		return nil, fmt.Errorf("schema version %d is not known (3 and 4 are); export it with a current CLI", e.Version)
	}
	if e.Deployment == nil {
		return nil, errors.New(`no "deployment" in it; was the stack ever deployed?`)
	}
	return e.Deployment.Resources, nil
}

func (r rawResource) resource() (Resource, error) {
	name, err := urnName(r.URN)
	if err != nil {
		return Resource{}, err
	}
	if r.Type == "" {
		return Resource{}, fmt.Errorf("%s has no type", r.URN)
	}
	inputs, err := properties(r.Inputs)
	if err != nil {
		return Resource{}, fmt.Errorf("%s: inputs%w", r.URN, err)
	}
	outputs, err := properties(r.Outputs)
	if err != nil {
		return Resource{}, fmt.Errorf("%s: outputs%w", r.URN, err)
	}
	return Resource{
		URN: r.URN, Type: r.Type, Name: name, ID: r.ID, Parent: r.Parent,
		Custom: r.Custom, Protect: r.Protect, Delete: r.Delete, External: r.External,
		Inputs: inputs, Outputs: outputs, Dependencies: r.Dependencies,
	}, nil
}

// urnName takes the name from urn:pulumi:stack::project::types::name; a name may hold "::" itself.
func urnName(urn string) (string, error) {
	rest, ok := strings.CutPrefix(urn, "urn:pulumi:")
	parts := strings.SplitN(rest, "::", 4)
	if !ok || len(parts) != 4 || parts[3] == "" {
		return "", fmt.Errorf("urn %q is not urn:pulumi:stack::project::type::name", urn)
	}
	return parts[3], nil
}

// ByType returns the live resources of one type, in order; those waiting for deletion are left out.
func (d *Deployment) ByType(resourceType string) []*Resource {
	return d.filter(func(r *Resource) bool { return r.Type == resourceType })
}

// Children returns the live resources whose parent is urn, in order.
func (d *Deployment) Children(urn string) []*Resource {
	return d.filter(func(r *Resource) bool { return r.Parent == urn })
}

// ByURN returns the live resource of that URN.
func (d *Deployment) ByURN(urn string) (*Resource, bool) {
	found := d.filter(func(r *Resource) bool { return r.URN == urn })
	if len(found) == 0 {
		return nil, false
	}
	return found[0], true
}

func (d *Deployment) filter(keep func(*Resource) bool) []*Resource {
	var kept []*Resource
	for i := range d.Resources {
		if r := &d.Resources[i]; !r.Delete && keep(r) {
			kept = append(kept, r)
		}
	}
	return kept
}
