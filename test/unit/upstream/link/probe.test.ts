import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../../../src/errors.js';
import { judgeProbe, pinnedEra, type Probed } from '../../../../src/upstream/link/probe.js';

const ASKED = '2026-07-28';
const discover = (more: object = {}): Probed => ({
  type: 'result',
  value: Buffer.from(
    JSON.stringify({ supportedVersions: [ASKED], capabilities: { tools: {} }, instructions: 'x', ...more }),
  ),
});
const failure = (
  status: number,
  data?: object,
  code: GatewayError['code'] = 'upstream_protocol_error',
): Probed => ({
  type: 'error',
  status,
  error: new GatewayError(code, 'no', data),
});
const judge = (probed: Probed) => judgeProbe(probed, ASKED, 's');

describe('the answer to server/discover', () => {
  it('is a modern server if it is a DiscoverResult, and tells what the server is', () => {
    const verdict = judge(
      discover({
        _meta: {
          'io.modelcontextprotocol/serverInfo': {
            name: 'n',
            version: '1',
            big: 12345678901234567890n.toString(),
          },
        },
      }),
    );
    expect(verdict).toMatchObject({
      era: 'modern',
      peer: { era: 'modern', revision: ASKED, capabilities: { tools: {} }, instructions: 'x' },
    });
    if (!('peer' in verdict)) throw new Error('no peer');
    expect(verdict.peer.serverInfo.toString()).toContain('"name":"n"');
  });

  it('without serverInfo names the server by its configuration', () => {
    const verdict = judge(discover());
    if (!('peer' in verdict)) throw new Error('no peer');
    expect(JSON.parse(verdict.peer.serverInfo.toString())).toEqual({ name: 's', version: '0' });
  });

  it.each([
    ['an object that is none', { type: 'result', value: Buffer.from('{}') }],
    ['no object', { type: 'result', value: Buffer.from('5') }],
    ['silence', { type: 'silence' }],
    ['an exit', { type: 'exit' }],
    ['method not found', failure(200, { rpc: -32601 })],
    ['invalid params', failure(200, { rpc: -32602 })],
    ['method not found under 404', failure(404, { rpc: -32601 })],
    ['an error of an SDK without a session', failure(400, { rpc: -32000 })],
    ['an error over stdio', failure(0, { rpc: -32601 })],
    ['400 without a JSON-RPC error', failure(400)],
    ['404 without a JSON-RPC error', failure(404)],
    ['405', failure(405)],
    ['406', failure(406)],
    ['422', failure(422)],
    ['an answer that is none', failure(202)],
  ] satisfies [string, Probed][])('is a legacy server if it is %s', (_name, probed) => {
    expect(judge(probed)).toMatchObject({ era: 'legacy', offer: undefined });
  });

  it.each([
    ['401', failure(401, undefined, 'upstream_auth_failed')],
    ['403', failure(403, undefined, 'upstream_auth_failed')],
    ['408', failure(408)],
    ['429', failure(429)],
    ['500', failure(500)],
    ['503 with a JSON-RPC error', failure(503, { rpc: -32601 })],
    ['a network failure', failure(0)],
    ['a time-out', failure(0, undefined, 'upstream_timeout')],
    ['a time-out after the head of the response', failure(200, undefined, 'upstream_timeout')],
    ['a stream that broke', failure(200, { broken: true })],
    ['a redirect that is not followed', failure(302)],
    ['a header mismatch: modern, but nothing is known of it', failure(400, { rpc: -32020 })],
    ['a missing capability: modern, but nothing is known of it', failure(400, { rpc: -32021 })],
  ] satisfies [string, Probed][])('says nothing if it is %s', (_name, probed) => {
    expect(judge(probed).era).toBe('none');
  });

  it('that refuses for want of a session is a legacy server', () => {
    const error = new GatewayError('upstream_auth_failed', "upstream 's' answered HTTP 401: Session expired");
    expect(judge({ type: 'error', status: 401, error }).era).toBe('legacy');
  });

  it('an unsupported version names others: modern ones first, then the newest legacy one', () => {
    const unsupported = (...supported: unknown[]): Probed =>
      failure(400, { rpc: -32022, detail: { supported } });
    expect(judgeProbe(unsupported('2026-07-28'), '2099-01-01', 's')).toEqual({
      era: 'modern',
      retry: '2026-07-28',
    });
    expect(judge(unsupported('2024-11-05', '2025-06-18', 7))).toMatchObject({
      era: 'legacy',
      offer: '2025-06-18',
    });
    expect(judge(unsupported('2099-01-01')).era).toBe('none');
    expect(judge(unsupported()).era).toBe('none');
    // It refuses what it says it supports: worth one more request.
    expect(judge(unsupported('2026-07-28'))).toEqual({ era: 'modern', retry: '2026-07-28' });
  });

  it('a DiscoverResult that lists legacy revisions alone is an offer of the newest', () => {
    expect(judge(discover({ supportedVersions: ['2025-03-26', '2025-11-25'] }))).toMatchObject({
      era: 'legacy',
      offer: '2025-11-25',
    });
  });
});

describe('revision', () => {
  it.each([
    ['auto', undefined],
    ['legacy', 'legacy'],
    ['2024-11-05', 'legacy'],
    ['2025-11-25', 'legacy'],
    ['modern', 'modern'],
    ['2026-07-28', 'modern'],
  ])('%s pins %s', (revision, era) => {
    expect(pinnedEra(revision)).toBe(era);
  });
});
