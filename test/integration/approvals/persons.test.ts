/** Persons: who is behind a call and a vote, in whatever spelling, and after a change of the configuration. */
import { describe, expect, it } from 'vitest';
import type { ConfigInput } from '../../../src/index.js';
import type { JsonRpc } from '../../helpers/http.js';
import {
  AGENT,
  AL,
  AUTH,
  bankOf,
  BO,
  BY_FINANCE,
  codeOf,
  heldConfig,
  keyed,
  KEYS,
  listed,
  startHeld,
  vote,
  type Bank,
  type Shown,
} from '../../helpers/held.js';
import type { RunningGateway } from '../../helpers/gateway.js';
import { connect } from '../../helpers/legacy.js';

/** The same configuration, with this about one of the keys. */
function withKey(config: ConfigInput, name: string, change: object): ConfigInput {
  const keys = KEYS.map((key) => (key.name === name ? { ...key, ...change } : key));
  return { ...config, mcp: { auth: { ...AUTH.mcp.auth, keys } } };
}

interface Started {
  readonly bank: Bank;
  readonly gateway: RunningGateway;
  readonly config: ConfigInput;
  readonly shown: Shown;
  readonly pay: () => Promise<JsonRpc>;
}

async function asked(
  hold: object,
  change: (config: ConfigInput) => ConfigInput = (same) => same,
): Promise<Started> {
  const bank = await bankOf();
  const config = change(heldConfig(bank, [{ name: 'ask', hold: [hold] }], 0));
  const gateway = await startHeld(config);
  const client = await connect(gateway.url, { headers: keyed(AGENT), capabilities: {} });
  const pay = (): Promise<JsonRpc> => client.request('tools/call', { name: 'bank__pay' });
  expect(codeOf(await pay())).toEqual([-32000, 'pending']);
  const [shown] = (await listed(gateway, AL)) as [Shown];
  return { bank, gateway, config, shown, pay };
}

describe('a yes', () => {
  it('ends with the place of its voter among those who are asked', async () => {
    const { bank, gateway, config, shown, pay } = await asked(BY_FINANCE);
    expect((await vote(gateway, AL, shown)).status).toBe(200);
    await gateway.gateway.reload(withKey(config, 'al-ok', { groups: ['sales'] }));
    expect(codeOf(await pay())).toEqual([-32000, 'withdrawn']);
    expect(bank.calls).toEqual([]);
  });

  it('is for the person who called: not for another one who has his key from then on', async () => {
    const { bank, gateway, config, shown, pay } = await asked(BY_FINANCE);
    expect((await vote(gateway, AL, shown)).status).toBe(200);
    await gateway.gateway.reload(withKey(config, 'agent', { owner: 'corp:al' }));
    expect(codeOf(await pay())).toEqual([-32000, 'pending']);
    expect(bank.calls).toEqual([]);
  });
});

describe('a person in another spelling', () => {
  const cases = ['corp:ANN', ' corp:ann', 'corp:ann\u200b', 'corp:\uff41nn'];

  it.each(cases)('does not vote on a call of his own: %j', async (owner) => {
    const { gateway, shown } = await asked(BY_FINANCE, (config) => withKey(config, 'al-ok', { owner }));
    const answer = await vote(gateway, AL, shown);
    expect([answer.status, answer.text]).toEqual([403, expect.stringContaining('own_call') as string]);
  });

  it('counts once', async () => {
    const { gateway, shown, pay } = await asked({ ...BY_FINANCE, need: 2 }, (config) =>
      withKey(config, 'bo-ok', { owner: 'corp:AL' }),
    );
    expect((await vote(gateway, AL, shown)).status).toBe(200);
    expect((await vote(gateway, BO, shown)).status).toBe(409);
    expect(codeOf(await pay())).toEqual([-32000, 'pending']);
  });
});
