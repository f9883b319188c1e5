// The answers of the benchmark's upstreams. Tools: json-SIZE (id first), last-SIZE (id last), sse-SIZE,
// data-SIZE (structured); further ones fill the list.
import { SIZES } from './cases.mjs';

const RECORD = { id: 48213, path: 'src/server/index.ts', line: 118, text: 'const a = "b";', score: 0.8125 };
// Like most tools: a document as text, so that the JSON string has many escapes.
const ESCAPED = JSON.stringify(`${JSON.stringify(RECORD, null, 2)},\n`).slice(1, -1);
export const BLOCK = Buffer.from(ESCAPED.repeat(512));
export const HEAD = '{"content":[{"type":"text","text":"';
export const TAIL = '"}]}';

/** A text of this many bytes that does not end inside an escape. */
export function text(size) {
  const whole = Math.floor(size / ESCAPED.length) * ESCAPED.length;
  return Buffer.alloc(size, ' ').fill(ESCAPED, 0, whole);
}
export const textResult = (size) => Buffer.concat([Buffer.from(HEAD), text(size), Buffer.from(TAIL)]);

/** The same records as text and as data, as the specification recommends for structured results. */
function data(size) {
  const one = JSON.stringify(RECORD);
  const count = Math.ceil(size / (one.length + JSON.stringify(one).length));
  const matches = Array(count).fill(RECORD);
  const content = [{ type: 'text', text: JSON.stringify({ matches }) }];
  return Buffer.from(JSON.stringify({ content, structuredContent: { matches } }));
}

const KINDS = ['json', 'sse', 'last', 'data'];
/** Every result up to 1 MB, prepared in advance; larger ones are streamed. */
export const results = new Map();
for (const [name, size] of Object.entries(SIZES).filter(([, bytes]) => bytes <= 1_000_000)) {
  const result = textResult(size);
  for (const kind of KINDS) results.set(`${kind}-${name}`, kind === 'data' ? data(size) : result);
}

const schema = {
  type: 'object',
  properties: { path: { type: 'string', description: 'Where' }, limit: { type: 'integer', minimum: 1 } },
  required: ['path'],
};
/** Tools with special behaviour, implemented in upstream.mjs. */
const special = ['first-event', 'first-part', 'hang', 'ask'];
const measured = [
  ...special,
  ...KINDS.flatMap((kind) => Object.keys(SIZES).map((size) => `${kind}-${size}`)),
];

/** The list of that many tools as JSON: those that are measured first. */
export function toolList(count) {
  const filling = Array.from({ length: count }, (_, n) => `tool_number_${n}`);
  return JSON.stringify(
    [...measured, ...filling].slice(0, count).map((name) => ({
      name,
      description: `Does what ${name} says, as a real one would`,
      inputSchema: schema,
    })),
  );
}

export const initialized = JSON.stringify({
  protocolVersion: '2025-06-18',
  capabilities: { tools: {} },
  serverInfo: { name: 'bench', version: '1' },
});
