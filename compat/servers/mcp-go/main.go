// A server on mcp-go: over stdio, or with `http PORT [stateless]` over Streamable HTTP on 127.0.0.1, path /mcp.
// Clients of 2026-07-28 are asked with results of input_required, older ones with requests.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

const (
	pixel   = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
	counter = "compat://counter"
)

var count atomic.Int64

type names struct{}

func (names) CompletePromptArgument(
	_ context.Context, _ string, argument mcp.CompleteArgument, _ mcp.CompleteContext,
) (*mcp.Completion, error) {
	values := []string{}
	for _, name := range []string{"anna", "ben", "bert"} {
		if strings.HasPrefix(name, argument.Value) {
			values = append(values, name)
		}
	}
	return &mcp.Completion{Values: values, Total: len(values)}, nil
}

func progress(ctx context.Context, request mcp.CallToolRequest, done, total int, message string) {
	if request.Params.Meta == nil || request.Params.Meta.ProgressToken == nil {
		return
	}
	_ = server.ServerFromContext(ctx).SendNotificationToClient(ctx, "notifications/progress", map[string]any{
		"progressToken": request.Params.Meta.ProgressToken, "progress": done, "total": total, "message": message,
	})
}

func answer(value any) (*mcp.CallToolResult, error) {
	text, err := json.Marshal(value)
	return mcp.NewToolResultText(string(text)), err
}

var form = map[string]any{
	"type": "object",
	"properties": map[string]any{
		"name":   map[string]any{"type": "string"},
		"count":  map[string]any{"type": "integer", "minimum": 3},
		"sure":   map[string]any{"type": "boolean"},
		"colour": map[string]any{"type": "string", "enum": []string{"red", "green"}},
	},
	"required": []string{"name", "count"},
}

var elicitation = mcp.ElicitationParams{Mode: mcp.ElicitationModeForm, Message: "Who are you?", RequestedSchema: form}

var sampling = mcp.CreateMessageParams{
	Messages:  []mcp.SamplingMessage{{Role: mcp.RoleUser, Content: mcp.NewTextContent("Say something")}},
	MaxTokens: 100,
}

// Only a client of 2026-07-28 can be told that input is required.
func modern(ctx context.Context) bool {
	info := server.RequestProtocolInfoFromContext(ctx)
	return info != nil && mcp.IsModernProtocol(info.ProtocolVersion)
}

func ask(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	var result *mcp.ElicitationResult
	if modern(ctx) {
		if result = server.ElicitationResponse(request.Params.InputResponses, "q"); result == nil {
			return server.NewInputRequestBuilder("asked").Elicit("q", elicitation).ToolResult(), nil
		}
	} else {
		var err error
		result, err = server.ServerFromContext(ctx).RequestElicitation(ctx, mcp.ElicitationRequest{Params: elicitation})
		if err != nil {
			return nil, err
		}
	}
	return answer(map[string]any{"action": result.Action, "content": result.Content})
}

func sample(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	var result *mcp.CreateMessageResult
	if modern(ctx) {
		if result = server.SamplingResponse(request.Params.InputResponses, "q"); result == nil {
			return server.NewInputRequestBuilder("asked").Sample("q", sampling).ToolResult(), nil
		}
	} else {
		var err error
		result, err = server.ServerFromContext(ctx).RequestSampling(ctx, mcp.CreateMessageRequest{CreateMessageParams: sampling})
		if err != nil {
			return nil, err
		}
	}
	switch content := result.Content.(type) {
	case mcp.TextContent:
		return mcp.NewToolResultText(content.Text), nil
	case map[string]any:
		return mcp.NewToolResultText(fmt.Sprint(content["text"])), nil
	}
	return nil, fmt.Errorf("no text but %T", result.Content)
}

func roots(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	var result *mcp.ListRootsResult
	if modern(ctx) {
		if result = server.RootsResponse(request.Params.InputResponses, "q"); result == nil {
			return server.NewInputRequestBuilder("asked").Roots("q").ToolResult(), nil
		}
	} else {
		var err error
		if result, err = server.ServerFromContext(ctx).RequestRoots(ctx, mcp.ListRootsRequest{}); err != nil {
			return nil, err
		}
	}
	uris := []string{}
	for _, root := range result.Roots {
		uris = append(uris, root.URI)
	}
	return answer(uris)
}

