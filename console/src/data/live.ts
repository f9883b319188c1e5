/** One stream of events for all screens: it reconnects by itself, and what is shown stays while it is gone. */
import { batch, signal } from '@preact/signals';
import type {
  Call,
  ChangeEvent,
  Fleet,
  LogLine,
  Me,
  Series,
  Server,
  SessionRow,
  SnapshotEvent,
} from '../../../src/admin/schemas.js';
import type { ApprovalList } from '../../../src/admin/approval-schemas.js';
import { SseReader } from '../../../src/client/sse.js';
import { announce } from '../ui/announce.js';
import {
  API,
  ask,
  authorization,
  fresh,
  get,
  failureOf,
  key,
  ownGrant,
  refusedWith,
  signOut,
  type Failure,
} from './api.js';
import { at, fleet, replica } from './replica.js';

const MAX_CALLS = 2_000;
const MAX_LOGS = 1_000;
const MAX_POINTS = 360;
const MAX_EVENT = 16 * 1024 * 1024;
/** Milliseconds without a byte after which the stream counts as lost: longer than the gateway's pings. */
const QUIET_MS = 45_000;
/** Between two looks at the fleet. */
const FLEET_MS = 5_000;
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 10_000;

export const me = signal<Me | null>(null);
export const servers = signal<readonly Server[] | null>(null);
export const calls = signal<ReadonlyMap<string, Call>>(new Map());
export const sessions = signal<readonly SessionRow[] | null>(null);
export const logs = signal<readonly LogLine[]>([]);
export const series = signal<Series | null>(null);
/** How many calls wait for a yes; null: not known. */
export const openApprovals = signal<number | null>(null);
/** Counts changes of calls that wait for a yes. */
export const approvalsVersion = signal(0);
/** Counts changes of tools, prompts and resources. */
export const listsVersion = signal(0);
/** Calls that were left out because this page was slow. */
export const dropped = signal(0);
/** When data arrived last, by this machine's clock. */
export const heard = signal(0);
export const connection = signal<'connecting' | 'live' | 'lost'>('connecting');
export const streamError = signal<Failure | null>(null);
/** Milliseconds since 1970 by this machine's clock, each second. */
export const now = signal(Date.now());
/** How far the gateway's clock is ahead of this machine's, in ms. */
const ahead = signal(0);

setInterval(() => {
  now.value = Date.now();
}, 1_000);

/** Milliseconds since `time` of the gateway. It stands still while nothing is heard. */
export const since = (time: string): number =>
  (connection.value === 'lost' && heard.value > 0 ? heard.value : now.value) + ahead.value - Date.parse(time);

export const isOperator = (): boolean => me.value?.role === 'operator';

/** Who is signed in has no role, but may log in to servers for himself, or sees his sign-ins. */
export const isRoleless = signal(false);

async function hasOwn(): Promise<boolean> {
  // At least the sign-in of this tab.
  if (ownGrant() !== null) return true;
  const result = await ask<{ connections: readonly unknown[] }>('connections', { probing: true });
  if (result.ok && result.value.connections.length > 0) return true;
  // Who votes needs no role.
  const held = await ask<ApprovalList>('approvals', { probing: true });
  return held.ok && held.value.holds;
}

/** Reads who is signed in. */
export async function readMe(): Promise<Failure | null> {
  const result = await ask<Me>('me', { probing: true });
  isRoleless.value = !result.ok && result.status === 403 && (await hasOwn());
  // The replica that the address names may be gone: which ones there are is said by the one that answers.
  if (!result.ok && replica !== '') await readFleet();
  if (!result.ok) return isRoleless.value ? null : result;
  ahead.value = Date.parse(result.value.now) - Date.now();
  me.value = result.value;
  return null;
}

/** Reads which replicas there are, and whether the one that is shown has ended. */
async function readFleet(): Promise<void> {
  if (key.value === null || (replica === '' && me.value?.has.fleet !== true)) return;
  const result = await ask<Fleet>('fleet', { probing: true });
  if (result.ok) fleet.value = result.value;
  else if (result.status === 404) fleet.value = null;
}

