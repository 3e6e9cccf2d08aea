// Package componenttest records what Pulumi programs register, without an
// engine and without AWS, and holds the conformance suite that every component
// of package components runs.
package componenttest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// Project and Stack are the names under which programs are recorded.
const (
	Project = "componenttest"
	Stack   = "test"
)

// Account and Region are where the recorded resources live.
const (
	Account = "111122223333"
	Region  = "eu-west-2"
)

// Secret marks a value that was registered as a secret.
type Secret struct{ Value any }

// Unknown marks a value that a preview does not know.
type Unknown struct{}

// Resource is one registration. Values are what encoding/json would give,
// archives and assets are their paths, secrets a Secret, unknowns an Unknown.
type Resource struct {
	URN, Type, Name, Parent string
	Custom                  bool
	Inputs                  map[string]any
	Outputs                 map[string]any // of a component; nil until it registers them
	Protect                 bool
	RetainOnDelete          bool
	Provider                string   // reference of the provider; empty for the default one
	DependsOn               []string // URNs, sorted
	Aliases                 []string // names and URNs
	IgnoreChanges           []string
}

// Recording is what a program registered.
type Recording struct {
	Resources []*Resource // by URN
	Exports   map[string]any
}

// OfType gives the resources of a type.
func (r *Recording) OfType(token string) []*Resource {
	var found []*Resource
	for _, res := range r.Resources {
		if res.Type == token {
			found = append(found, res)
		}
	}
	return found
}

// Record runs a program as an update whose every registration succeeds, and
// gives what it registered. Resources get ids and ARNs of the form that AWS
// gives. The recording is there even when the program fails.
func Record(program pulumi.RunFunc) (*Recording, error) { return run(program, false) }

// Preview is Record for a preview of a first deployment: nothing that AWS
// gives is known.
func Preview(program pulumi.RunFunc) (*Recording, error) { return run(program, true) }

func run(program pulumi.RunFunc, preview bool) (*Recording, error) {
	m := &monitor{preview: preview, resources: map[string]*Resource{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("componenttest: %w", err)
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20))
	pulumirpc.RegisterResourceMonitorServer(server, m)
	pulumirpc.RegisterEngineServer(server, &engine{})
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	runErr := pulumi.RunErr(program, func(info *pulumi.RunInfo) {
		info.Project, info.Stack, info.Organization = Project, Stack, "organization"
		info.MonitorAddr, info.EngineAddr = listener.Addr().String(), listener.Addr().String()
		info.DryRun, info.Parallel = preview, 4
	})
	server.Stop()
	if err := <-done; err != nil {
		return nil, fmt.Errorf("componenttest: %w", err)
	}
	return m.recording(), runErr
}

// monitor stands where the engine stands: it accepts every registration.
type monitor struct {
	pulumirpc.UnimplementedResourceMonitorServer

	preview bool

	mu        sync.Mutex
	resources map[string]*Resource
	exports   map[string]any
}

func (m *monitor) recording() *Recording {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := &Recording{Exports: m.exports}
	for _, res := range m.resources {
		r.Resources = append(r.Resources, res)
	}
	slices.SortFunc(r.Resources, func(a, b *Resource) int { return cmp.Compare(a.URN, b.URN) })
	return r
}

// SupportsFeature leaves output values out, so that inputs are plain.
func (m *monitor) SupportsFeature(_ context.Context, in *pulumirpc.SupportsFeatureRequest) (*pulumirpc.SupportsFeatureResponse, error) {
	return &pulumirpc.SupportsFeatureResponse{HasSupport: in.GetId() != "outputValues"}, nil
}

// Invoke refuses: a component that asks AWS something cannot be checked before deployment.
func (m *monitor) Invoke(_ context.Context, in *pulumirpc.ResourceInvokeRequest) (*pulumirpc.ResourceInvokeResponse, error) {
	return nil, fmt.Errorf("componenttest: the program invokes %s; pass what it needs as an argument", in.GetTok())
}

