"""Driver on the MCP servers of openai-agents, as an agent uses them."""

import os

from agents.mcp import MCPServerSse, MCPServerStdio, MCPServerStreamableHttp
from protocol import Unsupported, drive, dump

server = None


async def connect(request):
    global server
    target = request["target"]
    options = {"name": "compat", "client_session_timeout_seconds": 15}
    if "url" not in target:
        env = {**os.environ, **target.get("env", {})}
        params = {"command": target["command"], "args": target["args"], "env": env}
        server = MCPServerStdio(params, **options)
    else:
        kind = MCPServerSse if target["kind"] == "sse" else MCPServerStreamableHttp
        server = kind({"url": target["url"]}, **options)
    await server.connect()
    result = server.server_initialize_result
    # In the modern era there is no such result, and the class shows nothing else.
    if result is None:
        return {"protocolVersion": None, "serverInfo": None, "capabilities": None, "instructions": None}
    shown = dump(result)
    return {name: shown.get(name) for name in ("protocolVersion", "serverInfo", "capabilities", "instructions")}


async def call(request):
    if "cancelAfterMs" in request or "cancelOnProgress" in request:
        raise Unsupported("no cancel")
    return await server.call_tool(request["name"], request["arguments"])


async def prompts(request):
    return (await server.list_prompts()).prompts


async def close(request):
    global server
    closing, server = server, None
    if closing:
        await closing.cleanup()


drive(
    {
        "connect": connect,
        "tools": lambda _: server.list_tools(),
        "prompts": prompts,
        "prompt": lambda request: server.get_prompt(request["name"], request["arguments"]),
        "call": call,
        "close": close,
    }
)
