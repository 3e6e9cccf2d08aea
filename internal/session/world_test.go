package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/local/localtest"
	"github.com/expenzez/aws-backend/internal/session"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/store/storetest"
)

const (
	day  = 24 * time.Hour
	user = "user-1"
)

var (
	start    = time.Unix(1_800_000_000, 0)
	emulator string // URL of the one moto of this package's tests
)

func TestMain(m *testing.M) { localtest.Main(m, &emulator) }

// vault is a sealer without encryption that opens only at the place it sealed for, and fails when it is told to.
type vault struct{ sealErr, openErr error }

func place(table, key, attribute string) []byte {
	return []byte(table + "|" + key + "|" + attribute + "|")
}

func (v *vault) Seal(_ context.Context, table, key, attribute string, plain []byte) ([]byte, error) {
	return append(place(table, key, attribute), plain...), v.sealErr
}

func (v *vault) Open(_ context.Context, table, key, attribute string, sealed []byte) ([]byte, error) {
	plain, ok := bytes.CutPrefix(sealed, place(table, key, attribute))
	if !ok {
		return nil, errors.New("sealed for another place")
	}
	return plain, v.openErr
}

// world is sessions with everything around them. A test moves its clock and breaks its calls.
type world struct {
	db     store.DB
	now    time.Time
	vault  *vault
	s      *session.Sessions
	follow func(fault.Plan)
	calls  func() []string
	prefix string // of the tables' names: worlds of one emulator do not meet
}

func schemas() []mem.Schema {
	return []mem.Schema{{Name: "sessions", Hash: "pk"}, {Name: "revoked", Hash: "pk"}, {Name: "events", Hash: "pk", Range: "sk"}}
}

// inMemory is a world whose client does not try again.
func inMemory(t require.TestingT) *world {
	db := fault.NewDB(mem.New(schemas()...), nil)
	w := &world{db: db, follow: db.Follow, calls: db.Calls}
	w.begin(t)
	return w
}

// onTheEmulator is a world behind the SDK's real client, with its retries, on the local AWS API.
func onTheEmulator(t *testing.T) *world {
	t.Helper()
	cloud := localtest.Start(t, emulator)
	transport := fault.NewTransport(nil, nil)
	config := cloud.Operator()
	config.HTTPClient = transport
	client := store.Open(config, store.Options{Random: func() float64 { return 0 }})
	w := &world{db: client, follow: transport.Follow, calls: transport.Calls, prefix: fmt.Sprintf("s%d-", time.Now().UnixNano())}
	for _, schema := range schemas() {
		schema.Name = w.prefix + schema.Name
		_, err := client.CreateTable(t.Context(), storetest.CreateTable(schema))
		require.NoError(t, err)
	}
	w.begin(t)
	return w
}

func (w *world) table(name string) store.Table { return store.NewTable(w.db, w.prefix+name) }

// config is what a function would wire: revocations by session, events by user with a random end.
func (w *world) config() session.Config {
	n := 0
	return session.Config{Table: w.table("sessions"), Tx: w.db, Sealer: w.vault,
		Revoke: func(_, session string, now time.Time) []store.Write {
			return []store.Write{w.table("revoked").PutWrite(types.Put{Item: store.Item{"pk": store.S(session), "at": store.N(now.Unix())}})}
		},
		Events: func(user, session, event string, now time.Time) []store.Write {
			n++
			return []store.Write{w.table("events").PutWrite(types.Put{Item: store.Item{
				"pk": store.S(user), "sk": store.S(fmt.Sprintf("%d#%d", now.Unix(), n)), "event": store.S(event), "session": store.S(session)}})}
		}}
}

func (w *world) begin(t require.TestingT) {
	w.now, w.vault = start, &vault{}
	var err error
	w.s, err = session.New(w.config())
	require.NoError(t, err)
}

// signIn begins a session of user.
func (w *world) signIn(t require.TestingT) session.Grant {
	g, begin := w.s.Begin(user, w.now)
	require.NoError(t, store.Transact(context.Background(), w.db, "", begin))
	return g
}

func (w *world) renew(t require.TestingT, token string) session.Grant {
	g, err := w.s.Renew(context.Background(), token, w.now)
	require.NoError(t, err)
	return g
}

func (w *world) refused(t require.TestingT, token string) {
	_, err := w.s.Renew(context.Background(), token, w.now)
	require.ErrorIs(t, err, session.ErrRefused)
}

func (w *world) item(t require.TestingT, id string) store.Item {
	return w.get(t, "sessions", "SESSION#"+id)
}

func (w *world) get(t require.TestingT, table, pk string) store.Item {
	out, err := w.table(table).GetItem(context.Background(), &dynamodb.GetItemInput{Key: store.Item{"pk": store.S(pk)}, ConsistentRead: aws.Bool(true)})
	require.NoError(t, err)
	return out.Item
}

func (w *world) events(t require.TestingT) []string {
	out, err := w.table("events").Query(context.Background(), &dynamodb.QueryInput{KeyConditionExpression: aws.String("pk = :pk"),
		ExpressionAttributeValues: store.Item{":pk": store.S(user)}, ConsistentRead: aws.Bool(true)})
	require.NoError(t, err)
	all := []string{}
	for _, item := range out.Items {
		all = append(all, store.Read(item).S("event"))
	}
	return all
}

// ended requires that a session gives nothing any more, that its access tokens are refused, and which events there were.
func (w *world) ended(t require.TestingT, g session.Grant, status string, events ...string) {
	item := w.item(t, g.Session)
	require.Equal(t, status, store.Read(item).S("status"))
	require.NotContains(t, item, "successor")
	require.NotNil(t, w.get(t, "revoked", g.Session), "access tokens are refused")
	require.ElementsMatch(t, events, w.events(t))
	w.refused(t, g.RefreshToken)
	require.ElementsMatch(t, events, w.events(t), "a token of a session that has ended is no alarm")
}

func (w *world) put(t testing.TB, item store.Item) {
	t.Helper()
	_, err := w.table("sessions").PutItem(t.Context(), &dynamodb.PutItemInput{Item: item})
	require.NoError(t, err)
}

// blind is a sealer whose output tells nothing of its input.
type blind struct{}

func (blind) Seal(context.Context, string, string, string, []byte) ([]byte, error) {
	return []byte("sealed"), nil
}

func (blind) Open(context.Context, string, string, string, []byte) ([]byte, error) {
	return nil, errors.New("sealed for good")
}

func stored(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberB:
		return string(v.Value)
	}
	return ""
}