let fleetTimer: ReturnType<typeof setInterval> | undefined;

let controller: AbortController | undefined;

/** Opens the stream, until `stop`. */
export function start(): void {
  stop();
  controller = new AbortController();
  void readFleet();
  fleetTimer = setInterval(() => void readFleet(), FLEET_MS);
  void run(controller.signal);
}

export function stop(): void {
  clearInterval(fleetTimer);
  controller?.abort();
  controller = undefined;
}

async function run(signal: AbortSignal): Promise<void> {
  let delay = FIRST_RETRY_MS;
  let build = me.value?.git_sha;
  while (!signal.aborted) {
    await fresh();
    const used = key.value;
    const failed = await once(signal, () => (delay = FIRST_RETRY_MS));
    if (signal.aborted) return;
    streamError.value = failed;
    if (connection.value === 'live') announce('Connection to the gateway lost');
    connection.value = 'lost';
    if (failed?.status === 401 && (await refusedWith(used)) === 'ended') {
      if (key.value !== null) signOut('The gateway no longer accepts this key.');
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, delay * (0.75 + Math.random() / 2)));
    delay = Math.min(delay * 2, MAX_RETRY_MS);
    // The gateway may be another one now, and its page too.
    if (await readMe()) continue;
    if (build !== undefined && me.value && me.value.git_sha !== build) location.reload();
    build = me.value?.git_sha;
  }
}

/** Reads one stream to its end; returns why it ended, null: it was closed. */
async function once(signal: AbortSignal, opened: () => void): Promise<Failure | null> {
  const topics = [
    'status',
    'servers',
    'calls',
    'sessions',
    'series',
    'approvals',
    ...(isOperator() ? ['logs'] : []),
  ];
  const quiet = new AbortController();
  let timer = setTimeout(() => quiet.abort(), QUIET_MS);
  try {
    const response = await fetch(API + at(`events?topics=${topics.join(',')}`), {
      headers: { ...authorization(), accept: 'text/event-stream' },
      signal: AbortSignal.any([signal, quiet.signal]),
      credentials: 'omit',
      cache: 'no-store',
    });
    if (!response.ok || !response.body) return await failureOf(response);
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const events = new SseReader((event) => take(event.type, event.data), MAX_EVENT);
    opened();
    if (connection.value === 'lost') announce('Connection to the gateway is back');
    connection.value = 'live';
    streamError.value = null;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return null;
      clearTimeout(timer);
      timer = setTimeout(() => quiet.abort(), QUIET_MS);
      heard.value = Date.now();
      events.push(decoder.decode(value, { stream: true }));
    }
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
    quiet.abort();
  }
}

function take(type: string, data: string): void {
  if (type === 'snapshot') batch(() => takeSnapshot(JSON.parse(data) as SnapshotEvent));
  else if (type === 'change') batch(() => takeChange(JSON.parse(data) as ChangeEvent));
}

function takeSnapshot(event: SnapshotEvent): void {
  if (event.servers) {
    servers.value = event.servers;
    listsVersion.value++;
    if (event.servers.some(({ tools, tokens }) => tools > 0 && tokens === 0)) void countTokens();
  }
  // Calls that this page saw before the stream was lost stay.
  if (event.calls) calls.value = merged(settled(calls.value, event.calls), event.calls);
  if (event.sessions) sessions.value = event.sessions;
  if (event.logs) logs.value = event.logs.slice(-MAX_LOGS);
  if (event.series) series.value = event.series;
  takeApprovals(event.open);
}

function takeApprovals(open: number | undefined): void {
  if (open === undefined) return;
  if (openApprovals.value !== null && open > openApprovals.value) announce('A call waits for a yes');
  openApprovals.value = open;
  approvalsVersion.value++;
}

