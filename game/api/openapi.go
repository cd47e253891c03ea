package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/httpserver"
)

// routes are all rows of the interface.
func (a *api) routes() []route {
	if a.World != nil && a.Identity == nil {
		return append(a.worldRoutes(), a.protocolRoutes()...)
	}
	var all []route
	for _, part := range [][]route{a.userRoutes(), a.tokenRoutes(), a.pointRoutes(), a.giftRoutes(), a.entityRoutes(), a.lockRoutes(), a.coreRoutes(), a.statusRoutes(), a.exportRoutes(), a.worldRoutes(), a.protocolRoutes()} {
		all = append(all, part...)
	}
	return all
}

// OpenAPI describes the interface (OpenAPI 3.1), from the rows and types that serve it.
var OpenAPI = sync.OnceValue(func() []byte {
	d := document{schemas: map[string]any{}}
	paths := map[string]map[string]any{}
	for _, r := range (&api{}).routes() {
		path := "/" + r.path
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		paths[path][strings.ToLower(r.method)] = d.operation(r)
	}
	b, err := json.MarshalIndent(map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "Kamado game", "version": "1", "summary": "Who players are, what they own, and rights for a time.",
			"description": "A user does things with what is the user's own, by an access token of POST /tokens. A service does what its scopes say, by its secret; the first " +
				"one lies in DATA/service.token. The operator's token, in DATA/operator.token, opens everything. The header Idempotency-Key is the transaction id of an order of points: " +
				"the same key with the same order is answered the same and carried out once; with another order it is 409. Numbers of points are at most 2^53-1; ids are texts of digits.",
			"license": map[string]any{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers": []any{map[string]any{"url": "http://127.0.0.1:7703/v1"}},
		"paths":   paths,
		"components": map[string]any{
			"schemas":         d.schemas,
			"securitySchemes": map[string]any{"user": bearer("access token of a user"), "service": bearer("secret of a service"), "operator": bearer("text of DATA/operator.token")},
			"responses": map[string]any{"Problem": map[string]any{
				"description": "Something is wrong; kind says what in a word",
				"content":     map[string]any{httpserver.ProblemMediaType: map[string]any{"schema": problemSchema}},
			}},
		},
	}, "", "  ")
	if err != nil {
		panic("api: the description is no JSON: " + err.Error())
	}
	return append(b, '\n')
})

func bearer(text string) map[string]any {
	return map[string]any{"type": "http", "scheme": "bearer", "description": text}
}

var problemSchema = map[string]any{"type": "object", "required": []string{"type", "title", "status"}, "properties": map[string]any{
	"type": text(""), "title": text(""), "status": map[string]any{"type": "integer"}, "detail": text("what is wrong with which thing, and what would be right"),
	"kind": text("what is wrong, in a word"), "doubt": map[string]any{"type": "boolean", "description": "the change may have happened: the same request with the same Idempotency-Key tells"},
	"request_id": text("leads an operator to the log"),
}}

func text(description string) map[string]any {
	m := map[string]any{"type": "string"}
	if description != "" {
		m["description"] = description
	}
	return m
}

// document is a description that is being made.
type document struct{ schemas map[string]any }

// security is who may call a row.
func security(r route) []any {
	one := func(name string) any { return map[string]any{name: []string{}} }
	switch r.access {
	case anybody:
		return []any{map[string]any{}}
	case byScope:
		return []any{one("service"), one("operator")}
	case operator:
		return []any{one("operator")}
	}
	return []any{one("user"), one("service"), one("operator")}
}

// query are the parameters of a query by row.
var query = map[string][]string{
	"GET users": {"after", "limit", "provider", "subject", "prefix"}, "GET points/accounts": {"after", "limit"}, "GET points/accounts/{uid}/transactions": {"before", "limit"},
	"GET points/transactions": {"after", "limit"}, "GET points/unspent": {"at"}, "GET points/export": {"from", "to"}, "GET points/approvals": {"state"}, "GET points/presents": {"uid"}, "GET entities/{uid}": {"after", "limit"},
	"GET locks": {"prefix", "after", "limit"}, "DELETE users/{uid}/identities/{provider}": {"subject"}, "GET oidc/{provider}/start": {"redirect", "next"},
	"GET oidc/{provider}/callback": {"code", "state"}, "GET core/postings": {"tx"},
}

