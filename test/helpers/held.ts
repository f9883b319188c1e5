/** A gateway whose policy holds the tool `pay` of a scripted server, those who call it, and those who vote. */
import type { ConfigInput } from '../../src/index.js';
import { createApiKey, hashApiKey } from '../../src/lib/api-key.js';
import { createConsoleKey } from '../../src/lib/console-key.js';
import { createUpstream, tool, type Upstream } from '../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from './gateway.js';
import { send, type Answer, type Headers, type JsonRpc } from './http.js';
import { createModernUpstream } from './modern.js';
import { scratchFolder } from './state.js';
import { until } from './wait.js';

type Json = Record<string, unknown>;

export const TOOLS = ['pay', 'look'].map((name) =>
  tool(name, { annotations: name === 'look' ? { readOnlyHint: true } : {} }),
);
export const [AGENT, OTHER, AL, BO, VIEWER] = [
  createApiKey(),
  createApiKey(),
  createApiKey(),
  createApiKey(),
  createApiKey(),
] as const;
export const CONSOLE = createConsoleKey();
export const keyed = (key: string): Headers => ({ authorization: `Bearer ${key}` });

export const KEYS = [
  { name: 'agent', sha256: [hashApiKey(AGENT)], groups: ['agents'], owner: 'corp:ann' },
  { name: 'other', sha256: [hashApiKey(OTHER)], groups: ['agents'], owner: 'corp:eve' },
  { name: 'al-ok', sha256: [hashApiKey(AL)], groups: ['finance'], owner: 'corp:al', approver: true },
  { name: 'bo-ok', sha256: [hashApiKey(BO)], groups: ['finance'], owner: 'corp:bo', approver: true },
  { name: 'viewer', sha256: [hashApiKey(VIEWER)], groups: ['viewers'] },
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

export async function bankOf(era: 'legacy' | 'modern' = 'legacy'): Promise<Bank> {
  const calls: Json[] = [];
  const create = era === 'legacy' ? createUpstream : createModernUpstream;
  const upstream = await create({
    tools: TOOLS,
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
  return startGateway(config, { wait: [], env: { MCPSTEAD_CONSOLE_KEY: CONSOLE } });
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

export interface Shown {
  readonly id: string;
  readonly state: string;
  readonly digest: string;
  readonly may_vote: boolean;
  readonly waiting: boolean;
  readonly arguments: string;
  readonly reason: string | null;
}

export const listed = async (gateway: RunningGateway, key: string): Promise<Shown[]> =>
  (await api(gateway, 'approvals', key)).json<{ approvals: Shown[] }>().approvals;

/** The only call that waits, once it does. */
export const waiting = (gateway: RunningGateway, key: string): Promise<Shown> =>
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
