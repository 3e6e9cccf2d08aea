package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/expenzez/aws-backend/internal/artifact"
	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/local"
	"github.com/expenzez/aws-backend/internal/service"
)

func environmentFlag(name string, args []string) (string, error) {
	var environment string
	err := parse(name, args, func(f *flag.FlagSet) { f.StringVar(&environment, "env", "", "") })
	if err == nil && environment == "" {
		err = fmt.Errorf("%s: say which environment: --env dev, --env staging or --env prod", name)
	}
	return environment, err
}

func functionKeys() []string {
	var all []string
	for _, f := range catalog.Backend().Functions() {
		all = append(all, f.Key)
	}
	return all
}

func runPreview(ctx context.Context, args []string, out io.Writer) error {
	environment, err := environmentFlag("preview", args)
	if err != nil {
		return err
	}
	project, err := local.ReadProject(".", environment, artifact.ARM64)
	if err != nil {
		return err
	}
	if err := project.Build(ctx, functionKeys()); err != nil {
		return err
	}
	plan, err := local.Preview(ctx, project, out)
	if err != nil {
		return err
	}
	if err := plan.Print(out); err != nil {
		return err
	}
	return writeJSON(filepath.Join(project.Root, "build", "preview", environment+".json"), plan, out)
}

func runExport(ctx context.Context, args []string, out io.Writer) error {
	environment, err := environmentFlag("export", args)
	if err != nil {
		return err
	}
	project, err := local.ReadProject(".", environment, artifact.ARM64)
	if err != nil {
		return err
	}
	if err := project.Build(ctx, functionKeys()); err != nil {
		return err
	}
	export, err := local.Export(ctx, project, out)
	if err != nil {
		return err
	}
	return writeJSON(filepath.Join(project.Root, "build", "export", environment+".json"), json.RawMessage(export), out)
}

func writeJSON(path string, v any, out io.Writer) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o600); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, "wrote", path)
	return err
}

func runPackage(ctx context.Context, args []string, out io.Writer) error {
	architecture := string(artifact.ARM64)
	if err := parse("package", args, func(f *flag.FlagSet) { f.StringVar(&architecture, "arch", architecture, "") }); err != nil {
		return err
	}
	if architecture == "amd64" {
		architecture = string(artifact.X86_64)
	}
	dir := filepath.Join("build", "lambda")
	err := artifact.Build(ctx, artifact.Options{Root: ".", Out: dir, Architecture: artifact.Architecture(architecture), Functions: functionKeys()})
	for _, f := range functionKeys() {
		path := filepath.Join(dir, f+".zip")
		if info, statErr := os.Stat(path); statErr == nil {
			_, _ = fmt.Fprintf(out, "%6.2f MB  %s\n", float64(info.Size())/1e6, path)
		} else if err == nil {
			err = errors.Join(err, statErr)
		}
	}
	return err
}

func runAccess(_ context.Context, args []string, out io.Writer) error {
	if err := parse("access", args, func(*flag.FlagSet) {}); err != nil {
		return err
	}
	_, err := io.WriteString(out, service.AccessDocument(catalog.Backend()))
	return err
}
