package aws

// current is the label of the version that a read without a version or label returns ("GetSecretValue").
const current = "AWSCURRENT"

// secrets makes reads follow the label AWSCURRENT and refuses deleted secrets.
func (f *Front) secrets(q *request) (*answer, error) {
	switch q.Action {
	case "GetSecretValue":
		return f.getSecret(q)
	case "BatchGetSecretValue":
		return f.batchGetSecrets(q)
	case "PutSecretValue", "UpdateSecret", "UpdateSecretVersionStage":
		if err := f.checkNotDeleted(q, text(q.Body, "SecretId")); err != nil {
			return nil, err
		}
	}
	return f.forward(q)
}

func (f *Front) getSecret(q *request) (*answer, error) {
	stage := text(q.Body, "VersionStage")
	if stage == "" && text(q.Body, "VersionId") == "" {
		stage = current
	}
	if stage == "" {
		return f.forward(q)
	}
	staged, err := q.set("VersionStage", stage)
	if err != nil {
		return nil, err
	}
	a, err := f.forward(staged)
	if err != nil || a.ok() {
		return a, err
	}
	if err := f.checkNotDeleted(q, text(q.Body, "SecretId")); err != nil {
		return nil, err
	}
	if a.code() != "ResourceNotFoundException" {
		return a, nil
	}
	if known, err := f.describeSecret(q, text(q.Body, "SecretId")); err != nil || known == nil {
		return a, err
	}
	return nil, refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: %s", stage)
}

// batchGetSecrets reads each secret by itself, so that one without a value is an entry of Errors and not the end of it all.
func (f *Front) batchGetSecrets(q *request) (*answer, error) {
	ids := list(q.Body, "SecretIdList")
	if len(ids) == 0 {
		return f.forward(q)
	}
	values, failed := []any{}, []any{}
	for _, id := range ids {
		one, err := q.with(map[string]any{"SecretId": id})
		if err != nil {
			return nil, err
		}
		one.http = q.http.Clone(q.ctx)
		one.http.Header.Set("X-Amz-Target", "secretsmanager.GetSecretValue")
		a, err := f.getSecret(one)
		if e := asAPIError(err); e != nil {
			failed = append(failed, map[string]any{"SecretId": id, "ErrorCode": e.code, "Message": e.message})
			continue
		}
		switch {
		case err != nil:
			return nil, err
		case a.ok():
			values = append(values, a.fields())
		default:
			failed = append(failed, map[string]any{"SecretId": id, "ErrorCode": a.code(), "Message": a.message()})
		}
	}
	return success(map[string]any{"SecretValues": values, "Errors": failed})
}

func (f *Front) checkNotDeleted(q *request, id string) error {
	secret, err := f.describeSecret(q, id)
	if err == nil && secret["DeletedDate"] != nil {
		return refuse("InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion.")
	}
	return err
}

// describeSecret is nil for a secret that does not exist.
func (f *Front) describeSecret(q *request, id string) (map[string]any, error) {
	a, err := f.ask(q.ctx, "secretsmanager", "secretsmanager.DescribeSecret", map[string]any{"SecretId": id})
	if err != nil || !a.ok() {
		return nil, err
	}
	return a.fields(), nil
}
