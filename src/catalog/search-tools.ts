/** The tools that a view with search lists of its own: one that finds tools, and two that call them. */
import { createHash } from 'node:crypto';
import { MAX_FOUND } from '../config/search.js';
import { CALL_READ_ONLY_TOOL, CALL_TOOL, FIND_TOOLS } from '../protocol/finder.js';
import { readListPage } from '../protocol/lists.js';
import type { Era } from '../protocol/revisions.js';
import { splice } from '../wire/splice.js';
import { eraPatches } from './era-patches.js';
import type { Rendered } from './render.js';

/** Names of servers in a description, in characters. */
const MAX_SERVERS = 2000;

/** `servers`: all that are configured and shown, whether connected or not, so that a disconnect changes no list. */
export function searchTools(servers: readonly string[], limit: number): Readonly<Record<Era, Rendered>> {
  const tools = [findTools(servers, limit), readOnly(), any()];
  const { definitions } = readListPage('tools', Buffer.from(JSON.stringify({ tools })));
  const rendered = (era: Era): Rendered => {
    const shown = definitions.map((definition) => splice(definition.bytes, eraPatches(definition, era)));
    const bytes = Buffer.from(shown.join(','));
    return {
      parts: [bytes],
      bytes: bytes.length,
      digest: createHash('sha256').update(bytes).digest('base64url'),
    };
  };
  return { legacy: rendered('legacy'), modern: rendered('modern') };
}

function findTools(servers: readonly string[], limit: number): object {
  const shown = namesOf(servers);
  return {
    name: FIND_TOOLS,
    title: 'Find tools',
    description: `Finds tools by what they do${shown === '' ? '' : `, on these servers: ${shown}`}. Returns their definitions, the best first. Search for one step of the task at a time, then call a tool by its name with ${CALL_READ_ONLY_TOOL} or ${CALL_TOOL}.`,
    inputSchema: {
      type: 'object',
      properties: {
        query: {
          type: 'string',
          description: 'What the tool does, in a few words: "create a calendar event".',
        },
        limit: { type: 'integer', minimum: 1, maximum: MAX_FOUND, default: limit },
        detail: {
          type: 'string',
          enum: ['full', 'brief'],
          default: 'full',
          description: 'full: whole definitions. brief: names and the beginning of descriptions.',
        },
      },
      required: ['query'],
      additionalProperties: false,
    },
    annotations: { readOnlyHint: true, openWorldHint: false },
  };
}

function readOnly(): object {
  return {
    name: CALL_READ_ONLY_TOOL,
    title: 'Call a read-only tool',
    description: `Calls a tool that ${FIND_TOOLS} found and that changes nothing: one with readOnlyHint true.`,
    inputSchema: CALL,
    annotations: { readOnlyHint: true, openWorldHint: true },
    execution: { taskSupport: 'optional' },
  };
}

function any(): object {
  return {
    name: CALL_TOOL,
    title: 'Call a tool',
    description: `Calls a tool that ${FIND_TOOLS} found. It may change or delete things.`,
    inputSchema: CALL,
    annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
    execution: { taskSupport: 'optional' },
  };
}

const CALL = {
  type: 'object',
  properties: {
    name: { type: 'string', description: `The name of the tool, as ${FIND_TOOLS} shows it.` },
    arguments: { type: 'object', description: 'Its arguments, by its inputSchema.' },
  },
  required: ['name'],
  additionalProperties: false,
};

function namesOf(servers: readonly string[]): string {
  const shown: string[] = [];
  let left = MAX_SERVERS;
  for (const server of servers) {
    left -= server.length + 2;
    if (left < 0) return `${shown.join(', ')} and ${servers.length - shown.length} more`;
    shown.push(server);
  }
  return shown.join(', ');
}
