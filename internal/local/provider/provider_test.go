package provider

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"
)

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		cfg  Config
		want string
	}{
		{"account", Config{Account: "12", Region: testRegion}, `account "12" is not twelve digits`},
		{"region", Config{Account: testAccount, Region: "here"}, `region "here" is not an AWS region`},
		{"endpoint on AWS", Config{Account: testAccount, Region: testRegion, Endpoint: "https://dynamodb.eu-central-1.amazonaws.com"}, "loopback"},
		{"endpoint elsewhere", Config{Account: testAccount, Region: testRegion, Endpoint: "http://10.0.0.1:5000"}, "loopback"},
		{"endpoint is no URL", Config{Account: testAccount, Region: testRegion, Endpoint: "://"}, "is not a URL"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := Start(t.Context(), tc.cfg)
			require.ErrorContains(t, err, tc.want)
		})
	}
	_, err := Start(t.Context(), Config{})
	require.ErrorContains(t, err, "account")
	require.ErrorContains(t, err, "region", "every problem at once")
}

func TestServerStops(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := Start(ctx, Config{Account: testAccount, Region: testRegion})
	require.NoError(t, err)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port()))
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "a second time is fine")
	_, err = net.Dial("tcp", address)
	require.Error(t, err)
}

func TestServerStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s, err := Start(ctx, Config{Account: testAccount, Region: testRegion})
	require.NoError(t, err)
	cancel()
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port()))
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		return err != nil || conn.Close() != nil
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, s.Close())
}

func TestConfigureRefuses(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{})
	cases := []struct {
		name string
		in   bag
		want string
	}{
		{"no region", bag{}, "invalid or missing region"},
		{"other region", bag{"region": text("us-east-1")}, "aws:region is us-east-1, but the local cloud plays region eu-central-1"},
		{"other account", bag{"allowedAccountIds": text(`["111111111111"]`)}, "AWS account ID not allowed: 210987654321"},
		{"other account as a list", bag{"allowedAccountIds": texts("111111111111")}, "AWS account ID not allowed: 210987654321"},
		{"forbidden account", bag{"forbiddenAccountIds": text(`["210987654321"]`)}, "AWS account ID not allowed: 210987654321"},
		{"accounts of the wrong form", bag{"allowedAccountIds": text("210987654321")}, "has the wrong form"},
		{"tags of the wrong form", bag{"defaultTags": text(`{"tags":1}`)}, "aws:defaultTags has the wrong form"},
		{"ignored tags of the wrong form", bag{"ignoreTags": text(`[]`)}, "aws:ignoreTags has the wrong form"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			in := tc.in
			if tc.name != "no region" && tc.name != "other region" {
				in = with(in, bag{"region": text(testRegion)})
			}
			err := dial(t, s).configure(in)
			require.ErrorContains(t, err, tc.want)
		})
	}
	require.NoError(t, dial(t, s).configure(bag{"region": text(testRegion), "allowedAccountIds": text(`["210987654321"]`)}))
}

func TestCheckConfig(t *testing.T) {
	t.Parallel()
	c := dial(t, serve(t, Config{}))
	resp, err := c.CheckConfig(t.Context(), &pulumirpc.CheckRequest{News: c.pack(bag{"region": text("x"), "regoin": text("x"), "allowedAccountIds": text("1"), "defaultTags": text("[]")})})
	require.NoError(t, err)
	require.Len(t, resp.GetFailures(), 3)
	diff, err := c.DiffConfig(t.Context(), &pulumirpc.DiffRequest{OldInputs: c.pack(bag{"region": text("x")}), News: c.pack(bag{"region": text("x"), "defaultTags": text("{}")})})
	require.NoError(t, err)
	require.Equal(t, []string{"defaultTags"}, diff.GetDiffs())
	require.Empty(t, diff.GetReplaces())
}

