"""Driver on langchain-mcp-adapters: tools as LangChain sees them, calls as a LangChain agent makes them."""

import os
from contextlib import AsyncExitStack

from langchain_mcp_adapters.callbacks import Callbacks
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools
from protocol import Unsupported, drive, dump, event

stack = None
tools = None
session = None


async def progress(progress, total, message, context):
    value = {"progress": progress, "total": total, "message": message}
    event("progress", {k: v for k, v in value.items() if v is not None})


async def logged(params, context):
    event("log", params)


async def connect(request):
    global stack, session, tools
    target = request["target"]
    if "url" not in target:
        env = {**os.environ, **target.get("env", {})}
        connection = {"transport": "stdio", "command": target["command"], "args": target["args"], "env": env}
    else:
        connection = {"transport": "sse" if target["kind"] == "sse" else "streamable_http", "url": target["url"]}
    callbacks = Callbacks(on_progress=progress, on_logging_message=logged)
    client = MultiServerMCPClient({"compat": connection}, callbacks=callbacks)
    stack = AsyncExitStack()
    session = await stack.enter_async_context(client.session("compat"))
    tools = await load_mcp_tools(session, callbacks=callbacks, server_name="compat")
    return {"protocolVersion": None, "serverInfo": None, "capabilities": None, "instructions": None}


async def listed(request):
    return [
        {"name": tool.name, "description": tool.description, "inputSchema": dump(tool.args_schema)}
        for tool in tools
    ]


async def call(request):
    if "cancelAfterMs" in request or "cancelOnProgress" in request:
        raise Unsupported("no cancel")
    for tool in tools:
        if tool.name == request["name"]:
            message = {"type": "tool_call", "id": "1", "name": tool.name, "args": request["arguments"]}
            result = await tool.ainvoke(message)
            content = result.content
            # LangChain numbers the parts of a message by itself.
            if isinstance(content, list):
                content = [{k: v for k, v in part.items() if k != "id"} if isinstance(part, dict) else part for part in content]
            return {"content": dump(content), "artifact": dump(result.artifact), "status": result.status}
    raise Unsupported("a tool that was not listed cannot be called")


async def close(request):
    global stack
    closing, stack = stack, None
    if closing:
        await closing.aclose()


drive({"connect": connect, "tools": listed, "call": call, "close": close})
