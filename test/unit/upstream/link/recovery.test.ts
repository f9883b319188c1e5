/** Recovery with two causes: the lost session that links use, and a refused credential that exists in this test alone. */
import { beforeEach, describe, expect, it } from 'vitest';
import { GatewayError } from '../../../../src/errors.js';
import { createBudget } from '../../../../src/lib/budget.js';
import type { Wheel, WheelTimer } from '../../../../src/lib/wheel.js';
import { Boundary } from '../../../../src/observe/boundary.js';
import { silent } from '../../../../src/observe/log.js';
import { ServerStats, Tally } from '../../../../src/observe/stats.js';
import { NOBODY_TO_ASK, type Sink } from '../../../../src/protocol/ports.js';
import {
  UpstreamCall,
  type CallOwner,
  type Carrier,
  type ServerRefusal,
  type Transport,
} from '../../../../src/upstream/calls/calls.js';
import { LostSession } from '../../../../src/upstream/link/session-recovery.js';
import { LinkObserver } from '../../../../src/upstream/link/observer.js';
import { Recovery, type RecoveryCause } from '../../../../src/upstream/link/recovery.js';

/** A step that the test ends. */
class Step {
  readonly #runs: { resolve: () => void; reject: (error: Error) => void; signal: AbortSignal }[] = [];

  readonly run = (_carrier: Carrier, signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      this.#runs.push({ resolve, reject, signal });
    });

  get count(): number {
    return this.#runs.length;
  }

  get signal(): AbortSignal | undefined {
    return this.#runs.at(-1)?.signal;
  }

  end(error?: Error): void {
    const run = this.#runs.at(-1);
    if (error) run?.reject(error);
    else run?.resolve();
  }
}

/** What a credential that the server refuses would look like: no part of it is in recovery.ts. */
class RefusedCredential implements RecoveryCause {
  readonly #renew: Step['run'];

  constructor(renew: Step['run']) {
    this.#renew = renew;
  }

  remedyFor(refusal: ServerRefusal): Step['run'] | undefined {
    return refusal.type === 'http' && refusal.status === 401 ? this.#renew : undefined;
  }

  isRepeatable(): boolean {
    return true;
  }

  isOfRemedy(): boolean {
    return false;
  }

  errorOf(failure: GatewayError | undefined): GatewayError {
    return new GatewayError('upstream_auth_failed', `refused${failure ? ': no new credential' : ''}`);
  }
}

const UNAUTHORIZED: ServerRefusal = {
  type: 'http',
  status: 401,
  body: Buffer.alloc(0),
  error: undefined,
  hadSession: true,
};
const NO_SESSION: ServerRefusal = { ...UNAUTHORIZED, status: 404 };
const FORBIDDEN: ServerRefusal = { ...UNAUTHORIZED, status: 403 };

