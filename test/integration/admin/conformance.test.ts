/** Every answer of the admin API is as docs/openapi.json says, strictly, and contains no secret of the configuration. */
import { readFileSync, writeFileSync } from 'node:fs';
import Ajv2020 from 'ajv/dist/2020.js';
import { beforeAll, describe, expect, it } from 'vitest';
import { startOidc } from '../../fixtures/servers/oidc.mjs';
import { startAdmin, withAdmin, type AdminGateway } from '../../helpers/admin.js';
import { atEnd } from '../../helpers/cleanup.js';
import { createGateway } from '../../../src/index.js';
import { loadConfig } from '../../../src/config/index.js';
import { createConsoleKey } from '../../../src/lib/console-key.js';
import { callTool, openSession, send } from '../../helpers/http.js';
import { freePort } from '../../helpers/port.js';
import { signedIn } from '../../helpers/sign-in.js';
import { scratchFolder } from '../../helpers/state.js';
import { bothStdio, everythingStdio, scriptedStdio } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';

interface Operation {
  readonly responses: Record<string, { content: Record<string, { schema: object }> }>;
}
const document = JSON.parse(readFileSync(new URL('../../../docs/openapi.json', import.meta.url), 'utf8')) as {
  paths: Record<string, Record<string, Operation>>;
  components: object;
};

const ajv = new Ajv2020.default({ strict: false, allErrors: true });
ajv.addSchema({ $id: 'doc', components: document.components });

const tokensOf = ({ access_token, refresh_token }: typeof signIn): string[] => [access_token, refresh_token];

function check(schema: object, value: unknown, what: string): void {
  const resolved = JSON.parse(
    JSON.stringify(schema).replaceAll('"#/components', '"doc#/components'),
  ) as object;
  const validate = ajv.compile(resolved);
  expect(validate(value), `${what}: ${JSON.stringify(validate.errors)}`).toBe(true);
}

const SECRETS = {
  CHILD: 'child-secret-value-1',
  HEADER: 'header-secret-value-2',
  TOKEN: 'upstream-token-value-3',
  CONTRACT: 'contract-token-value-4',
  ARG: 'argument-secret-value-5',
  LITERAL: 'literal-env-value-6',
  QUERY: 'query-secret-value-7',
  COMMENT: 'child-secret-value-1',
};

let gateway: AdminGateway;
let session: string;
let signIn: { readonly access_token: string; readonly refresh_token: string };
const ids = { server: 'all', name: 'all__echo', id: '' };

beforeAll(async () => {
  const dir = scratchFolder();
  const path = `${dir}/config.yaml`;
  const everything = everythingStdio('all');
  const free = await freePort();
  const base = `http://127.0.0.1:${free}`;
  const oidc = await startOidc({
    signIn: { redirect_uris: [`${base}/oauth/callback`], accounts: { ada: {} } },
  });
  atEnd(() => {
    oidc.close();
  });
  writeFileSync(
    path,
    `# the secret was ${SECRETS.COMMENT}
host: 127.0.0.1
port: ${free}
http: {public_url: '${base}'}
state: {dir: ${dir}/state}
console: {edit: true}
mcp:
  auth:
    mode: bearer
    viewers: [{ids: ['key:eyes']}]
    login: {issuer: '${oidc.issuer}', client_id: gw, params: {prompt: consent}}
logging: {level: debug}
servers:
  - ${JSON.stringify({ ...everything, env: { API_KEY: '${CHILD}', PLAIN: SECRETS.LITERAL } })}
  - ${JSON.stringify({ ...scriptedStdio('scripted', { stderr: [`it is ${SECRETS.CHILD}`] }), env: { API_KEY: '${CHILD}' } })}
  - ${JSON.stringify(bothStdio('both'))}
  - name: remote
    url: http://user:${SECRETS.ARG}@127.0.0.1:9/mcp?key=${SECRETS.QUERY}
    headers: {X-Custom: '${SECRETS.HEADER}'}
  - name: other
    url: http://127.0.0.1:9/mcp
    auth: {type: bearer, token_env: UPSTREAM}
`,
  );
  const key = createConsoleKey();
  const env = {
    CHILD: SECRETS.CHILD,
    UPSTREAM: SECRETS.TOKEN,
    MCPSTEAD_BEARER_TOKEN: SECRETS.CONTRACT,
    MCPSTEAD_CONSOLE_KEY: key,
  };
  const load = () => loadConfig(path, env);
  const made = createGateway(load(), { env, reload: load, configFile: path });
  atEnd(() => {
    made.destroy();
  });
  await made.listen();
  gateway = withAdmin({ gateway: made, base, url: `${base}/mcp` } as never, key);
  await until(async () => {
    const { servers } = await gateway.get<{ servers: { word: string }[] }>('servers');
    return servers.filter(({ word }) => word === 'up').length === 3;
  }, 'three servers');
  signIn = (await signedIn(base)).tokens;
  const watched = await gateway.watch(['calls', 'sessions']);
  await watched.event('calls');
  const headers = await openSession(gateway.url, {
    headers: { authorization: `Bearer ${SECRETS.CONTRACT}` },
  });
  session = headers['mcp-session-id'] ?? '';
  await gateway.post('capture', { server: 'all', tool: 'echo' });
  await callTool(gateway.url, 'all__echo', { message: SECRETS.ARG, password: 'hunter2' }, headers);
  await callTool(gateway.url, 'all__nothing', {}, headers);
  const { calls } = await gateway.get<{ calls: { id: string; name: string }[] }>('calls');
  ids.id = calls.find(({ name }) => name === 'echo')?.id ?? '';
});

