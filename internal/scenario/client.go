// Package scenario drives the API over HTTP as an app would, from registration to logout, and provokes its refusals.
// It knows only the published contract, so that it runs against the local cloud and against AWS alike.
package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"
)

// Client sends requests to the API. Limits count per source address, so that clients which must not disturb each
// other come from different ones.
type Client struct {
	url  string
	http *http.Client
}

// NewClient makes a client of the API at url. From is the local address it comes from; nil: any.
func NewClient(url string, from net.IP) *Client {
	t := &http.Transport{}
	if from != nil {
		t.DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}).DialContext
	}
	return &Client{url: strings.TrimSuffix(url, "/"), http: &http.Client{Transport: t, Timeout: 40 * time.Second}}
}

// Request is one request. Body is sent as JSON unless it is a string, which is sent as it is.
type Request struct {
	Method, Path string
	Token        string // bearer token; empty: none
	Header       map[string]string
	Body         any
}

// Answer is a response with its body decoded, where it is JSON.
type Answer struct {
	Status int
	Header http.Header
	Body   map[string]any
}

// Text is a member of the body that is a string, else empty.
func (a Answer) Text(name string) string { s, _ := a.Body[name].(string); return s }

// Do sends a request. An error means that there was no answer, or that its body is not what its media type says.
func (c *Client) Do(ctx context.Context, r Request) (Answer, error) {
	var body io.Reader
	header := map[string]string{}
	switch b := r.Body.(type) {
	case nil:
	case string:
		body, header["Content-Type"] = strings.NewReader(b), "application/json"
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return Answer{}, err
		}
		body, header["Content-Type"] = bytes.NewReader(text), "application/json"
	}
	if r.Token != "" {
		header["Authorization"] = "Bearer " + r.Token
	}
	maps.Copy(header, r.Header)
	req, err := http.NewRequestWithContext(ctx, r.Method, c.url+r.Path, body)
	if err != nil {
		return Answer{}, err
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	return read(res)
}

func read(res *http.Response) (Answer, error) {
	a := Answer{Status: res.StatusCode, Header: res.Header}
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return a, err
	}
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")) // an empty or broken header is not JSON
	// API Gateway calls an answer without a body application/json as well.
	if len(text) == 0 || (media != "application/json" && media != "application/problem+json") {
		return a, nil
	}
	if err := json.Unmarshal(text, &a.Body); err != nil {
		return a, fmt.Errorf("status %d says %s but its body is not: %w", a.Status, media, err)
	}
	return a, nil
}
