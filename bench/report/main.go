// Command report reads what go test -bench prints from standard input, passes it on, and ends with a table: of each
// concern, what ours takes and how many times that of each alternative.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

// measure is one quantity of one benchmark, averaged over its repetitions.
type measure struct {
	sum float64
	n   int
}

func (m measure) mean() float64 { return m.sum / float64(m.n) }

// concern is what was measured of one matter: by who, by unit.
type concern map[string]map[string]*measure

const ours = "ours"

func run(in io.Reader, out io.Writer) error {
	concerns := map[string]concern{}
	failed := false
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := lines.Text()
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
		failed = failed || strings.HasPrefix(line, "FAIL") || strings.HasPrefix(line, "panic:")
		add(concerns, line)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if failed || len(concerns) == 0 {
		return fmt.Errorf("the benchmarks did not run to their end")
	}
	return table(out, concerns)
}

// add reads a line of a result: name-procs, iterations, then pairs of value and unit.
func add(concerns map[string]concern, line string) {
	fields := strings.Fields(line)
	if !strings.HasPrefix(line, "Benchmark") || len(fields) < 4 {
		return
	}
	name, who := path.Split(strings.TrimPrefix(fields[0], "Benchmark"))
	if name = strings.TrimSuffix(name, "/"); name == "" {
		return
	}
	if i := strings.LastIndexByte(who, '-'); i > 0 { // the number of processors, which a single one has not
		if _, err := strconv.Atoi(who[i+1:]); err == nil {
			who = who[:i]
		}
	}
	c := concerns[name]
	if c == nil {
		c = concern{}
		concerns[name] = c
	}
	if c[who] == nil {
		c[who] = map[string]*measure{}
	}
	for i := 2; i+1 < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			continue
		}
		m := c[who][fields[i+1]]
		if m == nil {
			m = &measure{}
			c[who][fields[i+1]] = m
		}
		m.sum, m.n = m.sum+value, m.n+1
	}
}

func table(out io.Writer, concerns map[string]concern) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "\nconcern\tunit\tours\talternative\tits\tours / its\n") // Flush gives the error
	for _, name := range sorted(concerns) {
		mine := concerns[name][ours]
		for _, unit := range sorted(mine) {
			alternatives := 0
			for _, who := range sorted(concerns[name]) {
				theirs := concerns[name][who][unit]
				if who == ours || theirs == nil {
					continue
				}
				alternatives++
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", name, unit, short(mine[unit].mean()), who, short(theirs.mean()), ratio(mine[unit].mean(), theirs.mean()))
			}
			if alternatives == 0 {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t\t\t\n", name, unit, short(mine[unit].mean()))
			}
		}
	}
	return w.Flush()
}

func short(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

func ratio(a, b float64) string {
	if b == 0 {
		if a == 0 {
			return "1"
		}
		return "∞"
	}
	return strconv.FormatFloat(a/b, 'f', 2, 64)
}

func sorted[V any](m map[string]V) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}
