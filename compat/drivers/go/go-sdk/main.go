// A driver for the client of github.com/modelcontextprotocol/go-sdk.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"sync"

	"compat.test/drivers/lines"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

var (
	mu      sync.Mutex
	current *mcp.ClientSession
)

func main() {
	lines.Run(do, failure)
	mu.Lock()
	defer mu.Unlock()
	if current != nil {
		_ = current.Close()
	}
}

func failure(err error) lines.Failure {
	var wire *jsonrpc.Error
	if errors.As(err, &wire) {
		var data any
		if len(wire.Data) > 0 {
			_ = json.Unmarshal(wire.Data, &data)
		}
		return lines.Failure{Code: wire.Code, Message: wire.Message, Data: data}
	}
	return lines.Failure{Message: err.Error()}
}

func connect(ctx context.Context, request *lines.Request) (any, error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "compat-go-sdk", Version: "1.0.0"}, &mcp.ClientOptions{
		CreateMessageHandler: func(_ context.Context, r *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
			lines.Question("sampling/createMessage", r.Params)
			return &mcp.CreateMessageResult{
				Role: "assistant", Content: &mcp.TextContent{Text: "sampled"}, Model: "compat", StopReason: "endTurn",
			}, nil
		},
		ElicitationHandler: func(_ context.Context, r *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			lines.Question("elicitation/create", r.Params)
			result := &mcp.ElicitResult{Action: "accept"}
			if r.Params.Mode != "url" {
				result.Content = lines.Fill(r.Params.RequestedSchema)
			}
			return result, nil
		},
		Capabilities: &mcp.ClientCapabilities{
			RootsV2: &mcp.RootCapabilities{ListChanged: true},
			Elicitation: &mcp.ElicitationCapabilities{
				Form: &mcp.FormElicitationCapabilities{}, URL: &mcp.URLElicitationCapabilities{},
			},
		},
		ElicitationCompleteHandler: func(_ context.Context, r *mcp.ElicitationCompleteNotificationRequest) {
			lines.Event("elicitation complete", lines.Without(r.Params, "_meta"))
		},
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) {
			lines.Event("changed", "tools")
		},
		PromptListChangedHandler: func(context.Context, *mcp.PromptListChangedRequest) {
			lines.Event("changed", "prompts")
		},
		ResourceListChangedHandler: func(context.Context, *mcp.ResourceListChangedRequest) {
			lines.Event("changed", "resources")
		},
		ResourceUpdatedHandler: func(_ context.Context, r *mcp.ResourceUpdatedNotificationRequest) {
			lines.Event("updated", lines.Without(r.Params, "_meta"))
		},
		LoggingMessageHandler: func(_ context.Context, r *mcp.LoggingMessageRequest) {
			lines.Event("log", lines.Without(r.Params, "_meta"))
		},
		ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
			value := lines.Without(r.Params, "_meta")
			delete(value, "progressToken")
			lines.Progress(r.Params.ProgressToken, value)
		},
	})
	client.AddRoots(&mcp.Root{URI: "file:///compat", Name: "compat"})
	client.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, r mcp.Request) (mcp.Result, error) {
			if method == "roots/list" || method == "ping" {
				lines.Question(method, r.GetParams())
			}
			return next(ctx, method, r)
		}
	})

	var transport mcp.Transport
	target := request.Target
	switch {
	case target.Command != "":
		command := exec.Command(target.Command, target.Args...)
		command.Env = target.Environ()
		command.Stderr = os.Stderr
		transport = &mcp.CommandTransport{Command: command}
	case target.Kind == "sse":
		transport = &mcp.SSEClientTransport{Endpoint: target.URL}
	default:
		transport = &mcp.StreamableClientTransport{Endpoint: target.URL}
	}
	version := "2025-11-25"
	if request.Era == "modern" {
		version = "2026-07-28"
	}
	session, err := client.Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		return nil, err
	}
	mu.Lock()
	current = session
	mu.Unlock()
	result := session.InitializeResult()
	return map[string]any{
		"protocolVersion": result.ProtocolVersion,
		"serverInfo":      result.ServerInfo,
		"capabilities":    result.Capabilities,
		"instructions":    result.Instructions,
	}, nil
}

func all[T any](items iter.Seq2[*T, error]) (any, error) {
	list := []*T{}
	for item, err := range items {
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, nil
}

func do(ctx context.Context, request *lines.Request) (any, error) {
	if request.Do == "connect" {
		return connect(ctx, request)
	}
	mu.Lock()
	session := current
	mu.Unlock()
	if session == nil {
		return nil, errors.New("not connected")
	}
	switch request.Do {
	case "tools":
		return all(session.Tools(ctx, nil))
	case "resources":
		return all(session.Resources(ctx, nil))
	case "templates":
		return all(session.ResourceTemplates(ctx, nil))
	case "prompts":
		return all(session.Prompts(ctx, nil))
	case "call":
		params := &mcp.CallToolParams{Name: request.Name}
		if len(request.Arguments) > 0 {
			params.Arguments = request.Arguments
		}
		if request.WantsProgress() {
			params.Meta = mcp.Meta{}
			params.SetProgressToken(request.Token())
		}
		return session.CallTool(ctx, params)
	case "read":
		return session.ReadResource(ctx, &mcp.ReadResourceParams{URI: request.URI})
	case "prompt":
		return session.GetPrompt(ctx, &mcp.GetPromptParams{Name: request.Name, Arguments: request.StringArguments()})
	case "complete":
		return session.Complete(ctx, &mcp.CompleteParams{
			Ref:      &mcp.CompleteReference{Type: request.Ref.Type, Name: request.Ref.Name, URI: request.Ref.URI},
			Argument: mcp.CompleteParamsArgument{Name: request.Argument.Name, Value: request.Argument.Value},
		})
	case "subscribe":
		return nil, session.Subscribe(ctx, &mcp.SubscribeParams{URI: request.URI})
	case "unsubscribe":
		return nil, session.Unsubscribe(ctx, &mcp.UnsubscribeParams{URI: request.URI})
	case "level":
		return nil, session.SetLoggingLevel(ctx, &mcp.SetLoggingLevelParams{Level: mcp.LoggingLevel(request.Level)})
	case "ping":
		return nil, session.Ping(ctx, nil)
	case "close":
		mu.Lock()
		current = nil
		mu.Unlock()
		return nil, session.Close()
	}
	return nil, lines.Unsupported(fmt.Sprintf("no operation %q", request.Do))
}
