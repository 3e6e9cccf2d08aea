package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/smithy-go"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// server answers the engine. It is the real provider's protocol: secrets and resource references are not accepted, so
// the engine unwraps them and marks what comes back.
type server struct {
	pulumirpc.UnimplementedResourceProviderServer
	cloud *cloud
	types map[string]resourceType
}

var _ pulumirpc.ResourceProviderServer = (*server)(nil)

func receive(in *structpb.Struct) (bag, error) {
	out, err := plugin.UnmarshalProperties(in, plugin.MarshalOptions{KeepUnknowns: true, RejectUnknowns: false, SkipNulls: true})
	if err != nil {
		return nil, fmt.Errorf("read properties: %w", err)
	}
	if out == nil {
		out = bag{}
	}
	return out, nil
}

func send(out bag) (*structpb.Struct, error) {
	return plugin.MarshalProperties(out, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, SkipNulls: true})
}

// receiveAll reads several property maps, in order.
func receiveAll(ins ...*structpb.Struct) ([]bag, error) {
	out := make([]bag, len(ins))
	for i, in := range ins {
		var err error
		if out[i], err = receive(in); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Handshake says that secrets and resources are to be sent unwrapped.
func (s *server) Handshake(context.Context, *pulumirpc.ProviderHandshakeRequest) (*pulumirpc.ProviderHandshakeResponse, error) {
	return &pulumirpc.ProviderHandshakeResponse{}, nil
}

// Attach accepts the engine that PULUMI_DEBUG_PROVIDERS pointed here.
func (s *server) Attach(context.Context, *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// GetPluginInfo gives the version that is stood in for.
func (s *server) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: Version}, nil
}

// GetSchema gives the package's name and version; programs bring their own SDK.
func (s *server) GetSchema(context.Context, *pulumirpc.GetSchemaRequest) (*pulumirpc.GetSchemaResponse, error) {
	return &pulumirpc.GetSchemaResponse{Schema: fmt.Sprintf(`{"name":"aws","version":%q}`, Version)}, nil
}

// Cancel lets operations finish: each is short, and cutting one off would leave the emulator and the state apart.
func (s *server) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// CheckConfig checks the provider's own arguments.
func (s *server) CheckConfig(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	in, err := receive(req.GetNews())
	if err != nil {
		return nil, err
	}
	return &pulumirpc.CheckResponse{Inputs: req.GetNews(), Failures: failures(checkConfig(in))}, nil
}

// DiffConfig says whether the provider's arguments changed. No change replaces resources: another account or region is
// refused by Configure.
func (s *server) DiffConfig(_ context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	bags, err := receiveAll(req.GetOldInputs(), req.GetNews())
	if err != nil {
		return nil, err
	}
	out := &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}
	for _, k := range sortedKeys(bags[0], bags[1]) {
		if !bags[0][k].DeepEquals(bags[1][k]) {
			out.Changes = pulumirpc.DiffResponse_DIFF_SOME
			out.Diffs = append(out.Diffs, string(k))
		}
	}
	return out, nil
}

// Configure takes the settings of this connection's provider instance.
func (s *server) Configure(ctx context.Context, req *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	in, err := receive(req.GetArgs())
	if err != nil {
		return nil, err
	}
	if err := s.cloud.configure(sessionOf(ctx), in); err != nil {
		return nil, rpcerror.New(codes.InvalidArgument, err.Error())
	}
	return &pulumirpc.ConfigureResponse{SupportsPreview: true}, nil
}

