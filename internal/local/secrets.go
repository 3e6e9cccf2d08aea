package local

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ReadSecrets reads the optional .env of the checkout: lines SECRET_<NAME>=value, one for a declared secret each,
// empty lines and lines that begin with #. The values go into the local Secrets Manager and nowhere else; errors name
// lines, never values.
func ReadSecrets(root string, known []string) (map[string]string, error) {
	f, err := os.Open(filepath.Join(root, ".env"))
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	names := map[string]string{}
	for _, key := range known {
		names["SECRET_"+strings.ToUpper(strings.ReplaceAll(key, "-", "_"))] = key
	}
	secrets, problems := map[string]string{}, []error{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<17) // a secret has at most 64 KiB (Secrets Manager quotas)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		key, isKnown := names[strings.TrimSpace(name)]
		switch {
		case !ok:
			problems = append(problems, fmt.Errorf(".env line %d: is not NAME=value", n))
		case !isKnown:
			problems = append(problems, fmt.Errorf(".env line %d: the name is unknown; known are %s", n, strings.Join(sorted(names), ", ")))
		case strings.TrimSpace(value) != "":
			secrets[key] = strings.TrimSpace(value)
		}
	}
	if err := lines.Err(); err != nil {
		problems = append(problems, fmt.Errorf(".env: %w", err))
	}
	return secrets, errors.Join(problems...)
}

func sorted(m map[string]string) []string {
	var all []string
	for name := range m {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
