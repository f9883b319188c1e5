// A server on the Go SDK, over HTTP with sessions: PORT.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type echoed struct {
	Mark string `json:"mark"`
}

type stepped struct {
	Mark  string `json:"mark"`
	Count int    `json:"count"`
}

func text(value string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: value}}}
}

func echo(_ context.Context, _ *mcp.CallToolRequest, in echoed) (*mcp.CallToolResult, any, error) {
	return text(in.Mark), nil, nil
}

func steps(ctx context.Context, req *mcp.CallToolRequest, in stepped) (*mcp.CallToolResult, any, error) {
	for step := 1; step <= in.Count; step++ {
		if token := req.Params.GetProgressToken(); token != nil {
			note := &mcp.ProgressNotificationParams{
				ProgressToken: token, Progress: float64(step), Total: float64(in.Count), Message: in.Mark,
			}
			if err := req.Session.NotifyProgress(ctx, note); err != nil {
				return nil, nil, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return text(in.Mark), nil, nil
}

func main() {
	server := mcp.NewServer(&mcp.Implementation{Name: "soak-go", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "echo", Description: "Gives the mark back."}, echo)
	mcp.AddTool(server, &mcp.Tool{Name: "steps", Description: "Reports each step."}, steps)
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	address := fmt.Sprintf("127.0.0.1:%s", os.Args[1])
	log.Fatal(http.ListenAndServe(address, handler))
}
