/** The filter of a listen request (2026-07-28, basic/patterns/subscriptions): what the server is asked to notify, and what it granted. */
import type { ListenParams } from './listen-frames.js';
import { nameOf, TASK, topicOf, URI, type Topic } from './topics.js';

interface Filter {
  toolsListChanged?: true;
  promptsListChanged?: true;
  resourcesListChanged?: true;
  resourceSubscriptions?: string[];
  taskIds?: string[];
}

/** All that the server could notify of `topics` and of its lists; undefined: nothing. */
export function filterOf(
  capabilities: Readonly<Record<string, unknown>>,
  topics: ReadonlySet<Topic>,
): Filter | undefined {
  const hasListChanged = (kind: string): boolean =>
    (capabilities[kind] as { listChanged?: unknown } | null | undefined)?.listChanged === true;
  const filter: Filter = {};
  if (hasListChanged('tools')) filter.toolsListChanged = true;
  if (hasListChanged('prompts')) filter.promptsListChanged = true;
  if (hasListChanged('resources')) filter.resourcesListChanged = true;
  const named = (kind: typeof URI | typeof TASK): string[] =>
    [...topics].filter((topic) => topic.startsWith(kind)).map(nameOf);
  const [uris, taskIds] = [named(URI), named(TASK)];
  if (uris.length > 0) filter.resourceSubscriptions = uris;
  if (taskIds.length > 0) filter.taskIds = taskIds;
  return Object.keys(filter).length > 0 ? filter : undefined;
}

/** The topics that the server granted in its acknowledgement. */
export function grantedTopics(granted: NonNullable<ListenParams['notifications']>): ReadonlySet<Topic> {
  return new Set([
    ...stringsIn(granted.resourceSubscriptions).map((uri) => topicOf(URI, uri)),
    ...stringsIn(granted.taskIds).map((id) => topicOf(TASK, id)),
  ]);
}

function stringsIn(list: unknown): string[] {
  return Array.isArray(list)
    ? (list as unknown[]).filter((each): each is string => typeof each === 'string')
    : [];
}
