import { describe, expect, it } from 'vitest';
import {
  formProblem,
  isLoopbackUri,
  isWellFormed,
  matches,
  Redirects,
} from '../../../src/authorization-server/redirects.js';
import { isForbiddenScheme } from '../../../src/config/redirect-schemes.js';

const ALL = new Redirects(['*']);

describe('the form of a redirect URI', () => {
  it.each([
    'https://a.example',
    'https://a.example/',
    'https://a.example?x=1',
    'https://a.example/cb?x=1&y=%20',
    'https://a.example:8443/cb',
    'https://xn--bcher-kva.example/cb',
    'https://10.0.0.1/cb',
    'https://[2001:db8::1]/cb',
    'https://a.example/@name/cb',
    'http://127.0.0.1',
    'http://127.0.0.1:33418/',
    'http://[::1]:3000/cb',
    'http://localhost/callback',
    'http://localhost:1?x',
    'cursor://anysphere.cursor-mcp/oauth/callback',
    'cursor://x',
    'vscode://vscode.microsoft-authentication/',
    'com.example.app:/oauth2redirect/example-provider',
    // An encoded slash makes no dot segment: to every parser it is a name, and it is compared as a text.
    'https://a.example/..%2f',
  ])('%s is good', (uri) => {
    expect(formProblem(uri)).toBeUndefined();
  });

  it.each([
    ['', 'has characters'],
    ['https://a.example\\@evil', 'a backslash'],
    ['https:\\\\a.example/', 'a backslash'],
    ['https://a.exam\tple/', 'visible ASCII'],
    ['https://a.example/\n', 'visible ASCII'],
    [' https://a.example/', 'visible ASCII'],
    ['https://a.example/ x', 'visible ASCII'],
    ['https://a.example/\u0000', 'visible ASCII'],
    ['https://a.example/é', 'visible ASCII'],
    ['https://a。example/', 'visible ASCII'],
    ['https://ａ.example/', 'visible ASCII'],
    ['https://bücher.example/', 'visible ASCII'],
    ['HTTPS://a.example/', 'normal form: https://a.example/'],
    ['https://A.example/', 'normal form: https://a.example/'],
    ['https:a.example', 'normal form'],
    ['https:/a.example/', 'normal form'],
    ['https:///a.example/', 'normal form'],
    ['https://a.example:443/', 'normal form'],
    ['https://a.example:/', 'normal form'],
    ['https://a.example:08443/', 'normal form'],
    ['https://a.example/x/../y', 'normal form'],
    ['https://a.example/./y', 'normal form'],
    ['https://a.example/%2e%2e/y', 'normal form'],
    ['https://a.example/.%2E/y', 'normal form'],
    ['https://a.example/"', 'normal form'],
    ['https://a.example/<script>', 'normal form'],
    ['https://a%2eexample/', 'normal form'],
    ['https://0x7f.1/', 'normal form'],
    ['https://@a.example/', 'normal form'],
    ['https://:@a.example/', 'normal form'],
    ['https://a.example?', 'normal form'],
    ['https://a.example@evil.example/', 'a user'],
    ['https://:p@evil.example/', 'a user'],
    ['cursor://u@x/', 'a user'],
    ['https://a.example/#', 'a fragment'],
    ['https://a.example/#x', 'a fragment'],
    ['https://a.example./', 'name of a host'],
    ['https://a..example/', 'name of a host'],
    ['https://a.example;.evil.example/', 'name of a host'],
    ["https://a'b.example/", 'name of a host'],
    ['https://*.example/', 'name of a host'],
    ['https://', 'not a URI'],
    ['https://:443/', 'not a URI'],
    ['https://a.example:65536/', 'not a URI'],
    ['https://[::1', 'not a URI'],
    ['https://a%00.example/', 'not a URI'],
    ['https://xn--a.example/', 'not a URI'],
    ['a.example/cb', 'not a URI'],
    ['/cb', 'not a URI'],
    ['//a.example/cb', 'not a URI'],
    ['http://a.example/', 'uses http'],
    ['http://127.0.0.2/', 'uses http'],
    ['http://127.0.0.1.evil.com/', 'uses http'],
    ['http://localhost.evil/', 'uses http'],
    ['http://x.localhost/', 'uses http'],
    ['http://localhost./', 'uses http'],
    ['http://0.0.0.0/', 'uses http'],
    ['http://[::]/', 'uses http'],
    ['http://[::ffff:7f00:1]/', 'uses http'],
    ['http://[::ffff:127.0.0.1]/', 'normal form'],
    ['http://[0:0:0:0:0:0:0:1]/', 'normal form'],
    ['http://127.1/', 'normal form'],
    ['http://2130706433/', 'normal form'],
    ['http://0177.0.0.1/', 'normal form'],
    ['http://localhost:80/', 'normal form'],
    ['http://LOCALHOST/', 'normal form'],
    ['http://user@localhost/', 'a user'],
    ['javascript:alert(1)', 'never allowed'],
    ['JavaScript:alert(1)', 'never allowed'],
    ['javascript://a.example/%0aalert(1)', 'never allowed'],
    ['data:text/html,x', 'never allowed'],
    ['file:///etc/passwd', 'never allowed'],
    ['blob:https://a.example/x', 'never allowed'],
    ['vbscript:x', 'never allowed'],
    ['about:blank', 'never allowed'],
    ['view-source:https://a.example/', 'never allowed'],
    ['filesystem:https://a.example/x', 'never allowed'],
    ['ws://127.0.0.1/', 'never allowed'],
    ['ftp://127.0.0.1/', 'never allowed'],
    ['mailto:a@a.example', 'never allowed'],
    ['cursor:evil', 'a / after cursor:'],
    ['cursor:', 'a / after cursor:'],
    ['cursor:?x', 'a / after cursor:'],
    ['cursor://', 'a name after cursor://'],
    ['cursor:///x', 'a name after cursor://'],
    ['cursor://a.example;x/', 'a name after cursor://'],
    ['cursor://x/..', 'normal form'],
    ['CURSOR://x/', 'normal form'],
    ['vscode://vscode.microsoft-authentication/..', 'normal form'],
    [`${'a'.repeat(65)}://x/`, 'too long'],
    [`https://a.example/${'x'.repeat(495)}`, 'longer than 512'],
  ])('%j is not: it %s', (uri, why) => {
    expect(formProblem(uri)).toContain(why);
    expect(isWellFormed(uri)).toBe(false);
    expect(ALL.allows(uri)).toBe(false);
  });

  it('has at most 512 characters', () => {
    expect(isWellFormed(`https://a.example/${'x'.repeat(494)}`)).toBe(true);
  });

  it('has no scheme that browsers interpret', () => {
    expect(['javascript:', 'JAVASCRIPT:', 'zed:', 'https:'].map(isForbiddenScheme)).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});

describe('the list `redirects`', () => {
  it('`*` is every https host, loopback, and the schemes of known clients', () => {
    for (const uri of [
      'https://a.example/cb',
      'https://a.example:8443/cb',
      'http://localhost:1/cb',
      'http://127.0.0.1/',
      'http://[::1]/',
      'cursor://anysphere.cursor-mcp/oauth/callback',
      'vscode://x/',
      'vscode-insiders://x/',
      'windsurf://x/',
    ])
      expect(ALL.problem(uri)).toBeUndefined();
    expect(ALL.problem('zed://x/')).toBe("needs 'zed:' in mcp.auth.login.redirects");
    expect(ALL.allows('http://a.example/')).toBe(false);
  });

  it('without `*`, each has to be named', () => {
    const none = new Redirects([]);
    expect(none.problem('https://a.example/')).toContain('leads to a.example');
    expect(none.problem('http://localhost/')).toContain("'loopback'");
    expect(none.problem('cursor://x/')).toContain("'cursor:'");
    const some = new Redirects(['loopback', 'zed:', 'claude.ai']);
    expect(some.allows('http://localhost/')).toBe(true);
    expect(some.allows('https://localhost/')).toBe(false);
    expect(some.allows('zed://x/')).toBe(true);
    expect(some.allows('cursor://x/')).toBe(false);
    expect(some.allows('https://claude.ai/cb')).toBe(true);
    expect(some.allows('https://claude.ai.evil.example/cb')).toBe(false);
    expect(some.allows('https://evil-claude.ai/cb')).toBe(false);
    expect(some.allows('https://x.claude.ai/cb')).toBe(false);
  });

  it('host globs are about https, whatever their case', () => {
    const list = new Redirects(['*.Example.COM', 'LocalHost', 'Zed:', 'a?.example']);
    expect(list.allows('https://a.example.com/')).toBe(true);
    expect(list.allows('https://a.b.example.com:8443/')).toBe(true);
    expect(list.allows('https://example.com/')).toBe(false);
    expect(list.allows('https://localhost/')).toBe(true);
    expect(list.allows('http://localhost/')).toBe(false);
    expect(list.allows('zed://x')).toBe(true);
    expect(list.allows('https://ab.example/')).toBe(true);
    expect(list.allows('https://a.example/')).toBe(false);
  });

  it('a host stands for all its ports', () => {
    const list = new Redirects(['a.example', '[fd00::1]']);
    expect(list.allows('https://a.example/')).toBe(true);
    expect(list.allows('https://a.example:8443/')).toBe(true);
    expect(list.allows('https://[fd00::1]:9/')).toBe(true);
    expect(list.allows('https://[fd00::2]/')).toBe(false);
  });

  it('names no scheme that is never allowed, and no plain http', () => {
    const list = new Redirects(['javascript:', 'data:', 'http:', 'https:', 'ws:']);
    expect(list.allows('javascript://x/')).toBe(false);
    expect(list.allows('data:/x')).toBe(false);
    expect(list.allows('http://a.example/')).toBe(false);
    expect(list.allows('http://localhost/')).toBe(false);
    expect(list.allows('https://a.example/')).toBe(false);
  });

  it('names a host by globs other than `*`, and in full only literally', () => {
    const list = new Redirects(['*', '*.example', 'a.test', 'loopback']);
    const hosts = ['x.example', 'a.test', 'A.TEST:99', 'c.test', 'localhost', ''];
    expect(hosts.map((host) => list.namesHost(host))).toEqual([true, true, true, false, false, false]);
    expect(hosts.map((host) => list.namesInFull(host))).toEqual([false, true, true, false, false, false]);
    expect(list.namesInFull('*.example')).toBe(false);
  });

  it.each(['*', '**', '*.*', '?*'])('%s names no host', (glob) => {
    const list = new Redirects([glob]);
    expect([list.allows('https://a.example/'), list.namesHost('a.example')]).toEqual([true, false]);
  });

  it('allows documents of clients by host', () => {
    const document = (list: string[], url: string) => new Redirects(list).allowsDocument(new URL(url));
    expect(document(['*'], 'https://a.example/c')).toBe(true);
    expect(document(['a.example'], 'https://a.example/c')).toBe(true);
    expect(document(['b.example', 'loopback'], 'https://a.example/c')).toBe(false);
    expect(document(['*'], 'http://localhost/c')).toBe(false);
    expect(document(['*'], 'https://a.example./c')).toBe(false);
    expect(document(['cursor:', '*'], 'cursor://a.example/c')).toBe(false);
  });
});

describe('a redirect URI of a request', () => {
  it.each([
    ['https://a.example/cb', 'https://a.example/cb'],
    ['http://localhost/cb', 'http://localhost:3000/cb'],
    ['http://localhost:3000/cb', 'http://localhost/cb'],
    ['http://127.0.0.1:1/cb?x=1', 'http://127.0.0.1:2/cb?x=1'],
    ['http://[::1]/', 'http://[::1]:5/'],
    ['http://127.0.0.1', 'http://127.0.0.1:5'],
  ])('%s is also %s', (registered, asked) => {
    expect(matches(registered, asked)).toBe(true);
  });

  it.each([
    ['https://a.example/cb', 'https://a.example/cb/'],
    ['https://a.example/cb', 'https://a.example/cB'],
    ['https://a.example/cb', 'https://a.example/cb?'],
    ['https://a.example', 'https://a.example/'],
    ['https://a.example/cb', 'https://a.example:8443/cb'],
    ['https://localhost/cb', 'https://localhost:1/cb'],
    ['http://localhost/cb', 'http://127.0.0.1/cb'],
    ['http://127.0.0.1/cb', 'http://[::1]/cb'],
    ['http://localhost/cb', 'http://localhost:1/cb2'],
    ['http://localhost/cb', 'http://localhost:1/cb?x'],
    ['http://localhost/cb', 'https://localhost:1/cb'],
    ['http://localhost/', 'http://localhost:1'],
    ['http://localhost/cb', 'http://localhost:65536/cb'],
    ['http://localhost/cb', 'http://localhost:/cb'],
    ['http://localhost/cb', 'http://localhost:1@evil.example/cb'],
    ['http://localhost/cb', 'http://localhost.evil.example/cb'],
    ['http://localhost/cb', 'http://localhost:1\\@evil.example/cb'],
    ['http://localhost/cb', 'http://localhost:1/cb\n'],
    ['http://127.0.0.2/cb', 'http://127.0.0.2:1/cb'],
    ['cursor://x/cb', 'cursor://x:1/cb'],
  ])('%s is not %j', (registered, asked) => {
    expect(matches(registered, asked)).toBe(false);
  });

  it('leads to this machine by its host', () => {
    expect(isLoopbackUri('http://localhost:1/cb')).toBe(true);
    expect(isLoopbackUri('http://localhost.evil/cb')).toBe(false);
    expect(isLoopbackUri('https://localhost/cb')).toBe(false);
  });
});
