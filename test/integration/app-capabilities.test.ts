/** A server that registers its app only for clients that show apps, as most SDKs suggest: who sees the app, and on which connection. */
import { describe, expect, it } from 'vitest';
import { createUpstream, tool, type Call, type UpstreamOptions } from '../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { connect } from '../helpers/legacy.js';
import { answerTo } from '../helpers/modern.js';
import { createModernUpstream } from './upstream/modern-server.js';

const UI = 'io.modelcontextprotocol/ui';
const APPS = { extensions: { [UI]: { mimeTypes: ['text/html;profile=mcp-app'] } } };
const PAGE = 'ui://app/main.html';
const PLAIN = tool('plain');
const SHOW = tool('show', { _meta: { ui: { resourceUri: PAGE } } });
const HINTS = { resultType: 'complete', ttlMs: 60_000, cacheScope: 'private' };

/** Answers by what the client of a request has declared. */
function answer(call: Call, capabilities: unknown, more: object = {}): boolean {
  const showsApps = UI in ((capabilities as typeof APPS | undefined)?.extensions ?? {});
  switch (call.message.method) {
    case 'tools/list':
      call.result({ tools: showsApps ? [PLAIN, SHOW] : [PLAIN], ...more });
      return true;
    case 'resources/list':
      call.result({ resources: showsApps ? [{ uri: PAGE, name: 'page' }] : [], ...more });
      return true;
    case 'resources/templates/list':
      call.result({ resourceTemplates: [], ...more });
      return true;
    case 'resources/read':
      if (showsApps) call.result({ contents: [{ uri: PAGE, text: 'the page' }], ...more });
      else call.error(-32602, 'no such resource');
      return true;
    default:
      return false;
  }
}

const capabilities = { tools: { listChanged: true }, resources: {} };

async function legacyServer(): Promise<{ entry: (more?: object) => object }> {
  const declared = new Map<unknown, unknown>();
  const onRequest: UpstreamOptions['onRequest'] = (call) => {
    const { method, params } = call.message;
    if (method !== 'initialize') return answer(call, declared.get(call.received.headers['mcp-session-id']));
    const id = `session-${declared.size}`;
    declared.set(id, params?.['capabilities']);
    call.upstream.sessions.add(id);
    call.res.setHeader('mcp-session-id', id);
    const serverInfo = { name: 'careful', version: '1' };
    call.result({ protocolVersion: params?.protocolVersion, capabilities, serverInfo });
    return true;
  };
  const upstream = await createUpstream({ sessions: true, capabilities, onRequest });
  return { entry: (more) => upstream.entry('a', more) };
}

interface Seen {
  readonly tools: unknown[];
  readonly pages: unknown[];
  readonly page: unknown;
}

async function seenBy(ask: (method: string, params: object) => ReturnType<typeof answerTo>, uri: string) {
  const list = async (method: string, member: string, key: string): Promise<unknown[]> => {
    const { result } = await ask(method, {});
    return (result?.[member] as Record<string, unknown>[]).map((entry) => entry[key]);
  };
  const seen: Seen = {
    tools: await list('tools/list', 'tools', 'name'),
    pages: await list('resources/list', 'resources', 'uri'),
    page: ((await ask('resources/read', { uri })).result?.['contents'] as { text: string }[] | undefined)?.[0]
      ?.text,
  };
  return seen;
}

const ROUTES = [
  ['/mcp', (gateway: RunningGateway) => gateway.url, 'a__', 'ui://a+/app/main.html'],
  ['its own route', (gateway: RunningGateway) => gateway.server('a'), '', PAGE],
] as const;

describe.each(ROUTES)('a server that shows its app to who shows apps, on %s', (_, urlOf, prefix, uri) => {
  const app: Seen = { tools: [`${prefix}plain`, `${prefix}show`], pages: [uri], page: 'the page' };
  const none: Seen = { tools: [`${prefix}plain`], pages: [], page: undefined };
  const legacy = async (gateway: RunningGateway, declares: object): Promise<Seen> => {
    const client = await connect(urlOf(gateway), { capabilities: declares });
    return seenBy((method, params) => client.request(method, params), uri);
  };
  const modern = (gateway: RunningGateway, declares: object): Promise<Seen> =>
    seenBy(
      (method, params) => answerTo(urlOf(gateway), method, { ...params }, { capabilities: declares }),
      uri,
    );

  it('shows it on a connection of all clients', async () => {
    const { entry } = await legacyServer();
    const gateway = await startGateway({ servers: [entry()] });
    for (const declares of [APPS, {}]) {
      expect(await legacy(gateway, declares)).toEqual(app);
      expect(await modern(gateway, declares)).toEqual(app);
    }
  });

  it('shows it to such a client alone on connections of their own', async () => {
    const { entry } = await legacyServer();
    const gateway = await startGateway({ servers: [entry({ session: 'per-client' })] });
    expect(await legacy(gateway, APPS)).toEqual(app);
    expect(await legacy(gateway, {})).toEqual(none);
    expect(await modern(gateway, APPS)).toEqual(app);
    expect(await modern(gateway, {})).toEqual(none);
  });

  it('shows it to such a client alone if it is a server of 2026-07-28', async () => {
    const upstream = await createModernUpstream({
      capabilities,
      onRequest: (call) => {
        const meta = call.params._meta ?? {};
        return answer(call, meta['io.modelcontextprotocol/clientCapabilities'], HINTS);
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('a')] });
    expect(await modern(gateway, APPS)).toEqual(app);
    expect(await modern(gateway, {})).toEqual(none);
    expect(await legacy(gateway, APPS)).toEqual(app);
    expect(await legacy(gateway, {})).toEqual(none);
  });
});
