package secretmem_test

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/secret/secretmem"
)

func ptr(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// rotated is a vault whose secret s has the versions 1 (previous) and 2 (current) and 3 (pending).
func rotated(t *testing.T) *secretmem.Vault {
	t.Helper()
	v := secretmem.New()
	_, err := v.CreateSecret(t.Context(), &sm.CreateSecretInput{Name: aws.String("s")})
	require.NoError(t, err)
	put := func(version string, stages ...string) {
		_, err = v.PutSecretValue(t.Context(), &sm.PutSecretValueInput{SecretId: aws.String("s"), SecretString: &version, ClientRequestToken: &version, VersionStages: stages})
		require.NoError(t, err)
	}
	put("1", "AWSPENDING") // the first is current in any case
	put("2")
	put("3", "AWSPENDING")
	return v
}

func TestReads(t *testing.T) {
	t.Parallel()
	v := rotated(t)
	cases := map[string]struct{ id, version, stage, want, err string }{
		"current":         {id: "s", want: "2"},
		"by_label":        {id: "s", stage: "AWSPREVIOUS", want: "1"},
		"pending":         {id: "s", stage: "AWSPENDING", want: "3"},
		"by_version":      {id: "s", version: "1", want: "1"},
		"by_both":         {id: "s", version: "1", stage: "AWSPREVIOUS", want: "1"},
		"by_arn":          {id: "arn:aws:secretsmanager:eu-west-2:111122223333:secret:s-AbCdEf", want: "2"},
		"not_both":        {id: "s", version: "1", stage: "AWSCURRENT", err: "InvalidRequestException"},
		"no_such_label":   {id: "s", stage: "OTHER", err: "ResourceNotFoundException"},
		"no_such_version": {id: "s", version: "9", err: "ResourceNotFoundException"},
		"no_such_secret":  {id: "t", err: "ResourceNotFoundException"},
		"no_id":           {err: "ResourceNotFoundException"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := v.GetSecretValue(t.Context(), &sm.GetSecretValueInput{SecretId: ptr(c.id), VersionId: ptr(c.version), VersionStage: ptr(c.stage)})
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				require.Nil(t, out)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, *out.SecretString)
			require.Equal(t, c.want, *out.VersionId)
		})
	}
}

func TestPuts(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ id, token, text, err, current, previous string }{
		"again_the_same":    {id: "s", token: "2", text: "2", current: "2", previous: "1"},
		"again_an_old_one":  {id: "s", token: "1", text: "1", current: "2", previous: "1"},
		"same_id_otherwise": {id: "s", token: "2", text: "x", err: "ResourceExistsException", current: "2", previous: "1"},
		"no_text":           {id: "s", token: "4", err: "InvalidParameterException", current: "2", previous: "1"},
		"no_such_secret":    {id: "t", token: "4", text: "4", err: "ResourceNotFoundException", current: "2", previous: "1"},
		"another":           {id: "s", token: "4", text: "4", current: "4", previous: "2"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := rotated(t)
			_, err := v.PutSecretValue(t.Context(), &sm.PutSecretValueInput{SecretId: &c.id, SecretString: ptr(c.text), ClientRequestToken: &c.token})
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
			} else {
				require.NoError(t, err)
			}
			has(t, v, c.current, c.previous)
		})
	}
}

func has(t *testing.T, v *secretmem.Vault, current, previous string) {
	t.Helper()
	for stage, want := range map[string]string{"AWSCURRENT": current, "AWSPREVIOUS": previous} {
		out, err := v.GetSecretValue(t.Context(), &sm.GetSecretValueInput{SecretId: aws.String("s"), VersionStage: &stage})
		require.NoError(t, err)
		require.Equal(t, want, *out.SecretString, stage)
	}
}

