import type { IncomingMessage } from 'node:http';
import { GatewayError } from '../../errors.js';
import { isHeaderText } from '../../protocol/header-text.js';
import { readListPage, type ParamHeader } from '../../protocol/lists.js';
import { find, readMessages, type Message } from '../../protocol/message.js';
import { methodOf } from '../../protocol/methods.js';
import { nameOf, readEnvelope } from '../../protocol/modern/meta.js';
import { encodeHeaderValue, paramHeaders } from '../../protocol/modern/param-headers.js';
import { readObject } from '../../wire/json.js';
import { membersOf } from '../../wire/walk.js';
import { readBody, type Headers, type Remote } from './remote.js';

/**
 * The headers that HTTP requires of a modern request (2026-07-28, basic/transports/streamable-http, "Request Metadata"). Which
 * parameters of a tool are mirrored into headers is learned from the gateway once it refuses a call for want of them.
 */
export class RequestHeaders {
  readonly #remote: Remote;
  readonly #log: (text: string) => void;
  /** Mirrored parameters by tool. */
  readonly #mirrored = new Map<string, readonly ParamHeader[]>();

  constructor(remote: Remote, log: (text: string) => void) {
    this.#remote = remote;
    this.#log = log;
  }

  /** Throws GatewayError `invalid_params` for a method or revision that a header cannot carry. */
  of(message: Message): Headers {
    const envelope = readEnvelope(message);
    const headers: Headers = {};
    if (!isHeaderText(message.method) || (typeof envelope !== 'string' && !isHeaderText(envelope.version)))
      throw new GatewayError(
        'invalid_params',
        'the method or the revision has characters that a header cannot carry',
      );
    if (typeof envelope !== 'string') headers['MCP-Protocol-Version'] = envelope.version;
    headers['Mcp-Method'] = message.method;
    const name = methodOf(message.method)?.name === undefined ? undefined : nameOf(message);
    if (name === undefined) return headers;
    headers['Mcp-Name'] = encodeHeaderValue(name);
    const mirrored = this.#mirrored.get(name) ?? [];
    const lines = paramHeaders(mirrored, message.body, find(message.params, 'arguments'));
    for (let i = 0; i < lines.length; i += 2) headers[lines[i] as string] = lines[i + 1] as string;
    return headers;
  }

  /** Asks which parameters of tools are mirrored. true: those of the tool that `message` calls are known now. */
  async learn(message: Message): Promise<boolean> {
    await this.#list(message);
    const name = nameOf(message);
    return name !== undefined && this.#mirrored.has(name);
  }

  async #list(message: Message): Promise<void> {
    const meta = find(message.params, '_meta');
    const params = meta ? `{"_meta":${message.body.toString('utf8', meta.start, meta.end)}}` : '{}';
    const body = Buffer.from(`{"jsonrpc":"2.0","id":"tools","method":"tools/list","params":${params}}`);
    const headers = this.of(readMessages(body) as Message);
    const res = await new Promise<IncomingMessage | undefined>((resolve) => {
      const req = this.#remote.post(body, headers, true);
      req.on('response', resolve).on('error', () => {
        resolve(undefined);
      });
      req.end(body);
    });
    const answer = res && (await readBody(res));
    try {
      // membersOf() takes valid JSON only.
      const result = answer && readObject(answer) && membersOf(answer).find(({ key }) => key === 'result');
      if (!answer || !result) return;
      this.#mirrored.clear();
      const { definitions } = readListPage('tools', answer.subarray(result.start, result.end));
      for (const { key, tool } of definitions)
        if (tool && tool.headers.length > 0) this.#mirrored.set(key, tool.headers);
    } catch (error) {
      this.#log(`cannot read which parameters of tools go into headers: ${String(error)}`);
    }
  }
}
