package local_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/expenzez/aws-backend/internal/golden"
	"github.com/expenzez/aws-backend/internal/local/aws"
	"github.com/expenzez/aws-backend/internal/local/events"
)

// The document lists every known difference between the local cloud and AWS; each row has a test beside the code.
func TestDifferencesAreDocumented(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Where moto differs from AWS\n\nThe front before moto mends these, except where the last column begins with \"nothing\". A test shows each at moto and at the front.\n\n" +
		"| service | operation | moto | AWS | how it is mended |\n| --- | --- | --- | --- | --- |\n")
	for _, d := range aws.Differences() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", d.Service, d.Operation, d.Moto, d.AWS, d.How)
	}
	b.WriteString("\n# Where event sources differ from AWS\n\nBetween a queue, stream or schedule and its function. These differences remain; a test shows each.\n\n" +
		"| source | what | here | AWS |\n| --- | --- | --- | --- |\n")
	for _, d := range events.Differences() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", d.Source, d.Topic, d.Here, d.AWS)
	}
	golden.Compare(t, filepath.Join(root, "docs", "differences.md"), []byte(b.String()))
}
