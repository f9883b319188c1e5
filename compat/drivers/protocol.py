"""What every driver in Python does alike: JSON lines in, answers and events out, and the fixed answers to questions."""

import json
import os
import sys

import anyio

OUT = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
# What a client prints must not stand between the answers.
os.dup2(2, 1)
sys.stdout = sys.stderr

LIMIT_S = 6
ANSWER = "sampled"
MODEL = "compat"
ROOT = {"uri": "file:///compat", "name": "compat"}

current = None


class Unsupported(Exception):
    """The client has no such thing."""


def dump(value):
    """What the client shows, as JSON."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(value, dict):
        return {key: dump(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [dump(one) for one in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def write(value):
    OUT.write(json.dumps(value) + "\n")
    OUT.flush()


def event(name, value, of=None):
    write({"event": name, "of": current if of is None else of, "value": dump(value)})


def question(method, params):
    event("question", {"method": method, "params": dump(params) or {}})


def first_value(schema):
    if "enum" in schema:
        return schema["enum"][0]
    if "oneOf" in schema:
        return schema["oneOf"][0]["const"]
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items", {})
        choices = items.get("anyOf") or items.get("oneOf")
        return [choices[0]["const"] if choices else first_value(items)]
    if kind in ("number", "integer"):
        return schema.get("minimum", 1)
    if kind == "boolean":
        return True
    formats = {"email": "a@b.cd", "uri": "http://127.0.0.1/", "date": "2026-01-01"}
    return formats.get(schema.get("format"), "text")


def form(params):
    """The content that answers a form; None for a URL."""
    params = dump(params)
    if params.get("mode") == "url":
        return None
    schema = params.get("requestedSchema") or {}
    return {name: first_value(field) for name, field in schema.get("properties", {}).items()}


def error_of(error):
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    detail = getattr(error, "error", error)
    return {
        "code": getattr(detail, "code", None),
        "message": str(getattr(detail, "message", None) or error or type(error).__name__),
        "data": dump(getattr(detail, "data", None)),
    }


async def all_pages(read, member):
    """Follows the cursor to the last page."""
    found, cursor = [], None
    while True:
        page = dump(await read(cursor))
        found += page[member]
        cursor = page.get("nextCursor")
        if not cursor:
            return found


async def cancellable(request, call, cancelled=None):
    """Runs call(on_progress); ends it when the request says so, after telling `cancelled`."""
    result, done = [], []
    async with anyio.create_task_group() as group:

        async def end():
            done.append(True)
            if cancelled:
                await cancelled()
            group.cancel_scope.cancel()

        async def on_progress(progress, total=None, message=None):
            value = {"progress": progress, "total": total, "message": message}
            event("progress", {k: v for k, v in value.items() if v is not None}, request["id"])
            if request.get("cancelOnProgress") and not done:
                await end()

        async def later():
            await anyio.sleep(request["cancelAfterMs"] / 1000)
            await end()

        if "cancelAfterMs" in request:
            group.start_soon(later)
        wanted = request.get("progress") or request.get("cancelOnProgress")
        result.append(await call(on_progress if wanted else None))
        group.cancel_scope.cancel()
    if done and not result:
        raise RuntimeError("cancelled by the client")
    return result[0]


async def answer(operations, request):
    global current
    current = request["id"]
    operation = operations.get(request["do"])
    if operation is None:
        return write({"id": request["id"], "unsupported": f"no {request['do']}"})
    try:
        # The runner limits the rest; what opens or closes a scope of its own cannot stand in another one.
        limit = LIMIT_S if request["do"] == "call" else None
        if limit is None:
            value = await operation(request)
        else:
            with anyio.fail_after(limit):
                value = await operation(request)
        write({"id": request["id"], "ok": dump(value) if value is not None else {}})
    except Unsupported as error:
        write({"id": request["id"], "unsupported": str(error)})
    except TimeoutError:
        write({"id": request["id"], "error": {"code": None, "message": "no answer"}})
    except Exception as error:
        print(f"{request['do']}: {error!r}", file=sys.stderr)
        write({"id": request["id"], "error": error_of(error)})


async def serve(operations):
    lines = anyio.wrap_file(os.fdopen(0, encoding="utf-8"))
    async for line in lines:
        if line.strip():
            await answer(operations, json.loads(line))
    with anyio.move_on_after(1):
        await operations["close"]({})
    os._exit(0)


def drive(operations):
    """Runs until stdin ends. The operations run one after the other, in one task."""
    anyio.run(serve, operations)
