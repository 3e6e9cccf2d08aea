package aws

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"
)

// apiError is an error as AWS answers it.
type apiError struct {
	status  int
	code    string
	message string
}

// Error names the error as the SDKs do.
func (e *apiError) Error() string { return e.code + ": " + e.message }

// refuse is an error of status 400, which JSON services use for everything that the caller did wrong.
func refuse(code, format string, args ...any) error {
	return &apiError{status: http.StatusBadRequest, code: code, message: fmt.Sprintf(format, args...)}
}

// asAPIError is the error as AWS answers it, nil if it is none of those.
func asAPIError(err error) *apiError {
	var e *apiError
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// protocol is how a service speaks (Smithy's names: awsJson1_0 and 1_1, awsQuery, restXml, restJson1).
type protocol int

const (
	jsonProtocol protocol = iota
	queryProtocol
	xmlProtocol
	restProtocol
)

func protocolOf(r *http.Request, service string) protocol {
	switch {
	case r.Header.Get("X-Amz-Target") != "":
		return jsonProtocol
	case service == "s3":
		return xmlProtocol
	case strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
		return queryProtocol
	}
	return restProtocol
}

// The refusals before a call reaches its service. Names and status differ by protocol; they are those of the services' pages
// "Common errors" (DynamoDB, KMS: JSON; SNS, STS: query), of Lambda's (REST), and of "Error responses" of S3.
type refusal int

const (
	noToken refusal = iota
	unknownKey
	badSignature
	expiredToken
	denied
)

func accessError(p protocol, kind refusal, message string) error {
	names := map[protocol][]string{
		jsonProtocol:  {"MissingAuthenticationTokenException", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException", "AccessDeniedException"},
		queryProtocol: {"MissingAuthenticationToken", "InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken", "AccessDenied"},
		xmlProtocol:   {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "AccessDenied"},
		restProtocol:  {"MissingAuthenticationTokenException", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException", "AccessDeniedException"},
	}
	status := http.StatusForbidden
	if p == jsonProtocol {
		status = http.StatusBadRequest
	}
	return &apiError{status: status, code: names[p][kind], message: message}
}

func accessDenied(r *http.Request, c Call, cause error) error {
	return accessError(protocolOf(r, c.Service), denied, cause.Error())
}

// render writes an error in the shape of the call's protocol. An error that is not AWS's own is hidden and logged.
func (f *Front) render(w http.ResponseWriter, r *http.Request, c Call, err error) {
	var e *apiError
	if !errors.As(err, &e) {
		f.config.Log.Error("call failed in the front", "service", c.Service, "action", c.Action, "error", err)
		e = &apiError{status: http.StatusInternalServerError, code: "InternalServerError", message: "the local cloud failed; its log says why"}
	}
	id := randomText(hexDigits, 32)
	w.Header().Set("X-Amzn-Requestid", id)
	body, kind := e.body(protocolOf(r, c.Service), c.Service, id)
	w.Header().Set("Content-Type", kind)
	w.Header().Set("X-Amzn-Errortype", e.code)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if c.Service == "dynamodb" {
		w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	}
	w.WriteHeader(e.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a caller that left wants no answer
	}
}

type xmlError struct {
	Code      string
	Message   string
	RequestID string `xml:"RequestId"`
}

type queryError struct {
	XMLName   xml.Name `xml:"ErrorResponse"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

// body encodes the error; marshaling strings cannot fail.
func (e *apiError) body(p protocol, service, id string) (body []byte, contentType string) {
	switch p {
	case jsonProtocol:
		name := e.code
		if service == "dynamodb" {
			name = "com.amazonaws.dynamodb.v20120810#" + e.code
		}
		body, _ = json.Marshal(map[string]string{"__type": name, "message": e.message})
		return body, "application/x-amz-json-1.1"
	case queryProtocol:
		body, _ = xml.Marshal(queryError{Type: "Sender", Code: e.code, Message: e.message, RequestID: id})
		return body, "text/xml"
	case xmlProtocol:
		body, _ = xml.Marshal(struct {
			XMLName xml.Name `xml:"Error"`
			xmlError
		}{xmlError: xmlError{e.code, e.message, id}})
		return body, "application/xml"
	}
	body, _ = json.Marshal(map[string]string{"message": e.message})
	return body, "application/json"
}
