package validate

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// CodeControl is the fault of a text with characters that no writer of text means.
const CodeControl = "control_character"

// Size is how long a text may be once it is clean; the fault is CodeLong. Both count, since a character that is seen
// can be many, and a character takes up to four bytes.
type Size struct {
	Runes int // 0: no bound of its own
	Bytes int // 0: 4 × Runes
}

func (most Size) fits(s string) bool {
	if most.Bytes == 0 {
		most.Bytes = utf8.UTFMax * most.Runes
	}
	return (most.Runes == 0 || utf8.RuneCountInString(s) <= most.Runes) && (most.Bytes == 0 || len(s) <= most.Bytes)
}

// Text cleans one line that people wrote and others read, such as a name: NFC (Unicode Standard Annex 15), outer space
// removed, inner runs of space and line ends made one blank, invisible characters removed. code is empty, CodeLong, or
// CodeControl when the text holds a control character, one that reorders its surroundings (Unicode Standard Annex 9,
// explicit embeddings, overrides and isolates; the plain marks are let through), a noncharacter or bytes that are not
// UTF-8. Cleaning what is clean changes nothing. Letters of any script are kept, whatever they look like, and nothing is
// escaped.
func Text(s string, most Size) (clean, code string) {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return harmful(r) && r != '\t' && r != '\n' && r != '\r' }) {
		return "", CodeControl
	}
	clean = strings.Join(strings.Fields(norm.NFC.String(strings.Map(visible, s))), " ")
	if !most.fits(clean) {
		return "", CodeLong
	}
	return clean, ""
}

// Prose cleans a text of many lines that is kept as it was written, such as a message of a chat: every line end becomes
// one \n, and the characters that Text refuses or removes are taken out. Spaces, tabs and the composition of letters stay.
// code is empty or CodeLong.
func Prose(s string, most Size) (clean, code string) {
	clean = strings.Map(func(r rune) rune {
		switch r {
		case '\n', '\t':
			return r
		case '\r', '\u0085', '\u2028', '\u2029': // the line ends that are not \n
			return '\n'
		}
		if harmful(r) {
			return -1
		}
		return visible(r)
	}, strings.ReplaceAll(s, "\r\n", "\n"))
	if !most.fits(clean) {
		return "", CodeLong
	}
	return clean, ""
}

// harmful tells what has no place in a text: it acts on a terminal, on a log or on the order of what surrounds it, or
// is no character.
func harmful(r rune) bool {
	return unicode.IsControl(r) || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || // order
		r >= '\ufdd0' && r <= '\ufdef' || r&0xfffe == 0xfffe // noncharacters
}

// visible drops the characters that show nothing and change nothing around them, in which one text can hide another.
// The joiners and direction marks stay: emoji and several scripts are written with them. The flags of England, Scotland
// and Wales are spelt with tags and become plain black flags.
func visible(r rune) rune {
	switch {
	case r == '\u00ad', r == '\u180e', r == '\u200b', r == '\ufeff', // soft hyphen, separators of no width
		r >= '\u2060' && r <= '\u2064', r >= '\u206a' && r <= '\u206f', // joiner of words, invisible operators, deprecated
		r >= '\ufff9' && r <= '\ufffb',         // interlinear annotation
		r >= '\U000e0000' && r <= '\U000e007f': // tags
		return -1
	}
	return r
}
