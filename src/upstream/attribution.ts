/** Whose is a message that is no answer? It belongs to one call, to the link, or to nobody. */
import type { Logger } from '../observe/log.js';
import type { CallTable } from './call-table.js';
import type { Notice } from '../protocol/ports.js';
import type { UpstreamCall } from './calls.js';

export interface AttributionDeps {
  readonly server: string;
  readonly log: Logger;
  readonly calls: CallTable<UpstreamCall>;
  /** A list of the upstream is another one. */
  readonly listChanged: () => void;
  /** A resource that somebody may have subscribed to was updated. */
  readonly updated: (uri: string, notice: Notice) => void;
}

/**
 * `call`: the one on whose own stream the message came; undefined on a channel that many share. `reply` answers a question
 * of the upstream on the way it came.
 */
export type Attribute = (
  bytes: Buffer,
  call: UpstreamCall | undefined,
  reply: (body: Buffer) => void,
) => void;

export function createAttribution({ server, log, calls, listChanged, updated }: AttributionDeps): Attribute {
  return (bytes, call, reply) => {
    let message: {
      id?: unknown;
      method?: unknown;
      params?: { progressToken?: unknown; uri?: unknown } | null;
    };
    try {
      message = JSON.parse(bytes.toString('utf8')) as typeof message;
    } catch {
      log.warn('dropped a message that is no JSON', { server });
      return;
    }
    const { id, method } = message;
    if (typeof method !== 'string') return;
    if (id !== undefined && id !== null) {
      question(bytes, JSON.stringify(id), method, call, reply);
      return;
    }
    switch (method) {
      case 'notifications/progress': {
        const token = message.params?.progressToken;
        // The token says whose it is, whatever stream it came on.
        if (typeof token === 'number') calls.get(token)?.progress(bytes);
        return;
      }
      case 'notifications/tools/list_changed':
      case 'notifications/prompts/list_changed':
      case 'notifications/resources/list_changed':
        listChanged();
        return;
      case 'notifications/resources/updated': {
        const uri = message.params?.uri;
        if (typeof uri === 'string') updated(uri, { method, bytes });
        return;
      }
      case 'notifications/cancelled':
        return;
      default: {
        const owner = call ?? soleCaller();
        if (owner) owner.notify({ method, bytes });
        else log.debug('dropped a notification that belongs to no call', { server, method });
      }
    }
  };

  function question(
    bytes: Buffer,
    id: string,
    method: string,
    call: UpstreamCall | undefined,
    reply: (body: Buffer) => void,
  ): void {
    if (method === 'ping') {
      reply(Buffer.from(`{"jsonrpc":"2.0","id":${id},"result":{}}`));
      return;
    }
    if (call && !call.over && call.sink.ask({ id, method, bytes })) return;
    log.debug('refused a question of an upstream', { server, method });
    const code = method === 'roots/list' ? -32601 : -32603;
    const text = JSON.stringify(`${method} is not available: the gateway declared no such capability`);
    reply(Buffer.from(`{"jsonrpc":"2.0","id":${id},"error":{"code":${code},"message":${text}}}`));
  }

  /** The one call of a client in flight; undefined if there is none, or more than one. */
  function soleCaller(): UpstreamCall | undefined {
    let sole: UpstreamCall | undefined;
    for (const call of calls.all()) {
      if (call.own) continue;
      if (sole) return undefined;
      sole = call;
    }
    return sole;
  }
}
