/** Asks the person at the terminal what a server wants to know during a call. */
import type * as Prompts from '@clack/prompts';
import { pathToFileURL } from 'node:url';
import type { Answerer, Question, Reply } from '../client/index.js';
import { printable, printableLine } from '../terminal/explain.js';
import type { Terminal } from '../terminal/terminal.js';

type Clack = typeof Prompts;
type Property = Readonly<Record<string, unknown>>;

const DECLINED = { result: { action: 'decline' } } as const;
const CANCELLED = { result: { action: 'cancel' } } as const;
const REFUSED = { error: { code: -1, message: 'refused by the user' } } as const;

/** undefined: nobody is there to ask, so the client declares that it answers nothing. */
export function answererOf({ tty }: Terminal): Answerer | undefined {
  if (!tty.in || !tty.err) return undefined;
  // One question at a time.
  let last: Promise<unknown> = Promise.resolve();
  return (question, signal) => {
    const asked = last.then(() => ask(question, signal));
    last = asked.catch(() => undefined);
    return asked;
  };
}

async function ask({ method, params }: Question, signal: AbortSignal): Promise<Reply> {
  const clack = await import('@clack/prompts');
  const common = { output: process.stderr, signal };
  if (method === 'roots/list') {
    const folder = process.cwd();
    const yes = await clack.confirm({
      ...common,
      message: `The server asks for your folders: tell it ${folder}?`,
    });
    return yes === true
      ? { result: { roots: [{ uri: pathToFileURL(folder).href, name: folder }] } }
      : REFUSED;
  }
  if (method === 'sampling/createMessage') {
    process.stderr.write(`${printable(JSON.stringify(params['messages'], null, 2))}\n`);
    const text = await clack.text({
      ...common,
      message: 'The server asks for a completion of this. Your answer:',
    });
    if (clack.isCancel(text)) return REFUSED;
    return {
      result: { role: 'assistant', model: 'human', stopReason: 'endTurn', content: { type: 'text', text } },
    };
  }
  return await elicit(clack, params, common);
}

async function elicit(
  clack: Clack,
  params: Readonly<Record<string, unknown>>,
  common: { readonly output: NodeJS.WriteStream; readonly signal: AbortSignal },
): Promise<Reply> {
  const message = printable(textOf(params['message']) ?? 'The server asks for input');
  if (params['mode'] === 'url') {
    process.stderr.write(`${message}\n${printable(String(params['url']))}\n`);
    const done = await clack.confirm({ ...common, message: 'Open this address yourself. Go on?' });
    if (clack.isCancel(done)) return CANCELLED;
    return done ? { result: { action: 'accept' } } : DECLINED;
  }
  const accepted = await clack.confirm({ ...common, message: `${message} - answer?` });
  if (clack.isCancel(accepted)) return CANCELLED;
  if (!accepted) return DECLINED;
  const schema = params['requestedSchema'] as
    { properties?: Record<string, Property>; required?: string[] } | undefined;
  const content: Record<string, unknown> = {};
  for (const [name, property] of Object.entries(schema?.properties ?? {})) {
    const value = await field(clack, name, property, schema?.required?.includes(name) ?? false, common);
    if (clack.isCancel(value)) return CANCELLED;
    if (value !== undefined) content[name] = value;
  }
  return { result: { action: 'accept', content } };
}

/** undefined: left out. A symbol: cancelled. */
async function field(
  clack: Clack,
  name: string,
  property: Property,
  required: boolean,
  common: { readonly output: NodeJS.WriteStream; readonly signal: AbortSignal },
): Promise<unknown> {
  const { type, title, description, default: standard } = property;
  const label = printable([title ?? name, description].filter((part) => typeof part === 'string').join(': '));
  const message = required ? label : `${label} (optional)`;
  if (type === 'boolean') return await clack.confirm({ ...common, message, initialValue: standard === true });
  const options = optionsOf(property);
  if (options && type === 'array') return await clack.multiselect({ ...common, message, options, required });
  if (options) return await clack.select({ ...common, message, options });
  const isNumber = type === 'number' || type === 'integer';
  const text = await clack.text({
    ...common,
    message,
    ...((typeof standard === 'string' || typeof standard === 'number') && {
      initialValue: printableLine(String(standard)),
    }),
    validate(value = '') {
      if (value === '') return required ? 'this is required' : undefined;
      if (isNumber && !Number.isFinite(Number(value))) return 'this must be a number';
      if (type === 'integer' && !Number.isInteger(Number(value))) return 'this must be a whole number';
      return undefined;
    },
  });
  if (clack.isCancel(text)) return text;
  if (text === '' && !required) return undefined;
  return isNumber ? Number(text) : text;
}

/** The choices of `enum`, or of `oneOf` with titles; also of the items of a list. */
function optionsOf(property: Property): { value: string; label: string }[] | undefined {
  const { enum: values, enumNames, oneOf, anyOf, items } = property;
  if (Array.isArray(values))
    return values.map((value, index) => ({
      value: String(value),
      label: printable(String(Array.isArray(enumNames) ? (enumNames[index] ?? value) : value)),
    }));
  for (const titled of [oneOf, anyOf])
    if (Array.isArray(titled))
      return titled.map((each: Property) => ({
        value: String(each['const']),
        label: printable(String(each['title'] ?? each['const'])),
      }));
  return typeof items === 'object' && items !== null ? optionsOf(items as Property) : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
