/** An MCP client over Streamable HTTP, for both eras. It needs a `fetch` and nothing of Node, so that a browser can use it. */
import { LegacyChannel } from './legacy.js';
import type { Arguments } from './message.js';
import { ModernChannel } from './modern.js';
import {
  failed,
  objectOf,
  type ClientOptions,
  type Era,
  type JsonObject,
  type Outcome,
  type Page,
  type RequestOptions,
} from './types.js';

export type ListKind = 'tools' | 'prompts' | 'resources' | 'resources/templates';

const MEMBERS: Readonly<Record<ListKind, string>> = {
  tools: 'tools',
  prompts: 'prompts',
  resources: 'resources',
  'resources/templates': 'resourceTemplates',
};
/** Pages of a list that are read. */
const PAGES = 1_000;

export class McpClient {
  readonly era: Era;
  readonly #channel: LegacyChannel | ModernChannel;

  constructor(options: ClientOptions) {
    this.era = options.era;
    this.#channel = options.era === 'legacy' ? new LegacyChannel(options) : new ModernChannel(options);
  }

  /** The result of `initialize` (once a session) or `server/discover`. Other requests do not need it first. */
  open(options: RequestOptions = {}): Promise<Outcome<JsonObject>> {
    return this.#channel.open(options);
  }

  request(
    method: string,
    params: JsonObject = {},
    options: RequestOptions = {},
    args?: Arguments,
  ): Promise<Outcome<JsonObject>> {
    return this.#channel.request(method, params, args, options);
  }

  /** Calls a tool. Arguments of `rawJson` are sent byte for byte. */
  call(name: string, args: Arguments, options: RequestOptions = {}): Promise<Outcome<JsonObject>> {
    return this.request('tools/call', { name }, options, args);
  }

  get(name: string, args: Arguments, options: RequestOptions = {}): Promise<Outcome<JsonObject>> {
    return this.request('prompts/get', { name }, options, args);
  }

  read(uri: string, options: RequestOptions = {}): Promise<Outcome<JsonObject>> {
    return this.request('resources/read', { uri }, options);
  }

  async list(kind: ListKind, cursor?: string, options: RequestOptions = {}): Promise<Outcome<Page>> {
    const outcome = await this.request(`${kind}/list`, cursor === undefined ? {} : { cursor }, options);
    if (!outcome.ok) return outcome;
    const items = outcome.value[MEMBERS[kind]];
    if (!Array.isArray(items))
      return failed('network', null, 'invalid', `the answer to ${kind}/list has no ${MEMBERS[kind]}`);
    const { nextCursor } = outcome.value;
    return {
      ok: true,
      raw: outcome.raw,
      value: {
        items: items.map(objectOf).filter((item) => item !== undefined),
        nextCursor: typeof nextCursor === 'string' ? nextCursor : undefined,
      },
    };
  }

  /** All pages of a list. */
  async listAll(kind: ListKind, options: RequestOptions = {}): Promise<Outcome<readonly JsonObject[]>> {
    const items: JsonObject[] = [];
    const cursors = new Set<string>();
    let cursor: string | undefined;
    for (let page = 0; page < PAGES; page++) {
      const outcome = await this.list(kind, cursor, options);
      if (!outcome.ok) return outcome;
      for (const item of outcome.value.items) items.push(item);
      cursor = outcome.value.nextCursor;
      if (cursor === undefined) return { ok: true, value: items, raw: outcome.raw };
      if (cursors.has(cursor)) break;
      cursors.add(cursor);
    }
    return failed('network', null, 'invalid', `${kind}/list does not end`);
  }

  /** Ends the session, if there is one. */
  close(): Promise<void> {
    return this.#channel.close();
  }
}
