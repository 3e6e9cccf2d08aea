package aws

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
)

// kms refuses keys that cannot be used and binds the encryption context as KMS does.
func (f *Front) kms(q *request) (*answer, error) {
	switch q.Action {
	case "Encrypt", "Decrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext", "ReEncrypt":
		if err := f.checkKeys(q); err != nil {
			return nil, err
		}
		bound, err := bindContexts(q)
		if err != nil {
			return nil, err
		}
		return f.forward(bound)
	case "Sign", "Verify", "GenerateMac", "VerifyMac", "GetPublicKey", "DeriveSharedSecret":
		if err := f.checkKeys(q); err != nil {
			return nil, err
		}
	case "EnableKey", "DisableKey", "UpdateAlias", "EnableKeyRotation", "DisableKeyRotation":
		if err := f.checkNotPending(q, text(q.Body, "KeyId")+text(q.Body, "TargetKeyId")); err != nil {
			return nil, err
		}
	}
	return f.forward(q)
}

// checkKeys checks every key that the call uses, named or found in its ciphertext.
func (f *Front) checkKeys(q *request) error {
	sealed := sealedUnder(text(q.Body, "CiphertextBlob"))
	for _, name := range []string{text(q.Body, "KeyId"), text(q.Body, "SourceKeyId"), text(q.Body, "DestinationKeyId"), sealed} {
		if name == "" {
			continue
		}
		if err := f.checkUsable(q, name); err != nil {
			return err
		}
	}
	named := text(q.Body, "SourceKeyId")
	if q.Action == "Decrypt" {
		named = text(q.Body, "KeyId")
	}
	if named == "" || sealed == "" {
		return nil
	}
	meta, err := f.describeKey(q, named)
	if err == nil && meta != nil && text(meta, "KeyId") != sealed {
		return refuse("IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
	}
	return err
}

// sealedUnder is the key id at the head of moto's ciphertexts.
func sealedUnder(blob string) string {
	raw, err := base64.StdEncoding.DecodeString(blob)
	if err != nil || len(raw) < 36 {
		return ""
	}
	return string(raw[:36])
}

// checkUsable follows "Key states of AWS KMS keys": cryptographic operations need an enabled key.
func (f *Front) checkUsable(q *request, name string) error {
	meta, err := f.describeKey(q, name)
	if err != nil || meta == nil {
		return err
	}
	switch text(meta, "KeyState") {
	case "Disabled":
		return refuse("DisabledException", "%s is disabled.", text(meta, "Arn"))
	case "PendingDeletion":
		return pendingDeletion(meta)
	}
	return nil
}

func (f *Front) checkNotPending(q *request, name string) error {
	meta, err := f.describeKey(q, name)
	if err == nil && text(meta, "KeyState") == "PendingDeletion" {
		return pendingDeletion(meta)
	}
	return err
}

func pendingDeletion(meta map[string]any) error {
	return refuse("KMSInvalidStateException", "%s is pending deletion.", text(meta, "Arn"))
}

// describeKey is nil for a key that does not exist: moto then says so itself.
func (f *Front) describeKey(q *request, name string) (map[string]any, error) {
	a, err := f.ask(q.ctx, "kms", "TrentService.DescribeKey", map[string]any{"KeyId": name})
	if err != nil || !a.ok() {
		return nil, err
	}
	return object(a.fields(), "KeyMetadata"), nil
}

// bindContexts replaces encryption contexts by one pair that holds their hash. Moto authenticates keys and values strung
// together, so that {"a":"b"} would open what {"ab":""} sealed ("Encryption context", AWS KMS developer guide).
func bindContexts(q *request) (*request, error) {
	for _, name := range []string{"EncryptionContext", "SourceEncryptionContext", "DestinationEncryptionContext"} {
		if len(object(q.Body, name)) == 0 {
			continue
		}
		canonical, err := json.Marshal(object(q.Body, name))
		if err != nil {
			return nil, refuse("ValidationException", "%s is not a map of strings", name)
		}
		sum := sha256.Sum256(canonical)
		if q, err = q.set(name, map[string]any{"context": hex.EncodeToString(sum[:])}); err != nil {
			return nil, err
		}
	}
	return q, nil
}
