/** What a stream of notifications can be asked for by name: updates of a resource, the status of a task. */

/** The kinds of topics. */
export const URI = 'uri:';
export const TASK = 'task:';
/** One resource, or one task. */
export type Topic = `${typeof URI | typeof TASK}${string}`;

export function topicOf(kind: typeof URI | typeof TASK, name: string): Topic {
  return `${kind}${name}`;
}

export function nameOf(topic: Topic): string {
  return topic.slice(topic.indexOf(':') + 1);
}
