package lambda

import (
	"context"
	"fmt"
	"sort"
	"strings"
)

// environment is all that a sandbox sees: page "Defined runtime environment variables" less what the OS-only runtimes
// do not have (AWS_EXECUTION_ENV, the X-Ray daemon), plus the endpoint of the local cloud and a private TMPDIR.
func (r *Runtime) environment(ctx context.Context, f *function, api, tmp string) ([]string, error) {
	id, secret, token, err := r.cfg.Credentials(ctx, f.RoleARN)
	if err != nil {
		return nil, fmt.Errorf("credentials of role %s: %w", f.RoleARN, err)
	}
	region := strings.Split(f.ARN, ":")[3]
	env := map[string]string{
		"LANG": "en_US.UTF-8", "TZ": ":UTC", "PATH": "/usr/local/bin:/usr/bin/:/bin:/opt/bin", "TMPDIR": tmp,
	}
	for name, value := range f.Environment {
		env[name] = value
	}
	for name, value := range map[string]string{
		"_HANDLER":                        f.Handler,
		"LAMBDA_TASK_ROOT":                f.root,
		"LAMBDA_RUNTIME_DIR":              f.root,
		"AWS_LAMBDA_RUNTIME_API":          api,
		"AWS_LAMBDA_FUNCTION_NAME":        f.Name(),
		"AWS_LAMBDA_FUNCTION_VERSION":     f.Version,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": fmt.Sprint(f.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       f.LogGroup,
		"AWS_LAMBDA_LOG_STREAM_NAME":      r.logStream(f),
		"AWS_REGION":                      region,
		"AWS_DEFAULT_REGION":              region,
		"AWS_ACCESS_KEY_ID":               id,
		"AWS_SECRET_ACCESS_KEY":           secret,
		"AWS_SESSION_TOKEN":               token,
	} {
		env[name] = value
	}
	if r.cfg.Endpoint != "" {
		env["AWS_ENDPOINT_URL"] = r.cfg.Endpoint
	}
	return pairs(env), nil
}

func (r *Runtime) logStream(f *function) string {
	return fmt.Sprintf("%s/[%s]%s", r.cfg.Now().UTC().Format("2006/01/02"), f.Version, randomHex(16))
}

func pairs(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	sort.Strings(list)
	return list
}

// reservedNames are the names in env that Lambda refuses to set (same page, "Reserved environment variables").
func reservedNames(env map[string]string) []string {
	var reserved []string
	for name := range env {
		switch {
		case strings.HasPrefix(name, "AWS_LAMBDA_") && name != "AWS_LAMBDA_LOG_LEVEL" && name != "AWS_LAMBDA_LOG_FORMAT",
			strings.HasPrefix(name, "LAMBDA_"):
			reserved = append(reserved, name)
			continue
		}
		switch name {
		case "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV",
			"AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN":
			reserved = append(reserved, name)
		}
	}
	sort.Strings(reserved)
	return reserved
}
