// The client of the suite's scenarios with authorization, with a gateway in the middle: a gateway without state, whose only server is the
// scenario's (its URL is the last argument). Where the server needs a login, this logs in by the admin API and follows the redirects of
// the authorization server, as a browser would; then an SDK client lists and calls through the gateway. Fails where the gateway does not
// get through, which is what some scenarios want.
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Client as ModernClient,
  StreamableHTTPClientTransport as ModernHttp,
} from '@modelcontextprotocol/client';
import { Client as LegacyClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as LegacyHttp } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { createGateway } from '../../dist/index.js';
import { createConsoleKey } from '../../build/lib/console-key.js';

const REVISION = '2026-07-28';
const NAME = 'scenario';
const LIMIT_MS = 20_000;
/** What basic-cimd expects as the client ID; nothing is fetched from there. */
const CLIENT_METADATA = 'https://conformance-test.local/client-metadata.json';
/** A login, and a second one for more scopes or at another authorization server; a third is a loop. */
const MOST_LOGINS = 2;

const modern = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION === REVISION;
const scenario = process.env.MCP_CONFORMANCE_SCENARIO ?? '';
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const server = process.argv.at(-1);
const folder = mkdtempSync(join(tmpdir(), 'mcpstead-auth-client-'));
const key = createConsoleKey();
const env = { ...process.env, MCPSTEAD_CONSOLE_KEY: key };

const file = (name, text) => {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};
const variable = (name, value) => {
  env[name] = value;
  return name;
};

/** The authorization server that the server names: secrets are bound to it in the configuration. */
async function issuer() {
  const answer = await fetch(new URL('/.well-known/oauth-protected-resource/mcp', server));
  return (await answer.json()).authorization_servers[0];
}

/**
 * The identity provider of the scenario issues one ID token and publishes no keys. In front of it, one that the gateway can verify: its
 * tokens are exchanged for what the other gives for the ID token.
 */
async function identityProvider() {
  const { publicKey, privateKey } = await generateKeyPair('RS256');
  const jwk = { ...(await exportJWK(publicKey)), kid: 'one', alg: 'RS256', use: 'sig' };
  const http = createServer(async (req, res) => {
    const json = (status, value) =>
      res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    if (req.url?.startsWith('/.well-known/')) {
      const at = (path) => `${url}${path}`;
      return json(200, {
        issuer: url,
        jwks_uri: at('/jwks'),
        token_endpoint: at('/token'),
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256'],
      });
    }
    if (req.url === '/jwks') return json(200, { keys: [jwk] });
    let text = '';
    for await (const chunk of req) text += chunk;
    const body = new URLSearchParams(text);
    body.set('subject_token', context.idp_id_token);
    body.set('subject_token_type', 'urn:ietf:params:oauth:token-type:id_token');
    const answer = await fetch(context.idp_token_endpoint, { method: 'POST', body });
    return json(answer.status, await answer.json());
  }).listen(0, '127.0.0.1');
  await once(http, 'listening');
  const url = `http://127.0.0.1:${http.address().port}`;
  const audience = context.idp_client_id;
  const token = await new SignJWT({ sub: 'ada' })
    .setProtectedHeader({ alg: 'RS256', kid: 'one' })
    .setIssuer(url)
    .setAudience(audience)
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(privateKey);
  return { issuer: url, audience, token, close: () => http.close() };
}

/** {auth, mcp, token}: `auth` of the server, and what clients of the gateway need. */
async function settings() {
  const { client_id, client_secret } = context;
  const secret = () => ({
    client_id,
    client_secret_env: variable('CLIENT_SECRET', client_secret),
  });
  switch (scenario) {
    case 'auth/basic-cimd':
      return { auth: { client_metadata_url: CLIENT_METADATA } };
    case 'auth/pre-registration':
      return { auth: { type: 'oauth', issuer: await issuer(), ...secret() } };
    case 'auth/client-credentials-basic':
      return {
        auth: { type: 'oauth', grant: 'client_credentials', issuer: await issuer(), ...secret() },
      };
    case 'auth/client-credentials-jwt':
      return {
        auth: {
          type: 'oauth',
          grant: 'client_credentials',
          issuer: await issuer(),
          client_id,
          private_key_file: file('key.pem', context.private_key_pem),
          algorithm: context.signing_algorithm,
        },
      };
    case 'auth/wif-jwt-bearer':
      return {
        auth: {
          type: 'oauth',
          grant: 'jwt_bearer',
          issuer: await issuer(),
          client_id,
          assertion_file: file('assertion', context.valid_jwt),
        },
      };
    case 'auth/enterprise-managed-authorization': {
      const idp = await identityProvider();
      return {
        auth: {
          type: 'oauth',
          grant: 'id_jag',
          per: 'user',
          issuer: await issuer(),
          ...secret(),
          idp: { issuer: idp.issuer, client_id: context.idp_client_id },
        },
        mcp: { auth: { issuers: [{ name: 'idp', issuer: idp.issuer, audiences: [idp.audience] }] } },
        token: idp.token,
        close: idp.close,
      };
    }
    default:
      return { auth: {} };
  }
}