// Invoke answers the three functions that tell a program where it runs.
func (s *server) Invoke(_ context.Context, req *pulumirpc.InvokeRequest) (*pulumirpc.InvokeResponse, error) {
	c := s.cloud
	var out bag
	switch req.GetTok() {
	case "aws:index/getCallerIdentity:getCallerIdentity":
		out = bag{"accountId": text(c.account), "arn": text(c.globalARN("iam", "user/local")), "userId": text("AIDALOCALCLOUD0000000"), "id": text(c.account)}
	case "aws:index/getRegion:getRegion":
		out = bag{"name": text(c.region), "id": text(c.region), "description": text(c.region), "endpoint": text("ec2." + c.region + "." + c.dnsSuffix())}
	case "aws:index/getPartition:getPartition":
		out = bag{"partition": text(c.partition), "id": text(c.partition), "dnsSuffix": text(c.dnsSuffix()), "reverseDnsPrefix": text("com.amazonaws")}
	default:
		return nil, rpcerror.Newf(codes.NotFound, "the local provider does not know the function %s", req.GetTok())
	}
	sent, err := send(out)
	return &pulumirpc.InvokeResponse{Return: sent}, err
}

// kindOf is the type of a request and its session. A type without an entry is refused.
func (s *server) kindOf(ctx context.Context, urn string) (resourceType, *session, error) {
	token := string(resource.URN(urn).Type())
	t, ok := s.types[token]
	if !ok {
		return t, nil, rpcerror.Newf(codes.Unimplemented,
			"the local provider does not know the resource type %s: add it to internal/local/provider", token)
	}
	here := sessionOf(ctx)
	here.mu.Lock()
	defer here.mu.Unlock()
	if !here.configured {
		return t, nil, rpcerror.New(codes.FailedPrecondition, "the provider was not configured on this connection")
	}
	return t, here, nil
}

// Check reports every problem of the inputs at once and fills in defaults, the name and tagsAll.
func (s *server) Check(ctx context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	t, here, err := s.kindOf(ctx, req.GetUrn())
	if err != nil {
		return nil, err
	}
	bags, err := receiveAll(req.GetOlds(), req.GetNews())
	if err != nil {
		return nil, err
	}
	in, problems := t.checked(s.cloud, here, resource.URN(req.GetUrn()).Name(), req.GetRandomSeed(), bags[0], bags[1])
	sent, err := send(in)
	return &pulumirpc.CheckResponse{Inputs: sent, Failures: failures(problems)}, err
}

// checked is the inputs as they will be deployed, and all their problems.
func (t resourceType) checked(c *cloud, here *session, logical string, seed []byte, old, news bag) (bag, []problem) {
	in := fill(t.props, news)
	if t.tagged {
		set(in, "tagsAll", here.allTags(in))
	}
	problems := checkBag("", t.props, in)
	if t.tagged {
		problems = append(problems, checkTags(in)...)
	}
	problems = append(problems, t.nameIt(logical, seed, old, in)...)
	if t.check != nil {
		problems = append(problems, t.check(c, in)...)
	}
	for k := range news {
		if _, ok := t.props[string(k)]; !ok {
			delete(in, k)
		}
	}
	return in, problems
}

// nameIt gives in a name when it has none, and checks the name that it made.
func (t resourceType) nameIt(logical string, seed []byte, old, in bag) []problem {
	if t.naming == nil || has(in, t.naming.property) {
		return nil
	}
	if err := t.naming.name(logical, seed, old, in); err != nil {
		return []problem{problemf(t.naming.property, "%v", err)}
	}
	return checkValue(t.naming.property, t.props[t.naming.property], in[resource.PropertyKey(t.naming.property)])
}

func failures(problems []problem) []*pulumirpc.CheckFailure {
	var out []*pulumirpc.CheckFailure
	for _, p := range problems {
		// Without Property: with it the engine prints the property's value, which may be large or private.
		out = append(out, &pulumirpc.CheckFailure{Reason: p.path + " " + p.reason})
	}
	return out
}

// Diff says what changes and what replaces.
func (s *server) Diff(ctx context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	t, _, err := s.kindOf(ctx, req.GetUrn())
	if err != nil {
		return nil, err
	}
	bags, err := receiveAll(req.GetOldInputs(), req.GetNews())
	if err != nil {
		return nil, err
	}
	return t.diff(bags[0], bags[1]), nil
}

