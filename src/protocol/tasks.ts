/**
 * There are two task protocols: an experimental part of 2025-11-25 (basic/utilities/tasks), and the extension
 * io.modelcontextprotocol/tasks of the modern era. These functions tell who supports which.
 */
import { objectOf } from '../wire/json.js';
import type { Peer } from './ports.js';

export const TASKS = 'io.modelcontextprotocol/tasks';

/** The member of `_meta` that names the task of a message (2025-11-25, basic/utilities/tasks). */
export const RELATED_TASK = 'io.modelcontextprotocol/related-task';

/** Error data for a request that needs the extension. */
export const NEEDS_TASKS = { requiredCapabilities: { extensions: { [TASKS]: {} } } } as const;

/** For a modern client's request, or a modern server. */
export function declaresTasks(capabilities: Readonly<Record<string, unknown>>): boolean {
  const { extensions } = capabilities;
  return (objectOf(extensions)?.[TASKS] ?? undefined) !== undefined;
}

/** 2025-11-25, basic/utilities/tasks, "Capabilities": `requests.tools.call`. `tasks`: what a server says of them. */
export function coversCalls(tasks: unknown): boolean {
  const tools = objectOf(objectOf(objectOf(tasks)?.['requests'])?.['tools']);
  return (tools?.['call'] ?? undefined) !== undefined;
}

/** Whether calls of a server can become tasks. */
export function makesTasks({ era, capabilities }: Pick<Peer, 'era' | 'capabilities'>): boolean {
  return era === 'modern' ? declaresTasks(capabilities) : coversCalls(capabilities['tasks']);
}
