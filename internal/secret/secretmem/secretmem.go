// Package secretmem is Secrets Manager in memory, for tests: the calls that read, write and rotate a secret, with
// versions and staging labels as the API reference says, and errors as the SDK gives them. It knows no policies, KMS keys,
// replicas or binary values; versions without a label stay readable by their id.
package secretmem

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/expenzez/aws-backend/internal/secret"
)

const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
)

// Vault is the secrets of an account. It is safe for concurrent use.
type Vault struct {
	mu      sync.Mutex
	secrets map[string]*held // by name
	fails   map[string]error
	calls   []string
	made    int // versions, for their ids
}

var _ secret.API = (*Vault)(nil)

type held struct {
	name     string
	versions map[string]string // texts by version id
	stages   map[string]string // version ids by staging label
	deleted  bool
}

// New makes an empty vault.
func New() *Vault { return &Vault{secrets: map[string]*held{}, fails: map[string]error{}} }

// Fail makes a call, by its name, fail with err, or work again with nil.
func (v *Vault) Fail(call string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fails[call] = err
}

// Calls are the names of the calls so far, in order, refused ones included.
func (v *Vault) Calls() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.calls)
}

// begin is the beginning of every call. It must be under v.mu.
func (v *Vault) begin(ctx context.Context, call string) error {
	v.calls = append(v.calls, call)
	if err := ctx.Err(); err != nil {
		return err
	}
	return v.fails[call]
}

func arn(name string) string {
	return "arn:aws:secretsmanager:eu-west-2:111122223333:secret:" + name + "-AbCdEf"
}

// find is a secret by name or ARN.
func (v *Vault) find(id string) (*held, error) {
	for name, s := range v.secrets {
		if id != name && id != arn(name) {
			continue
		}
		if s.deleted {
			return nil, &types.InvalidRequestException{Message: aws.String("You can't perform this operation on the secret because it was marked for deletion.")}
		}
		return s, nil
	}
	return nil, &types.ResourceNotFoundException{Message: aws.String("Secrets Manager can't find the specified secret.")}
}

// CreateSecret makes a secret, with a first version when there is a text.
func (v *Vault) CreateSecret(ctx context.Context, in *sm.CreateSecretInput, _ ...func(*sm.Options)) (*sm.CreateSecretOutput, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.begin(ctx, "CreateSecret"); err != nil {
		return nil, err
	}
	name := aws.ToString(in.Name)
	if v.secrets[name] != nil {
		return nil, &types.ResourceExistsException{Message: aws.String("The operation failed because the secret " + name + " already exists.")}
	}
	s := &held{name: name, versions: map[string]string{}, stages: map[string]string{}}
	v.secrets[name] = s
	out := &sm.CreateSecretOutput{ARN: aws.String(arn(name)), Name: &name}
	if in.SecretString != nil {
		id := v.version(in.ClientRequestToken)
		s.versions[id] = *in.SecretString
		s.move(current, id)
		out.VersionId = &id
	}
	return out, nil
}

// version is the id of a new version: the token, which the SDK makes where there is none.
func (v *Vault) version(token *string) string {
	if token != nil {
		return *token
	}
	v.made++
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", v.made)
}

// move attaches a label to a version, and takes it from another. AWSPREVIOUS goes where AWSCURRENT leaves.
func (s *held) move(stage, id string) {
	was := s.stages[stage]
	s.stages[stage] = id
	if stage != current || was == id {
		return
	}
	if was != "" {
		s.stages[previous] = was
	} else if s.stages[previous] == id {
		delete(s.stages, previous)
	}
}

// labels are the labels of a version.
func (s *held) labels(id string) (all []string) {
	for _, stage := range slices.Sorted(maps.Keys(s.stages)) {
		if s.stages[stage] == id {
			all = append(all, stage)
		}
	}
	return all
}

