/** The parts that the example servers share: tools, argument checks, and the legacy revisions of MCP, without a transport. */

export interface Tool {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly inputSchema: ObjectSchema;
  readonly readOnly: boolean;
  /** The text of the result. Throws ToolError for errors that the caller can fix. */
  call(args: Record<string, unknown>, context: CallContext): string | Promise<string>;
}

export interface CallContext {
  /** Sends progress, if the caller asked for it. */
  readonly progress: (done: number, total: number, message: string) => void;
  readonly signal: AbortSignal;
}

/** Becomes a result with `isError`, for the model to read. */
export class ToolError extends Error {}

export interface ObjectSchema {
  readonly type: 'object';
  readonly properties: Readonly<Record<string, PropertySchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties: false;
}

interface PropertySchema {
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'array';
  readonly description: string;
  readonly items?: { readonly type: 'string' };
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly default?: string | number;
}

export interface ServerInfo {
  readonly name: string;
  readonly title: string;
  readonly version: string;
  readonly instructions: string;
}

export interface Message {
  readonly jsonrpc?: unknown;
  readonly id?: unknown;
  readonly method?: unknown;
  readonly params?: unknown;
}

type Notify = (message: object) => void;

const REVISIONS = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'] as const;

/** One client's conversation with an example server. */
export class Conversation {
  readonly #info: ServerInfo;
  readonly #tools: ReadonlyMap<string, Tool>;
  readonly #running = new Map<unknown, AbortController>();

  constructor(info: ServerInfo, tools: readonly Tool[]) {
    this.#info = info;
    this.#tools = new Map(tools.map((tool) => [tool.name, tool]));
  }

  /** The answer to a message; undefined if it gets none; notifications of a call go to `notify`. */
  async handle(message: Message, notify: Notify): Promise<object | undefined> {
    const { id, method } = message;
    if (message.jsonrpc !== '2.0' || typeof method !== 'string') {
      // A response to a request that was never sent, or not a message.
      return 'result' in message || 'error' in message ? undefined : failure(null, -32600, 'Invalid Request');
    }
    const params = (message.params ?? {}) as Record<string, unknown>;
    if (id === undefined) {
      if (method === 'notifications/cancelled') this.#running.get(params['requestId'])?.abort();
      return undefined;
    }
    switch (method) {
      case 'initialize':
        return success(id, this.#initialize(params));
      case 'ping':
        return success(id, {});
      case 'tools/list':
        return success(id, { tools: [...this.#tools.values()].map(definition) });
      case 'tools/call':
        return await this.#call(id, params, notify);
      default:
        return failure(id, -32601, `Method not found: ${method}`);
    }
  }

  /** Cancels all running calls. */
  close(): void {
    for (const controller of this.#running.values()) controller.abort();
  }

  #initialize(params: Record<string, unknown>): object {
    const { name, title, version, instructions } = this.#info;
    const asked = REVISIONS.find((revision) => revision === params['protocolVersion']);
    return {
      protocolVersion: asked ?? REVISIONS[0],
      capabilities: { tools: {} },
      serverInfo: { name, title, version },
      instructions,
    };
  }

  async #call(id: unknown, params: Record<string, unknown>, notify: Notify): Promise<object | undefined> {
    const tool = this.#tools.get(String(params['name']));
    if (!tool) return failure(id, -32602, `Unknown tool: ${String(params['name'])}`);
    const args = params['arguments'] ?? {};
    const wrong = check(tool.inputSchema, args);
    if (wrong.length > 0)
      return success(id, text(`Invalid arguments for ${tool.name}: ${wrong.join('; ')}.`, true));
    const controller = new AbortController();
    const { signal } = controller;
    this.#running.set(id, controller);
    const token = (params['_meta'] as { progressToken?: unknown } | undefined)?.progressToken;
    try {
      const result = await tool.call(args as Record<string, unknown>, {
        signal,
        progress(progress, total, message) {
          if (token === undefined || signal.aborted) return;
          const told = { progressToken: token, progress, total, message };
          notify({ jsonrpc: '2.0', method: 'notifications/progress', params: told });
        },
      });
      return signal.aborted ? undefined : success(id, text(result));
    } catch (error) {
      if (signal.aborted) return undefined;
      if (error instanceof ToolError) return success(id, text(error.message, true));
      return failure(id, -32603, 'Internal error');
    } finally {
      this.#running.delete(id);
    }
  }
}

export function failure(id: unknown, code: number, message: string): object {
  return { jsonrpc: '2.0', id, error: { code, message } };
}

function success(id: unknown, result: object): object {
  return { jsonrpc: '2.0', id, result };
}

function text(content: string, isError = false): object {
  return { content: [{ type: 'text', text: content }], ...(isError ? { isError } : {}) };
}

function definition({ name, title, description, inputSchema, readOnly }: Tool): object {
  return {
    name,
    title,
    description,
    inputSchema,
    annotations: { readOnlyHint: readOnly, openWorldHint: false },
  };
}

/** Checks the arguments; returns one phrase per problem. */
function check(schema: ObjectSchema, args: unknown): string[] {
  if (typeof args !== 'object' || args === null || Array.isArray(args))
    return ['arguments must be an object'];
  const wrong: string[] = [];
  for (const name of schema.required ?? []) {
    if (!Object.hasOwn(args, name)) wrong.push(`"${name}" is missing`);
  }
  for (const [name, value] of Object.entries(args)) {
    const property = Object.hasOwn(schema.properties, name) ? schema.properties[name] : undefined;
    const why = property ? mismatch(property, value) : 'is not an argument of this tool';
    if (why !== undefined) wrong.push(`"${name}" ${why}`);
  }
  return wrong;
}

function mismatch(schema: PropertySchema, value: unknown): string | undefined {
  const { type, minimum = -Infinity, maximum = Infinity, maxLength = Infinity } = schema;
  if (type === 'array') {
    const list = Array.isArray(value) && value.every((item) => typeof item === 'string');
    return list ? undefined : 'must be a list of strings';
  }
  if (type === 'integer' ? !Number.isInteger(value) : typeof value !== type) {
    return `must be ${type === 'integer' ? 'an integer' : `a ${type}`}`;
  }
  if (typeof value === 'string' && value.length > maxLength)
    return `must have at most ${maxLength} characters`;
  if (typeof value === 'number' && (value < minimum || value > maximum)) {
    return `must be from ${minimum} to ${maximum}`;
  }
  return undefined;
}
