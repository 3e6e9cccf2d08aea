package vtl

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func data(params map[string]string) Data {
	return Data{
		Param:         func(name string) string { return params[name] },
		Context:       func(path string) string { return "<" + path + ">" },
		StageVariable: func(name string) string { return map[string]string{"env": "dev"}[name] },
	}
}

// preflight is the shape our REST API uses to answer CORS preflights.
const preflight = `#set($origin = $input.params('Origin'))
#if($origin == '')
#set($origin = $input.params('origin'))
#end
#set($allowed = false)
#foreach($o in ['https://a.example', 'http://localhost:3000'])
#if($o == $origin)#set($allowed = true)#end
#end
#if($allowed)
#set($context.responseOverride.header.Access-Control-Allow-Origin = $origin)
#set($context.responseOverride.header.Access-Control-Allow-Credentials = 'true')
#end
`

func TestPreflight(t *testing.T) {
	t.Parallel()
	template, err := Parse(preflight)
	require.NoError(t, err)
	for name, test := range map[string]struct {
		params map[string]string
		want   map[string]string
	}{
		"allowed":       {map[string]string{"Origin": "https://a.example"}, map[string]string{"Access-Control-Allow-Origin": "https://a.example", "Access-Control-Allow-Credentials": "true"}},
		"second":        {map[string]string{"origin": "http://localhost:3000"}, map[string]string{"Access-Control-Allow-Origin": "http://localhost:3000", "Access-Control-Allow-Credentials": "true"}},
		"other":         {map[string]string{"Origin": "https://evil.example"}, map[string]string{}},
		"prefix":        {map[string]string{"Origin": "https://a.example.evil"}, map[string]string{}},
		"case differs":  {map[string]string{"Origin": "https://A.example"}, map[string]string{}},
		"none":          {nil, map[string]string{}},
		"null":          {map[string]string{"Origin": "null"}, map[string]string{}},
		"template code": {map[string]string{"Origin": "#set($allowed = true)"}, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			out := template.Render(data(test.params))
			require.Equal(t, test.want, out.Headers)
			require.Zero(t, out.Status)
			require.Empty(t, strings.TrimSpace(out.Body))
		})
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, source, want string }{
		{"plain", `{"statusCode": 204}`, `{"statusCode": 204}`},
		{"lone specials", `5$ #1 $ # \n $5 #!`, `5$ #1 $ # \n $5 #!`},
		{"context", `"$context.requestId" ${context.identity.sourceIp}!`, `"<requestId>" <identity.sourceIp>!`},
		{"quiet", `$!context.stage $!{context.stage}x`, `<stage> <stage>x`},
		{"trailing dot", `$context.stage.`, `<stage>.`},
		{"stage variable", `$stageVariables.env`, `dev`},
		{"missing stage variable", `[$stageVariables.none]`, `[]`},
		{"parameter", `$input.params('q')$input.params("none").`, `v.`},
		{"comments", "a## gone\nb#* and\nthis *#c", "abc"},
		{"if", `#if('a' == 'a')yes#{else}no#end`, `yes`},
		{"else", `#if('a' != 'a')yes#{else}no#{end}!`, `no!`},
		{"elseif", `#if(false)1#elseif(1 == 1)2#elseif(true)3#{else}4#end`, `2`},
		{"no branch", `#if(false)1#end.`, `.`},
		{"not", `#if(!($context.stage == 'x') && !false)yes#end`, `yes`},
		{"and binds before or", `#if(true || false && false)yes#end`, `yes`},
		{"parentheses", `#if((true || false) && false)yes#{else}no#end`, `no`},
		{"integers", `#set($n = 7)#if($n == 7)$n#end`, `7`},
		{"boolean printed", `#set($b = true)$b`, `true`},
		{"foreach", `#foreach($x in ["a", 'b',"c"])<$x>#end`, `<a><b><c>`},
		{"foreach of integers", `#foreach($x in [1, 20])$x;#end`, `1;20;`},
		{"nested", `#foreach($x in ['a','b'])#if($x == 'b')#foreach($y in [1])$x$y#end#end#end`, `b1`},
		{"set elsewhere is empty", `#if(false)#set($x = 'a')#end[$x]`, `[]`},
		{"set elsewhere is false", `#if(false)#set($x = true)#end#if($x)a#{else}b#end`, `b`},
		{"set elsewhere is zero", `#if(false)#set($x = 4)#end$x`, `0`},
		{"newlines after directives go", "#if(true)  \n x\n#end\ny", " x\ny"},
		{"value is not code", `#set($x = '$context.stage #if')$x`, `$context.stage #if`},
		{"multi-line expression", "#if(\n true\n &&\n true )x#end", "x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			template, err := Parse(test.source)
			require.NoError(t, err)
			require.Equal(t, test.want, template.Render(data(map[string]string{"q": "v"})).Body)
		})
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	template, err := Parse(`#set($context.responseOverride.status = 418)#set($context.responseOverride.header.Vary = 'Origin')
	#set($context.responseOverride.header.X-Id = $context.requestId)`)
	require.NoError(t, err)
	out := template.Render(data(nil))
	require.Equal(t, 418, out.Status)
	require.Equal(t, map[string]string{"Vary": "Origin", "X-Id": "<requestId>"}, out.Headers)
	require.Equal(t, []string{"requestId"}, template.ContextPaths())

	template, err = Parse(`#set($context.responseOverride.status = 999)`)
	require.NoError(t, err)
	require.Zero(t, template.Render(data(nil)).Status, "no status of HTTP: ignored")
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, source, want string }{
		{"unknown directive", "a\nb #parse('x')", "line 2: #parse is not emulated"},
		{"macro", "#macro(x)#end", "#macro is not emulated"},
		{"stop", "#stop", "#stop is not emulated"},
		{"literal block", "#[[x]]#", "#[[ is not emulated"},
		{"escape", `\$context.stage`, `escaping with \$`},
		{"unset variable", "$x", "$x is not emulated and no variable"},
		{"variable set later", "$x#set($x = 1)", "no variable set before"},
		{"util", "$util.escapeJavaScript('x')", "$util.escapeJavaScript is not emulated"},
		{"json path", "$input.json('$')", "$input.json is not emulated"},
		{"body", "$input.body", "$input.body is not emulated"},
		{"bare input", "$input", "$input is not emulated"},
		{"all params", "$input.params().header", "needs a quoted name"},
		{"params of a variable", "#set($n = 'x')$input.params($n)", "needs a quoted name"},
		{"params without argument", "$input.params", "is not emulated"},
		{"method on a value", "$input.params('x').toLowerCase()", "methods of"},
		{"method on a variable", "#set($x = 'a')$x.length()", "$x.length is not emulated"},
		{"index", "#set($x = 'a')$x[0]", "$x[ is not emulated"},
		{"whole context", "$context", "reading $context is not emulated"},
		{"reading an override", "$context.responseOverride.status", "reading $context.responseOverride"},
		{"stage variables by index", "$stageVariables['x']", "$stageVariables is not emulated"},
		{"request override", "#set($context.requestOverride.header.x = 'y')", "is not emulated"},
		{"setting the context", "#set($context.stage = 'y')", "setting $context.stage is not emulated"},
		{"setting a reserved name", "#set($input = 'y')", "setting $input is not emulated"},
		{"status is text", "#set($context.responseOverride.status = '200')", "needs an integer, not text"},
		{"header is a number", "#set($context.responseOverride.header.x = 1)", "needs text, not an integer"},
		{"header is a boolean", "#set($context.responseOverride.header.x = true)", "needs text, not a boolean"},
		{"assignment to a literal", "#set('a' = 'b')", "plain $name"},
		{"assignment in braces", "#set(${a} = 'b')", "plain $name"},
		{"no parenthesis", "#set $a = 'b'", "expected ("},
		{"no equals", "#set($a 'b')", "expected ="},
		{"unclosed set", "#set($a = 'b'", "expected )"},
		{"text as condition", "#if($input.params('x'))a#end", "compare it"},
		{"text in and", "#if('a' && true)a#end", "compare it"},
		{"text negated", "#if(!$context.stage)a#end", "compare it"},
		{"text variable as condition", "#set($x = 'a')#if($x)a#end", "compare it"},
		{"integer in or", "#if(true || 1)a#end", "compare it"},
		{"unlike kinds", "#if('1' == 1)a#end", "never equal"},
		{"variable of two kinds", "#set($x = 'a')#set($x = 1)", "use two names"},
		{"loop variable of two kinds", "#set($x = 'a')#foreach($x in [1])#end", "use two names"},
		{"arithmetic", "#set($x = 1 + 1)", "expected )"},
		{"less than", "#if(1 < 2)a#end", "expected )"},
		{"negative number", "#set($x = -1)", `"-" is not emulated`},
		{"huge number", "#set($x = 99999999999999999999)", "too large"},
		{"word operator", "#if(true and true)a#end", "expected )"},
		{"null", "#if($context.stage == null)a#end", `"null" is not emulated`},
		{"substituting string", `#set($x = "$context.stage")`, "single quotes"},
		{"unclosed string", "#set($x = 'a)", "no closing '"},
		{"unclosed comment", "#* never", "no *#"},
		{"if without end", "#if(true)a", "#if has no #end"},
		{"foreach without end", "#foreach($x in [1])a", "#foreach has no #end"},
		{"foreach with else", "#foreach($x in [1])a#{else}b#end", "#foreach has no #end"},
		{"end alone", "a#end", "#end belongs to no"},
		{"else alone", "#{else}", "#else belongs to no"},
		{"two elses", "#if(true)a#{else}b#{else}c#end", "#else after #else"},
		{"elseif after else", "#if(true)a#{else}b#elseif(true)c#end", "#elseif after #else"},
		{"foreach over a variable", "#set($l = 'x')#foreach($x in $l)#end", "literal list"},
		{"foreach over references", "#foreach($x in [$context.stage])#end", "list of literals"},
		{"foreach over mixed kinds", "#foreach($x in ['a', 1])#end", "mixes"},
		{"empty list", "#foreach($x in [])#end", `"]" is not emulated`},
		{"foreach into a field", "#foreach($x.y in [1])#end", "plain variable"},
		{"unclosed brace", "${context.stage", "no closing brace"},
		{"end of template", "#if(", "in the middle"},
		{"deep parentheses", "#if(" + strings.Repeat("(", 200), "nested deeper"},
		{"deep negation", "#if(" + strings.Repeat("!", 200), "nested deeper"},
		{"deep ifs", strings.Repeat("#if(true)", 200), "nested deeper"},
		{"too large", strings.Repeat(" ", MaxBytes+1), "300 KB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse(test.source)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(preflight)
	f.Add(`#if(!(true && 'a' == "b") || $input.params('x') != '')$!{context.a}#elseif(1==1)#{else}#end`)
	f.Add("#foreach($x in [1,2])$x#end#set($context.responseOverride.status = 1)")
	f.Fuzz(func(t *testing.T, source string) {
		template, err := Parse(source)
		if err != nil {
			return
		}
		first, second := template.Render(data(nil)), template.Render(data(nil))
		if first.Body != second.Body || first.Status != second.Status {
			t.Fatal("rendering is not a function of its input")
		}
	})
}
