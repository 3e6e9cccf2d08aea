package aws

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	dateFormat = "20060102T150405Z"
	maxSkew    = 5 * time.Minute // IAM user guide, "Elements of an AWS API request signature": x-amz-date
)

// authorization is a parsed Authorization header.
type authorization struct {
	key, date, region, service string
	headers                    []string // lower case, in the order given
	signature                  string
}

// parseAuthorization reads "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…".
func parseAuthorization(header string) (authorization, bool) {
	var a authorization
	rest, found := strings.CutPrefix(header, algorithm)
	if !found {
		return a, false
	}
	var credential string
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			credential = value
		case "SignedHeaders":
			a.headers = strings.Split(value, ";")
		case "Signature":
			a.signature = value
		}
	}
	scope := strings.Split(credential, "/")
	if len(scope) != 5 || scope[4] != "aws4_request" || len(a.headers) == 0 || a.signature == "" {
		return authorization{}, false
	}
	a.key, a.date, a.region, a.service = scope[0], scope[1], scope[2], scope[3]
	return a, true
}

// authenticate verifies the request's signature and returns the principal of its key. A nil body is streamed: then the
// hash that the caller signed is checked while moto reads.
func (f *Front) authenticate(r *http.Request, body []byte) (string, error) {
	a, parsed := parseAuthorization(r.Header.Get("Authorization"))
	p := protocolOf(r, a.service)
	if r.Header.Get("Authorization") == "" {
		return "", accessError(p, noToken, "Request is missing Authentication Token")
	}
	if !parsed {
		return "", accessError(p, badSignature, "Authorization header is not "+algorithm+" with Credential, SignedHeaders and Signature")
	}
	k, known := f.keys.find(a.key)
	if !known || subtle.ConstantTimeCompare([]byte(k.token), []byte(r.Header.Get("X-Amz-Security-Token"))) != 1 {
		return "", accessError(p, unknownKey, "The security token included in the request is invalid.")
	}
	now := f.config.Now()
	payload, problem := payloadHash(r, body)
	if fault := f.checkScope(a, r, now); fault != "" {
		problem = fault
	}
	if problem != "" {
		return "", accessError(p, badSignature, problem)
	}
	want := sign(k.secret, a, r.Header.Get("X-Amz-Date"), canonicalRequest(r, a, payload))
	if subtle.ConstantTimeCompare([]byte(want), []byte(a.signature)) != 1 {
		return "", accessError(p, badSignature, "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.")
	}
	if !k.expires.IsZero() && !now.Before(k.expires) {
		return "", accessError(p, expiredToken, "The security token included in the request is expired")
	}
	return k.principal, nil
}

// checkScope checks everything of a signature that needs no secret. It returns what is wrong in AWS's words, or nothing.
func (f *Front) checkScope(a authorization, r *http.Request, now time.Time) string {
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse(dateFormat, date)
	switch {
	case err != nil:
		return "X-Amz-Date is not of the form YYYYMMDD'T'HHMMSS'Z'"
	case now.Sub(at) > maxSkew:
		return fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - 5 min.)", date, now.Add(-maxSkew).UTC().Format(dateFormat), now.UTC().Format(dateFormat))
	case at.Sub(now) > maxSkew:
		return fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + 5 min.)", date, now.Add(maxSkew).UTC().Format(dateFormat), now.UTC().Format(dateFormat))
	case !strings.HasPrefix(date, a.date+"T"):
		return fmt.Sprintf("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%.8s'", a.date, date)
	case a.region != f.config.Region && !global(a.service):
		return fmt.Sprintf("Credential should be scoped to a valid region, not '%s'.", a.region)
	case a.service == "":
		return "Credential should be scoped to a service."
	}
	if name, known := targets[prefixOf(r)]; known && name != a.service {
		return fmt.Sprintf("Credential should be scoped to correct service: '%s'.", name)
	}
	return checkSigned(a, r)
}

func prefixOf(r *http.Request) string {
	prefix, _, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return prefix
}