func TestWhatTheEngineAsksFirst(t *testing.T) {
	t.Parallel()
	c := dial(t, serve(t, Config{}))
	info, err := c.GetPluginInfo(t.Context(), &emptypb.Empty{})
	require.NoError(t, err)
	require.Equal(t, "6.83.2", info.GetVersion())
	schema, err := c.GetSchema(t.Context(), &pulumirpc.GetSchemaRequest{})
	require.NoError(t, err)
	require.JSONEq(t, `{"name":"aws","version":"6.83.2"}`, schema.GetSchema())
	shake, err := c.Handshake(t.Context(), &pulumirpc.ProviderHandshakeRequest{})
	require.NoError(t, err)
	require.False(t, shake.GetAcceptSecrets())
	_, err = c.Attach(t.Context(), &pulumirpc.PluginAttach{})
	require.NoError(t, err)
	_, err = c.Cancel(t.Context(), &emptypb.Empty{})
	require.NoError(t, err)
}

func TestInvoke(t *testing.T) {
	t.Parallel()
	c, _ := connect(t, Config{})
	for token, want := range map[string]struct{ key, value string }{
		"aws:index/getCallerIdentity:getCallerIdentity": {"accountId", testAccount},
		"aws:index/getRegion:getRegion":                 {"name", testRegion},
		"aws:index/getPartition:getPartition":           {"dnsSuffix", "amazonaws.com"},
	} {
		resp, err := c.Invoke(t.Context(), &pulumirpc.InvokeRequest{Tok: token})
		require.NoError(t, err)
		require.Equal(t, want.value, getText(c.unpack(resp.GetReturn()), want.key))
	}
	_, err := c.Invoke(t.Context(), &pulumirpc.InvokeRequest{Tok: "aws:iam/getRole:getRole"})
	require.ErrorContains(t, err, "does not know the function aws:iam/getRole:getRole")
}

func TestUnknownTypeIsAnError(t *testing.T) {
	t.Parallel()
	c, _ := connect(t, Config{Endpoint: "http://127.0.0.1:1"})
	name := urn("aws:s3/bucketV2:BucketV2", "b")
	_, check := c.Check(t.Context(), &pulumirpc.CheckRequest{Urn: name})
	_, diff := c.Diff(t.Context(), &pulumirpc.DiffRequest{Urn: name})
	_, create := c.Create(t.Context(), &pulumirpc.CreateRequest{Urn: name})
	_, preview := c.Create(t.Context(), &pulumirpc.CreateRequest{Urn: name, Preview: true})
	_, read := c.Read(t.Context(), &pulumirpc.ReadRequest{Urn: name})
	_, update := c.Update(t.Context(), &pulumirpc.UpdateRequest{Urn: name})
	_, remove := c.Delete(t.Context(), &pulumirpc.DeleteRequest{Urn: name})
	for _, err := range []error{check, diff, create, preview, read, update, remove} {
		require.ErrorContains(t, err, "does not know the resource type aws:s3/bucketV2:BucketV2")
	}
}

func TestUnconfiguredConnectionIsAnError(t *testing.T) {
	t.Parallel()
	_, s := connect(t, Config{})
	c := dial(t, s)
	_, err := c.Check(t.Context(), &pulumirpc.CheckRequest{Urn: urn(typeKmsKey, "k"), News: c.pack(bag{})})
	require.ErrorContains(t, err, "was not configured on this connection")
}

func TestWithoutEmulatorOnlyPreviews(t *testing.T) {
	t.Parallel()
	c, s := connect(t, Config{})
	in := c.pack(valid(t, typeRole))
	_, create := c.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn(typeRole, "r"), Properties: in})
	_, read := c.Read(t.Context(), &pulumirpc.ReadRequest{Urn: urn(typeRole, "r"), Id: "r"})
	_, update := c.Update(t.Context(), &pulumirpc.UpdateRequest{Urn: urn(typeRole, "r"), Id: "r", News: in})
	_, remove := c.Delete(t.Context(), &pulumirpc.DeleteRequest{Urn: urn(typeRole, "r"), Id: "r"})
	for _, err := range []error{create, read, update, remove} {
		require.ErrorContains(t, err, "for previews only")
	}
	require.Empty(t, s.Resources())
}

