package apple

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
)

// maxBody is how many bytes of an answer are read; Apple's keys have about 2,000.
const maxBody = 64 << 10

type answer struct {
	status int
	json   bool // by its content type
	body   []byte
}

// send makes a call; nil is http.DefaultTransport. It is one round trip: a redirect is an answer like another and is
// followed nowhere, since what is sent is for Apple alone. An answer that is longer than maxBody is an error.
func send(transport http.RoundTripper, request *http.Request) (answer, error) {
	if transport == nil {
		transport = http.DefaultTransport
	}
	request.Header.Set("Accept", "application/json")
	response, err := transport.RoundTrip(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }() // it was read to where it matters
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return answer{}, err
	}
	if len(body) > maxBody {
		return answer{}, errors.New("the answer is too long")
	}
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	return answer{status: response.StatusCode, json: err == nil && kind == "application/json", body: body}, nil
}

// only reads one JSON value and nothing after it.
func only(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}
