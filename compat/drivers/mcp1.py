"""Driver on the Python SDK 1.x."""

import os
from contextlib import AsyncExitStack

import mcp.types as types
from mcp import ClientSession, StdioServerParameters, stdio_client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamablehttp_client
from protocol import ANSWER, MODEL, ROOT, Unsupported, all_pages, cancellable, drive, event, form, question

stack = None
session = None


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


async def message(received):
    note = getattr(received, "root", None)
    if isinstance(note, types.ResourceUpdatedNotification):
        event("updated", note.params)
    elif note is not None and str(getattr(note, "method", "")).endswith("list_changed"):
        event("changed", note.method.split("/")[1])


async def connect(request):
    global stack, session
    if request.get("era") == "modern":
        raise Unsupported("no 2026-07-28")
    target = request["target"]
    stack = AsyncExitStack()
    if "url" not in target:
        env = {**os.environ, **target.get("env", {})}
        parameters = StdioServerParameters(command=target["command"], args=target["args"], env=env)
        streams = await stack.enter_async_context(stdio_client(parameters))
    elif target["kind"] == "sse":
        streams = await stack.enter_async_context(sse_client(target["url"]))
    else:
        streams = await stack.enter_async_context(streamablehttp_client(target["url"]))
    session = await stack.enter_async_context(
        ClientSession(
            streams[0],
            streams[1],
            elicitation_callback=elicitation,
            sampling_callback=sampling,
            list_roots_callback=roots,
            logging_callback=logged,
            message_handler=message,
        )
    )
    result = await session.initialize()
    return {
        "protocolVersion": result.protocolVersion,
        "serverInfo": result.serverInfo,
        "capabilities": result.capabilities,
        "instructions": result.instructions,
    }


async def call(request):
    # The SDK does not tell a server by itself that a call was given up.
    number = session._request_id

    async def cancelled():
        params = types.CancelledNotificationParams(requestId=number, reason="cancelled by the client")
        note = types.CancelledNotification(params=params)
        await session.send_notification(types.ClientNotification(note))

    return await cancellable(
        request,
        lambda on: session.call_tool(request["name"], request["arguments"], progress_callback=on),
        cancelled,
    )


async def complete(request):
    kind = types.PromptReference if request["ref"]["type"] == "ref/prompt" else types.ResourceTemplateReference
    return await session.complete(kind(**request["ref"]), request["argument"])


async def close(request):
    global stack, session
    closing, stack, session = stack, None, None
    if closing:
        await closing.aclose()


drive(
    {
        "connect": connect,
        "tools": lambda _: all_pages(lambda cursor: session.list_tools(cursor), "tools"),
        "resources": lambda _: all_pages(lambda cursor: session.list_resources(cursor), "resources"),
        "templates": lambda _: all_pages(lambda cursor: session.list_resource_templates(cursor), "resourceTemplates"),
        "prompts": lambda _: all_pages(lambda cursor: session.list_prompts(cursor), "prompts"),
        "call": call,
        "read": lambda request: session.read_resource(request["uri"]),
        "prompt": lambda request: session.get_prompt(request["name"], request["arguments"]),
        "complete": complete,
        "subscribe": lambda request: session.subscribe_resource(request["uri"]),
        "unsubscribe": lambda request: session.unsubscribe_resource(request["uri"]),
        "level": lambda request: session.set_logging_level(request["level"]),
        "ping": lambda _: session.send_ping(),
        "close": close,
    }
)
