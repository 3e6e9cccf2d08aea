// Package bench measures the runtime library against its alternatives, each pair in one run on one machine, so that the
// ratios hold where the absolute times do not. It is a module of its own: what it compares with reaches no function.
//
// The last part of a benchmark's name is who: ours for the library, otherwise the alternative; the rest is the concern.
// Report makes the table of ratios of what go test -bench prints.
package bench
