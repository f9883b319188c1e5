// A driver for the client of github.com/mark3labs/mcp-go.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"compat.test/drivers/lines"
	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
)

var (
	mu      sync.Mutex
	current *client.Client
	modern  bool
	filter  mcp.SubscriptionFilter
	stop    func()
)

func main() {
	lines.Run(do, failure)
	mu.Lock()
	defer mu.Unlock()
	if current != nil {
		_ = current.Close()
	}
}

// The SDK turns the codes that it knows into errors of its own, which do not say the number.
func failure(err error) lines.Failure {
	result := lines.Failure{Message: err.Error()}
	for code, known := range map[int]error{
		-32700: mcp.ErrParseError, -32600: mcp.ErrInvalidRequest, -32601: mcp.ErrMethodNotFound,
		-32602: mcp.ErrInvalidParams, -32603: mcp.ErrInternalError, -32002: mcp.ErrResourceNotFound,
	} {
		if errors.Is(err, known) {
			result.Code = code
		}
	}
	return result
}

type answers struct{}

func (answers) ListRoots(_ context.Context, _ mcp.ListRootsRequest) (*mcp.ListRootsResult, error) {
	lines.Question("roots/list", nil)
	return &mcp.ListRootsResult{Roots: []mcp.Root{{URI: "file:///compat", Name: "compat"}}}, nil
}

func (answers) CreateMessage(_ context.Context, r mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
	lines.Question("sampling/createMessage", r.CreateMessageParams)
	return &mcp.CreateMessageResult{
		SamplingMessage: mcp.SamplingMessage{Role: mcp.RoleAssistant, Content: mcp.NewTextContent("sampled")},
		Model:           "compat",
		StopReason:      "endTurn",
	}, nil
}

func (answers) Elicit(_ context.Context, r mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	lines.Question("elicitation/create", r.Params)
	result := &mcp.ElicitationResult{}
	result.Action = mcp.ElicitationResponseActionAccept
	if r.Params.Mode != "url" {
		result.Content = lines.Fill(r.Params.RequestedSchema)
	}
	return result, nil
}

func heard(n mcp.JSONRPCNotification) {
	value := n.Params.AdditionalFields
	switch n.Method {
	case "notifications/progress":
		token := value["progressToken"]
		lines.Progress(token, lines.Without(value, "progressToken"))
	case "notifications/message":
		lines.Event("log", value)
	case "notifications/resources/updated":
		lines.Event("updated", value)
	default:
		if of, ok := strings.CutSuffix(n.Method, "/list_changed"); ok {
			lines.Event("changed", strings.TrimPrefix(of, "notifications/"))
		} else {
			fmt.Fprintln(os.Stderr, "a notification:", n.Method)
		}
	}
}

func transportTo(target lines.Target) (transport.Interface, error) {
	switch {
	case target.Command != "":
		return transport.NewStdioWithOptions(target.Command, target.Environ(), target.Args), nil
	case target.Kind == "sse":
		return transport.NewSSE(target.URL)
	default:
		return transport.NewStreamableHTTP(target.URL)
	}
}

func connect(ctx context.Context, request *lines.Request) (any, error) {
	link, err := transportTo(request.Target)
	if err != nil {
		return nil, err
	}
	// The SDK does not listen for what the server sends of itself unless it is told to, and only before 2026-07-28.
	if request.Era != "modern" && request.Target.Command == "" && request.Target.Kind != "sse" {
		link, err = transport.NewStreamableHTTP(request.Target.URL, transport.WithContinuousListening())
		if err != nil {
			return nil, err
		}
	}
	version := mcp.LATEST_LEGACY_PROTOCOL_VERSION
	if request.Era == "modern" {
		version = mcp.ProtocolVersion20260728
	}
	c := client.NewClient(link, client.WithSamplingHandler(answers{}), client.WithElicitationHandler(answers{}),
		client.WithRootsHandler(answers{}), client.WithProtocolVersion(version))
	c.OnNotification(heard)
	if err := c.Start(ctx); err != nil {
		return nil, err
	}
	if stderr, ok := client.GetStderr(c); ok {
		go func() { _, _ = io.Copy(os.Stderr, stderr) }()
	}
	start := mcp.InitializeRequest{}
	start.Params.ClientInfo = mcp.Implementation{Name: "compat-mcp-go", Version: "1.0.0"}
	result, err := c.Initialize(ctx, start)
	if err != nil {
		return nil, err
	}
	mu.Lock()
	current = c
	modern = mcp.IsModernProtocol(result.ProtocolVersion)
	filter = mcp.SubscriptionFilter{ToolsListChanged: true, PromptsListChanged: true, ResourcesListChanged: true}
	mu.Unlock()
	if err := listen(ctx, c, filter); err != nil {
		return nil, err
	}
	return map[string]any{
		"protocolVersion": result.ProtocolVersion,
		"serverInfo":      result.ServerInfo,
		"capabilities":    result.Capabilities,
		"instructions":    result.Instructions,
	}, nil
}

