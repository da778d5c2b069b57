// Package glue is a stand-in for the tables of the AWS Glue Data Catalog. It enforces VersionId, which other emulators ignore.
package glue

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Catalog is a running stand-in.
type Catalog struct {
	// URL is its endpoint. It accepts any credentials.
	URL string

	mu        sync.Mutex
	unchecked bool
	databases map[string]document
	tables    map[string]*entry
	calls     map[string]int
}

// document is an input of the API, as it was sent.
type document = map[string]any

type entry struct {
	document document
	version  int
}

// Start starts an empty catalog for the duration of the test.
func Start(tb testing.TB) *Catalog {
	tb.Helper()
	c := &Catalog{databases: map[string]document{}, tables: map[string]*entry{}, calls: map[string]int{}}
	s := httptest.NewServer(c)
	tb.Cleanup(s.Close)
	c.URL = s.URL
	return c
}

// IgnoreVersions makes the catalog accept each update, whatever version it is for.
func (c *Catalog) IgnoreVersions() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unchecked = true
}

// Calls returns how often an operation, such as UpdateTable, was called.
func (c *Catalog) Calls(operation string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[operation]
}

// request has the members of all operations that are served.
type request struct {
	Name, DatabaseName, VersionId string
	DatabaseInput, TableInput     document
}

// fault is an error of the API.
type fault struct{ code, message string }

// ServeHTTP implements http.Handler. The protocol is AWS JSON 1.1 (https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html).
func (c *Catalog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "AWSGlue.")
	var in request
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		refuse(w, &fault{"SerializationException", err.Error()})
		return
	}
	answer, fault := c.call(operation, in)
	if fault != nil {
		refuse(w, fault)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func refuse(w http.ResponseWriter, f *fault) {
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": f.code, "Message": f.message})
}

// call carries out one operation. Errors are those of the AWS Glue Web API Reference under the operation's name.
func (c *Catalog) call(operation string, in request) (document, *fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[operation]++
	switch operation {
	case "CreateDatabase":
		return c.createDatabase(in.DatabaseInput)
	case "GetDatabase":
		d, ok := c.databases[in.Name]
		if !ok {
			return nil, notFound("Database " + in.Name)
		}
		return document{"Database": d}, nil
	case "CreateTable":
		return c.createTable(in.DatabaseName, in.TableInput)
	case "GetTable":
		return c.getTable(in.DatabaseName, in.Name)
	case "UpdateTable":
		return c.updateTable(in)
	case "DeleteTable":
		key := in.DatabaseName + "." + in.Name
		if c.tables[key] == nil {
			return nil, notFound("Table " + in.Name)
		}
		delete(c.tables, key)
		return document{}, nil
	}
	return nil, &fault{"UnknownOperationException", operation}
}

func (c *Catalog) createDatabase(d document) (document, *fault) {
	name, _ := d["Name"].(string)
	if _, ok := c.databases[name]; ok {
		return nil, &fault{"AlreadyExistsException", "Database already exists."}
	}
	c.databases[name] = d
	return document{}, nil
}

func (c *Catalog) createTable(database string, t document) (document, *fault) {
	if _, ok := c.databases[database]; !ok {
		return nil, notFound("Database " + database)
	}
	name, _ := t["Name"].(string)
	key := database + "." + name
	if c.tables[key] != nil {
		return nil, &fault{"AlreadyExistsException", "Table already exists."}
	}
	if f := check(t); f != nil {
		return nil, f
	}
	c.tables[key] = &entry{document: t}
	return document{}, nil
}

func (c *Catalog) getTable(database, name string) (document, *fault) {
	e := c.tables[database+"."+name]
	if e == nil {
		return nil, notFound("Table " + name)
	}
	answer := document{"DatabaseName": database, "VersionId": strconv.Itoa(e.version)}
	for k, v := range e.document {
		answer[k] = v
	}
	return document{"Table": answer}, nil
}

// updateTable replaces a table. A VersionId that is not the current one is refused: "The version ID at which to update the table
// contents", and ConcurrentModificationException, "Two processes are trying to modify a resource simultaneously" (AWS Glue Web API
// Reference, UpdateTable). Iceberg's own GlueCatalog relies on it (Iceberg documentation, AWS Integrations, "Optimistic Locking").
func (c *Catalog) updateTable(in request) (document, *fault) {
	name, _ := in.TableInput["Name"].(string)
	e := c.tables[in.DatabaseName+"."+name]
	if e == nil {
		return nil, notFound("Table " + name)
	}
	if in.VersionId != "" && in.VersionId != strconv.Itoa(e.version) && !c.unchecked {
		return nil, &fault{"ConcurrentModificationException", "Update table failed due to concurrent modifications."}
	}
	if f := check(in.TableInput); f != nil {
		return nil, f
	}
	e.document, e.version = in.TableInput, e.version+1
	return document{}, nil
}

// check refuses parameters that are too long (AWS Glue Web API Reference, TableInput, Parameters).
func check(t document) *fault {
	parameters, _ := t["Parameters"].(map[string]any)
	for key, value := range parameters {
		if text, _ := value.(string); len(key) > 255 || len(text) > 512000 {
			return &fault{"InvalidInputException", "parameter " + key + " is too long"}
		}
	}
	return nil
}

func notFound(what string) *fault {
	return &fault{"EntityNotFoundException", what + " not found."}
}
