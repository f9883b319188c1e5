/** `subscriptions/listen` (2026-07-28, basic/patterns/subscriptions): opens a subscription stream. */
import { GatewayError } from '../../errors.js';
import { param } from '../../protocol/message.js';
import type { Target } from '../../protocol/ports.js';
import { declaresTasks } from '../../protocol/tasks.js';
import { refused, type Handled, type Incoming } from '../incoming.js';
import { guarded, type GuardedDeps } from '../guarded.js';
import { MAX_SUBSCRIPTIONS, type Interests } from '../interests.js';
import { Listener, type Change, type Listeners } from '../listeners.js';
import type { Boundary } from '../../observe/boundary.js';
import { MAX_KEPT_IN_ALL, tooLong, type Kept } from '../../session/kept.js';
import { objectOf } from '../../wire/json.js';
import type { Tasks } from '../tasks.js';
import { needsTasks } from './tasks.js';

/** How long the acknowledgement waits for servers. */
const ACKNOWLEDGE_MS = 2000;
/** Open streams, at the most. */
const MAX_LISTENERS = 100_000;

export interface ListenDeps extends GuardedDeps {
  readonly boundary: Boundary;
  readonly kept: Kept;
  readonly listeners: Listeners;
  readonly interests: Interests;
  readonly tasks: Tasks;
}

const FLAGS: Readonly<Record<Change, string>> = {
  tools: 'toolsListChanged',
  prompts: 'promptsListChanged',
  resources: 'resourcesListChanged',
};

export function listen(deps: ListenDeps, incoming: Incoming): Handled {
  const { listeners, interests, tasks } = deps;
  const { message, sink, caller, origin } = incoming;
  const wanted = objectOf(param(message, 'notifications'));
  if (!wanted)
    return refused(message, new GatewayError('invalid_params', 'params.notifications must be an object'));
  const uris = textsIn(wanted, 'resourceSubscriptions', 'URIs');
  if (uris instanceof GatewayError) return refused(message, uris);
  const taskIds = textsIn(wanted, 'taskIds', 'ids');
  if (taskIds instanceof GatewayError) return refused(message, taskIds);
  if (taskIds.length > 0 && !declaresTasks(caller.capabilities))
    return refused(message, needsTasks('params.notifications.taskIds'));
  if (uris.length + taskIds.length > MAX_SUBSCRIPTIONS)
    return refused(message, new GatewayError('busy', `a stream may have ${MAX_SUBSCRIPTIONS} subscriptions`));
  if (listeners.size >= MAX_LISTENERS)
    return refused(message, new GatewayError('busy', 'too many streams are open'));

  const bytes = [...uris, ...taskIds].reduce((sum, name) => sum + Buffer.byteLength(name), 0);
  const { view } = caller;
  const controller = new AbortController();
  const flags = (Object.keys(FLAGS) as Change[]).filter((change) => wanted[FLAGS[change]] === true);
  const listener = new Listener({
    caller,
    route: origin.route,
    rawId: message.id as string,
    sink,
    changes: new Set(flags),
    left: () => {
      listeners.delete(listener);
      deps.kept.drop(listener);
      interests.drop(listener);
      tasks.left(listener);
      controller.abort();
      incoming.over('success');
    },
  });
  const full = bytes > 0 ? deps.kept.hold(listener, bytes, MAX_KEPT_IN_ALL) : undefined;
  if (full) return refused(message, full);
  listeners.add(listener);
  deps.boundary.detach('listen', grant(uris, taskIds), (error) => {
    if (listener.over) return;
    listener.cancel(error.message);
    sink.fail(error);
  });
  return { kind: 'exchange', exchange: listener };

  async function grant(wantedUris: readonly string[], wantedTasks: readonly string[]): Promise<void> {
    await (view.ready(undefined, controller.signal) ?? new Promise(setImmediate));
    for (const kind of listener.kinds) await view.prepare(kind, 'modern');
    if (listener.over) return;
    listener.begin();
    const granted: string[] = [];
    const watched: string[] = [];
    let timer: NodeJS.Timeout | undefined;
    let isLate = false;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, ACKNOWLEDGE_MS)));
    const asked = [...new Set(wantedUris)].map(async (uri) => {
      const target = view.find('resource', uri);
      if (!target || guarded(deps, incoming, 'resource', target)) return;
      const settled = interests.hold(target.link, target.name);
      // Nothing is sent for what the acknowledgement does not name.
      const wanted = (await subscribed(target)) && !listener.over && !isLate;
      const added = wanted && !interests.add(listener, target.link, target.name, uri);
      if (added) granted.push(uri);
      settled(added ? listener : undefined);
    });
    const about = [...new Set(wantedTasks)].map(async (id) => {
      if (await tasks.watch(listener, id)) watched.push(id);
    });
    await Promise.race([Promise.all([...asked, ...about]), late]);
    clearTimeout(timer);
    isLate = true;
    listener.acknowledge(granting(granted, watched));
  }

  async function subscribed({ link, name }: Target): Promise<boolean> {
    if (link.state !== 'up') return false;
    if (link.isSubscribed(name)) return true;
    try {
      await link.subscribe(name);
      return true;
    } catch {
      // Not granted: it is missing in the acknowledgement.
      return false;
    }
  }

  /** The accepted part of the filter: without lists that no server has. */
  function granting(granted: readonly string[], watched: readonly string[]): string {
    const { capabilities } = JSON.parse(`{${view.discovery()}}`) as {
      capabilities: Readonly<Record<string, unknown>>;
    };
    const members = flags
      .filter((change) => capabilities[change] !== undefined)
      .map((change) => `"${FLAGS[change]}":true`);
    if (granted.length > 0) members.push(`"resourceSubscriptions":${JSON.stringify(granted)}`);
    if (watched.length > 0) members.push(`"taskIds":${JSON.stringify(watched)}`);
    return `{${members.join(',')}}`;
  }
}

function textsIn(
  filter: Readonly<Record<string, unknown>>,
  key: string,
  what: string,
): readonly string[] | GatewayError {
  const value = filter[key] ?? [];
  if (Array.isArray(value) && value.every((each): each is string => typeof each === 'string')) {
    const long = value.map((each) => Buffer.byteLength(each)).find((bytes) => tooLong(key, bytes));
    return (long === undefined ? undefined : tooLong(`params.notifications.${key}: a string`, long)) ?? value;
  }
  return new GatewayError('invalid_params', `params.notifications.${key} must be a list of ${what}`);
}