// global services are signed for us-east-1 wherever the caller is (General Reference, "AWS service endpoints").
func global(service string) bool {
	switch service {
	case "iam", "cloudfront", "route53", "budgets", "organizations", "sts", "ce":
		return true
	}
	return false
}

// checkSigned demands that the host and every header of Amazon's is covered by the signature, as AWS does.
func checkSigned(a authorization, r *http.Request) string {
	if !slices.Contains(a.headers, "host") {
		return "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
	}
	for name := range r.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz-") && !slices.Contains(a.headers, name) {
			return fmt.Sprintf("'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
		}
	}
	return ""
}

// payloadHash is what the caller must have signed for the body. Only S3 may leave the body unsigned or sign it in chunks.
func payloadHash(r *http.Request, body []byte) (hash, problem string) {
	if body != nil {
		sum := sha256.Sum256(body)
		return hex.EncodeToString(sum[:]), ""
	}
	claimed := r.Header.Get("X-Amz-Content-Sha256")
	switch {
	case claimed == "UNSIGNED-PAYLOAD" || strings.HasPrefix(claimed, "STREAMING-"):
		return claimed, ""
	case len(claimed) != 2*sha256.Size:
		return "", "Missing required header for this request: x-amz-content-sha256"
	}
	r.Body = &hashedBody{ahead: bufio.NewReader(r.Body), body: r.Body, sum: sha256.New(), want: claimed}
	return claimed, ""
}

// hashedBody keeps its last bytes back when it was not the body that was signed, so that nobody stores it.
type hashedBody struct {
	ahead *bufio.Reader
	body  io.Closer
	sum   hash.Hash
	want  string
}

// Read passes the body on, and compares the hash before it gives the end away.
func (b *hashedBody) Read(p []byte) (int, error) {
	n, err := b.ahead.Read(p)
	b.sum.Write(p[:n])
	if _, end := b.ahead.Peek(1); errors.Is(end, io.EOF) && hex.EncodeToString(b.sum.Sum(nil)) != b.want {
		return 0, errors.New("XAmzContentSHA256Mismatch: the provided x-amz-content-sha256 header does not match what was computed")
	}
	return n, err //nolint:wrapcheck // io.EOF must stay itself
}

// Close closes the body that is read.
func (b *hashedBody) Close() error {
	return b.body.Close() //nolint:wrapcheck // the caller's own body
}

// canonicalRequest follows "Create a signed AWS API request", step 1, of the IAM user guide.
func canonicalRequest(r *http.Request, a authorization, payload string) string {
	var b strings.Builder
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	if a.service != "s3" {
		path = encode(path, true)
	}
	b.WriteString(r.Method + "\n" + path + "\n" + canonicalQuery(r.URL.Query()) + "\n")
	for _, name := range a.headers {
		b.WriteString(name + ":" + headerValue(r, name) + "\n")
	}
	b.WriteString("\n" + strings.Join(a.headers, ";") + "\n" + payload)
	return b.String()
}

// headerValue is a header as it is signed: its values trimmed, joined by commas, runs of spaces made one.
func headerValue(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	values := r.Header.Values(name)
	trimmed := make([]string, len(values))
	for i, v := range values {
		trimmed[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(trimmed, ",")
}

func canonicalQuery(query url.Values) string {
	var pairs []string
	for name, values := range query {
		for _, v := range values {
			pairs = append(pairs, encode(name, false)+"="+encode(v, false))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// encode escapes every byte but the unreserved characters of RFC 3986.
func encode(s string, keepSlash bool) string {
	var b bytes.Buffer
	for _, c := range []byte(s) {
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 || keepSlash && c == '/' {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// sign follows steps 2 to 4 of the same page.
func sign(secret string, a authorization, date, canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	scope := a.date + "/" + a.region + "/" + a.service + "/aws4_request"
	message := algorithm + "\n" + date + "\n" + scope + "\n" + hex.EncodeToString(sum[:])
	k := []byte("AWS4" + secret)
	for _, part := range []string{a.date, a.region, a.service, "aws4_request"} {
		k = mac(k, part)
	}
	return hex.EncodeToString(mac(k, message))
}

func mac(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}