// parameters of a row: of the path, the query and headers.
func parameters(r route) []any {
	var list []any
	add := func(name, in string, required bool) {
		list = append(list, map[string]any{"name": name, "in": in, "required": required, "schema": map[string]any{"type": "string"}})
	}
	for _, part := range strings.Split(r.path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			add(strings.TrimSuffix(name, "}"), "path", true)
		}
	}
	for _, name := range query[r.method+" "+r.path] {
		add(name, "query", false)
	}
	if r.method == http.MethodPost && r.scope == game.ScopePoints {
		add("Idempotency-Key", "header", false)
	}
	if strings.HasPrefix(r.path, "entities/{uid}/{name}") {
		for _, name := range []string{"If-Match", "If-None-Match", fenceHeader} {
			add(name, "header", false)
		}
	}
	return list
}

func (d *document) operation(r route) map[string]any {
	op := map[string]any{"operationId": operationID(r), "summary": r.summary, "security": security(r)}
	if list := parameters(r); list != nil {
		op["parameters"] = list
	}
	bytes := map[string]any{"application/octet-stream": map[string]any{"schema": map[string]any{}}}
	switch raw := strings.HasPrefix(r.path, "entities/{uid}/{name}"); {
	case r.in != nil:
		op["requestBody"] = map[string]any{"content": map[string]any{"application/json": map[string]any{"schema": d.schema(reflect.TypeOf(r.in))}}}
	case raw && r.method == http.MethodPut:
		op["requestBody"] = map[string]any{"content": bytes}
	}
	done := map[string]any{"description": "Done"}
	switch {
	case r.out != nil:
		done["content"] = map[string]any{"application/json": map[string]any{"schema": d.schema(reflect.TypeOf(r.out))}}
	case r.method == http.MethodGet:
		done["content"] = bytes
	}
	op["responses"] = map[string]any{"2XX": done, "default": map[string]any{"$ref": "#/components/responses/Problem"}}
	return op
}

// operationID is a word for a row: "postPointsGrants".
func operationID(r route) string {
	words := strings.FieldsFunc(r.path, func(c rune) bool { return strings.ContainsRune("/-_.{}", c) })
	id := strings.ToLower(r.method)
	for _, w := range words {
		id += strings.ToUpper(w[:1]) + w[1:]
	}
	return id
}

var (
	timeType    = reflect.TypeFor[time.Time]()
	instantType = reflect.TypeFor[game.Instant]()
	textType    = reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()
)

// schema describes a type; structs by name, once.
func (d *document) schema(t reflect.Type) map[string]any {
	switch {
	case t == timeType:
		return map[string]any{"type": "string", "format": "date-time"}
	case t == instantType:
		return map[string]any{"type": []string{"string", "null"}, "format": "date-time"}
	case t == reflect.TypeFor[raw]():
		return map[string]any{"type": "object"}
	case t.Kind() == reflect.Pointer:
		return d.schema(t.Elem())
	case t.Implements(textType):
		return text("")
	}
	switch t.Kind() {
	case reflect.String:
		return text("")
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": d.schema(t.Elem())}
	case reflect.Struct:
		d.object(t)
		return map[string]any{"$ref": "#/components/schemas/" + t.Name()}
	}
	return map[string]any{"type": "integer"}
}

// object describes a struct under its name.
func (d *document) object(t reflect.Type) {
	if d.schemas[t.Name()] != nil {
		return
	}
	properties, required := map[string]any{}, []string{}
	d.schemas[t.Name()] = map[string]any{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || f.Anonymous || name == "-" || name == "" {
			continue
		}
		s := d.schema(f.Type)
		if strings.Contains(options, "string") {
			s = text("")
		}
		if doc := f.Tag.Get("doc"); doc != "" && s["$ref"] == nil {
			s["description"] = doc
		}
		properties[name] = s
		if !strings.Contains(options, "omit") {
			required = append(required, name)
		}
	}
	object := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		object["required"] = required
	}
	d.schemas[t.Name()] = object
}

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = jsonType
	_, _ = w.Write(OpenAPI()) // a client that left is nobody to tell
}

// mustJSON is the JSON of a text, which always has one.
func mustJSON(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic("api: a text without JSON: " + err.Error())
	}
	return b
}
