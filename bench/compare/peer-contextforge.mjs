// mcp-contextforge-gateway of PyPI. As its METADATA (README) says in "Quick Start - PyPI": secrets in the environment, a token for the
// administrator, and each server registered by POST /gateways. Servers over stdio need a program of their own before it
// (`mcpgateway.translate`), so it is compared with servers over HTTP.
import { createHmac, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { send, textOf } from './wire.mjs';

const SECRET = 'compare-jwt-secret-0123456789-abcdefghij-KLMNOP';
const ADMIN = 'admin@example.com';
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** What `python3 -m mcpgateway.utils.create_jwt_token --username ADMIN` makes. */
function token() {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    sub: ADMIN,
    username: ADMIN,
    iss: 'mcpgateway',
    aud: 'mcpgateway-api',
    iat: now,
    exp: now + 86_400,
    jti: randomUUID(),
    user: { email: ADMIN, full_name: 'Admin', is_admin: true, auth_provider: 'cli' },
    teams: null,
  };
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
}

async function register({ base, headers }, { name, url, headers: own = {} }) {
  const [bearer] = Object.values(own).map((value) => value.replace('Bearer ', ''));
  const auth = bearer ? { auth_type: 'bearer', auth_token: bearer } : {};
  const body = JSON.stringify({ name, url, transport: 'STREAMABLEHTTP', ...auth });
  const answer = await send(`${base}/gateways`, {
    headers: { 'content-type': 'application/json', ...headers },
    body,
  });
  return { status: answer.statusCode, text: await textOf(answer) };
}

async function isReady(gateway) {
  const answer = await send(`${gateway.base}/health`, { method: 'GET', wait: 3000 });
  await textOf(answer);
  if (answer.statusCode !== 200) return false;
  const said = [];
  for (const server of gateway.servers) said.push(await register(gateway, server));
  if (said.every(({ status }) => status >= 400))
    throw new Error(`POST /gateways gives ${said[0].status} ${said[0].text.slice(0, 200)}`);
  return true;
}

export const contextforge = {
  name: 'contextforge',
  title: 'ContextForge (PyPI)',
  package: { registry: 'pypi', name: 'mcp-contextforge-gateway', version: '1.0.7.post20260921' },
  source: 'METADATA, "Quick Start - PyPI"',
  serves: ['http'],
  many: true,
  needsToken: true,
  reload: {
    how: '`POST /gateways`',
    async run(gateway, servers) {
      for (const server of servers.slice(gateway.servers.length)) await register(gateway, server);
    },
  },
  start: (context) => ({
    command: join(context.installed, 'bin/python'),
    args: [join(context.installed, 'bin/mcpgateway'), '--host', '127.0.0.1', '--port', String(context.port)],
    env: {
      JWT_SECRET_KEY: SECRET,
      AUTH_ENCRYPTION_SECRET: 'compare-salt-9876543210-zyxwvutsrq-PONMLK',
      MCPGATEWAY_UI_ENABLED: 'true',
      MCPGATEWAY_ADMIN_API_ENABLED: 'true',
      PLATFORM_ADMIN_EMAIL: ADMIN,
      DATABASE_URL: `sqlite:///${context.home}/mcp.db`,
      // 100 calls a minute otherwise, and a lock after some more.
      RATE_LIMITING_ENABLED: 'false',
      // Addresses of this machine are refused otherwise.
      SSRF_ALLOW_LOCALHOST: 'true',
      SSRF_ALLOW_PRIVATE_NETWORKS: 'true',
    },
    headers: { authorization: `Bearer ${token()}` },
    path: '/mcp/',
    ready: isReady,
  }),
};
