// What every driver in JavaScript does alike: JSON lines in, answers and events out, and the fixed answers to questions.
import { createInterface } from 'node:readline';

const write = (value) => process.stdout.write(JSON.stringify(value) + '\n');
// What a client prints must not stand between the answers.
console.log = console.info = console.debug = (...said) => console.error(...said);

/** A client's own limit is a minute or more. */
const LIMIT_MS = 6000;

/** The call that runs: events that belong to no other call are its own. */
let current = null;
export const event = (name, value, of = current) => write({ event: name, of, value });

export class Unsupported extends Error {}

function firstValue(schema) {
  if (schema.enum) return schema.enum[0];
  if (schema.oneOf) return schema.oneOf[0].const;
  if (schema.type === 'array')
    return [firstValue({ ...schema.items, oneOf: schema.items?.anyOf ?? schema.items?.oneOf })];
  if (schema.type === 'number' || schema.type === 'integer') return schema.minimum ?? 1;
  if (schema.type === 'boolean') return true;
  return { email: 'a@b.cd', uri: 'http://127.0.0.1/', date: '2026-01-01' }[schema.format] ?? 'text';
}

export const answers = {
  elicitation(params) {
    event('question', { method: 'elicitation/create', params });
    if (params.mode === 'url') return { action: 'accept' };
    const fields = Object.entries(params.requestedSchema?.properties ?? {});
    const content = Object.fromEntries(fields.map(([name, schema]) => [name, firstValue(schema)]));
    return { action: 'accept', content };
  },
  sampling(params) {
    event('question', { method: 'sampling/createMessage', params });
    return { role: 'assistant', content: { type: 'text', text: 'sampled' }, model: 'compat' };
  },
  roots() {
    event('question', { method: 'roots/list', params: {} });
    return { roots: [{ uri: 'file:///compat', name: 'compat' }] };
  },
};

/** Follows `nextCursor` to the last page. */
export async function allPages(read, member) {
  const all = [];
  let cursor;
  do {
    const page = await read(cursor === undefined ? {} : { cursor });
    all.push(...page[member]);
    cursor = page.nextCursor;
  } while (cursor !== undefined && cursor !== '');
  return all;
}

function errorOf(error) {
  return { code: error?.code ?? null, message: String(error?.message ?? error), data: error?.data };
}

/** So that the script goes on behind a request that gets no answer. */
async function limited(result) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer')), LIMIT_MS);
  });
  return Promise.race([result, late]).finally(() => clearTimeout(timer));
}

async function answer(operations, request) {
  const { id } = request;
  const operation = operations[request.do];
  if (!operation) return write({ id, unsupported: `no ${request.do}` });
  current = id;
  try {
    write({
      id,
      ok: (await (request.do === 'call' ? limited(operation(request)) : operation(request))) ?? {},
    });
  } catch (error) {
    if (error instanceof Unsupported) write({ id, unsupported: error.message });
    else write({ id, error: errorOf(error) });
  }
}

/** Runs until stdin ends. `operations` has a function for each operation that the client has. */
export function drive(operations) {
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => void answer(operations, JSON.parse(line)));
  lines.on('close', () => {
    setTimeout(() => process.exit(0), 1000).unref();
    void Promise.resolve(operations.close?.())
      .catch(() => {})
      .then(() => process.exit(0));
  });
  process.on('unhandledRejection', (error) => console.error('unhandled', error));
}

/** Aborts a call when the request says so; gives what its progress is told to. */
export function cancelOf(request) {
  const controller = new AbortController();
  if (request.cancelAfterMs !== undefined)
    setTimeout(() => controller.abort(new Error('cancelled by the client')), request.cancelAfterMs);
  return {
    signal: controller.signal,
    onProgress(value) {
      event('progress', value, request.id);
      if (request.cancelOnProgress) controller.abort(new Error('cancelled by the client'));
    },
    wanted: request.progress === true || request.cancelOnProgress === true,
  };
}
