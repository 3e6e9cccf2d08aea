package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/blang/semver"
	"gopkg.in/yaml.v3"
)

var minimumCLI = semver.MustParse("3.259.0")

// ReadConfig reads the config section of Pulumi.<env>.yaml. Values that are encrypted for another backend cannot be
// read here and are refused by name.
func ReadConfig(root, environment string) (map[string]any, error) {
	file := "Pulumi." + environment + ".yaml"
	content, err := os.ReadFile(filepath.Join(root, file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("environment %q is unknown: there is no %s; the environments are %s", environment, file, strings.Join(known(root), ", "))
	}
	if err != nil {
		return nil, err
	}
	var stack struct {
		Config map[string]any `yaml:"config"`
	}
	if err := yaml.Unmarshal(content, &stack); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if stack.Config == nil {
		stack.Config = map[string]any{}
	}
	for key, value := range stack.Config {
		if m, ok := value.(map[string]any); ok && m["secure"] != nil {
			return nil, fmt.Errorf("%s: %s is an encrypted value; secrets live in Secrets Manager, not in configuration: remove it", file, key)
		}
	}
	return stack.Config, nil
}

func known(root string) []string {
	var all []string
	files, _ := filepath.Glob(filepath.Join(root, "Pulumi.*.yaml")) // the pattern is constant and well-formed
	for _, f := range files {
		all = append(all, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(f), "Pulumi."), ".yaml"))
	}
	return all
}

// Lookup reads values as Pulumi hands them to the program: strings as they are, everything else as JSON.
func Lookup(config map[string]any) func(key string) (string, bool) {
	return func(key string) (string, bool) {
		value, ok := config[key]
		if !ok || value == nil {
			return "", false
		}
		if s, ok := value.(string); ok {
			return s, true
		}
		text, err := json.Marshal(value)
		return string(text), err == nil
	}
}
