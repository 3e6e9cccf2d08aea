package local_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/expenzez/aws-backend/internal/golden"
	"github.com/expenzez/aws-backend/internal/local/aws"
)

// The document lists every known difference between the emulator and AWS; each row has a test beside the mend.
func TestDifferencesAreDocumented(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Where moto differs from AWS\n\nThe front before moto mends these, except where the last column begins with \"nothing\". A test shows each at moto and at the front.\n\n" +
		"| service | operation | moto | AWS | how it is mended |\n| --- | --- | --- | --- | --- |\n")
	for _, d := range aws.Differences() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", d.Service, d.Operation, d.Moto, d.AWS, d.How)
	}
	golden.Compare(t, filepath.Join(root, "docs", "differences.md"), []byte(b.String()))
}
