/** A gateway in front of a bank whose payments wait for a yes, and those who give it. */
import type { ConfigInput } from '../../src/index.js';
import type { Approval, ApprovalList } from '../../src/admin/approval-schemas.js';
import { createApiKey, hashApiKey } from '../../src/lib/api-key.js';
import { createUpstream, tool } from '../fixtures/servers/http-upstream.js';
import { CONSOLE_KEY, startWithKey } from './console.js';
import type { RunningGateway } from './gateway.js';
import { send, textOf, type Headers, type JsonRpc } from './http.js';
import { connect } from './legacy.js';
import { scratchFolder } from './state.js';
import { until } from './wait.js';

/** `AGENT` calls, for Ann. `OWN` is Ann's own key for votes; Al and Bo are of finance. `EYE` is a viewer. */
export const [AGENT, OWN, AL, BO, EYE] = [
  createApiKey(),
  createApiKey(),
  createApiKey(),
  createApiKey(),
  createApiKey(),
] as const;

const approver = (name: string, key: string, owner: string) => ({
  ...{ name, sha256: [hashApiKey(key)], groups: ['finance'], owner, approver: true },
});

export const APPROVER_KEYS = [
  { name: 'agent', sha256: [hashApiKey(AGENT)], groups: ['agents'], owner: 'corp:ann' },
  { name: 'eye', sha256: [hashApiKey(EYE)], groups: ['eyes'] },
  approver('ann-ok', OWN, 'corp:ann'),
  approver('al-ok', AL, 'corp:al'),
  approver('bo-ok', BO, 'corp:bo'),
];

export const BY_FINANCE = { tools: ['pay'], by: [{ groups: ['finance'] }] };

export interface Bank extends RunningGateway {
  /** The arguments of the calls that came. */
  readonly calls: readonly unknown[];
  /** Makes a call as a client; resolves with its answer. `headers`: who calls. */
  pay(args: object, headers?: Headers): Promise<JsonRpc>;
  /** The only call that is open and waits, once there is one, as the holder of the console key sees it. */
  waiting(): Promise<Approval>;
}

export const keyed = (key: string): Headers => ({ authorization: `Bearer ${key}` });

export interface BankServer {
  readonly url: string;
  readonly calls: unknown[];
}

export async function bankServer(): Promise<BankServer> {
  const calls: unknown[] = [];
  const { url } = await createUpstream({
    tools: [tool('pay'), tool('look')],
    onCall(asked) {
      calls.push(asked.args);
      asked.result({ content: [{ type: 'text', text: 'paid' }] });
    },
  });
  return { url, calls };
}

/** What is held, in front of this server. */
export function bankConfig({ url }: Pick<BankServer, 'url'>, hold: object, more: object = {}): ConfigInput {
  return {
    servers: [{ name: 'bank', url }],
    state: { dir: scratchFolder() },
    policy: { default: 'allow', rules: [{ name: 'ask', hold: [hold] }] },
    approvals: { wait_seconds: { default: 60 } },
    ...more,
  } as ConfigInput;
}

/** Calls of a gateway with such a configuration. */
export function atBank(gateway: RunningGateway, { calls }: Pick<BankServer, 'calls'>): Bank {
  return {
    ...gateway,
    calls,
    async pay(args, headers = keyed(AGENT)) {
      const client = await connect(gateway.url, { headers, capabilities: {} });
      return await client.request('tools/call', { name: 'bank__pay', arguments: args });
    },
    async waiting() {
      return await until(
        async () =>
          (await approvalsOf(gateway.base, CONSOLE_KEY)).find(
            ({ waiting, state }) => waiting && state === 'open',
          ),
        'a call that waits',
      );
    },
  };
}

/** `keys`: with the keys above; without, everybody is admitted. */
export async function startBank(
  hold: object = BY_FINANCE,
  { keys = true, ...more }: { readonly keys?: boolean } & Partial<ConfigInput> = {},
): Promise<Bank> {
  const server = await bankServer();
  const auth = keys ? { mcp: { auth: { keys: APPROVER_KEYS, viewers: [{ groups: ['eyes'] }] } } } : {};
  return atBank(await startWithKey(bankConfig(server, hold, { ...auth, ...more }), { wait: [] }), server);
}

export async function approvalsOf(base: string, key: string): Promise<readonly Approval[]> {
  const answer = await send(`${base}/-/api/v1/approvals`, undefined, { headers: keyed(key) });
  return answer.json<ApprovalList>().approvals;
}

export const paid = async (answer: Promise<JsonRpc>): Promise<string> => textOf(await answer);
