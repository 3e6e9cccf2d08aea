// Package localtest gives tests an emulator, and the local AWS API before it.
package localtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/local/aws"
	"github.com/expenzez/aws-backend/internal/local/moto"
)

// Whose and where everything is.
const (
	Account = "111122223333"
	Region  = "eu-west-2"
)

var options = moto.Options{Account: Account, Region: Region}

// Main is the TestMain of a package whose tests share one emulator. It sets its URL, prepares what they share, runs them
// and ends the process.
func Main(m *testing.M, url *string, prepare ...func() error) {
	code, err := run(m, url, prepare)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M, url *string, prepare []func() error) (code int, err error) {
	server, err := moto.Start(context.Background(), options)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	*url = server.URL
	for _, f := range prepare {
		if err := f(); err != nil {
			return 1, err
		}
	}
	return m.Run(), nil
}

// Moto is the URL of an emulator of the test's own.
func Moto(t testing.TB) string {
	t.Helper()
	server, err := moto.Start(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server.URL
}

// Cloud is the local AWS API of a test. What it keeps, it keeps in the emulator that it stands before.
type Cloud struct {
	*aws.Front
	URL string
}

// Start serves the local AWS API before an emulator until the test ends. It does one call at a time with all others in
// this process: each does its own writes so, but knows nothing of another before the same emulator (see OneByOne).
func Start(t testing.TB, emulator string) Cloud {
	t.Helper()
	front, err := aws.New(aws.Config{Backend: emulator, Account: Account, Region: Region})
	require.NoError(t, err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		turn.Lock()
		defer turn.Unlock()
		front.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { server.Close(); require.NoError(t, front.Close()) })
	return Cloud{front, server.URL}
}

// Operator is the configuration of clients that may do everything.
func (c Cloud) Operator() sdk.Config {
	id, secret := c.AdminCredentials()
	return c.config(id, secret, "")
}

// As is the configuration of clients that act as a function's role, by its name.
func (c Cloud) As(t testing.TB, role string) sdk.Config {
	t.Helper()
	id, secret, token, err := c.Credentials(t.Context(), "arn:aws:iam::"+Account+":role/"+role)
	require.NoError(t, err)
	return c.config(id, secret, token)
}

func (c Cloud) config(id, secret, token string) sdk.Config {
	return sdk.Config{Region: Region, BaseEndpoint: &c.URL, Credentials: credentials.NewStaticCredentialsProvider(id, secret, token)}
}
