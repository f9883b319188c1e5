// Package lines is the part that the drivers in Go share: it reads requests from stdin, one JSON object a line, runs each
// in a goroutine of its own and writes answers and events to stdout.
package lines

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"
)

// Target says what to connect to: a URL, or a program to start.
type Target struct {
	URL     string            `json:"url"`
	Kind    string            `json:"kind"`
	Command string            `json:"command"`
	Args    []string          `json:"args"`
	Env     map[string]string `json:"env"`
}

// Environ is the environment of this process with the target's own variables after it.
func (t Target) Environ() []string {
	env := os.Environ()
	for name, value := range t.Env {
		env = append(env, name+"="+value)
	}
	return env
}

// Ref names a prompt or a resource template, for completion.
type Ref struct {
	Type string `json:"type"`
	Name string `json:"name"`
	URI  string `json:"uri"`
}

// Request is one line of stdin.
type Request struct {
	ID        json.RawMessage `json:"id"`
	Do        string          `json:"do"`
	Target    Target          `json:"target"`
	Era       string          `json:"era"`
	Name      string          `json:"name"`
	URI       string          `json:"uri"`
	Level     string          `json:"level"`
	Arguments json.RawMessage `json:"arguments"`
	Progress  bool            `json:"progress"`
	Ref       Ref             `json:"ref"`
	Argument  struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"argument"`
	CancelAfterMs    *int `json:"cancelAfterMs"`
	CancelOnProgress bool `json:"cancelOnProgress"`
}

// WantsProgress says whether the request is to carry a progress token.
func (r *Request) WantsProgress() bool { return r.Progress || r.CancelOnProgress }

const tokenPrefix = "compat-"

// Token is the progress token of the request.
func (r *Request) Token() string { return tokenPrefix + string(r.ID) }

// StringArguments are the arguments with every value as a string, as prompts take them.
func (r *Request) StringArguments() map[string]string {
	var values map[string]any
	_ = json.Unmarshal(r.Arguments, &values)
	out := map[string]string{}
	for name, value := range values {
		out[name] = fmt.Sprint(value)
	}
	return out
}

// Unsupported is the error of an operation that the SDK does not have.
type Unsupported string

func (u Unsupported) Error() string { return string(u) }

// Failure is how an error is written.
type Failure struct {
	Code    any    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

var (
	out     sync.Mutex
	mu      sync.Mutex
	cancels = map[string]context.CancelFunc{}
)

func write(value any) {
	line, err := json.Marshal(value)
	if err != nil {
		line, _ = json.Marshal(map[string]any{"event": "broken", "value": err.Error()})
	}
	out.Lock()
	defer out.Unlock()
	_, _ = os.Stdout.Write(append(line, '\n'))
}

// Event writes an event that belongs to no request.
func Event(kind string, value any) {
	write(map[string]any{"event": kind, "of": nil, "value": value})
}

// Progress writes a progress event under the request of the token, and cancels that request if it asked for that.
func Progress(token any, value any) {
	var of any
	text := fmt.Sprint(token)
	if id, ok := strings.CutPrefix(text, tokenPrefix); ok {
		of = json.RawMessage(id)
	}
	write(map[string]any{"event": "progress", "of": of, "value": value})
	mu.Lock()
	cancel := cancels[text]
	mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// Run serves requests until stdin ends. do runs one request; failure turns an error of the SDK into what is written.
func Run(do func(context.Context, *Request) (any, error), failure func(error) Failure) {
	reader := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := reader.ReadBytes('\n')
		if len(strings.TrimSpace(string(line))) > 0 {
			request := &Request{}
			if err := json.Unmarshal(line, request); err != nil {
				fmt.Fprintln(os.Stderr, "a line is not a request:", err)
			} else {
				go serve(request, do, failure)
			}
		}
		if err != nil {
			return
		}
	}
}

func serve(request *Request, do func(context.Context, *Request) (any, error), failure func(error) Failure) {
	ctx, cancel := context.WithCancel(context.Background())
	defer func() {
		// A connection lives longer than the request that opens it.
		if request.Do != "connect" {
			cancel()
		}
	}()
	if request.CancelAfterMs != nil {
		timer := time.AfterFunc(time.Duration(*request.CancelAfterMs)*time.Millisecond, cancel)
		defer timer.Stop()
	}
	if request.CancelOnProgress {
		mu.Lock()
		cancels[request.Token()] = cancel
		mu.Unlock()
		defer func() {
			mu.Lock()
			delete(cancels, request.Token())
			mu.Unlock()
		}()
	}
	value, err := do(ctx, request)
	var unsupported Unsupported
	switch {
	case err == nil:
		if value == nil {
			value = map[string]any{}
		}
		write(map[string]any{"id": request.ID, "ok": value})
	case errors.As(err, &unsupported):
		write(map[string]any{"id": request.ID, "unsupported": unsupported.Error()})
	case ctx.Err() != nil:
		write(map[string]any{"id": request.ID, "error": Failure{Code: "cancelled", Message: "cancelled by the client"}})
	default:
		write(map[string]any{"id": request.ID, "error": failure(err)})
	}
}

// Map turns any value into what its JSON is.
func Map(value any) map[string]any {
	text, _ := json.Marshal(value)
	var result map[string]any
	_ = json.Unmarshal(text, &result)
	return result
}

// Without is the JSON object of a value without one member.
func Without(value any, member string) map[string]any {
	result := Map(value)
	delete(result, member)
	return result
}

// Question writes that the server asked the client something.
func Question(method string, params any) {
	Event("question", map[string]any{"method": method, "params": Without(params, "_meta")})
}

// Fill is the first valid content of an elicitation's form.
func Fill(schema any) map[string]any {
	content := map[string]any{}
	properties, _ := Map(schema)["properties"].(map[string]any)
	names := make([]string, 0, len(properties))
	for name := range properties {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		property, _ := properties[name].(map[string]any)
		content[name] = first(property)
	}
	return content
}

func first(property map[string]any) any {
	if values, ok := property["enum"].([]any); ok && len(values) > 0 {
		return values[0]
	}
	if values, ok := property["oneOf"].([]any); ok && len(values) > 0 {
		if option, ok := values[0].(map[string]any); ok {
			return option["const"]
		}
	}
	switch property["type"] {
	case "number", "integer":
		if minimum, ok := property["minimum"]; ok {
			return minimum
		}
		return 1
	case "boolean":
		return true
	case "array":
		items, _ := property["items"].(map[string]any)
		if values, ok := items["anyOf"].([]any); ok {
			items = map[string]any{"oneOf": values}
		}
		return []any{first(items)}
	}
	switch property["format"] {
	case "email":
		return "a@example.com"
	case "uri":
		return "https://example.com/"
	case "date":
		return "2026-01-01"
	case "date-time":
		return "2026-01-01T00:00:00Z"
	}
	text := "text"
	if minimum, ok := property["minLength"].(float64); ok && int(minimum) > len(text) {
		text = strings.Repeat("t", int(minimum))
	}
	return text
}