describe('a recovery', () => {
  const sent: UpstreamCall[] = [];
  const failed: [call: UpstreamCall, error: GatewayError][] = [];
  const linkFailures: GatewayError[] = [];
  const timers: { ms: number; fire: () => void }[] = [];
  let renewal: Step;
  let opening: Step;
  let closed: AbortController;
  let recovery: Recovery;
  let recovered = 0;
  let isUp = true;
  let nextId = 1;
  let resets = 0;

  const wheel: Wheel = {
    after(ms, fire) {
      const timer = { ms, fire };
      if (ms > 0) timers.push(timer);
      const cancel = (): void => void (timers.includes(timer) && timers.splice(timers.indexOf(timer), 1));
      return { cancel, move() {}, pause() {}, resume() {} } satisfies WheelTimer;
    },
    close() {},
  };
  const transport = {
    kind: 'streamable',
    send: (call: UpstreamCall) => void sent.push(call),
    reset: () => void resets++,
  } as unknown as Transport;
  const carrier: Carrier = { transport, modern: undefined, probing: false, calls: 0, retired: false };
  const observer = new LinkObserver(new ServerStats('s'), true);
  const owner = {
    server: 's',
    observer,
    wheel,
    log: silent,
    boundary: new Boundary(silent, new Tally()),
    budget: createBudget(1e6),
    order: { seen: 'unknown' },
    messageBytes: () => 1e6,
    timeouts: { request_ms: 0, total_ms: 5000 },
    finished: () => undefined,
    refused: (call: UpstreamCall, refusal: ServerRefusal) => recovery.refused(call, refusal),
    shown: (error: GatewayError) => error,
    sendCancel: () => undefined,
  } as unknown as CallOwner;

  function call(method = 'tools/call', own = false): UpstreamCall {
    const sink: Sink = {
      notify: () => true,
      ask: () => NOBODY_TO_ASK,
      start: () => undefined,
      write: () => true,
      end: () => undefined,
      cancelled: () => undefined,
      fail: (error) => void failed.push([made, error]),
    };
    const id = nextId++;
    const options = { repeatable: false, own };
    const made: UpstreamCall = new UpstreamCall(
      owner,
      id,
      method,
      Buffer.from(`${id}`),
      Buffer.from('{}'),
      sink,
      options,
    );
    made.carrier = carrier;
    return made;
  }

  /** Sent now; `send` of a call that has to wait does not reach the transport. */
  function begin(method?: string, own?: boolean): UpstreamCall {
    const made = call(method, own);
    recovery.send(made, carrier);
    return made;
  }

  /** Lets everything run that waits for a promise. */
  const settle = (): Promise<void> => new Promise(setImmediate);

  beforeEach(() => {
    sent.length = failed.length = linkFailures.length = timers.length = 0;
    recovered = resets = 0;
    isUp = true;
    renewal = new Step();
    opening = new Step();
    closed = new AbortController();
    recovery = new Recovery({
      server: 's',
      causes: [
        new LostSession({ server: 's', observer, log: silent, open: opening.run }),
        new RefusedCredential(renewal.run),
      ],
      signal: closed.signal,
      isCurrent: () => isUp,
      recovered: () => void recovered++,
      failed: (error) => void linkFailures.push(error),
    });
  });

  it('holds calls while the remedy runs, runs it once, and sends each call again once', async () => {
    const [first, second] = [begin(), begin()];
    expect(recovery.refused(first, UNAUTHORIZED)).toBe(true);
    expect(recovery.refused(second, UNAUTHORIZED)).toBe(true);
    const third = begin();
    await settle();
    expect(sent).toEqual([first, second]);
    expect(renewal.count).toBe(1);
    renewal.end();
    await settle();
    expect(sent).toEqual([first, second, first, second, third]);
    expect(recovered).toBe(1);
    expect(failed).toEqual([]);
    expect(resets).toBe(0);
  });

  it('sends no call a third time', async () => {
    const refused = begin();
    recovery.refused(refused, UNAUTHORIZED);
    renewal.end();
    await settle();
    expect(recovery.refused(refused, UNAUTHORIZED)).toBe(true);
    await settle();
    expect(sent).toEqual([refused, refused]);
    expect(renewal.count).toBe(1);
    expect(failed).toEqual([[refused, new GatewayError('upstream_auth_failed', 'refused')]]);
  });

  it('does not run again for a call that was sent before it', async () => {
    const [first, late] = [begin(), begin()];
    recovery.refused(first, UNAUTHORIZED);
    renewal.end();
    await settle();
    expect(recovery.refused(late, UNAUTHORIZED)).toBe(true);
    await settle();
    expect(renewal.count).toBe(1);
    expect(sent).toEqual([first, late, first, late]);
  });

  it('serves calls that were refused for different causes with one remedy', async () => {
    const [first, second] = [begin(), begin()];
    recovery.refused(first, NO_SESSION);
    recovery.refused(second, UNAUTHORIZED);
    expect([opening.count, renewal.count, resets]).toEqual([1, 0, 1]);
    opening.end();
    await settle();
    expect(sent).toEqual([first, second, first, second]);
  });

  it('leaves a refusal alone that no cause explains', async () => {
    const refused = begin();
    expect(recovery.refused(refused, FORBIDDEN)).toBe(false);
    await settle();
    expect(sent).toEqual([refused]);
    expect([renewal.count, opening.count, failed.length]).toEqual([0, 0, 0]);
  });

  it('lets the requests of its remedy through, and gives their refusal back', async () => {
    recovery.refused(begin(), NO_SESSION);
    const handshake = begin('initialize', true);
    expect(sent.at(-1)).toBe(handshake);
    expect(recovery.refused(handshake, NO_SESSION)).toBe(false);
    const renewed = begin('resources/subscribe', true);
    expect(sent.at(-1)).toBe(renewed);
    expect(recovery.refused(renewed, NO_SESSION)).toBe(false);
    await settle();
    expect(opening.count).toBe(1);
  });

  it('fails the calls and the link when the remedy fails', async () => {
    const [refused, client, own] = [begin(), call(), call('tools/list', true)];
    recovery.refused(refused, UNAUTHORIZED);
    recovery.send(client, carrier);
    recovery.send(own, carrier);
    const cause = new GatewayError('upstream_timeout', 'the token endpoint did not answer');
    renewal.end(cause);
    await settle();
    const given = new GatewayError('upstream_auth_failed', 'refused: no new credential');
    expect(failed).toEqual([
      [refused, given],
      [client, given],
      // A request of the gateway gets the reason itself.
      [own, cause],
    ]);
    expect(linkFailures).toEqual([cause]);
    expect(recovered).toBe(0);
    expect(sent).toEqual([refused]);
    // The next refusal has another try.
    recovery.refused(begin(), UNAUTHORIZED);
    expect(renewal.count).toBe(2);
  });

  it('does not send a call again whose time is up, or that was cancelled', async () => {
    const [late, cancelled, kept] = [begin(), begin(), begin()];
    for (const each of [late, cancelled, kept]) recovery.refused(each, UNAUTHORIZED);
    timers.find(({ ms }) => ms === 5000)?.fire();
    cancelled.cancel('client gone');
    expect(failed.map(([which, { code }]) => [which, code])).toEqual([[late, 'upstream_timeout']]);
    renewal.end();
    await settle();
    expect(sent).toEqual([late, cancelled, kept, kept]);
  });

  it('does not send a call again that the server has begun to answer', () => {
    const answered = begin();
    answered.sawMessage = true;
    expect(recovery.refused(answered, UNAUTHORIZED)).toBe(true);
    expect(renewal.count).toBe(0);
    expect(failed.map(([which]) => which)).toEqual([answered]);
  });

  it('does not begin on a link that is not up', () => {
    isUp = false;
    const [client, own] = [begin(), begin('tools/list', true)];
    expect(recovery.refused(client, UNAUTHORIZED)).toBe(true);
    expect(failed.map(([which]) => which)).toEqual([client]);
    expect(recovery.refused(own, UNAUTHORIZED)).toBe(false);
    expect(renewal.count).toBe(0);
  });

  it.each([
    ['ends well', undefined],
    ['fails', new Error('closed')],
  ])('of a link that was destroyed meanwhile sends nothing when the remedy %s', async (_how, error) => {
    const refused = begin();
    recovery.refused(refused, UNAUTHORIZED);
    closed.abort(new Error('closed'));
    expect(renewal.signal?.aborted).toBe(true);
    refused.failWith('upstream_disconnected', 'removed');
    renewal.end(error);
    await settle();
    expect(sent).toEqual([refused]);
    expect(failed).toHaveLength(1);
    expect(linkFailures).toEqual([]);
  });
});
