// Package storetest holds a program's use of the store to what is promised: handlers to their declared access, and every
// implementation of store.DB to one table of cases.
package storetest

import (
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

// Access lists what the tables in a struct let their holder do, sorted: "users: GetItem", and "transactions/*: Query" for
// the queries of an index, which an interface does not name. A field's table is its name in words: SecurityEvents is
// security-events. A method that is not one of the narrow interfaces' is listed as "users: method Name".
// It is compared with Declared: a difference either way is an access without a declaration or a declaration without use.
func Access(tables any) []string {
	var all []string
	holder := reflect.TypeOf(tables)
	for i := range holder.NumField() {
		field := holder.Field(i)
		for m := range field.Type.NumMethod() {
			all = append(all, line(words(field.Name), field.Type.Method(m).Name))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// line is the access that a method of a narrow interface is.
func line(table, method string) string {
	switch method {
	case "GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "BatchGetItem", "BatchWriteItem":
		return table + ": " + method
	case "PutWrite", "UpdateWrite", "DeleteWrite":
		return table + ": " + strings.TrimSuffix(method, "Write") + "Item"
	case "CheckWrite":
		return table + ": ConditionCheckItem"
	case "QueryIndex":
		return table + "/*: Query"
	}
	return table + ": method " + method
}

// Declared lists a function's declared access in the form of Access.
func Declared(declared []service.Access) []string {
	var all []string
	for _, a := range declared {
		table := a.Table
		if a.Index != "" {
			table += "/*"
		}
		for _, action := range a.Actions {
			all = append(all, table+": "+action)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// words turns a Go name into the words of a key: AIChatHistory is ai-chat-history.
func words(name string) string {
	letters, out := []rune(name), strings.Builder{}
	for i, r := range letters {
		begins := i > 0 && unicode.IsUpper(r) && (unicode.IsLower(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1]))
		if begins {
			out.WriteByte('-')
		}
		out.WriteRune(unicode.ToLower(r))
	}
	return out.String()
}

// Grants are a function's declared access for mem.DB.As, when tables are named by their keys.
func Grants(declared []service.Access) []mem.Grant {
	all := make([]mem.Grant, len(declared))
	for i, a := range declared {
		all[i] = mem.Grant{Table: a.Table, Index: a.Index, Actions: a.Actions}
	}
	return all
}

// Schemas are declared tables for mem.New, named by their keys.
func Schemas(declared []service.Table) []mem.Schema {
	all := make([]mem.Schema, len(declared))
	for i, t := range declared {
		all[i] = mem.Schema{Name: t.Key, Hash: t.Hash, Range: t.Range}
		for _, index := range t.Indexes {
			all[i].Indexes = append(all[i].Indexes, mem.Index{Name: index.Key, Hash: index.Hash, Range: index.Range})
		}
	}
	return all
}

// Unused lists declared access that was not used, sorted, as "users GetItem" or "transactions/by-date Query". used is what
// the views of all tests of a function saw, in any order.
func Unused(declared []mem.Grant, used ...mem.Grant) []string {
	seen := flat(used)
	return slices.DeleteFunc(flat(declared), func(one string) bool { return slices.Contains(seen, one) })
}

func flat(grants []mem.Grant) []string {
	var all []string
	for _, g := range grants {
		place := g.Table
		if g.Index != "" {
			place += "/" + g.Index
		}
		for _, action := range g.Actions {
			all = append(all, place+" "+action)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
