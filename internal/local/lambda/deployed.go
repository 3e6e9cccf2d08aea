package lambda

import (
	"errors"
	"fmt"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/expenzez/aws-backend/internal/deployment"
)

// FromDeployment reads the functions and their aliases out of a deployment. A relative code path is taken from dir, the
// directory the program ran in. The error lists every function that cannot be run, and why.
func FromDeployment(d *deployment.Deployment, dir string) ([]Function, error) {
	aliases := map[string][]string{}
	for _, alias := range d.ByType("aws:lambda/alias:Alias") {
		name := alias.Text("functionName")
		name = name[strings.LastIndexByte(name, ':')+1:] // it may be an ARN
		aliases[name] = append(aliases[name], alias.Text("name"))
	}
	var functions []Function
	var problems []error
	for _, r := range d.ByType("aws:lambda/function:Function") {
		f, err := fromResource(r, dir)
		if err != nil {
			problems = append(problems, fmt.Errorf("lambda: function %q: %w", r.Name, err))
			continue
		}
		f.Aliases = aliases[f.Name()]
		sort.Strings(f.Aliases)
		functions = append(functions, f)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return functions, nil
}

func fromResource(r *deployment.Resource, dir string) (Function, error) {
	code, err := codePath(r, dir)
	environment, envErr := variables(r)
	if err = errors.Join(err, envErr); err != nil {
		return Function{}, err
	}
	memory, _ := r.Number("memorySize")
	timeout, _ := r.Number("timeout")
	f := Function{
		ARN: r.Text("arn"), Version: r.Text("version"), Code: code,
		Runtime: r.Text("runtime"), Handler: r.Text("handler"), Environment: environment,
		MemoryMB: int(memory), Timeout: time.Duration(timeout) * time.Second,
		RoleARN: r.Text("role"), LogGroup: r.Text("loggingConfig", "logGroup"),
	}
	if reserved, ok := r.Number("reservedConcurrentExecutions"); ok && reserved != reservedConcurrencyNone {
		limit := int(reserved)
		f.ReservedConcurrency = &limit
	}
	return f, nil
}

func codePath(r *deployment.Resource, dir string) (string, error) {
	value, _ := r.Value("code")
	archive, ok := value.(deployment.Archive)
	if !ok || archive.Path == "" {
		return "", errors.New("its code is not a local file archive, and only those are run locally")
	}
	if filepath.IsAbs(archive.Path) {
		return archive.Path, nil
	}
	return filepath.Join(dir, archive.Path), nil
}

func variables(r *deployment.Resource) (map[string]string, error) {
	value, ok := r.Value("environment", "variables")
	if !ok {
		return nil, nil
	}
	raw, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("its environment is %v; export the stack with secrets shown", value)
	}
	environment := make(map[string]string, len(raw))
	for name, value := range raw {
		text, ok := value.(string)
		if !ok {
			return nil, fmt.Errorf("its environment variable %s is %v, not text; export the stack with secrets shown", name, value)
		}
		environment[name] = text
	}
	return environment, nil
}
