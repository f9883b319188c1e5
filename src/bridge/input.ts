/** Reads input requests from an upstream's answer, and writes them into an answer for a client (2026-07-28, basic/patterns/mrtr). */
import { TAKES_ERRORS } from '../protocol/peer-clients.js';
import type { Question } from '../protocol/ports.js';
import { RELATED_TASK } from '../protocol/tasks.js';
import { KnownNames } from '../wire/fold.js';
import { arrayOf, objectOf, readObject, scanObject, textOf } from '../wire/json.js';
import { readText, type Member, type Span } from '../wire/scan.js';
import { splice, type Patch } from '../wire/splice.js';
import { membersOf } from '../wire/walk.js';
import { doubtIn, marked } from './asked.js';
import { without } from '../wire/without.js';

export interface InputRequest {
  readonly key: string;
  readonly method: string;
  /** JSON of `params`; undefined if absent. */
  readonly params: Buffer | undefined;
}

export interface InputRequired {
  readonly requests: readonly InputRequest[];
  /** JSON of `requestState`, unchanged. */
  readonly state: string | undefined;
}

const RESULT = new KnownNames('resultType', 'inputRequests', 'requestState', 'status', 'taskId');
const REQUEST = new KnownNames('method', 'params');

/**
 * Reads the `result` at offset `value` of a whole answer of at most `maxBytes`, or says what is wrong with it. Members that the gateway
 * marks or checks must be unique, so that the client reads the same member.
 */
export function readInputRequired(whole: Buffer, value: number, maxBytes: number): InputRequired | string {
  if (!scanObject(whole, maxBytes)) return `an answer of over ${maxBytes} bytes, or that is not valid JSON`;
  if (whole[value] !== 0x7b) return 'a result that is not an object';
  const members = membersOf(whole, value).filter((member) => !isNull(whole, member));
  const doubt = RESULT.doubt(members);
  if (doubt !== undefined) return doubt;
  const at = (key: string): Member | undefined => members.find((member) => member.key === key);
  const state = at('requestState');
  const list = at('inputRequests');
  if (state && whole[state.start] !== 0x22) return 'a requestState that is not a string';
  if (list && whole[list.start] !== 0x7b) return 'inputRequests that is not an object';
  if (!state && !list) return 'neither inputRequests nor requestState';
  const requests: InputRequest[] = [];
  const keys = new Set<string>();
  for (const member of list ? membersOf(whole, list.start) : []) {
    if (whole[member.start] !== 0x7b)
      return `an input request '${member.key.slice(0, 64)}' that is not an object`;
    const parts = membersOf(whole, member.start).filter((part) => !isNull(whole, part));
    const method = parts.find(({ key }) => key === 'method');
    const params = parts.find(({ key }) => key === 'params');
    const which = `an input request '${member.key.slice(0, 64)}'`;
    if (!method || whole[method.start] !== 0x22) return `${which} without a method`;
    if (params && whole[params.start] !== 0x7b) return `${which} with params that is not an object`;
    const twice = REQUEST.doubt(parts) ?? doubtIn(whole, params);
    if (twice !== undefined) return `${which} with ${twice}`;
    if (keys.has(member.key)) return `two input requests '${member.key.slice(0, 64)}'`;
    keys.add(member.key);
    requests.push({
      key: member.key,
      method: readText(whole, method.start, method.end),
      params: params && whole.subarray(params.start, params.end),
    });
  }
  return { requests, state: state && whole.toString('utf8', state.start, state.end) };
}

/**
 * Marks the questions of an answer to a modern client with the server that asks, for the merged endpoint. The answer has been
 * checked by readInputRequired().
 */
export function withMarks(whole: Buffer, value: number, server: string): Buffer {
  const list = membersOf(whole, value).find(({ key }) => key === 'inputRequests');
  if (!list || whole[list.start] !== 0x7b) return whole;
  const patches: Patch[] = [];
  for (const member of membersOf(whole, list.start)) {
    if (whole[member.start] !== 0x7b) continue;
    const parts = membersOf(whole, member.start);
    const method = parts.find(({ key }) => key === 'method');
    const params = parts.find(({ key }) => key === 'params');
    if (method && whole[method.start] === 0x22)
      patches.push(...marked(whole, readText(whole, method.start, method.end), params, server));
  }
  return patches.length === 0 ? whole : splice(whole, patches);
}

/** The same for the questions of a task, in a validated message. Returns a string if something is wrong with them. */
export function readMarked(whole: Buffer, value: number, server: string): Buffer | string {
  const list = membersOf(whole, value).find(({ key }) => key === 'inputRequests');
  if (list && whole[list.start] === 0x7b) {
    const read = readInputRequired(whole, value, whole.length);
    if (typeof read === 'string') return read;
  }
  return withMarks(whole, value, server);
}

/** The request that a legacy server would send. The sender replaces its id. */
export function asRequest({ method, params }: InputRequest, elicitationId: string | undefined): Buffer {
  const head = `{"jsonrpc":"2.0","id":0,"method":${JSON.stringify(method)}`;
  if (!params) return Buffer.from(`${head}}`);
  if (elicitationId === undefined)
    return Buffer.concat([Buffer.from(`${head},"params":`), params, Buffer.from('}')]);
  const more = `"elicitationId":${JSON.stringify(elicitationId)},`;
  return Buffer.concat([Buffer.from(`${head},"params":{${more}`), params.subarray(1), Buffer.from('}')]);
}

