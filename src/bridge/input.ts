/** Input requests as bytes: read from an upstream's answer, written into one for a client (2026-07-28, basic/patterns/mrtr). */
import { RELATED_TASK, type Question } from '../protocol/ports.js';
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
  /** JSON of `params`; undefined: it has none. */
  readonly params: Buffer | undefined;
}

export interface InputRequired {
  readonly requests: readonly InputRequest[];
  /** JSON of `requestState`, as it came. */
  readonly state: string | undefined;
}

const RESULT = new KnownNames('resultType', 'inputRequests', 'requestState', 'status', 'taskId');
const REQUEST = new KnownNames('method', 'params');

/**
 * Reads the `result` at `value` of a whole answer, of at most `maxBytes`; or says what is wrong with it. What the gateway marks or
 * decides by must be there once: a client must not read another member than the one that was looked at.
 */
export function readInputRequired(whole: Buffer, value: number, maxBytes: number): InputRequired | string {
  if (!scanObject(whole, maxBytes)) return `an answer of over ${maxBytes} bytes, or that cannot be read`;
  if (whole[value] !== 0x7b) return 'a result that is no object';
  const members = membersOf(whole, value).filter((member) => !isNull(whole, member));
  const doubt = RESULT.doubt(members);
  if (doubt !== undefined) return doubt;
  const at = (key: string): Member | undefined => members.find((member) => member.key === key);
  const state = at('requestState');
  const list = at('inputRequests');
  if (state && whole[state.start] !== 0x22) return 'a requestState that is no text';
  if (list && whole[list.start] !== 0x7b) return 'inputRequests that are no object';
  if (!state && !list) return 'neither inputRequests nor requestState';
  const requests: InputRequest[] = [];
  const keys = new Set<string>();
  for (const member of list ? membersOf(whole, list.start) : []) {
    if (whole[member.start] !== 0x7b)
      return `an input request '${member.key.slice(0, 64)}' that is no object`;
    const parts = membersOf(whole, member.start).filter((part) => !isNull(whole, part));
    const method = parts.find(({ key }) => key === 'method');
    const params = parts.find(({ key }) => key === 'params');
    const which = `an input request '${member.key.slice(0, 64)}'`;
    if (!method || whole[method.start] !== 0x22) return `${which} without a method`;
    if (params && whole[params.start] !== 0x7b) return `${which} with params that are no object`;
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
 * The questions of an answer that goes on to a modern client, marked with who asks: the merged endpoint shows many servers. The answer
 * was read by readInputRequired().
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

/** The same for a task that may ask something, in a message that is proven; or what is wrong with its questions. */
export function readMarked(whole: Buffer, value: number, server: string): Buffer | string {
  const list = membersOf(whole, value).find(({ key }) => key === 'inputRequests');
  if (list && whole[list.start] === 0x7b) {
    const read = readInputRequired(whole, value, whole.length);
    if (typeof read === 'string') return read;
  }
  return withMarks(whole, value, server);
}

/** A request as a legacy server would have sent it. Its id is replaced by who sends it on. */
export function asRequest({ method, params }: InputRequest, elicitationId: string | undefined): Buffer {
  const head = `{"jsonrpc":"2.0","id":0,"method":${JSON.stringify(method)}`;
  if (!params) return Buffer.from(`${head}}`);
  if (elicitationId === undefined)
    return Buffer.concat([Buffer.from(`${head},"params":`), params, Buffer.from('}')]);
  const more = `"elicitationId":${JSON.stringify(elicitationId)},`;
  return Buffer.concat([Buffer.from(`${head},"params":{${more}`), params.subarray(1), Buffer.from('}')]);
}

/** What only means something in the legacy era, taken out of the params of a question. */
const PARAMS_GONE: ReadonlySet<string> = new Set(['task', 'elicitationId']);
const META_GONE: ReadonlySet<string> = new Set(['progressToken', RELATED_TASK]);

/** A question of a legacy upstream as an input request: JSON. `server`: marked with it; undefined: as it came. */
export function asInputRequest({ method, bytes }: Question, server: string | undefined): Buffer {
  const params = membersOf(bytes).find(({ key }) => key === 'params');
  const head = `{"method":${JSON.stringify(method)}`;
  // Without params it is valid, but there are clients that cannot read it.
  if (!params || bytes[params.start] !== 0x7b) return Buffer.from(`${head},"params":{}}`);
  const members = membersOf(bytes, params.start);
  const patches = without(bytes, params.start, members, PARAMS_GONE);
  const meta = members.find(({ key }) => key === '_meta');
  let own: Patch[] = [];
  if (meta && bytes[meta.start] === 0x7b)
    own = without(bytes, meta.start, membersOf(bytes, meta.start), META_GONE);
  const marks = server === undefined ? [] : marked(bytes, method, params, server);
  const inside = (patch: Patch, outer: Span): boolean => outer.start <= patch.start && patch.end <= outer.end;
  // What is taken out needs no mark.
  const kept = marks.filter((mark) => ![...patches, ...own].some((gone) => inside(mark, gone)));
  const text = splice(bytes, [...patches, ...own, ...kept], params.start, params.end);
  return Buffer.concat([Buffer.from(`${head},"params":`), text, Buffer.from('}')]);
}

/** The members of `params.inputResponses`: the bytes of each; or what is wrong with them. */
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

/** The result that tells a client what is needed: JSON. */
export function inputRequired(
  requests: readonly (readonly [key: string, json: Buffer])[],
  state: string,
): Buffer {
  const parts: Buffer[] = [Buffer.from('{"resultType":"input_required","inputRequests":{')];
  requests.forEach(([key, json], i) => {
    parts.push(Buffer.from(`${i === 0 ? '' : ','}${JSON.stringify(key)}:`), json);
  });
  parts.push(Buffer.from(`},"requestState":${JSON.stringify(state)}}`));
  return Buffer.concat(parts);
}

/** The URLs of an error that asks to open them (2025-11-25, client/elicitation), each as the JSON of an input request. `data`: JSON. */
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

/** URLs that one error may ask to open. */
const MAX_URLS = 20;
