"""Server on dedalus-mcp: python dedalus.py stdio|http [PORT]"""

import asyncio
import json
import sys

from dedalus_mcp import MCPServer, completion, get_context, prompt, resource, resource_template, tool, types

MODE, PORT = sys.argv[1], int((sys.argv[2:] or ["0"])[0])
server = MCPServer("compat-dedalus", version="1.0.0", instructions="A server to compare with.")
FORM = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "count": {"type": "integer", "minimum": 3},
        "sure": {"type": "boolean"},
        "colour": {"type": "string", "enum": ["red", "green"]},
    },
}


@tool(description="Gives the text back.")
def echo(text: str) -> str:
    return text


@tool(description="A result with members.")
def structured() -> dict:
    return {"answer": 42, "list": ["a", "b"]}


@tool(description="Fails.")
def fail() -> str:
    raise ValueError("it failed")


@tool(description="Reports each step.")
async def progress(steps: int) -> str:
    context = get_context()
    for step in range(1, steps + 1):
        await context.report_progress(step, total=steps, message=f"step {step}")
        await asyncio.sleep(0.03)
    return "done"


@tool(description="Sends a log message.")
async def log() -> str:
    await get_context().info("hello log")
    return "logged"


@tool(description="Takes its time.")
async def wait(ms: int) -> str:
    await get_context().report_progress(0, total=1)
    await asyncio.sleep(ms / 1000)
    return "waited"


@tool(description="Asks with a form.")
async def ask() -> str:
    params = types.ElicitRequestFormParams(message="Who?", requestedSchema=FORM)
    return json.dumps((await server.request_elicitation(params)).content)


@tool(description="Asks for a sampling.")
async def sample() -> str:
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="hello"))
    params = types.CreateMessageRequestParams(messages=[message], maxTokens=10)
    return (await server.request_sampling(params)).content.text


@tool(description="Changes the counter.")
async def touch() -> str:
    await server.notify_resource_updated("compat://counter")
    return "touched"


@resource("compat://text", mime_type="text/plain")
def text() -> str:
    return "hello"


@resource("compat://counter", mime_type="text/plain")
def counter() -> str:
    return "new"


@resource_template("item", uri_template="compat://item/{id}")
def item(id: str) -> str:
    return f"item {id}"


@prompt("greet", description="Greets.", arguments=[{"name": "name", "required": True}])
def greet(arguments):
    return [("user", f"Hello {arguments['name']}")]


@completion(prompt="greet")
def complete(argument, context=None):
    return [name for name in ("anna", "ben", "bert") if name.startswith(argument.value)]


parts = [echo, structured, fail, progress, log, wait, ask, sample, touch]
server.collect(*parts, text, counter, item, greet, complete)
if MODE == "stdio":
    asyncio.run(server.serve_stdio(announce=False))
else:
    asyncio.run(server.serve_streamable_http(host="127.0.0.1", port=PORT, announce=False))