func addTools(s *server.MCPServer) {
	s.AddTool(mcp.NewTool("echo", mcp.WithDescription("Gives the text back"), mcp.WithString("text", mcp.Required())),
		func(_ context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			text, err := request.RequireString("text")
			if err != nil {
				return mcp.NewToolResultError(err.Error()), nil
			}
			return mcp.NewToolResultText(text), nil
		})
	structured := mcp.NewTool("structured", mcp.WithDescription("Structured output"), mcp.WithRawOutputSchema(json.RawMessage(
		`{"type":"object","required":["answer","list"],"properties":{"answer":{"type":"integer"},`+
			`"list":{"type":"array","items":{"type":"string"}}}}`)))
	s.AddTool(structured, func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultStructuredOnly(map[string]any{"answer": 42, "list": []string{"a", "b"}}), nil
	})
	s.AddTool(mcp.NewTool("image", mcp.WithDescription("One pixel")),
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{mcp.NewImageContent(pixel, "image/png")}}, nil
		})
	s.AddTool(mcp.NewTool("fail", mcp.WithDescription("An error result")),
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultError("it failed"), nil
		})
	s.AddTool(mcp.NewTool("progress", mcp.WithDescription("Reports its steps"), mcp.WithNumber("steps", mcp.Required())),
		func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			steps := request.GetInt("steps", 0)
			for step := 1; step <= steps; step++ {
				progress(ctx, request, step, steps, fmt.Sprintf("step %d", step))
				time.Sleep(30 * time.Millisecond)
			}
			return mcp.NewToolResultText(fmt.Sprintf("%d steps", steps)), nil
		})
	s.AddTool(mcp.NewTool("log", mcp.WithDescription("Logs a line")),
		func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			_ = s.SendLogMessageToClient(ctx, mcp.NewLoggingMessageNotification(mcp.LoggingLevelInfo, "compat", "hello log"))
			return mcp.NewToolResultText("logged"), nil
		})
	s.AddTool(mcp.NewTool("wait", mcp.WithDescription("Waits until it is cancelled"), mcp.WithNumber("ms", mcp.Required())),
		func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			progress(ctx, request, 0, 1, "waiting")
			select {
			case <-time.After(time.Duration(request.GetInt("ms", 0)) * time.Millisecond):
				return mcp.NewToolResultText("waited"), nil
			case <-ctx.Done():
				fmt.Fprintln(os.Stderr, "cancelled")
				return nil, ctx.Err()
			}
		})
	s.AddTool(mcp.NewTool("ask", mcp.WithDescription("Asks for a form")), ask)
	s.AddTool(mcp.NewTool("sample", mcp.WithDescription("Asks for a sampling")), sample)
	s.AddTool(mcp.NewTool("roots", mcp.WithDescription("Asks for the roots")), roots)
	s.AddTool(mcp.NewTool("touch", mcp.WithDescription("Updates the counter")),
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			count.Add(1)
			s.SendNotificationToAllClients("notifications/resources/updated", map[string]any{"uri": counter})
			return mcp.NewToolResultText("touched"), nil
		})
}

func addRest(s *server.MCPServer) {
	text := func(value func(uri string) string) server.ResourceHandlerFunc {
		return func(_ context.Context, request mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			uri := request.Params.URI
			return []mcp.ResourceContents{mcp.TextResourceContents{URI: uri, MIMEType: "text/plain", Text: value(uri)}}, nil
		}
	}
	plain := mcp.WithMIMEType("text/plain")
	s.AddResource(mcp.NewResource("compat://text", "text", plain), text(func(string) string { return "plain text" }))
	s.AddResource(mcp.NewResource(counter, "counter", plain),
		text(func(string) string { return fmt.Sprint(count.Load()) }))
	s.AddResource(mcp.NewResource("compat://binary", "binary", mcp.WithMIMEType("application/octet-stream")),
		func(_ context.Context, request mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			return []mcp.ResourceContents{mcp.BlobResourceContents{
				URI: request.Params.URI, MIMEType: "application/octet-stream", Blob: "AAEC/w==",
			}}, nil
		})
	s.AddResourceTemplate(mcp.NewResourceTemplate("compat://item/{id}", "item", mcp.WithTemplateMIMEType("text/plain")),
		server.ResourceTemplateHandlerFunc(text(func(uri string) string {
			return "item " + strings.TrimPrefix(uri, "compat://item/")
		})))
	s.AddPrompt(mcp.NewPrompt("greet", mcp.WithPromptDescription("Greets"), mcp.WithArgument("name", mcp.RequiredArgument())),
		func(_ context.Context, request mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return mcp.NewGetPromptResult("", []mcp.PromptMessage{
				mcp.NewPromptMessage(mcp.RoleUser, mcp.NewTextContent("Greet "+request.Params.Arguments["name"])),
			}), nil
		})
}

func main() {
	s := server.NewMCPServer("compat-mcp-go", "1.0.0",
		server.WithToolCapabilities(true), server.WithResourceCapabilities(true, true), server.WithPromptCapabilities(true),
		server.WithLogging(), server.WithCompletions(), server.WithPromptCompletionProvider(names{}),
		server.WithElicitation(), server.WithRoots(), server.WithInstructions("A server of the compatibility matrix."))
	s.EnableSampling()
	addTools(s)
	addRest(s)
	if len(os.Args) < 3 || os.Args[1] != "http" {
		if err := server.ServeStdio(s); err != nil {
			log.Fatal(err)
		}
		return
	}
	stateless := server.WithStateLess(len(os.Args) > 3 && os.Args[3] == "stateless")
	if err := server.NewStreamableHTTPServer(s, stateless).Start("127.0.0.1:" + os.Args[2]); err != nil {
		log.Fatal(err)
	}
}