// start makes the operation and takes the world for it: one write at a time, which the emulator needs and which makes
// a check and the change after it one step. The caller must call the returned function when done.
func (s *server) start(ctx context.Context, t resourceType, id string) (*op, func(), error) {
	if !s.cloud.real {
		return nil, nil, rpcerror.New(codes.FailedPrecondition,
			"nothing is behind the local provider: it was started for previews only")
	}
	s.cloud.world.mu.Lock()
	return &op{Context: ctx, cloud: s.cloud, kind: t, id: id}, s.cloud.world.mu.Unlock, nil
}

// Create makes a resource, or in a preview says what would be known of it.
func (s *server) Create(ctx context.Context, req *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	t, _, err := s.kindOf(ctx, req.GetUrn())
	if err != nil {
		return nil, err
	}
	in, err := receive(req.GetProperties())
	if err != nil {
		return nil, err
	}
	if req.GetPreview() {
		sent, err := send(t.planned(in))
		return &pulumirpc.CreateResponse{Properties: sent}, err
	}
	o, done, err := s.start(ctx, t, "")
	if err != nil {
		return nil, err
	}
	defer done()
	o.in = in
	id, added, failed := t.create(o)
	if failed != nil && id == "" {
		return nil, s.failure("create", t.token, failed)
	}
	out := t.merged(added, in)
	o.world.put(t.token, id, in, out)
	sent, err := send(marked(t, out))
	if err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, s.partial("create", t.token, id, req.GetProperties(), sent, failed)
	}
	s.cloud.log.Info("created", "type", t.token, "id", id)
	return &pulumirpc.CreateResponse{Id: id, Properties: sent}, nil
}

// Read says how a resource is now. An empty id in the answer means that it is gone.
func (s *server) Read(ctx context.Context, req *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	t, here, err := s.kindOf(ctx, req.GetUrn())
	if err != nil {
		return nil, err
	}
	bags, err := receiveAll(req.GetInputs(), req.GetProperties())
	if err != nil {
		return nil, err
	}
	o, done, err := s.start(ctx, t, req.GetId())
	if err != nil {
		return nil, err
	}
	defer done()
	o.old, o.state = bags[0], bags[1]
	actual, found, err := o.look()
	if err != nil {
		return nil, s.failure("read", t.token, err)
	}
	if !found {
		o.world.drop(t.token, o.id)
		return &pulumirpc.ReadResponse{}, nil
	}
	if t.tagged && has(actual, "tagsAll") {
		set(actual, "tags", object(here.ownTags(o.old, getBag(actual, "tagsAll"))))
	}
	outputs, inputs := t.seen(o.state, o.old, actual)
	o.world.put(t.token, o.id, inputs, outputs)
	sentOut, errOut := send(marked(t, outputs))
	sentIn, errIn := send(inputs)
	return &pulumirpc.ReadResponse{Id: o.id, Properties: sentOut, Inputs: sentIn}, errors.Join(errOut, errIn)
}

// look reads the resource from the emulator or, for what no emulator holds, from the record.
func (o *op) look() (bag, bool, error) {
	if o.kind.read != nil {
		return o.kind.read(o)
	}
	r, ok := o.world.get(o.kind.token, o.id)
	if !ok {
		return nil, false, nil
	}
	return r.out, true, nil
}

