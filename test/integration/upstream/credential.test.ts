/** What a link does with a credential: it shows it, renews it when the server refuses it, and waits for a login. */
import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { GatewayError, needsLogin } from '../../../src/errors.js';
import {
  createUpstream,
  tool,
  type Received,
  type Upstream,
  type UpstreamOptions,
} from '../../fixtures/servers/http-upstream.js';
import { createModernUpstream } from '../../helpers/modern.js';
import { ScriptedCredential } from '../../helpers/scripted-credential.js';
import { until, within } from '../../helpers/wait.js';
import { call, openLink, toolCall } from './link.js';

const QUICK = { backoff_base_ms: 5, backoff_max_ms: 20 };
const CHALLENGE = 'Bearer resource_metadata="https://x.test/m"';

/** The token that a server accepts; undefined: any request. */
interface Gate {
  token: string | undefined;
  /** Which requests it judges. */
  judges: (received: Received) => boolean;
  status: number;
  challenge: string | string[];
  body: string;
}

function gate(): Gate & { onHttp: NonNullable<UpstreamOptions['onHttp']> } {
  const rules: Gate = { token: 'one', judges: () => true, status: 401, challenge: CHALLENGE, body: 'no' };
  const onHttp = (received: Received, res: ServerResponse): boolean => {
    const isGood =
      rules.token === undefined ||
      !rules.judges(received) ||
      received.headers.authorization === `Bearer ${rules.token}`;
    if (isGood) return false;
    res.writeHead(rules.status, { 'www-authenticate': rules.challenge }).end(rules.body);
    return true;
  };
  return Object.assign(rules, { onHttp });
}

/** A legacy server behind a gate, and a link to it with a credential. */
async function setUp(
  options: UpstreamOptions = {},
  config: object = {},
  credential = new ScriptedCredential('one'),
) {
  const rules = gate();
  const runs: string[] = [];
  const upstream = await createUpstream({
    tools: [tool('t')],
    onHttp: rules.onHttp,
    onCall: (made) => {
      runs.push(made.received.headers.authorization ?? '');
      made.text('done');
    },
    ...options,
  });
  const entry = upstream.entry('s', { revision: 'legacy', reconnect: QUICK, ...config });
  return { upstream, rules, runs, credential, ...openLink(entry, { credential }) };
}

const answered = async (link: Parameters<typeof call>[0]): Promise<string> => {
  const { text, error } = await within(call(link, toolCall('t')).done, 'the answer');
  return error ? `${error.code}: ${error.message}` : text;
};

const headersOf = (upstream: Upstream, method: string): string[] =>
  upstream.received(method).map(({ headers }) => headers.authorization ?? 'none');