// A preview shows every output that programs use, unknown when AWS makes it, and never changes anything.
func TestPreviewOfCreation(t *testing.T) {
	t.Parallel()
	c, s := connect(t, Config{})
	for token, kind := range resourceTypes() {
		in, reasons := c.check(token, "logical", nil, valid(t, token))
		require.Empty(t, reasons, token)
		resp, err := c.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn(token, "logical"), Properties: c.pack(in), Preview: true})
		require.NoError(t, err)
		require.Empty(t, resp.GetId(), token)
		out := c.unpack(resp.GetProperties())
		for _, name := range kind.outputs {
			require.True(t, isUnknown(out[resource.PropertyKey(name)]), "%s %s", token, name)
		}
		for k, v := range in {
			if k != "code" {
				require.Equal(t, v, out[k], "%s %s", token, k)
			}
		}
	}
	require.Empty(t, s.Resources())
}

func TestPreviewOfUpdate(t *testing.T) {
	t.Parallel()
	c, _ := connect(t, Config{})
	base := with(valid(t, typeFunction), bag{"publish": boolean(true)})
	in, _ := c.check(typeFunction, "f", nil, base)
	m := made{typeFunction, "f", "auth", in, with(in, bag{"arn": text("arn"), "version": text("1"), "qualifiedArn": text("arn:1")})}
	same, err := c.update(m, with(base, bag{"tags": object(bag{"A": text("1")})}), true)
	require.NoError(t, err)
	require.Equal(t, "1", getText(same.out, "version"))
	next, err := c.update(m, with(base, bag{"memorySize": number(512)}), true)
	require.NoError(t, err)
	require.True(t, isUnknown(next.out["version"]))
	require.True(t, isUnknown(next.out["qualifiedArn"]))
	require.Equal(t, "arn", getText(next.out, "arn"))
}

// The engine opens one connection per provider instance; each has its own default tags.
func TestInstancesAreApart(t *testing.T) {
	t.Parallel()
	_, s := connect(t, Config{})
	one, two := dial(t, s), dial(t, s)
	require.NoError(t, one.configure(bag{"region": text(testRegion), "defaultTags": text(`{"tags":{"Project":"expenzez","Owner":"a"}}`)}))
	require.NoError(t, two.configure(bag{"region": text(testRegion), "defaultTags": text(`{"tags":{"Owner":"b"}}`), "ignoreTags": text(`{"keys":["Owner"],"keyPrefixes":["x-"]}`)}))
	in := with(valid(t, typeRole), bag{"tags": object(bag{"Owner": text("mine"), "x-y": text("1")})})
	first, reasons := one.check(typeRole, "r", nil, in)
	require.Empty(t, reasons)
	require.Equal(t, map[string]string{"Project": "expenzez", "Owner": "mine", "x-y": "1"}, getDictionary(first, "tagsAll"))
	require.Equal(t, map[string]string{"Owner": "mine", "x-y": "1"}, getDictionary(first, "tags"))
	second, reasons := two.check(typeRole, "r", nil, in)
	require.Empty(t, reasons)
	require.Empty(t, getDictionary(second, "tagsAll"))
	unsure, reasons := one.check(typeRole, "r", nil, with(in, bag{"tags": unknown()}))
	require.Empty(t, reasons)
	require.True(t, isUnknown(unsure["tagsAll"]))
}

// When the emulator does not answer, what happened is open and the engine must know that.
func TestErrorCodes(t *testing.T) {
	t.Parallel()
	c, s := connect(t, Config{Endpoint: "http://127.0.0.1:1"})
	_, err := c.create(typeKmsKey, "k", valid(t, typeKmsKey))
	require.Equal(t, codes.Unknown, rpcerror.Convert(err).Code())
	require.ErrorContains(t, err, "create aws:kms/key:Key")
	_, err = c.create(typeRoleAttachment, "a", valid(t, typeRoleAttachment))
	require.Equal(t, codes.FailedPrecondition, rpcerror.Convert(err).Code())
	require.ErrorContains(t, err, "NoSuchEntity: The role with name expenzez-dev-auth cannot be found.")
	require.Empty(t, s.Resources())
}
