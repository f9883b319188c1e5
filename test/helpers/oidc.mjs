// A certified issuer, oidc-provider, on a port of this host. Anybody logs in with any name; consent is given.
import { createServer } from 'node:http';
import { once } from 'node:events';
import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

export async function startOidc({ ttl = 300, opaque = [], groups = ['dev'] } = {}) {
  const key = async (kid) => {
    const { privateKey } = await generateKeyPair('RS256', { extractable: true });
    return { ...(await exportJWK(privateKey)), kid, alg: 'RS256', use: 'sig' };
  };
  const jwk = await key('one');
  const asked = [];
  let handler = (_req, res) => res.writeHead(503).end();
  const sockets = new Set();
  const server = createServer((req, res) => {
    asked.push(req.url);
    handler(req, res);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  const issuer = `http://127.0.0.1:${port}`;
  // It warns that these settings are for development.
  const { warn } = console;
  console.warn = () => undefined;
  const provider = new Provider(issuer, {
    jwks: { keys: [jwk] },
    cookies: { keys: ['test'] },
    clients: [
      {
        client_id: 'machine',
        client_secret: 'machine-secret',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
      {
        client_id: 'gateway',
        client_secret: 'gateway-secret',
        redirect_uris: [],
        response_types: [],
        grant_types: [],
      },
    ],
    scopes: ['openid', 'offline_access', 'read', 'write'],
    pkce: { required: () => true },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    ttl: {
      AccessToken: ttl,
      ClientCredentials: ttl,
      Grant: 3600,
      Interaction: 3600,
      Session: 3600,
      IdToken: 3600,
    },
    extraTokenClaims: () => ({ groups }),
    features: {
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, resource) => ({
          scope: 'read write',
          audience: resource,
          accessTokenTTL: ttl,
          accessTokenFormat: opaque.some((each) => resource.endsWith(each)) ? 'opaque' : 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  });
  console.warn = warn;
  handler = provider.callback();
  return {
    issuer,
    asked,
    privateKey: jwk,
    /** Answers nothing any more, until `up()`. */
    down() {
      handler = (req) => req.socket.destroy();
      for (const socket of sockets) socket.destroy();
    },
    up() {
      handler = provider.callback();
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
