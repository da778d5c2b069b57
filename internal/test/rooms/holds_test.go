package rooms

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// packages are those in which no type may hold a type that holds it, by a field or by an interface that it satisfies.
var packages = []string{"consumer/batch", "consumer/kcl", "consumer/lease", "consumer/shardmap", "consumer/source"}

// A child that knows its parent can do anything that the parent can, so neither can be understood without the other, and the order
// of their locks is unclear.
func TestTypes_HoldNobodyWhoHoldsThem(t *testing.T) {
	for _, dir := range packages {
		t.Run(dir, func(t *testing.T) {
			held, err := holds(parse(t, filepath.Join("../../..", dir)))
			if err != nil {
				t.Fatal(err)
			}
			if len(held) == 0 {
				t.Error("no type is held by another: the test does not see them")
			}
			for _, name := range slices.Sorted(maps.Keys(held)) {
				t.Logf("%s holds %s", name, strings.Join(held[name], ", "))
			}
			if way := circle(held); way != nil {
				t.Errorf("%s: give the child what it needs instead of its parent", strings.Join(way, " holds "))
			}
		})
	}
}

func TestCircle_IsFound(t *testing.T) {
	for _, test := range []struct{ name, source, want string }{
		{"none", `type a struct{ b *b; c map[string]c }; type b struct{ c []c }; type c struct{ next *c }`, ""},
		{"two", `type a struct{ of map[string]*b }; type b struct{ up *a }`, "a holds b holds a"},
		{"three, one embedded", `type a struct{ b }; type b struct{ c chan c }; type c struct{ up func(*a) }`, "a holds b holds c holds a"},
		{"through an interface", `type a struct{ w way }; type way interface{ read() }; type b struct{ *a }; func (*b) read() {}`, "a holds way holds b holds a"},
		{"an interface of others", `type a struct{ w way }; type way interface{ read() }; type b struct{ *a }; func (*b) write() {}`, ""},
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "", "package p;"+test.source, 0)
		if err != nil {
			t.Fatal(err)
		}
		held, err := holds([]*ast.File{file})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(circle(held), " holds "); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// parse reads the files of a package, without its tests.
func parse(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// holds returns, for each type of a package, the types that it holds: those in its fields, and those that satisfy it.
func holds(files []*ast.File) (map[string][]string, error) {
	types := make(map[string]ast.Expr)
	methods := make(map[string][]string)
	for _, file := range files {
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if s, ok := s.(*ast.TypeSpec); ok {
						types[s.Name.Name] = s.Type
					}
				}
			case *ast.FuncDecl:
				if d.Recv == nil {
					continue
				}
				of := mentioned(d.Recv.List[0].Type)
				if len(of) == 0 {
					return nil, fmt.Errorf("method %s has a receiver without a type", d.Name.Name)
				}
				methods[of[0]] = append(methods[of[0]], d.Name.Name)
			}
		}
	}
	held := make(map[string][]string)
	for name, definition := range types {
		of := mentioned(definition)
		if i, ok := definition.(*ast.InterfaceType); ok {
			of = satisfying(i, methods)
		}
		of = slices.DeleteFunc(of, func(other string) bool { return types[other] == nil || other == name })
		if len(of) > 0 {
			slices.Sort(of)
			held[name] = slices.Compact(of)
		}
	}
	return held, nil
}

// mentioned returns the names in a type, without those of fields.
func mentioned(e ast.Expr) (names []string) {
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			names = append(names, mentioned(n.Type)...)
			return false
		case *ast.SelectorExpr:
			return false // of another package
		case *ast.Ident:
			names = append(names, n.Name)
		}
		return true
	})
	return names
}

// satisfying returns the types that have all methods of an interface.
func satisfying(i *ast.InterfaceType, methods map[string][]string) (names []string) {
	var wanted []string
	for _, m := range i.Methods.List {
		for _, name := range m.Names {
			wanted = append(wanted, name.Name)
		}
	}
	for name, has := range methods {
		if len(wanted) > 0 && !slices.ContainsFunc(wanted, func(m string) bool { return !slices.Contains(has, m) }) {
			names = append(names, name)
		}
	}
	return names
}

// circle returns a path from a type back to itself, or nil.
func circle(held map[string][]string) []string {
	done := make(map[string]bool)
	var way []string
	var walk func(name string) []string
	walk = func(name string) []string {
		if at := slices.Index(way, name); at >= 0 {
			return append(slices.Clone(way[at:]), name)
		}
		if done[name] {
			return nil
		}
		way = append(way, name)
		for _, other := range held[name] {
			if found := walk(other); found != nil {
				return found
			}
		}
		way = way[:len(way)-1]
		done[name] = true
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(held)) {
		if found := walk(name); found != nil {
			return found
		}
	}
	return nil
}
