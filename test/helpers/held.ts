/** A gateway whose policy holds the tool `pay` of a scripted server, those who call it, and those who vote. */
import type { Approval, ApprovalList } from '../../src/admin/approval-schemas.js';
import type { ConfigInput } from '../../src/index.js';
import { createApiKey, hashApiKey } from '../../src/lib/api-key.js';
import { createUpstream, tool, type Upstream } from '../fixtures/servers/http-upstream.js';
import { CONSOLE_KEY, startWithKey } from './console.js';
import type { RunningGateway } from './gateway.js';
import { send, textOf, type Answer, type Headers, type JsonRpc } from './http.js';
import { connect, type LegacyClient } from './legacy.js';
import { createModernUpstream } from './modern.js';
import { scratchFolder } from './state.js';
import { until } from './wait.js';

type Json = Record<string, unknown>;

export const TOOLS = ['pay', 'look'].map((name) =>
  tool(name, { annotations: name === 'look' ? { readOnlyHint: true } : {} }),
);
/** `AGENT` calls, for Ann; `OTHER` for Eve. `OWN` is Ann's own key for votes; Al and Bo are of finance. */
export const [AGENT, OTHER, OWN, AL, BO, VIEWER] = [
  createApiKey(),
  createApiKey(),
  createApiKey(),
  createApiKey(),
  createApiKey(),
  createApiKey(),
] as const;
export const keyed = (key: string): Headers => ({ authorization: `Bearer ${key}` });

/** A key of finance for votes. */
export const approver = (name: string, key: string, owner: string) => ({
  ...{ name, sha256: [hashApiKey(key)], groups: ['finance'], owner, approver: true },
});

export const KEYS = [
  { name: 'agent', sha256: [hashApiKey(AGENT)], groups: ['agents'], owner: 'corp:ann' },
  { name: 'other', sha256: [hashApiKey(OTHER)], groups: ['agents'], owner: 'corp:eve' },
  { name: 'viewer', sha256: [hashApiKey(VIEWER)], groups: ['viewers'] },
  approver('ann-ok', OWN, 'corp:ann'),
  approver('al-ok', AL, 'corp:al'),
  approver('bo-ok', BO, 'corp:bo'),
];
export const AUTH = {
  mcp: { auth: { keys: KEYS, viewers: [{ groups: ['viewers'] }], admins: [{ ids: ['key:nobody'] }] } },
};

export const BY_CALLER = { tools: ['pay'], by: 'caller' };
export const BY_FINANCE = { tools: ['pay'], by: [{ groups: ['finance'] }] };

export interface Bank {
  readonly upstream: Upstream;
  /** The arguments of the calls that came, as they were sent. */
  readonly calls: Json[];
}

export async function bankOf(
  era: 'legacy' | 'modern' = 'legacy',
  tools: readonly object[] = TOOLS,
  calls: Json[] = [],
): Promise<Bank> {
  const create = era === 'legacy' ? createUpstream : createModernUpstream;
  const upstream = await create({
    tools,
    getStream: true,
    onCall(asked) {
      calls.push(asked.args);
      asked.text('paid', era === 'legacy' ? {} : { resultType: 'complete' });
    },
  });
  return { upstream, calls };
}

/** `rules`: those of the policy; `wait`: for how many seconds a call waits. */
export function heldConfig(
  { upstream }: Bank,
  rules: object[],
  wait: number,
  more: object = {},
): ConfigInput {
  return {
    servers: [{ name: 'bank', url: upstream.url }],
    state: { dir: scratchFolder() },
    policy: { default: 'allow', rules },
    approvals: { wait_seconds: { default: wait } },
    ...AUTH,
    ...more,
  } as ConfigInput;
}

export function startHeld(config: ConfigInput): Promise<RunningGateway> {
  // With a policy, health names the servers to operators alone; calls wait until they are there.
  return startWithKey(config, { wait: [] });
}

export const api = (
  gateway: RunningGateway,
  path: string,
  key: string,
  body?: object,
  method?: string,
): Promise<Answer> =>
  send(`${gateway.base}/-/api/v1/${path}`, body, {
    headers: { ...keyed(key), ...(body && { 'content-type': 'application/json' }) },
    ...(method !== undefined && { method }),
  });