describe('a refused call', () => {
  it.each(['streamable', 'sse'] as const)('over %s runs once, with the next token', async (transport) => {
    const { link, rules, runs, upstream, credential, up } = await setUp(
      { transport },
      transport === 'sse' ? { protocol: 'sse' } : {},
    );
    await up();
    rules.token = 'two';
    credential.onRefused = () => {
      credential.show('two');
    };
    expect(await answered(link)).toContain('done');
    expect(runs).toEqual(['Bearer two']);
    expect(headersOf(upstream, 'tools/call')).toEqual(['Bearer one', 'Bearer two']);
    expect(credential.refusals).toEqual([{ status: 401, challenge: CHALLENGE, stamp: 1, times: 0 }]);
    // Later calls have the new token at once.
    await answered(link);
    expect(headersOf(upstream, 'tools/call').at(-1)).toBe('Bearer two');
    expect(link.state).toBe('up');
  });

  it('of a modern server runs once, with the next token', async () => {
    const rules = gate();
    const upstream = await createModernUpstream({ tools: [tool('t')], onHttp: rules.onHttp });
    const credential = new ScriptedCredential('one');
    const { link, up } = openLink(upstream.entry('s', { reconnect: QUICK }), { credential });
    await up();
    rules.token = 'two';
    credential.onRefused = () => {
      credential.show('two');
    };
    await answered(link);
    expect(headersOf(upstream, 'tools/call')).toEqual(['Bearer one', 'Bearer two']);
  });

  it('shares one new token with another that was refused at the same time', async () => {
    const { link, rules, runs, credential, up } = await setUp();
    await up();
    rules.token = 'two';
    let renewals = 0;
    let renewal: Promise<void> | undefined;
    credential.onRefused = ({ stamp }) => {
      if (stamp !== credential.stamp) return undefined;
      return (renewal ??= until(() => credential.refusals.length === 2, 'both refusals').then(() => {
        renewals++;
        credential.show('two');
      }));
    };
    await Promise.all([answered(link), answered(link)]);
    expect(renewals).toBe(1);
    expect(runs).toEqual(['Bearer two', 'Bearer two']);
  });

  it('is sent again at most twice, each time with another token', async () => {
    const { link, rules, upstream, credential, up } = await setUp();
    await up();
    rules.token = 'never';
    credential.onRefused = () => {
      credential.show(`next-${credential.stamp}`);
    };
    expect(await answered(link)).toBe("upstream_auth_failed: upstream 's' answered HTTP 401: no");
    expect(headersOf(upstream, 'tools/call')).toEqual(['Bearer one', 'Bearer next-1', 'Bearer next-2']);
    expect(credential.refusals.map(({ times }) => times)).toEqual([0, 1, 2]);
  });

  it('is not sent again with the same token', async () => {
    const { link, rules, upstream, credential, up } = await setUp();
    await up();
    rules.token = 'never';
    credential.onRefused = () => undefined;
    expect(await answered(link)).toContain('answered HTTP 401');
    expect(upstream.calls()).toHaveLength(1);
  });

  it('is not sent again once its client has cancelled it', async () => {
    const { link, rules, runs, upstream, credential, up } = await setUp();
    await up();
    rules.token = 'two';
    let go: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (go = resolve));
    credential.onRefused = ({ stamp }) =>
      stamp === 1 && credential.refusals.length === 1 ? held : undefined;
    const { exchange } = call(link, toolCall('t'));
    await until(() => credential.refusals.length === 1, 'the refusal');
    exchange.cancel('client gone');
    credential.show('two');
    go();
    await answered(link);
    expect(runs).toEqual(['Bearer two']);
    expect(headersOf(upstream, 'tools/call')).toEqual(['Bearer one', 'Bearer two']);
  });

  it('fails with the reason of the credential', async () => {
    const { link, rules, credential, up } = await setUp();
    await up();
    rules.token = 'two';
    credential.onRefused = () => {
      throw new GatewayError('upstream_auth_failed', 'its authorization server does not answer');
    };
    expect(await answered(link)).toBe('upstream_auth_failed: its authorization server does not answer');
  });

  it('has the usual text where the server names no authorization server, unless the config asks for a login', async () => {
    const fail = (): never => {
      throw new GatewayError('upstream_auth_failed', 'it lists no way in', { undiscovered: true });
    };
    const auto = await setUp();
    await auto.up();
    auto.rules.token = 'two';
    auto.credential.onRefused = fail;
    expect(await answered(auto.link)).toContain("upstream 's' answered HTTP 401: no");
    const asked = await setUp({}, { auth: { type: 'oauth' } });
    await asked.up();
    asked.rules.token = 'two';
    asked.credential.onRefused = fail;
    expect(await answered(asked.link)).toContain('it lists no way in');
  });

  it('asks for more scopes after 403 with such a challenge alone, and the link stays up', async () => {
    const { link, rules, credential, up } = await setUp();
    await up();
    Object.assign(rules, { token: 'two', status: 403, challenge: 'Bearer error="invalid_token"' });
    expect(await answered(link)).toContain('answered HTTP 403');
    expect(credential.refusals).toEqual([]);
    rules.challenge = ['Basic realm="x"', 'Bearer error="insufficient_scope", scope="a b"'];
    credential.onRefused = () => {
      throw needsLogin('s', 'scopes');
    };
    expect(await answered(link)).toContain('login_required');
    expect(credential.refusals).toMatchObject([
      { status: 403, challenge: 'Basic realm="x", Bearer error="insufficient_scope", scope="a b"' },
    ]);
    expect(link.state).toBe('up');
  });

  it('shows no token in its text', async () => {
    const { link, rules, credential, up } = await setUp();
    await up();
    Object.assign(rules, { token: 'two', body: 'the token secret-token is bad' });
    credential.onRefused = ({ times }) => {
      if (times === 0) credential.show('secret-token');
    };
    expect(await answered(link)).toContain('the token *** is bad');
  });

  it('shows no token in an error of the server', async () => {
    const { link, rules, up } = await setUp(
      {
        onCall: (made) => {
          made.error(-32000, `bad ${made.received.headers.authorization}`, { saw: 'secret-token' });
        },
      },
      {},
      new ScriptedCredential('secret-token'),
    );
    rules.token = 'secret-token';
    await up();
    expect(await answered(link)).toContain(
      '"error":{"code":-32000,"message":"bad Bearer ***","data":{"saw":"***"}}',
    );
  });

  it('opens a new session if the server has bound it to the old token', async () => {
    const { link, rules, runs, upstream, credential, up } = await setUp({ sessions: true });
    const opened = new Map<string, string>();
    const { onHttp } = rules;
    upstream.options.onHttp = (received, res) => {
      const { authorization = '' } = received.headers;
      const session = String(received.headers['mcp-session-id']);
      if (!opened.has(session)) opened.set(session, authorization);
      if (session !== 'undefined' && opened.get(session) !== authorization) {
        res.writeHead(401, { 'www-authenticate': CHALLENGE }).end();
        return true;
      }
      return onHttp(received, res) === true;
    };
    await up();
    rules.token = 'two';
    credential.onRefused = () => {
      credential.show('two');
    };
    expect(await answered(link)).toContain('done');
    expect(runs).toEqual(['Bearer two']);
    expect(upstream.received('initialize')).toHaveLength(2);
    expect(credential.refusals).toHaveLength(1);
  });
});