describe('every GET route', () => {
  const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
    // A login under way is asked for in server-logins.test.ts, a fleet in fleet/operators.test.ts, a call that waits in approvals/records.test.ts.
    methods['get'] && !/\/(events|fleet|(?:logins|approvals)\/\{id\})$/.test(path)
      ? [[path, methods['get']] as const]
      : [],
  );

  it.each(routes)('%s', async (path, { responses }) => {
    const full = path.replace(/\{(\w+)\}/g, (_, name: keyof typeof ids) => ids[name]);
    for (const query of path.endsWith('tools') || path.endsWith('resources') || path.endsWith('prompts')
      ? ['', '?full=true']
      : ['']) {
      const answer = await send(gateway.base + full + query, undefined, { headers: gateway.auth });
      expect(answer.status, answer.text).toBe(200);
      check(responses['200']?.content['application/json']?.schema ?? {}, answer.json(), path);
      for (const secret of [...Object.values(SECRETS), gateway.key, session, 'hunter2', ...tokensOf(signIn)])
        expect(answer.text.includes(secret), `${secret} in ${path}`).toBe(false);
    }
  });

  it('answers errors as problems', async () => {
    for (const [path] of routes) {
      const answer = await send(gateway.base + path.replace(/\{\w+\}/g, 'nobody'));
      expect(answer.status, path).toBe(401);
      check({ $ref: '#/components/schemas/Problem' }, answer.json(), path);
    }
  });
});

it('sends events as described, without secrets', async () => {
  const topics = ['status', 'servers', 'calls', 'sessions', 'logs', 'series', 'approvals'] as const;
  const watched = await gateway.watch(topics);
  const { stream } = watched;
  for (const topic of topics) await watched.event(topic);
  await gateway.post('servers/both/restart');
  await watched.event('servers', ({ servers = [] }) => servers.some(({ name }) => name === 'both'));
  for (const { type, data } of stream.events) {
    const name = type === 'snapshot' ? 'SnapshotEvent' : 'ChangeEvent';
    check({ $ref: `#/components/schemas/${name}` }, JSON.parse(data), data.slice(0, 300));
  }
  for (const secret of [...Object.values(SECRETS), gateway.key, session])
    expect(stream.text.includes(secret), secret).toBe(false);
});

describe('the configuration', () => {
  it('is shown and edited with masks that keep their values', async () => {
    const { text, etag } = await gateway.get<{ text: string; etag: string }>('config');
    expect(text).toContain('# the secret was ***');
    expect(text).toContain('X-Custom: "***"');
    const edited = text.replace('logging: {level: debug}', 'logging: {level: debug}\nstartup: {parallel: 2}');
    const checked = (await gateway.post('config/check', { text: edited })).json<{
      problems: unknown[];
      diff: string;
      effects: object;
    }>();
    expect(checked.problems).toEqual([]);
    expect(checked.diff).toContain('+startup: {parallel: 2}');
    expect(checked.effects).toMatchObject({ added: [], removed: [], restarted: [] });
    const broken = (
      await gateway.post('config/check', { text: text.replace(/^port: \d+/m, 'port: many') })
    ).json<{ problems: { line: number }[] }>();
    expect(broken.problems).toMatchObject([{ path: 'port', line: 3 }]);
    const moved = await gateway.post('config/check', {
      text: `${text}  - {name: more, command: x, env: {A: '***'}}\n`,
    });
    expect(moved.json()).toMatchObject({ status: 422 });
    const apply = (match?: string): ReturnType<AdminGateway['post']> =>
      gateway.post(
        'config/apply',
        { text: edited },
        { ...gateway.auth, ...(match && { 'if-match': match }) },
      );
    expect((await apply()).status).toBe(428);
    expect((await apply('"another"')).status).toBe(412);
    const file = (await gateway.get<{ file: string }>('config')).file;
    const before = readFileSync(file, 'utf8');
    const applied = (await apply(`"${etag}"`)).json<{ backup: string; reloaded: object }>();
    expect(applied.reloaded).toMatchObject({ servers: { restarted: [], removed: [] } });
    expect(readFileSync(applied.backup, 'utf8')).toBe(before);
    expect(readFileSync(file, 'utf8')).toBe(before.replace('debug}', 'debug}\nstartup: {parallel: 2}'));
  });
});

it('says where editing is off', async () => {
  const off = await startAdmin({ servers: [] });
  expect((await off.post('config/apply', { text: '' })).json()).toMatchObject({
    status: 403,
    code: 'forbidden',
  });
});