// In 2026-07-28 one stream brings what changed; another filter takes another stream.
func listen(_ context.Context, c *client.Client, wanted mcp.SubscriptionFilter) error {
	mu.Lock()
	defer mu.Unlock()
	if !modern {
		return nil
	}
	if stop != nil {
		stop()
	}
	end, err := c.ListenAsync(context.Background(), wanted, func(err error) {
		fmt.Fprintln(os.Stderr, "the subscription ended:", err)
	})
	stop = end
	filter = wanted
	return err
}

func do(ctx context.Context, request *lines.Request) (any, error) {
	if request.Do == "connect" {
		return connect(ctx, request)
	}
	mu.Lock()
	c := current
	mu.Unlock()
	if c == nil {
		return nil, errors.New("not connected")
	}
	switch request.Do {
	case "tools":
		result, err := c.ListTools(ctx, mcp.ListToolsRequest{})
		if err != nil {
			return nil, err
		}
		return result.Tools, nil
	case "resources":
		result, err := c.ListResources(ctx, mcp.ListResourcesRequest{})
		if err != nil {
			return nil, err
		}
		return result.Resources, nil
	case "templates":
		result, err := c.ListResourceTemplates(ctx, mcp.ListResourceTemplatesRequest{})
		if err != nil {
			return nil, err
		}
		return result.ResourceTemplates, nil
	case "prompts":
		result, err := c.ListPrompts(ctx, mcp.ListPromptsRequest{})
		if err != nil {
			return nil, err
		}
		return result.Prompts, nil
	case "call":
		call := mcp.CallToolRequest{}
		call.Params.Name = request.Name
		if len(request.Arguments) > 0 {
			call.Params.Arguments = json.RawMessage(request.Arguments)
		}
		if request.WantsProgress() {
			call.Params.Meta = &mcp.Meta{ProgressToken: request.Token()}
		}
		return c.CallTool(ctx, call)
	case "read":
		read := mcp.ReadResourceRequest{}
		read.Params.URI = request.URI
		return c.ReadResource(ctx, read)
	case "prompt":
		prompt := mcp.GetPromptRequest{}
		prompt.Params.Name = request.Name
		prompt.Params.Arguments = request.StringArguments()
		return c.GetPrompt(ctx, prompt)
	case "complete":
		complete := mcp.CompleteRequest{}
		if request.Ref.Type == "ref/prompt" {
			complete.Params.Ref = mcp.PromptReference{Type: request.Ref.Type, Name: request.Ref.Name}
		} else {
			complete.Params.Ref = mcp.ResourceReference{Type: request.Ref.Type, URI: request.Ref.URI}
		}
		complete.Params.Argument = mcp.CompleteArgument{Name: request.Argument.Name, Value: request.Argument.Value}
		return c.Complete(ctx, complete)
	case "subscribe":
		if modern {
			wanted := filter
			wanted.ResourceSubscriptions = append(append([]string{}, filter.ResourceSubscriptions...), request.URI)
			return nil, listen(ctx, c, wanted)
		}
		subscribe := mcp.SubscribeRequest{}
		subscribe.Params.URI = request.URI
		return nil, c.Subscribe(ctx, subscribe)
	case "unsubscribe":
		if modern {
			wanted := filter
			wanted.ResourceSubscriptions = nil
			for _, uri := range filter.ResourceSubscriptions {
				if uri != request.URI {
					wanted.ResourceSubscriptions = append(wanted.ResourceSubscriptions, uri)
				}
			}
			return nil, listen(ctx, c, wanted)
		}
		unsubscribe := mcp.UnsubscribeRequest{}
		unsubscribe.Params.URI = request.URI
		return nil, c.Unsubscribe(ctx, unsubscribe)
	case "level":
		level := mcp.SetLevelRequest{}
		level.Params.Level = mcp.LoggingLevel(request.Level)
		return nil, c.SetLevel(ctx, level)
	case "ping":
		if modern {
			return nil, lines.Unsupported("2026-07-28 has no ping, and the SDK sends nothing")
		}
		return nil, c.Ping(ctx)
	case "close":
		mu.Lock()
		current = nil
		mu.Unlock()
		if stop != nil {
			stop()
			stop = nil
		}
		return nil, c.Close()
	}
	return nil, lines.Unsupported(fmt.Sprintf("no operation %q", request.Do))
}