async function settled(gateway, isSettled) {
  for (const end = Date.now() + LIMIT_MS; ; await new Promise((next) => setTimeout(next, 20))) {
    const health = gateway.health().servers[0];
    if (isSettled(health)) return health;
    if (Date.now() > end) throw new Error(`no answer of the server: ${health.last_error}`);
  }
}

async function logIn(base) {
  const answer = await fetch(`${base}/-/api/v1/servers/${NAME}/login`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: '{}',
  });
  const begun = await answer.json();
  if (!answer.ok) throw new Error(`no login: ${JSON.stringify(begun)}`);
  const page = await fetch(begun.url);
  if (!page.ok || !page.url.startsWith(`${base}/-/login/done`))
    throw new Error(`the login failed: HTTP ${page.status} ${await page.text()}`);
}

async function drive(gateway, base, token) {
  const isOver = ({ state }) => ['up', 'login_required', 'backoff', 'down'].includes(state);
  let logins = 0;
  const loggedIn = async () => {
    if (++logins > MOST_LOGINS) throw new Error('the server wants one login after another');
    await logIn(base);
  };
  /** Runs a request; where it needs a login, logs in and runs it again. */
  const persistent = async (request) => {
    for (;;) {
      try {
        return await request();
      } catch (error) {
        if (!/needs a login|login_required/.test(String(error.message))) throw error;
        await loggedIn();
      }
    }
  };
  let health = await settled(gateway, isOver);
  // Each caller is called for with a token of his own.
  if (token !== undefined) health = { connected: true };
  // A login has reached the link when its last page is served.
  for (; health.state === 'login_required'; health = await settled(gateway, isOver)) await loggedIn();
  if (!health.connected) throw new Error(health.last_error);
  const url = new URL(`${base}/servers/${NAME}/mcp`);
  const info = { name: 'conformance-client', version: '1.0.0' };
  const options = token ? { requestInit: { headers: { authorization: `Bearer ${token}` } } } : {};
  const client = modern
    ? new ModernClient(info, { versionNegotiation: { mode: { pin: REVISION } } })
    : new LegacyClient(info);
  try {
    await persistent(() =>
      client.connect(modern ? new ModernHttp(url, options) : new LegacyHttp(url, options)),
    );
    const { tools } = await persistent(() => client.listTools());
    if (tools.length === 0) throw new Error(`no tools: ${gateway.health().servers[0].last_error}`);
    const [{ name }] = tools;
    const result = await persistent(() => client.callTool({ name, arguments: {} }));
    if (result.isError) throw new Error(`${name} failed: ${JSON.stringify(result.content)}`);
  } finally {
    await client.close();
  }
}

const debug = process.env.CONFORMANCE_DEBUG !== undefined;
const line =
  (level) =>
  (message, fields = {}) =>
    console.error(level, message, JSON.stringify(fields));
const quiet = () => {};
const logger = {
  debug: debug ? line('debug') : quiet,
  info: quiet,
  warn: line('warn'),
  error: line('error'),
};
let gateway;
let close;
try {
  const { auth, mcp, token, ...more } = await settings();
  close = more.close;
  gateway = createGateway(
    {
      host: '127.0.0.1',
      port: 0,
      state: { dir: join(folder, 'state') },
      servers: [{ name: NAME, url: server, auth }],
      ...(mcp && { mcp }),
    },
    { env, logger },
  );
  const { port } = await gateway.listen();
  await drive(gateway, `http://127.0.0.1:${port}`, token);
} finally {
  await gateway?.close();
  close?.();
  rmSync(folder, { recursive: true, force: true });
}