func TestMoves(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ stage, from, to, err, current, previous string }{
		"forth":             {"AWSCURRENT", "2", "3", "", "3", "2"},
		"back":              {"AWSCURRENT", "2", "1", "", "1", "2"},
		"to_where_it_is":    {"AWSCURRENT", "2", "2", "", "2", "1"},
		"from_elsewhere":    {"AWSCURRENT", "1", "3", "InvalidParameterException", "2", "1"},
		"from_nowhere":      {"AWSCURRENT", "", "3", "InvalidParameterException", "2", "1"},
		"to_nothing":        {"AWSCURRENT", "2", "9", "InvalidParameterException", "2", "1"},
		"current_taken":     {"AWSCURRENT", "2", "", "InvalidParameterException", "2", "1"},
		"pending_taken":     {"AWSPENDING", "3", "", "", "2", "1"},
		"a_new_label":       {"MINE", "", "1", "", "2", "1"},
		"a_label_not_there": {"MINE", "1", "2", "InvalidParameterException", "2", "1"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := rotated(t)
			_, err := v.UpdateSecretVersionStage(t.Context(), &sm.UpdateSecretVersionStageInput{SecretId: aws.String("s"), VersionStage: &c.stage,
				RemoveFromVersionId: ptr(c.from), MoveToVersionId: ptr(c.to)})
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
			} else {
				require.NoError(t, err)
			}
			has(t, v, c.current, c.previous)
		})
	}
}

func TestADeletedSecretRefusesEverything(t *testing.T) {
	t.Parallel()
	v, s := rotated(t), aws.String("s")
	_, err := v.DeleteSecret(t.Context(), &sm.DeleteSecretInput{SecretId: s})
	require.NoError(t, err)
	_, err = v.DeleteSecret(t.Context(), &sm.DeleteSecretInput{SecretId: s})
	require.ErrorContains(t, err, "InvalidRequestException")
	_, err = v.GetSecretValue(t.Context(), &sm.GetSecretValueInput{SecretId: s})
	require.ErrorContains(t, err, "InvalidRequestException")
	_, err = v.PutSecretValue(t.Context(), &sm.PutSecretValueInput{SecretId: s, SecretString: s})
	require.ErrorContains(t, err, "InvalidRequestException")
	_, err = v.UpdateSecretVersionStage(t.Context(), &sm.UpdateSecretVersionStageInput{SecretId: s, VersionStage: aws.String("X"), MoveToVersionId: aws.String("1")})
	require.ErrorContains(t, err, "InvalidRequestException")
	_, err = v.CreateSecret(t.Context(), &sm.CreateSecretInput{Name: s})
	require.ErrorContains(t, err, "ResourceExistsException")
}

func TestCallsFailAsTold(t *testing.T) {
	t.Parallel()
	v, s, down := secretmem.New(), aws.String("s"), errors.New("down")
	calls := map[string]func(context.Context) error{
		"CreateSecret": func(ctx context.Context) error {
			_, err := v.CreateSecret(ctx, &sm.CreateSecretInput{Name: s})
			return err
		},
		"PutSecretValue": func(ctx context.Context) error {
			_, err := v.PutSecretValue(ctx, &sm.PutSecretValueInput{})
			return err
		},
		"UpdateSecretVersionStage": func(ctx context.Context) error {
			_, err := v.UpdateSecretVersionStage(ctx, &sm.UpdateSecretVersionStageInput{})
			return err
		},
		"DeleteSecret": func(ctx context.Context) error { _, err := v.DeleteSecret(ctx, &sm.DeleteSecretInput{}); return err },
		"GetSecretValue": func(ctx context.Context) error {
			_, err := v.GetSecretValue(ctx, &sm.GetSecretValueInput{})
			return err
		},
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range calls {
		v.Fail(name, down)
		require.ErrorIs(t, call(t.Context()), down, name)
		v.Fail(name, nil)
		require.NotErrorIs(t, call(t.Context()), down, name)
		require.ErrorIs(t, call(ended), context.Canceled, name)
	}
	require.Len(t, v.Calls(), 3*len(calls))
}
