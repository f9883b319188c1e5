/** Validates recorded messages (wire-recorder.mjs) against the caller's schemas. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const LEGACY_REVISIONS = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'];

/** Results that are not named after their request. */
const RESULTS = {
  'logging/setLevel': ['EmptyResult'],
  ping: ['EmptyResult'],
  'resources/subscribe': ['EmptyResult'],
  'resources/unsubscribe': ['EmptyResult'],
};
/** Requests that may be answered with a task instead. */
const MAY_BE_TASKS = ['tools/call', 'sampling/createMessage', 'elicitation/create'];

function readRecords(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1))
    .map((line) => JSON.parse(line));
}

/** The errors of a message under one revision; undefined: none; null: the revision has no schema for it. */
function problemOf({ names, validate }, message, request) {
  if (typeof message?.method === 'string') {
    const kind = message.id === undefined ? 'JSONRPCNotification' : 'JSONRPCRequest';
    const problem = validate([kind], message);
    const name = names.get(message.method);
    return problem ?? (name === undefined ? null : validate([name], message));
  }
  if (message?.error !== undefined) {
    // JSON-RPC 2.0, 5: null if the id of the request could not be read. The MCP schemas do not allow null.
    const { id, ...without } = message;
    return validate(['JSONRPCErrorResponse', 'JSONRPCError'], id === null ? { ...without, id: 0 } : message);
  }
  const problem = validate(['JSONRPCResultResponse', 'JSONRPCResponse'], message);
  const name = names.get(request);
  if (problem !== undefined || name === undefined) return problem ?? null;
  const results = RESULTS[request] ?? [name.replace(/Request$/, 'Result')];
  return validate(
    MAY_BE_TASKS.includes(request) ? [...results, 'CreateTaskResult'] : results,
    message.result,
  );
}

/** Methods of the extension io.modelcontextprotocol/tasks, whose names are those of 2025-11-25 and whose results are not. */
const isOfExtension = (revision, requests) =>
  revision > LEGACY_REVISIONS.at(-1) &&
  requests.length > 0 &&
  requests.every((request) => request?.startsWith('tasks/'));

function judgeOne({ message, text, revision, requests = [] }, schemasOf) {
  if (text !== undefined) return [`no JSON: ${text}`];
  if (message?.result !== undefined && isOfExtension(revision, requests)) return null;
  // Without a revision (no session) it must be valid under any one of them.
  const revisions = LEGACY_REVISIONS.includes(revision) ? [revision] : LEGACY_REVISIONS;
  const found = revisions.flatMap((one) =>
    (requests.length > 0 ? requests : [undefined]).map((request) =>
      problemOf(schemasOf(one), message, request),
    ),
  );
  if (found.includes(undefined)) return undefined;
  return found.filter((problem) => problem !== null).at(-1) ?? null;
}

/**
 * Validates the output of gateways. `schemasOf(revision)` returns `names`, method -> name of a request or a notification, and
 * `validate(names, value)`: the errors of a value under the existing schemas with these names; undefined: none.
 *
 * A gateway forwards what it received, and answers with the request's id. A message is excused if messages that the gateway
 * received in the same test had all of its errors, under their own revisions.
 */
export function judge(folder, schemasOf) {
  const records = readRecords(folder);
  const result = { judged: 0, unknown: 0, excused: 0, problems: [] };
  const got = new Map();
  for (const record of records.filter(({ to }) => to === undefined)) {
    const own = got.get(record.test);
    if (own) own.push(record);
    else got.set(record.test, [record]);
  }
  const given = new Map();
  const isGiven = (test, fault) => {
    if (!given.has(test))
      given.set(test, new Set((got.get(test) ?? []).flatMap((record) => judgeOne(record, schemasOf) ?? [])));
    return given.get(test).has(fault);
  };
  for (const record of records) {
    if (record.to === undefined) continue;
    const faults = judgeOne(record, schemasOf);
    result[faults === null ? 'unknown' : 'judged']++;
    if (!faults) continue;
    if (faults.every((fault) => isGiven(record.test, fault))) result.excused++;
    else result.problems.push({ ...record, faults });
  }
  return result;
}

/** Problems and counts as text. */
export function describe({ judged, unknown, excused, problems }) {
  const shown = problems.map(
    ({ test, to, revision, faults, message }) =>
      `${test}\n  to a ${to} (${revision ?? 'no revision'}): ${faults.join('; ')}\n  ${JSON.stringify(message)?.slice(0, 400)}`,
  );
  const count = `${judged} messages on the wire judged, ${problems.length} wrong; ${excused} handed on as wrong as they came, ${unknown} without a schema`;
  return [...shown, count].join('\n');
}
