/** The references of clients to values, in the form of the config: `${NAME}`, with `$$` for a dollar. */

import { isPlain } from '../../config/environment.js';

/** What decides what a reference means. */
export interface Meaning {
  /** Variables that a command sets for itself: its arguments refer to them, not to those of the gateway. */
  readonly own?: ReadonlySet<string>;
  /** Whether `$X` is a reference anywhere; otherwise only as a whole value, with `wholeDollar`. */
  readonly dollars?: boolean;
  readonly wholeDollar?: boolean;
  readonly platform: NodeJS.Platform;
  /** What a person has answered, by the reference: `${input:figma}`. */
  readonly answers: ReadonlyMap<string, string>;
  /** Called with each reference that only a person can resolve, and with the name of each variable. */
  readonly asked: (what: string) => void;
  readonly named: (variable: string) => void;
}

const REFERENCE =
  /\$\{\{\s*(?<kind>secrets|inputs)\.(?<of>[\w.-]+)\s*\}\}|\$\{(?<inner>[^{}]*)\}|\$(?<plain>[A-Za-z_]\w*)/g;
const VARIABLE = /^(?:env:)?([A-Za-z_]\w*)(:-[^]*)?$/;
const ASKED =
  /^(?:(?:input|promptString|command|config|keyring):|workspaceFolder|workspaceRoot|fileWorkspaceFolder)/;

/** A value in the form of the config. A reference that was not answered stays as it is written. */
export function converted(value: string, meaning: Meaning): string {
  const { own, dollars = false, wholeDollar = false, platform, answers } = meaning;
  let out = '';
  let at = 0;
  const variable = (name: string, otherwise = ''): string => {
    // Those of the system are there, and a default is enough.
    if (otherwise === '' && !isPlain(name)) meaning.named(name);
    return `\${${name}${otherwise}}`;
  };
  const ask = (what: string): string => {
    const answer = answers.get(what);
    if (answer !== undefined) return literal(answer, true);
    meaning.asked(what);
    return what;
  };
  for (const found of value.matchAll(REFERENCE)) {
    const [whole] = found;
    const { kind, of, inner, plain } = found.groups ?? {};
    let by: string | undefined;
    if (of !== undefined) by = kind === 'secrets' && /^\w+$/.test(of) ? variable(of) : ask(whole);
    else if (plain !== undefined) {
      const isReference = (dollars || (wholeDollar && whole === value)) && !own?.has(plain);
      by = isReference ? variable(plain) : undefined;
    } else if (inner !== undefined) by = braced(whole, inner);
    if (by === undefined) continue;
    out += literal(value.slice(at, found.index), true) + by;
    at = found.index + whole.length;
  }
  return out + literal(value.slice(at), false);

  function braced(whole: string, inner: string): string | undefined {
    if (inner === 'userHome') return variable(platform === 'win32' ? 'USERPROFILE' : 'HOME');
    if (inner === 'pathSeparator' || inner === '/') return platform === 'win32' ? '\\' : '/';
    if (ASKED.test(inner)) return ask(whole);
    const [, name, otherwise] = VARIABLE.exec(inner) ?? [];
    if (name === undefined || (own?.has(name) && !inner.startsWith('env:'))) return undefined;
    return variable(name, otherwise);
  }
}

/** A text without references. `before`: a reference follows. */
export function literal(text: string, before: boolean): string {
  return text.replace(before ? /\$(?=[${]|$)/g : /\$(?=[${])/g, '$$$$');
}
