/** A yes that is used while something else happens to its call. */
import { expect, it } from 'vitest';
import { LOCAL } from '../../../src/auth/authenticate.js';
import { GatewayError } from '../../../src/errors.js';
import { Boundary } from '../../../src/observe/boundary.js';
import { Calls } from '../../../src/observe/calls.js';
import { silent } from '../../../src/observe/log.js';
import { Tally } from '../../../src/observe/stats.js';
import type { Asked, HoldEntry, InputAsked, Use } from '../../../src/protocol/approvals.js';
import { readMessages, type Message } from '../../../src/protocol/message.js';
import type { Caller, Exchange, Sink, Target } from '../../../src/protocol/ports.js';
import { Approving, type ApprovingDeps } from '../../../src/proxy/approving.js';
import { openCall, type CallDeps } from '../../../src/proxy/call.js';
import { Incoming, type Origin } from '../../../src/proxy/incoming.js';
import { routeTo } from '../../../src/proxy/route.js';
import { linkOf, sinkOf } from './stage.js';

const message = readMessages(
  Buffer.from('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay"}}'),
) as Message;
const origin: Origin = {
  ...{ principal: LOCAL, route: routeTo({}), sessionId: undefined, version: undefined },
  ...{ era: 'legacy', headers: undefined },
};
const boundary = new Boundary(silent, new Tally());
const entry = (digest: string): HoldEntry => ({
  ...{ rule: 'ask', digest, by: 'caller', need: 1, expiresMs: 1000, confirm: 'client', repeat: undefined },
});

/** A yes, and how often it was given back. */
class GivenUse implements Use {
  readonly id = 'r';
  returned = 0;
  readonly answers: (InputAsked | undefined)[] = [];
  nothingRan(): void {
    this.returned++;
  }
  answered(asked: InputAsked | undefined): void {
    this.answers.push(asked);
  }
}

/** A held call whose use is being stored until `stored` is called. */
function begin() {
  const use = new GivenUse();
  const told: string[] = [];
  let stored: () => void = () => undefined;
  let taken: () => void = () => undefined;
  const isTaking = new Promise<void>((resolve) => {
    taken = resolve;
  });
  const until = new Promise<void>((resolve) => {
    stored = resolve;
  });
  const asked = {
    view: { id: 'r', entries: [] },
    settled: () => Promise.resolve('approved'),
    take: () => {
      taken();
      return until.then(() => use);
    },
    leave: () => undefined,
  } as unknown as Asked;
  const entries = { now: [entry('a')] };
  const view = { verdict: () => ({ shown: true, holds: { of: () => entries.now } }) };
  const incoming = new Incoming({ calls: new Calls() }, origin, message, {
    ...sinkOf([]),
    fail: ({ code, data }) => told.push(`${code} ${(data as { reason: string }).reason}`),
    cancelled: () => told.push('cancelled'),
  });
  incoming.admit({ principal: LOCAL, era: 'legacy', view } as unknown as Caller, undefined);
  const approving = new Approving({
    ...{ boundary, configOf: () => '', loginOf: () => undefined, waitMs: () => 0 },
    approvals: { ask: () => Promise.resolve(asked) },
  } as unknown as ApprovingDeps);
  const target = { link: linkOf('bank'), name: 'pay' } as unknown as Target;
  const exchange = approving.open(incoming, {
    ...{ target, crossing: undefined, entries: entries.now, name: 'pay' },
    admit: () => undefined,
    again: () => ({ target, crossing: undefined }),
    send() {
      told.push('sent');
      return { resume: () => undefined, cancel: () => undefined } satisfies Exchange;
    },
  });
  return { use, told, entries, exchange, isTaking, stored };
}

const turns = async (): Promise<void> => {
  for (let n = 0; n < 20; n++) await Promise.resolve();
};

it('it is sent once the use is stored', async () => {
  const { use, told, isTaking, stored } = begin();
  await isTaking;
  expect(told).toEqual([]);
  stored();
  await turns();
  expect([told, use.returned]).toEqual([['sent'], 0]);
});

it('its client cancels: nothing is sent, and the yes is given back', async () => {
  const { use, told, exchange, isTaking, stored } = begin();
  await isTaking;
  exchange.cancel('cancelled by the client');
  stored();
  await turns();
  expect([told, use.returned]).toEqual([['cancelled'], 1]);
});

it('another rule holds it now: nothing is sent, and the yes is given back', async () => {
  const { use, told, entries, isTaking, stored } = begin();
  await isTaking;
  entries.now = [entry('a'), entry('b')];
  stored();
  await turns();
  expect([told, use.returned]).toEqual([['approval_refused policy_changed'], 1]);
});

it.each([
  ['has said nothing', false, 1],
  ['has said something', true, 0],
])('its server is too busy for it and %s', (_, hasSpoken, returned) => {
  const use = new GivenUse();
  let sink: Sink | undefined;
  const link = {
    ...linkOf('bank'),
    send(_out: unknown, to: Sink) {
      sink = to;
      return { resume: () => undefined, cancel: () => undefined };
    },
  };
  const incoming = new Incoming({ calls: new Calls() }, origin, message, sinkOf([]));
  incoming.admit({ principal: LOCAL, era: 'legacy' } as Caller, undefined);
  openCall({ boundary, log: silent } as unknown as CallDeps, incoming, {
    ...{ target: { link, name: 'pay' } as unknown as Target, at: { start: 0, end: 0 } },
    ...{ sink: sinkOf([]), crossing: undefined, over: undefined, use },
  });
  if (hasSpoken) sink?.notify({ method: 'notifications/x', bytes: Buffer.from('{}') });
  sink?.fail(new GatewayError('busy', 'client read too slowly'));
  expect(use.returned).toBe(returned);
});
