"""Driver on the Python SDK 2.x, in both eras."""

import os
from contextlib import AsyncExitStack

import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from protocol import ANSWER, MODEL, ROOT, all_pages, cancellable, drive, event, form, question

stack = None
client = None
listening = {}


async def elicitation(context, params):
    question("elicitation/create", params)
    return types.ElicitResult(action="accept", content=form(params))


async def sampling(context, params):
    question("sampling/createMessage", params)
    content = types.TextContent(type="text", text=ANSWER)
    return types.CreateMessageResult(role="assistant", content=content, model=MODEL)


async def roots(context):
    question("roots/list", {})
    return types.ListRootsResult(roots=[types.Root(**ROOT)])


async def logged(params):
    event("log", params)


async def message(note):
    method = str(getattr(note, "method", ""))
    if method == "notifications/resources/updated":
        event("updated", note.params)
    elif method.endswith("list_changed"):
        event("changed", method.split("/")[1])


async def connect(request):
    global stack, client
    target = request["target"]
    stack = AsyncExitStack()
    if "url" not in target:
        env = {**os.environ, **target.get("env", {})}
        server = StdioServerParameters(command=target["command"], args=target["args"], env=env)
    elif target["kind"] == "sse":
        server = sse_client(target["url"])
    else:
        server = target["url"]
    modern = request.get("era") == "modern"
    client = await stack.enter_async_context(
        Client(
            server,
            mode="auto" if modern else "legacy",
            elicitation_callback=elicitation,
            sampling_callback=sampling,
            list_roots_callback=roots,
            logging_callback=logged,
            log_level="debug" if modern else None,
            message_handler=message,
            cache=None,
        )
    )
    return {
        "protocolVersion": client.protocol_version,
        "serverInfo": client.server_info,
        "capabilities": client.server_capabilities,
        "instructions": client.instructions,
    }


async def call(request):
    return await cancellable(
        request,
        lambda on: client.call_tool(request["name"], request["arguments"], progress_callback=on),
    )


async def complete(request):
    kind = types.PromptReference if request["ref"]["type"] == "ref/prompt" else types.ResourceTemplateReference
    return await client.complete(kind(**request["ref"]), request["argument"])


async def subscribe(request):
    """In the modern era a subscription is a stream of its own."""
    if client.protocol_version < "2026":
        return await client.subscribe_resource(request["uri"])
    own = AsyncExitStack()
    listening[request["uri"]] = own
    await own.enter_async_context(client.listen(resource_subscriptions=[request["uri"]]))
    return {}


async def unsubscribe(request):
    if client.protocol_version < "2026":
        return await client.unsubscribe_resource(request["uri"])
    await listening.pop(request["uri"]).aclose()
    return {}


async def close(request):
    global stack, client
    closing, stack, client = stack, None, None
    for own in listening.values():
        await own.aclose()
    listening.clear()
    if closing:
        await closing.aclose()


drive(
    {
        "connect": connect,
        "tools": lambda _: all_pages(lambda cursor: client.list_tools(cursor=cursor), "tools"),
        "resources": lambda _: all_pages(lambda cursor: client.list_resources(cursor=cursor), "resources"),
        "templates": lambda _: all_pages(
            lambda cursor: client.list_resource_templates(cursor=cursor), "resourceTemplates"
        ),
        "prompts": lambda _: all_pages(lambda cursor: client.list_prompts(cursor=cursor), "prompts"),
        "call": call,
        "read": lambda request: client.read_resource(request["uri"]),
        "prompt": lambda request: client.get_prompt(request["name"], request["arguments"]),
        "complete": complete,
        "subscribe": subscribe,
        "unsubscribe": unsubscribe,
        "level": lambda request: client.set_logging_level(request["level"]),
        "ping": lambda _: client.send_ping(),
        "close": close,
    }
)