describe('a message without an answer', () => {
  it.each(['streamable', 'sse'] as const)('over %s is sent again with the next token', async (transport) => {
    const { rules, upstream, credential, up } = await setUp(
      { transport },
      transport === 'sse' ? { protocol: 'sse' } : {},
    );
    const method = 'notifications/initialized';
    rules.judges = ({ message }) => message.method === method;
    rules.token = 'two';
    credential.onRefused = () => {
      credential.show('two');
    };
    await up();
    expect(headersOf(upstream, method)).toEqual(['Bearer one', 'Bearer two']);
    // It is accepted before anything else is sent.
    const order = upstream.requests.map(({ message }) => message.method).filter((name) => name !== undefined);
    expect(order.lastIndexOf(method)).toBeLessThan(order.indexOf('tools/list'));
  });
});

describe('the server-to-client stream', () => {
  it('is opened again with the next token', async () => {
    const { rules, upstream, credential, up } = await setUp({ getStream: true });
    rules.judges = ({ method }) => method === 'GET';
    rules.token = 'two';
    credential.onRefused = () => {
      credential.show('two');
    };
    await up();
    await until(() => upstream.streams.size === 1, 'the stream');
    const sent = upstream.requests.filter(({ method }) => method === 'GET');
    expect(sent.map(({ headers }) => headers.authorization)).toEqual(['Bearer one', 'Bearer two']);
  });

  it('of HTTP+SSE is opened with the next token', async () => {
    const { rules, upstream, credential, up } = await setUp({ transport: 'sse' }, { protocol: 'sse' });
    rules.token = 'two';
    credential.onRefused = () => {
      credential.show('two');
    };
    await up();
    const sent = upstream.requests.filter(({ method }) => method === 'GET');
    expect(sent.map(({ headers }) => headers.authorization)).toEqual(['Bearer one', 'Bearer two']);
  });
});