// Update changes a resource in place, or in a preview says what would be known of it.
func (s *server) Update(ctx context.Context, req *pulumirpc.UpdateRequest) (*pulumirpc.UpdateResponse, error) {
	t, _, err := s.kindOf(ctx, req.GetUrn())
	if err != nil {
		return nil, err
	}
	bags, err := receiveAll(req.GetOldInputs(), req.GetOlds(), req.GetNews())
	if err != nil {
		return nil, err
	}
	old, state, in := bags[0], bags[1], bags[2]
	out := t.merged(state, in)
	if req.GetPreview() {
		if t.moves != nil {
			for _, name := range t.moves(old, in) {
				set(out, name, unknown())
			}
		}
		sent, err := send(marked(t, out))
		return &pulumirpc.UpdateResponse{Properties: sent}, err
	}
	o, done, err := s.start(ctx, t, req.GetId())
	if err != nil {
		return nil, err
	}
	defer done()
	o.old, o.state, o.in = old, state, in
	changed, err := t.update(o)
	if err != nil {
		return nil, s.failure("update", t.token, err)
	}
	for k, v := range changed {
		out[k] = v
	}
	o.world.put(t.token, o.id, in, out)
	sent, err := send(marked(t, out))
	s.cloud.log.Info("updated", "type", t.token, "id", o.id)
	return &pulumirpc.UpdateResponse{Properties: sent}, err
}

// Delete removes a resource. What is gone already is deleted.
func (s *server) Delete(ctx context.Context, req *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	t, _, err := s.kindOf(ctx, req.GetUrn())
	if err != nil {
		return nil, err
	}
	bags, err := receiveAll(req.GetOldInputs(), req.GetProperties())
	if err != nil {
		return nil, err
	}
	o, done, err := s.start(ctx, t, req.GetId())
	if err != nil {
		return nil, err
	}
	defer done()
	o.old, o.state = bags[0], bags[1]
	if getBool(o.old, "skipDestroy") {
		return &emptypb.Empty{}, nil // forgotten by the program, kept by AWS
	}
	if t.remove != nil {
		if err := t.remove(o); err != nil && !gone(err) {
			return nil, s.failure("delete", t.token, err)
		}
	}
	o.world.drop(t.token, o.id)
	s.cloud.log.Info("deleted", "type", t.token, "id", o.id)
	return &emptypb.Empty{}, nil
}

// marked wraps the outputs that are secret whatever the inputs were.
func marked(t resourceType, out bag) bag {
	secretOutputs := map[string][]string{
		typeUserPoolClient: {"clientSecret"},
		typeSecretVersion:  {"secretString", "secretBinary"},
		typeParameter:      {"value"},
	}
	marked := out.Copy()
	for _, name := range secretOutputs[t.token] {
		if has(marked, name) {
			set(marked, name, resource.MakeSecret(marked[resource.PropertyKey(name)]))
		}
	}
	return marked
}

// failure is an error for the engine. AWS's answers leave the resource as it was; any other error leaves open what
// happened, and the engine is told so.
func (s *server) failure(verb, token string, err error) error {
	s.cloud.log.Error("failed", "verb", verb, "type", token, "error", err)
	code := codes.Unknown
	if answered(err) {
		code = codes.FailedPrecondition
	}
	return rpcerror.Newf(code, "%s %s: %v", verb, token, err)
}

// partial is an error about a resource that exists but is not complete.
func (s *server) partial(verb, token, id string, in, out *structpb.Struct, err error) error {
	s.cloud.log.Error("failed halfway", "verb", verb, "type", token, "id", id, "error", err)
	reason := fmt.Sprintf("%s %s: %v", verb, token, err)
	return rpcerror.WithDetails(rpcerror.New(codes.Unknown, reason),
		&pulumirpc.ErrorResourceInitFailed{Id: id, Inputs: in, Properties: out, Reasons: []string{reason}})
}

func answered(err error) bool {
	var own *denial
	var api smithy.APIError
	return errors.As(err, &own) || errors.As(err, &api)
}

// codeOf is AWS's error code, "" when err is not an answer of AWS.
func codeOf(err error) string {
	var own *denial
	var api smithy.APIError
	switch {
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &api):
		return api.ErrorCode()
	}
	return ""
}

// gone says whether err means that the resource does not exist.
func gone(err error) bool {
	switch codeOf(err) {
	case "ResourceNotFoundException", "NotFoundException", "NoSuchEntity", "PolicyNotFoundException",
		"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue":
		return true
	}
	return false
}