/** Members that mean something only in the legacy era; they are removed from the params of a question. */
const PARAMS_GONE: ReadonlySet<string> = new Set(['task', 'elicitationId']);
const META_GONE: ReadonlySet<string> = new Set(['progressToken', RELATED_TASK]);

/** Converts a question of a legacy upstream to an input request (JSON). `server`: it is marked with it, unless undefined. */
export function asInputRequest({ method, bytes }: Question, server: string | undefined): Buffer {
  const params = membersOf(bytes).find(({ key }) => key === 'params');
  const head = `{"method":${JSON.stringify(method)}`;
  // The params are optional, but some clients require them.
  if (!params || bytes[params.start] !== 0x7b) return Buffer.from(`${head},"params":{}}`);
  const members = membersOf(bytes, params.start);
  const patches = without(bytes, params.start, members, PARAMS_GONE);
  const meta = members.find(({ key }) => key === '_meta');
  let own: Patch[] = [];
  if (meta && bytes[meta.start] === 0x7b)
    own = without(bytes, meta.start, membersOf(bytes, meta.start), META_GONE);
  const marks = server === undefined ? [] : marked(bytes, method, params, server);
  const inside = (patch: Patch, outer: Span): boolean => outer.start <= patch.start && patch.end <= outer.end;
  // Removed parts need no mark.
  const kept = marks.filter((mark) => ![...patches, ...own].some((gone) => inside(mark, gone)));
  const text = splice(bytes, [...patches, ...own, ...kept], params.start, params.end);
  return Buffer.concat([Buffer.from(`${head},"params":`), text, Buffer.from('}')]);
}

/** The bytes of each member of `params.inputResponses`, by key; a string if something is wrong with them. */
export function readInputResponses(body: Buffer, member: Span | undefined): Map<string, Buffer> | string {
  const found = new Map<string, Buffer>();
  if (!member) return found;
  if (body[member.start] !== 0x7b) return 'params.inputResponses must be an object';
  for (const { key, start, end } of membersOf(body, member.start)) {
    if (body[start] !== 0x7b) return `params.inputResponses["${key.slice(0, 64)}"] must be an object`;
    found.set(key, body.subarray(start, end));
  }
  return found;
}

/** The error that a replica sends as the answer of its client, JSON; undefined: it is another answer. `answer`: a JSON object. */
export function errorIn(answer: Buffer): Buffer | undefined {
  const [only, ...others] = membersOf(answer);
  if (only?.key !== 'error' || others.length > 0 || answer[only.start] !== 0x7b) return undefined;
  const bytes = answer.subarray(only.start, only.end);
  const read = readObject(bytes, bytes.length);
  return Number.isSafeInteger(read?.['code']) && textOf(read?.['message']) !== undefined ? bytes : undefined;
}

/** An error of a client as an answer that `errorIn` reads. `error`: JSON of an object. */
export function asAnswer(error: Buffer): Buffer {
  return Buffer.concat([Buffer.from('{"error":'), error, Buffer.from('}')]);
}

/** Whether the `result` at `value` of an answer, which has been checked, says that answers may be errors. */
export function takesErrors(whole: Buffer, value: number): boolean {
  const meta = membersOf(whole, value).find(({ key }) => key === '_meta');
  if (!meta || whole[meta.start] !== 0x7b) return false;
  const said = membersOf(whole, meta.start).find(({ key }) => key === TAKES_ERRORS);
  return said !== undefined && whole[said.start] === 0x74;
}

const ERRORS_TOO = `"_meta":{"${TAKES_ERRORS}":true},`;

/** An `input_required` result: JSON. `errorsToo`: answers may be errors. */
export function inputRequired(
  requests: readonly (readonly [key: string, json: Buffer])[],
  state: string,
  errorsToo = false,
): Buffer {
  const parts: Buffer[] = [
    Buffer.from(`{"resultType":"input_required",${errorsToo ? ERRORS_TOO : ''}"inputRequests":{`),
  ];
  requests.forEach(([key, json], i) => {
    parts.push(Buffer.from(`${i === 0 ? '' : ','}${JSON.stringify(key)}:`), json);
  });
  parts.push(Buffer.from(`},"requestState":${JSON.stringify(state)}}`));
  return Buffer.concat(parts);
}

/** The URLs that an error asks to open (2025-11-25, client/elicitation), each as the JSON of an input request. `data`: JSON. */
export function urlRequests(
  data: Buffer | undefined,
  server: string | undefined,
): { readonly url: string; readonly json: Buffer }[] {
  const listed = arrayOf(data && readObject(data)?.['elicitations']) ?? [];
  const found: { url: string; json: Buffer }[] = [];
  for (const each of listed.slice(0, MAX_URLS)) {
    const { elicitationId: _, message, url: asked, ...rest } = objectOf(each) ?? {};
    const url = textOf(asked);
    if (url === undefined) continue;
    const text = textOf(message) ?? `Open ${url}`;
    const shown = server === undefined ? text : `[${server}] ${text}`;
    const params = { ...rest, mode: 'url', message: shown, url };
    found.push({ url, json: Buffer.from(JSON.stringify({ method: 'elicitation/create', params })) });
  }
  return found;
}

function isNull(whole: Buffer, { start }: Span): boolean {
  return whole[start] === 0x6e;
}

/** How many URLs one error may ask to open. */
const MAX_URLS = 20;
