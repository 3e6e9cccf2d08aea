package deployment

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
)

// The engine marks its special objects by a signature under a well-known key
// (github.com/pulumi/pulumi sdk/go/common/resource: SigKey, SecretSig, and asset, archive and resource reference signatures).
const (
	signatureKey       = "4dabf18193072939515e22adb298388d"
	secretSignature    = "1b47061264138c4ac30d75fd1eb44270"
	assetSignature     = "c44067f5952c0a294b673a41bacd8c17"
	archiveSignature   = "0def7320c3a5731c473e5ecbe6d01bc7"
	referenceSignature = "5cf8f73096256a8f31e491e813e4eb8e"
)

// Secret stands where the export holds only ciphertext. It carries no value, so it can be printed and compared.
type Secret struct{}

// String is what a secret shows everywhere.
func (Secret) String() string { return "[secret]" }

// Asset is one file or text that was uploaded.
type Asset struct{ Path, Text, URI, Hash string }

// Archive is a bundle that was uploaded, such as a function's zip: a path or URI, or named members.
type Archive struct {
	Path, URI, Hash string
	Members         map[string]any
}

// Reference points to another resource.
type Reference struct{ URN, ID string }

// properties converts a resource's property map; the error starts with the path, as in `.code.path: …`.
func properties(raw map[string]any) (map[string]any, error) {
	converted := make(map[string]any, len(raw))
	for _, key := range sortedKeys(raw) {
		value, err := convert(raw[key])
		if err != nil {
			return nil, fmt.Errorf(".%s%w", key, err)
		}
		converted[key] = value
	}
	return converted, nil
}

func convert(raw any) (any, error) {
	switch v := raw.(type) {
	case map[string]any:
		if signature, ok := v[signatureKey].(string); ok {
			return special(signature, v)
		}
		return properties(v)
	case []any:
		converted := make([]any, len(v))
		for i, element := range v {
			value, err := convert(element)
			if err != nil {
				return nil, fmt.Errorf("[%d]%w", i, err)
			}
			converted[i] = value
		}
		return converted, nil
	default:
		return raw, nil
	}
}

func special(signature string, v map[string]any) (any, error) {
	switch signature {
	case secretSignature:
		return unwrap(v)
	case assetSignature:
		return Asset{Path: text(v["path"]), Text: text(v["text"]), URI: text(v["uri"]), Hash: text(v["hash"])}, nil
	case archiveSignature:
		members, ok := v["assets"].(map[string]any)
		if !ok && v["assets"] != nil {
			return nil, fmt.Errorf(": an archive's assets are %T, not an object", v["assets"])
		}
		converted, err := properties(members)
		if err != nil {
			return nil, fmt.Errorf(".assets%w", err)
		}
		return Archive{Path: text(v["path"]), URI: text(v["uri"]), Hash: text(v["hash"]), Members: converted}, nil
	case referenceSignature:
		return Reference{URN: text(v["urn"]), ID: text(v["id"])}, nil
	default:
		return nil, fmt.Errorf(": special object of unknown signature %q; read it with a newer version", signature)
	}
}

// unwrap opens a secret whose plaintext is shown (`--show-secrets`, Automation API). The error holds no plaintext.
func unwrap(v map[string]any) (any, error) {
	plaintext, shown := v["plaintext"]
	if !shown {
		return Secret{}, nil
	}
	encoded, ok := plaintext.(string)
	if !ok {
		return nil, fmt.Errorf(": a secret's plaintext is %T, not a string of JSON", plaintext)
	}
	var decoded any
	if json.Unmarshal([]byte(encoded), &decoded) != nil {
		return nil, fmt.Errorf(": a secret's plaintext is not JSON")
	}
	return convert(decoded)
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// Value follows keys (and list indexes, as decimal strings) through the outputs and, where they lead nowhere, through the
// inputs: outputs are what the provider says exists. ok is false where neither has it or the value is null.
func (r *Resource) Value(path ...string) (value any, ok bool) {
	if value, ok := Lookup(r.Outputs, path...); ok {
		return value, true
	}
	return Lookup(r.Inputs, path...)
}

// Text is Value where it is a string, else "".
func (r *Resource) Text(path ...string) string {
	value, _ := r.Value(path...)
	return text(value)
}

// Number is Value where it is a number.
func (r *Resource) Number(path ...string) (number float64, ok bool) {
	value, _ := r.Value(path...)
	number, ok = value.(float64)
	return number, ok
}

// Flag is Value where it is a boolean, else false.
func (r *Resource) Flag(path ...string) bool {
	value, _ := r.Value(path...)
	flag, _ := value.(bool)
	return flag
}

// Lookup follows keys and list indexes through nested maps and lists; null counts as absent.
func Lookup(value any, path ...string) (found any, ok bool) {
	for _, key := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(v) {
				return nil, false
			}
			value = v[i]
		default:
			return nil, false
		}
	}
	return value, value != nil
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