// SignalAndWaitForShutdown lets the program end.
func (m *monitor) SignalAndWaitForShutdown(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// RegisterResource records one resource and answers as AWS would.
func (m *monitor) RegisterResource(_ context.Context, in *pulumirpc.RegisterResourceRequest) (*pulumirpc.RegisterResourceResponse, error) {
	urn := newURN(in)
	if in.GetType() == string(resource.RootStackType) {
		return &pulumirpc.RegisterResourceResponse{Urn: urn}, nil
	}
	inputs, err := plugin.UnmarshalProperties(in.GetObject(), marshalOptions)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.resources[urn] != nil {
		return nil, fmt.Errorf("componenttest: %s is registered twice", urn)
	}
	m.resources[urn] = &Resource{
		URN: urn, Type: in.GetType(), Name: in.GetName(), Parent: in.GetParent(), Custom: in.GetCustom(),
		Inputs: plain(inputs), Protect: in.GetProtect(), RetainOnDelete: in.GetRetainOnDelete(), Provider: in.GetProvider(),
		DependsOn: slices.Sorted(slices.Values(in.GetDependencies())), Aliases: aliasesOf(in), IgnoreChanges: in.GetIgnoreChanges(),
	}
	return m.answer(in, urn, inputs)
}

func (m *monitor) answer(in *pulumirpc.RegisterResourceRequest, urn string, inputs resource.PropertyMap) (*pulumirpc.RegisterResourceResponse, error) {
	answer := &pulumirpc.RegisterResourceResponse{Urn: urn, Object: &structpb.Struct{}}
	if !in.GetCustom() || (m.preview && !strings.HasPrefix(in.GetType(), "pulumi:providers:")) {
		return answer, nil
	}
	id, outputs := computed(in.GetType(), in.GetName(), inputs)
	state := inputs.Copy()
	for k, v := range outputs {
		state[resource.PropertyKey(k)] = v
	}
	object, err := plugin.MarshalProperties(state, marshalOptions)
	answer.Id, answer.Object = id, object
	return answer, err
}

// RegisterResourceOutputs records the outputs of a component or of the stack.
func (m *monitor) RegisterResourceOutputs(_ context.Context, in *pulumirpc.RegisterResourceOutputsRequest) (*emptypb.Empty, error) {
	outputs, err := plugin.UnmarshalProperties(in.GetOutputs(), marshalOptions)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if res := m.resources[in.GetUrn()]; res != nil {
		res.Outputs = plain(outputs)
	} else {
		m.exports = plain(outputs)
	}
	return &emptypb.Empty{}, nil
}

// engine takes log messages and knows the stack.
type engine struct {
	pulumirpc.UnimplementedEngineServer
}

// Log drops the message.
func (e *engine) Log(context.Context, *pulumirpc.LogRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

var marshalOptions = plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, KeepResources: true}

func newURN(in *pulumirpc.RegisterResourceRequest) string {
	var parent tokens.Type
	if urn := resource.URN(in.GetParent()); urn != "" && urn.QualifiedType() != resource.RootStackType {
		parent = urn.QualifiedType()
	}
	return string(resource.NewURN(Stack, Project, parent, tokens.Type(in.GetType()), in.GetName()))
}

func aliasesOf(in *pulumirpc.RegisterResourceRequest) []string {
	aliases := slices.Clone(in.GetAliasURNs())
	for _, a := range in.GetAliases() {
		if a.GetUrn() != "" {
			aliases = append(aliases, a.GetUrn())
			continue
		}
		aliases = append(aliases, a.GetSpec().GetName())
	}
	return aliases
}

func plain(m resource.PropertyMap) map[string]any {
	values := map[string]any{}
	for k, v := range m {
		values[string(k)] = plainValue(v)
	}
	return values
}

func plainValue(v resource.PropertyValue) any {
	switch {
	case v.IsSecret():
		return Secret{plainValue(v.SecretValue().Element)}
	case v.IsComputed(), v.IsOutput():
		return Unknown{}
	case v.IsArchive():
		return "archive " + v.ArchiveValue().Path
	case v.IsObject():
		return plain(v.ObjectValue())
	case v.IsArray():
		list := make([]any, len(v.ArrayValue()))
		for i, item := range v.ArrayValue() {
			list[i] = plainValue(item)
		}
		return list
	}
	return v.V
}

// digits are n characters that depend on what is named, and on nothing else.
func digits(n int, of ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(of, "\x00")))
	return hex.EncodeToString(sum[:])[:n]
}