describe('a login that is missing', () => {
  it('stops the attempts until somebody has logged in', async () => {
    const credential = new ScriptedCredential();
    const { link, rules, told, upstream } = await setUp({}, {}, credential);
    link.start();
    await until(() => link.state === 'login_required', 'the end of the attempts');
    expect(link).toMatchObject({
      lastError: 'needs a login: mcpstead login s',
      lastCode: 'login_required',
      login: 'never',
      firstConnect: false,
    });
    expect(link.stats.inBackoff).toBe(false);
    const requests = upstream.requests.length;
    const { error } = await call(link, toolCall('t')).done;
    expect(error).toMatchObject({
      code: 'login_required',
      message: "upstream 's' needs a login: run: mcpstead login s",
      data: { server: 's', reason: 'never' },
    });
    expect(upstream.requests).toHaveLength(requests);
    rules.token = 'two';
    credential.show('two');
    await until(() => link.state === 'up', 'the login');
    expect(link.lastError).toBeUndefined();
    expect(link.login).toBeUndefined();
    expect(told.states).toEqual(['login_required', 'up']);
  });

  it('is known before the first request', async () => {
    const { link, upstream, credential } = await setUp();
    credential.onReady = () => {
      throw needsLogin('s', 'revoked');
    };
    link.start();
    await until(() => link.state === 'login_required', 'the refusal');
    expect(link.login).toBe('revoked');
    expect(upstream.requests).toEqual([]);
  });

  it.each(['streamable', 'sse'] as const)('ends a link over %s that was up', async (transport) => {
    const { link, rules, credential, up } = await setUp(
      { transport },
      transport === 'sse' ? { protocol: 'sse' } : {},
    );
    await up();
    rules.token = 'two';
    credential.onRefused = () => {
      credential.lose();
      throw needsLogin('s', 'revoked');
    };
    expect(await answered(link)).toContain('login_required');
    expect(link.state).toBe('login_required');
    expect(link.lists.tools).toEqual([]);
    expect(link.login).toBe('revoked');
  });

  it('leaves a link up that was made without one', async () => {
    const credential = new ScriptedCredential();
    const { link, rules, up } = await setUp({}, {}, credential);
    rules.judges = ({ message }) => message.method === 'tools/call';
    await up();
    expect(await answered(link)).toContain('login_required');
    expect(link.state).toBe('up');
    rules.token = 'two';
    credential.show('two');
    expect(await answered(link)).toContain('done');
  });

  it('that comes after the last attempt leads to a further one', async () => {
    const reconnect = { ...QUICK, max_attempts: 2 };
    const { link, credential, rules } = await setUp({}, { reconnect });
    credential.onReady = () => {
      throw new GatewayError('upstream_auth_failed', 'refused');
    };
    link.start();
    await until(() => link.state === 'down', 'the end of the attempts');
    credential.onReady = () => undefined;
    rules.token = 'two';
    credential.show('two');
    await until(() => link.state === 'up', 'the login');
    expect(await answered(link)).toContain('done');
  });

  it('is not waited for if somebody has logged in meanwhile', async () => {
    const { link, credential, rules } = await setUp({}, {}, new ScriptedCredential());
    credential.onRefused = () => {
      rules.token = 'two';
      credential.show('two');
      throw needsLogin('s', 'never');
    };
    link.start();
    await until(() => link.state === 'up', 'the next attempt');
  });

  it('waits as long as the credential asks for, and no longer than until it changes', async () => {
    const { link, credential, rules } = await setUp();
    credential.onReady = () => {
      throw new GatewayError('upstream_auth_failed', 'refused', { retryAfter: 60 });
    };
    link.start();
    await until(() => link.state === 'backoff', 'the failure');
    expect(link.retryAfter).toBe(60);
    credential.onReady = () => undefined;
    rules.token = 'two';
    credential.show('two');
    await until(() => link.state === 'up', 'the next attempt');
    expect(link.stats.inBackoff).toBe(false);
  });
});

describe('a credential', () => {
  it('changes nothing of a link that is up, and is not listened to after its end', async () => {
    const { link, told, credential, rules, up } = await setUp();
    await up();
    rules.token = undefined;
    credential.show('two');
    await answered(link);
    expect(told.states).toEqual(['up']);
    expect(credential.listeners).toBe(1);
    await link.close();
    expect(credential.listeners).toBe(0);
  });

  it('adds nothing to the headers where there is none', async () => {
    const shapes: string[][] = [];
    for (const credential of [undefined, new ScriptedCredential(), new ScriptedCredential('one')]) {
      const upstream = await createUpstream({ tools: [tool('t')], sessions: true });
      const entry = upstream.entry('s', { revision: 'legacy', headers: { 'x-mine': '1' } });
      const { link, up } = openLink(entry, { credential });
      await up();
      await answered(link);
      shapes.push(Object.keys(upstream.calls()[0]?.headers ?? {}));
      expect(upstream.calls()[0]?.headers.authorization).toBe(credential?.headers[1]);
    }
    const [without, empty, shown] = shapes;
    expect(empty).toEqual(without);
    expect(shown?.filter((name) => name !== 'authorization')).toEqual(without);
  });
});
