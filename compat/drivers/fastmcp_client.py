"""Driver on FastMCP's client, 3 and 4 (4: in both eras)."""

import os

import fastmcp
from fastmcp import Client
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport
from protocol import ANSWER, ROOT, Unsupported, cancellable, drive, dump, event, form, question

THREE = fastmcp.__version__.startswith("3")
if THREE:
    import mcp.types as types
else:
    import mcp_types as types

client = None


async def elicitation(message, response_type, params, context):
    question("elicitation/create", params)
    content = form(params)
    return ElicitResult(action="accept", content=content)


async def sampling(messages, params, context):
    question("sampling/createMessage", params)
    content = types.TextContent(type="text", text=ANSWER)
    return types.CreateMessageResult(role="assistant", content=content, model="compat")


async def roots(context):
    question("roots/list", {})
    return [types.Root(**ROOT)]


async def logged(message):
    event("log", message)


async def message(received):
    note = getattr(received, "root", received)
    method = str(getattr(note, "method", ""))
    if method == "notifications/resources/updated":
        event("updated", note.params)
    elif method.endswith("list_changed"):
        event("changed", method.split("/")[1])


async def connect(request):
    global client
    modern = request.get("era") == "modern"
    if modern and THREE:
        raise Unsupported("no 2026-07-28")
    target = request["target"]
    if "url" not in target:
        env = {**os.environ, **target.get("env", {})}
        transport = StdioTransport(target["command"], target["args"], env=env, keep_alive=False)
    else:
        transport = (SSETransport if target["kind"] == "sse" else StreamableHttpTransport)(target["url"])
    client = Client(
        transport,
        elicitation_handler=elicitation,
        sampling_handler=sampling,
        roots=roots,
        log_handler=logged,
        message_handler=message,
        **({} if THREE else {"mode": "auto" if modern else "legacy"}),
    )
    await client.__aenter__()
    result = client.initialize_result
    if result is not None and getattr(result, "capabilities", None) is not None:
        shown = dump(result)
        return {name: shown.get(name) for name in ("protocolVersion", "serverInfo", "capabilities", "instructions")}
    session = client.session
    return {
        "protocolVersion": str(session.protocol_version),
        "serverInfo": dump(session.server_info),
        "capabilities": dump(session.server_capabilities),
        "instructions": session.instructions,
    }


async def call(request):
    def one(on):
        return client.call_tool_mcp(request["name"], request["arguments"], progress_handler=on)

    if not THREE:
        return await cancellable(request, one)
    number = client.session._request_id

    async def cancelled():
        await client.cancel(number, "cancelled by the client")

    return await cancellable(request, one, cancelled)


async def complete(request):
    kind = types.PromptReference if request["ref"]["type"] == "ref/prompt" else types.ResourceTemplateReference
    result = await client.complete_mcp(kind(**request["ref"]), request["argument"])
    return result


def subscription(name):
    async def run(request):
        if request and str(getattr(client.session, "protocol_version", "")) >= "2026":
            raise Unsupported("no subscriptions of 2026-07-28")
        return await getattr(client.session, name)(request["uri"])

    return run


async def close(request):
    global client
    closing, client = client, None
    if closing:
        await closing.__aexit__(None, None, None)


drive(
    {
        "connect": connect,
        "tools": lambda _: client.list_tools(),
        "resources": lambda _: client.list_resources(),
        "templates": lambda _: client.list_resource_templates(),
        "prompts": lambda _: client.list_prompts(),
        "call": call,
        "read": lambda request: client.read_resource_mcp(request["uri"]),
        "prompt": lambda request: client.get_prompt_mcp(request["name"], request["arguments"]),
        "complete": complete,
        "subscribe": subscription("subscribe_resource"),
        "unsubscribe": subscription("unsubscribe_resource"),
        "level": lambda request: client.set_logging_level(request["level"]),
        "ping": lambda _: client.session.send_ping(),
        "close": close,
    }
)