function takeChange(event: ChangeEvent): void {
  if (event.servers || event.removed) changeServers(event.servers ?? [], event.removed ?? []);
  if (event.calls) calls.value = merged(calls.value, event.calls);
  if (event.sessions) sessions.value = event.sessions;
  if (event.logs) logs.value = [...logs.value, ...event.logs].slice(-MAX_LOGS);
  if (event.series && series.value) series.value = extended(series.value, event.series);
  else if (event.series) series.value = event.series;
  takeApprovals(event.open);
  if (event.lists) listsVersion.value++;
  if (event.dropped !== undefined) dropped.value += event.dropped;
}

function changeServers(changed: readonly Server[], removed: readonly string[]): void {
  const byName = new Map((servers.value ?? []).map((server) => [server.name, server]));
  for (const name of removed) {
    if (byName.delete(name)) announce(`${name} was removed`);
  }
  for (const server of changed) {
    const before = byName.get(server.name);
    if (before && before.word !== server.word) announce(`${server.name} is ${server.word}`);
    byName.set(server.name, server);
  }
  servers.value = [...byName.values()];
}

/** Tokens are counted when somebody asks: the rows of the stream have them afterwards. */
async function countTokens(): Promise<void> {
  const answer = await get<{ servers: readonly Server[] }>('servers');
  if (!answer.ok) return;
  const counted = new Map(answer.value.servers.map(({ name, tokens }) => [name, tokens]));
  servers.value = (servers.value ?? []).map((server) =>
    server.tokens > 0 ? server : { ...server, tokens: counted.get(server.name) ?? 0 },
  );
}

/** Without the open calls that a new snapshot does not have: nobody will say how they ended. */
function settled(known: ReadonlyMap<string, Call>, snapshot: readonly Call[]): ReadonlyMap<string, Call> {
  const open = new Set(snapshot.map(({ id }) => id));
  return new Map([...known].filter(([id, call]) => call.state === 'over' || open.has(id)));
}

function merged(known: ReadonlyMap<string, Call>, more: readonly Call[]): ReadonlyMap<string, Call> {
  const result = new Map(known);
  for (const call of more) result.set(call.id, call);
  if (result.size <= MAX_CALLS) return result;
  const oldest = [...result.values()].filter(({ state }) => state === 'over').sort(byStart);
  for (const { id } of oldest.slice(0, result.size - MAX_CALLS)) result.delete(id);
  return result;
}

const byStart = (a: Call, b: Call): number => (a.started < b.started ? -1 : a.started > b.started ? 1 : 0);

type Points = Series['servers'][string];

function extended(before: Series, last: Series): Series {
  const names = new Set([...Object.keys(before.servers), ...Object.keys(last.servers)]);
  const length = Math.max(0, ...Object.values(before.servers).map(({ calls: points }) => points.length));
  const servers: Record<string, Points> = {};
  for (const name of names) servers[name] = joined(before.servers[name], last.servers[name], length);
  return { step_ms: last.step_ms, until: last.until, servers };
}

function joined(before: Points | undefined, last: Points | undefined, length: number): Points {
  const plus = <T>(a: readonly T[] | undefined, b: readonly T[] | undefined, none: T): T[] =>
    [...(a ?? Array<T>(length).fill(none)), ...(b ?? [none])].slice(-MAX_POINTS);
  return {
    calls: plus(before?.calls, last?.calls, 0),
    failed: plus(before?.failed, last?.failed, 0),
    p50_ms: plus<number | null>(before?.p50_ms, last?.p50_ms, null),
    p95_ms: plus<number | null>(before?.p95_ms, last?.p95_ms, null),
    in_flight: plus(before?.in_flight, last?.in_flight, 0),
    bytes: plus(before?.bytes, last?.bytes, 0),
  };
}

/** What the previous person saw is not for the next one. */
export function forget(): void {
  stop();
  batch(() => {
    me.value = null;
    servers.value = null;
    calls.value = new Map();
    sessions.value = null;
    fleet.value = undefined;
    logs.value = [];
    series.value = null;
    openApprovals.value = null;
    connection.value = 'connecting';
    heard.value = 0;
  });
}

key.subscribe((value) => {
  if (value === null) forget();
  // The stream would end with the access token that it was opened with.
  else if (controller) start();
});