export type Shown = Approval & { readonly digest: string; readonly arguments: string };

export const approvalsOf = async (base: string, key: string): Promise<readonly Approval[]> =>
  (await send(`${base}/-/api/v1/approvals`, undefined, { headers: keyed(key) })).json<ApprovalList>()
    .approvals;

/** The same, for who sees the arguments. */
export const listed = async (
  { base }: Pick<RunningGateway, 'base'>,
  key: string,
): Promise<readonly Shown[]> => (await approvalsOf(base, key)) as readonly Shown[];

/** The only call that waits, once it does. */
export const waiting = (gateway: Pick<RunningGateway, 'base'>, key: string): Promise<Shown> =>
  until(
    async () => (await listed(gateway, key)).find((each) => each.state === 'open' && each.waiting),
    'a call that waits',
  );

export const vote = (
  gateway: RunningGateway,
  key: string,
  { id, digest }: Shown,
  decision: 'approve' | 'deny' = 'approve',
  more: object = {},
): Promise<Answer> => api(gateway, `approvals/${id}`, key, { decision, digest, ...more });

export const codeOf = ({ error }: JsonRpc): unknown => [
  error?.code,
  (error?.data as Json | undefined)?.['reason'],
];

/** A client that takes no forms. */
export const agent = ({ url }: { readonly url: string }, key = AGENT): Promise<LegacyClient> =>
  connect(url, { headers: keyed(key), capabilities: {} });

export const PAY = 'bank__pay';
export const pay = (client: LegacyClient, args: object = {}): Promise<JsonRpc> =>
  client.request('tools/call', { name: PAY, arguments: args });
export const paid = async (answer: Promise<JsonRpc>): Promise<string> => textOf(await answer);

export const ASK = { name: 'ask', hold: [BY_FINANCE] };
/** What a call that waits is answered. */
export const PENDING = [-32000, 'pending'];

/** The only call that there is. */
export async function only(gateway: RunningGateway, key = AL): Promise<Shown> {
  const [row, ...more] = await listed(gateway, key);
  if (!row || more.length > 0) throw new Error(`not one call: ${row ? 1 + more.length : 0}`);
  return row;
}

/** A gateway at which a call was asked for; nobody waits any more. `viewer`: with whose key it is looked at. */
export async function asked(rules: object[] = [ASK], more: object = {}, viewer = AL) {
  const bank = await bankOf();
  const config = heldConfig(bank, rules, 0, more);
  const gateway = await startHeld(config);
  const client = await agent(gateway);
  const { error } = await pay(client, { amount: 7 });
  if (error?.code !== -32000) throw new Error(`not held: ${JSON.stringify(error)}`);
  return { bank, config, gateway, client, shown: await only(gateway, viewer) };
}

export interface HeldGateway extends RunningGateway, Pick<Bank, 'calls'> {
  /** Makes a call as a client; resolves with its answer. `headers`: who calls. */
  pay(args: object, headers?: Headers): Promise<JsonRpc>;
  /** The only call that is open and waits, once there is one, as the holder of the console key sees it. */
  waiting(): Promise<Shown>;
}

/** Calls of a gateway with such a configuration. */
export function atBank(gateway: RunningGateway, { calls }: Pick<Bank, 'calls'>): HeldGateway {
  return {
    ...gateway,
    calls,
    pay: async (args, headers = keyed(AGENT)) =>
      await pay(await connect(gateway.url, { headers, capabilities: {} }), args),
    waiting: () => waiting(gateway, CONSOLE_KEY),
  };
}

/** A gateway with one hold, whose calls wait for long. `keys`: with the keys above; without, everybody is admitted. */
export async function startBank(
  hold: object = BY_FINANCE,
  { keys = true, ...more }: { readonly keys?: boolean } & Partial<ConfigInput> = {},
): Promise<HeldGateway> {
  const bank = await bankOf();
  const config = heldConfig(bank, [{ name: 'ask', hold: [hold] }], 60, {
    ...(!keys && { mcp: {} }),
    ...more,
  });
  return atBank(await startHeld(config), bank);
}