// PutSecretValue adds a version. Without labels it becomes the current one, and a first version is that in any case. The
// same version twice is one; another text under its id is refused.
func (v *Vault) PutSecretValue(ctx context.Context, in *sm.PutSecretValueInput, _ ...func(*sm.Options)) (*sm.PutSecretValueOutput, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.begin(ctx, "PutSecretValue"); err != nil {
		return nil, err
	}
	s, err := v.find(aws.ToString(in.SecretId))
	if err != nil {
		return nil, err
	}
	if in.SecretString == nil {
		return nil, &types.InvalidParameterException{Message: aws.String("You must provide either SecretString or SecretBinary.")}
	}
	id, text := v.version(in.ClientRequestToken), *in.SecretString
	had, exists := s.versions[id]
	if exists && had != text {
		return nil, &types.ResourceExistsException{Message: aws.String("You can't use ClientRequestToken " + id + " because that value is already in use for a version of this secret.")}
	}
	if !exists {
		stages := slices.Clone(in.VersionStages)
		if len(stages) == 0 || len(s.versions) == 0 && !slices.Contains(stages, current) {
			stages = append(stages, current)
		}
		s.versions[id] = text
		for _, stage := range stages {
			s.move(stage, id)
		}
	}
	return &sm.PutSecretValueOutput{ARN: aws.String(arn(s.name)), Name: &s.name, VersionId: &id, VersionStages: s.labels(id)}, nil
}

// UpdateSecretVersionStage moves a label, attaches it or takes it away. A label that is attached has to be taken from
// where it is.
func (v *Vault) UpdateSecretVersionStage(ctx context.Context, in *sm.UpdateSecretVersionStageInput, _ ...func(*sm.Options)) (*sm.UpdateSecretVersionStageOutput, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.begin(ctx, "UpdateSecretVersionStage"); err != nil {
		return nil, err
	}
	s, err := v.find(aws.ToString(in.SecretId))
	if err != nil {
		return nil, err
	}
	stage, from, to := aws.ToString(in.VersionStage), aws.ToString(in.RemoveFromVersionId), aws.ToString(in.MoveToVersionId)
	_, known := s.versions[to]
	switch {
	case s.stages[stage] != from && s.stages[stage] != to:
		return nil, &types.InvalidParameterException{Message: aws.String("The label " + stage + " is attached to version " + s.stages[stage] + ", so RemoveFromVersionId has to be that.")}
	case to == "" && stage == current:
		return nil, &types.InvalidParameterException{Message: aws.String("You can't remove AWSCURRENT without moving it to another version.")}
	case to == "":
		delete(s.stages, stage)
	case !known:
		return nil, &types.InvalidParameterException{Message: aws.String("Not a valid version: " + to)}
	default:
		s.move(stage, to)
	}
	return &sm.UpdateSecretVersionStageOutput{ARN: aws.String(arn(s.name)), Name: &s.name}, nil
}

// DeleteSecret marks a secret for deletion: from then on it refuses every call.
func (v *Vault) DeleteSecret(ctx context.Context, in *sm.DeleteSecretInput, _ ...func(*sm.Options)) (*sm.DeleteSecretOutput, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.begin(ctx, "DeleteSecret"); err != nil {
		return nil, err
	}
	s, err := v.find(aws.ToString(in.SecretId))
	if err != nil {
		return nil, err
	}
	s.deleted = true
	return &sm.DeleteSecretOutput{ARN: aws.String(arn(s.name)), Name: &s.name}, nil
}

// GetSecretValue is a version by its label or id, the current one without either.
func (v *Vault) GetSecretValue(ctx context.Context, in *sm.GetSecretValueInput, _ ...func(*sm.Options)) (*sm.GetSecretValueOutput, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.begin(ctx, "GetSecretValue"); err != nil {
		return nil, err
	}
	s, err := v.find(aws.ToString(in.SecretId))
	if err != nil {
		return nil, err
	}
	stage, id := aws.ToString(in.VersionStage), aws.ToString(in.VersionId)
	if stage == "" && id == "" {
		stage = current
	}
	switch {
	case id == "":
		id = s.stages[stage]
	case stage != "" && s.stages[stage] != id:
		return nil, &types.InvalidRequestException{Message: aws.String("You provided a VersionStage that is not associated to the provided VersionId.")}
	}
	text, ok := s.versions[id]
	if !ok {
		return nil, &types.ResourceNotFoundException{Message: aws.String("Secrets Manager can't find the specified secret value.")}
	}
	return &sm.GetSecretValueOutput{ARN: aws.String(arn(s.name)), Name: &s.name, SecretString: &text, VersionId: &id, VersionStages: s.labels(id)}, nil
}
