import { describe, expect, it } from 'vitest';
import { authenticator, issuerConfig, shown } from '../../helpers/authenticator.js';

const WELL_KNOWN = '/.well-known/oauth-protected-resource';
const config = {
  issuers: [issuerConfig(), issuerConfig({ name: 'b', issuer: 'https://b.example' })],
  scopes: ['read', 'write'],
};
const begin = (publicUrl: string | null, more = {}) => authenticator({ ...config, ...more }, { publicUrl });
const host = (name: string) => shown({ host: name });

describe('the metadata of a protected resource', () => {
  const { auth } = begin('https://gw.example/pre/');
  const at = (path: string) => auth.discovery.metadata(shown(), WELL_KNOWN + path);

  it('names resource, issuers and scopes', () => {
    expect(at('/mcp')).toEqual({
      resource: 'https://gw.example/pre/mcp',
      authorization_servers: ['https://id.example/t', 'https://b.example'],
      scopes_supported: ['read', 'write'],
      bearer_methods_supported: ['header'],
      resource_name: 'mcpstead',
    });
    const none = begin('https://gw.example', { scopes: [] }).auth.discovery.metadata(shown(), WELL_KNOWN);
    expect(none).not.toHaveProperty('scopes_supported');
  });

  it.each([
    ['', '/mcp'],
    ['/', '/mcp'],
    ['/mcp', '/mcp'],
    ['/pre', '/mcp'],
    ['/pre/mcp', '/mcp'],
    ['/pre/servers/a/mcp', '/servers/a/mcp'],
    ['/servers/nobody/mcp', '/servers/nobody/mcp'],
    ['/profiles/p/mcp', '/profiles/p/mcp'],
    ['/sse', '/sse'],
    ['/servers/a/messages', '/servers/a/sse'],
  ])('at %j is that of %s', (path, route) => {
    expect(at(path)?.resource).toBe(`https://gw.example/pre${route}`);
  });

  it.each([
    '/other',
    '/mcp/x',
    '/prefix/mcp',
    '/servers/a',
    '/servers/a b/mcp',
    'x/mcp',
    '/pre/pre/mcp',
    '/-/reload',
  ])('is not at %s', (path) => {
    expect(at(path)).toBeUndefined();
  });

  it('is the gateway for every route under `resource: gateway`', () => {
    const { discovery } = begin('https://gw.example/pre', { resource: 'gateway' }).auth;
    for (const path of ['', '/mcp', '/servers/a/mcp', '/sse'])
      expect(discovery.metadata(shown(), WELL_KNOWN + path)?.resource).toBe('https://gw.example/pre');
  });

  it('on a loopback address names what the client calls it, and nothing else', () => {
    const { discovery } = begin(null).auth;
    const resource = (name: string) => discovery.metadata(host(name), `${WELL_KNOWN}/mcp`)?.resource;
    expect(resource('localhost:8766')).toBe('http://localhost:8766/mcp');
    expect(resource('LOCALHOST:1')).toBe('http://localhost:8766/mcp');
    expect(resource('127.0.0.2:8766')).toBe('http://127.0.0.2:8766/mcp');
    expect(resource('[::1]:8766')).toBe('http://[::1]:8766/mcp');
    for (const foreign of [
      'evil.example',
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      '',
      '127.0.0.999',
    ])
      expect(resource(foreign)).toBe('http://127.0.0.1:8766/mcp');
    const secure = shown({ host: 'localhost' }, { localPort: 443, encrypted: true });
    expect(discovery.metadata(secure, WELL_KNOWN)?.resource).toBe('https://localhost/mcp');
  });
});

describe('the challenge', () => {
  it.each([
    ['/mcp', '/pre/mcp'],
    ['/mcp/', '/pre/mcp'],
    ['/sse', '/pre/sse'],
    ['/messages', '/pre/sse'],
    ['/servers/a/mcp', '/pre/servers/a/mcp'],
    ['/profiles/a/sse', '/pre/profiles/a/sse'],
    ['/-/reload', '/pre/mcp'],
  ])('of %s names its metadata and the scopes', (path, route) => {
    const { auth } = begin('https://gw.example/pre');
    expect(auth.authenticate(shown(), path)).toEqual({
      status: 401,
      reason: 'missing_header',
      challenge: `Bearer resource_metadata="https://gw.example${WELL_KNOWN}${route}", scope="read write"`,
    });
  });

  it('names the metadata of the route under `resource: gateway` too', () => {
    const { auth } = begin('https://gw.example', { resource: 'gateway' });
    expect(auth.authenticate(shown(), '/servers/a/mcp')).toMatchObject({
      challenge: `Bearer resource_metadata="https://gw.example${WELL_KNOWN}/servers/a/mcp", scope="read write"`,
    });
  });

  it('for missing scopes names all that are needed, and no text can leave its quotes', () => {
    const { auth } = begin("https://gw.example/p'(q");
    expect(auth.stepUp(shown(), '/mcp', ['files:write', 'bad"scope', 'two words', 'admin'])).toBe(
      `Bearer error="insufficient_scope", scope="files:write admin", resource_metadata="https://gw.example${WELL_KNOWN}/p'(q/mcp"`,
    );
  });

  it('is still that of its route after many others were asked for', () => {
    const { auth } = begin('https://gw.example');
    for (let i = 0; i < 5000; i++) void auth.authenticate(shown(), `/servers/s${i}/mcp`);
    expect(auth.authenticate(shown(), '/servers/s0/mcp')).toMatchObject({
      challenge: `Bearer resource_metadata="https://gw.example${WELL_KNOWN}/servers/s0/mcp", scope="read write"`,
    });
  });
});
