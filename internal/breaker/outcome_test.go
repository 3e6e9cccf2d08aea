package breaker_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"testing"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/breaker"
)

// ofSDK is an error as the AWS SDK returns it.
func ofSDK(status int, err error) error {
	return &smithy.OperationError{ServiceID: "DynamoDB", OperationName: "GetItem", Err: &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: err}}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want breaker.Outcome
	}{
		"none":                          {nil, breaker.Success},
		"500":                           {&breaker.StatusError{Status: 500}, breaker.Failure},
		"503":                           {fmt.Errorf("chat: %w", &breaker.StatusError{Status: 503}), breaker.Failure},
		"529":                           {&breaker.StatusError{Status: 529}, breaker.Failure},
		"503 behind an own error":       {apperr.New(apperr.Unavailable, "", "").Because(&breaker.StatusError{Status: 503}), breaker.Failure},
		"400":                           {&breaker.StatusError{Status: 400}, breaker.Ignored},
		"401":                           {&breaker.StatusError{Status: 401}, breaker.Ignored},
		"404":                           {&breaker.StatusError{Status: 404}, breaker.Ignored},
		"499":                           {&breaker.StatusError{Status: 499}, breaker.Ignored},
		"429":                           {&breaker.StatusError{Status: 429}, breaker.Failure},
		"429 of our quota":              {fmt.Errorf("chat: %w", &breaker.StatusError{Status: 429, Quota: true}), breaker.Ignored},
		"a quota in another status":     {&breaker.StatusError{Status: 500, Quota: true}, breaker.Failure},
		"throttled by AWS":              {&breaker.StatusError{Status: 400, Throttle: true}, breaker.Failure},
		"SDK 500":                       {ofSDK(500, &smithy.GenericAPIError{Code: "InternalServerError"}), breaker.Failure},
		"SDK 400":                       {ofSDK(400, &smithy.GenericAPIError{Code: "ConditionalCheckFailedException"}), breaker.Ignored},
		"SDK throttled":                 {ofSDK(400, &smithy.GenericAPIError{Code: "ThrottlingException"}), breaker.Failure},
		"SDK account limit":             {ofSDK(400, &smithy.GenericAPIError{Code: "RequestLimitExceeded"}), breaker.Failure},
		"SDK 429":                       {ofSDK(429, &smithy.GenericAPIError{Code: "TooManyRequestsException"}), breaker.Failure},
		"SDK answer broke off":          {ofSDK(200, &smithy.DeserializationError{Err: io.ErrUnexpectedEOF}), breaker.Failure},
		"SDK answer not understood":     {ofSDK(200, &smithy.DeserializationError{Err: errors.New("not JSON")}), breaker.Ignored},
		"SDK did not send":              {&smithyhttp.RequestSendError{Err: errors.New("tls: bad certificate")}, breaker.Failure},
		"SDK canceled":                  {&smithy.CanceledError{Err: context.Canceled}, breaker.Ignored},
		"SDK canceled while sending":    {&smithyhttp.RequestSendError{Err: context.Canceled}, breaker.Ignored},
		"SDK timed out":                 {&smithy.CanceledError{Err: context.DeadlineExceeded}, breaker.Failure},
		"canceled":                      {&url.Error{Op: "Post", Err: context.Canceled}, breaker.Ignored},
		"timed out":                     {&url.Error{Op: "Post", Err: context.DeadlineExceeded}, breaker.Failure},
		"timed out by the connection":   {&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, breaker.Failure},
		"refused":                       {&url.Error{Op: "Post", Err: &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}}, breaker.Failure},
		"reset":                         {fmt.Errorf("read: %w", syscall.ECONNRESET), breaker.Failure},
		"no such host":                  {&net.DNSError{Err: "no such host", IsNotFound: true}, breaker.Failure},
		"TLS alert":                     {&net.OpError{Op: "remote error", Err: tls.AlertError(40)}, breaker.Failure},
		"closed before the answer":      {&url.Error{Op: "Post", Err: io.EOF}, breaker.Failure},
		"closed within the answer":      {fmt.Errorf("read: %w", io.ErrUnexpectedEOF), breaker.Failure},
		"another circuit":               {fmt.Errorf("x: %w", breaker.ErrOpen), breaker.Ignored},
		"another circuit below the SDK": {&smithyhttp.RequestSendError{Err: fmt.Errorf("x: %w", breaker.ErrOpen)}, breaker.Ignored},
		"a mistake of ours":             {errors.New("marshal"), breaker.Ignored},
		"a URL of ours":                 {&url.Error{Op: "Get", Err: errors.New("unsupported protocol scheme")}, breaker.Ignored},
		"a file of ours":                {&fs.PathError{Op: "open", Err: syscall.ENOENT}, breaker.Ignored},
		"an answer joined to a reason":  {errors.Join(errors.New("x"), &breaker.StatusError{Status: 502}), breaker.Failure},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, breaker.Classify(c.err))
		})
	}
	require.Zero(t, breaker.Ignored, "what nobody classified is ignored")
}

func TestAnswered(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		header [2]string
		want   error
	}{
		"success":           {200, [2]string{"X-Ratelimit-Remaining", "0"}, nil},
		"redirect":          {304, [2]string{}, nil},
		"refused":           {403, [2]string{}, &breaker.StatusError{Status: 403}},
		"broken":            {500, [2]string{}, &breaker.StatusError{Status: 500}},
		"busy":              {429, [2]string{"Retry-After", "1"}, &breaker.StatusError{Status: 429}},
		"quota of OpenAI":   {429, [2]string{"X-Ratelimit-Remaining-Tokens", "0"}, &breaker.StatusError{Status: 429, Quota: true}},
		"quota of Sentry":   {429, [2]string{"X-Sentry-Rate-Limits", "60::organization"}, &breaker.StatusError{Status: 429, Quota: true}},
		"quota of a draft":  {429, [2]string{"Ratelimit", `"default";r=0;t=30`}, &breaker.StatusError{Status: 429, Quota: true}},
		"throttled by AWS":  {400, [2]string{"X-Amzn-Errortype", "ThrottlingException:http://x"}, &breaker.StatusError{Status: 400, Throttle: true}},
		"refused by AWS":    {400, [2]string{"X-Amzn-Errortype", "ValidationException"}, &breaker.StatusError{Status: 400}},
		"broken, with room": {503, [2]string{"X-Ratelimit-Remaining-Tokens", "9"}, &breaker.StatusError{Status: 503, Quota: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &http.Response{StatusCode: c.status, Header: http.Header{}}
			if c.header[0] != "" {
				r.Header.Set(c.header[0], c.header[1])
			}
			require.Equal(t, c.want, breaker.Answered(r))
		})
	}
	require.EqualError(t, &breaker.StatusError{Status: 502}, "the dependency answered with status 502")
}
