import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readParams, Unclear, type Params } from '../../src/approvals/canonical.js';
import { foldWide } from '../../src/wire/fold.js';
import { showParams, visible } from '../../src/approvals/shown.js';

const KEY = Buffer.alloc(32, 1);
const none = (): boolean => false;

function params(text: string): Params | Unclear {
  return readParams(Buffer.from(text), none);
}

function shownOf(text: string, secrets: readonly string[] = []): string {
  const read = params(text);
  if (read instanceof Unclear) throw new Error(read.why);
  const shown = showParams(read, secrets, KEY);
  if (shown instanceof Unclear) throw new Error(shown.why);
  return shown.shown;
}

/** A value without keys that fold to the same name. */
function isClear(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isInteger(value) || Number.isSafeInteger(value);
  if (typeof value === 'string') return !/\p{Surrogate}/u.test(value);
  if (Array.isArray(value)) return value.every(isClear);
  if (typeof value !== 'object' || value === null) return true;
  const keys = Object.keys(value);
  return (
    new Set(keys.map(foldWide)).size === keys.length &&
    Object.entries(value).every((each) => each.every(isClear))
  );
}

const texts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.string({
    unit: fc.constantFrom(
      '\u202e',
      '\u200d',
      '\u00ad',
      '\u3164',
      '\u2800',
      '\ufe0f',
      '\u{e0041}',
      '\\',
      '"',
      'u',
      '{',
      '}',
      '2',
      '0',
      'e',
      '\u0301',
      '\u00e9',
      '\n',
      ' ',
      '\u00a0',
      '\u212b',
      '*',
    ),
    maxLength: 12,
  }),
);
const values = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    texts,
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(texts, tie('value'), { maxKeys: 4 }),
  ),
})).value;
const clear = values.map((value) => JSON.parse(JSON.stringify(value)) as unknown).filter(isClear);

/** JSON with its members in another order, spaces between tokens, and characters as escapes. */
function respelt(value: unknown, random: () => number): string {
  const space = (): string => ['', ' ', '\n', '\t '][Math.floor(random() * 4)] ?? '';
  const string = (text: string): string =>
    `"${[...text]
      .map((character) =>
        random() < 0.5
          ? JSON.stringify(character).slice(1, -1)
          : [...Array(character.length).keys()]
              .map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`)
              .join(''),
      )
      .join('')}"`;
  if (typeof value === 'string') return string(value);
  if (Array.isArray(value))
    return `[${space()}${value.map((each) => respelt(each, random)).join(`${space()},${space()}`)}${space()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(
    ([key, each]) => `${string(key)}${space()}:${space()}${respelt(each, random)}`,
  );
  return `{${space()}${members.sort(() => random() - 0.5).join(`${space()},`)}${space()}}`;
}

const spelling = fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true }));

describe('the canonical form of a call', () => {
  it('is the same for every spelling of the same values', () => {
    fc.assert(
      fc.property(clear, spelling, (value, stream) => {
        const random = (): number => stream.next().value as number;
        const one = params(JSON.stringify({ arguments: value }));
        const other = params(respelt({ arguments: value, name: 'x' }, random));
        if (one instanceof Unclear || other instanceof Unclear) throw new Error('unclear');
        expect(other.digest).toBe(one.digest);
        expect(JSON.parse(respelt(value, random))).toEqual(value);
      }),
    );
  });

  it('and what is shown differ if the values do', () => {
    fc.assert(
      fc.property(clear, clear, (a, b) => {
        const [one, other] = [JSON.stringify({ arguments: a }), JSON.stringify({ arguments: b })];
        const [first, second] = [params(one), params(other)];
        if (first instanceof Unclear || second instanceof Unclear) throw new Error('unclear');
        const same = sorted(a) === sorted(b);
        expect(first.digest === second.digest).toBe(same);
        expect(shownOf(one) === shownOf(other)).toBe(same);
      }),
    );
  });

  it('is refused for a key that is there twice under NFKC or in another case', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(
          ['K', '\u212a'],
          ['a', 'A'],
          ['\ufb01', 'fi'],
          ['s', '\u017f'],
          ['x', 'x'],
          ['\uff41', 'A'],
          ['a', 'a\u0000'],
        ),
        fc.array(fc.constantFrom('[', '{"k":'), { maxLength: 20 }),
        ([a, b], around) => {
          const ends = around.map((open) => (open === '[' ? ']' : '}')).reverse();
          const text = `{"arguments":${around.join('')}{${JSON.stringify(a)}:1,${JSON.stringify(b)}:2}${ends.join('')}}`;
          expect(params(text)).toBeInstanceOf(Unclear);
        },
      ),
    );
  });

  it('of any bytes is there, or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const read = readParams(Buffer.from(bytes), none);
        expect(read).toBeInstanceOf(Object);
      }),
    );
  });
});

function sorted(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sorted).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([key, each]) => `${JSON.stringify(key)}:${sorted(each)}`)
    .sort()
    .join()}}`;
}

/** Reads what is shown as JSON again. */
function unshown(text: string): unknown {
  return JSON.parse(
    text.replace(/\\(?:u\{([0-9a-f]+)\}|(["\\]))/g, (_, code: string | undefined, plain: string) =>
      code === undefined
        ? `\\${plain}`
        : JSON.stringify(String.fromCodePoint(parseInt(code, 16))).slice(1, -1),
    ),
  );
}

describe('what is shown of a call', () => {
  it('has nothing invisible in it, and can be read back', () => {
    fc.assert(
      fc.property(clear, (value) => {
        const shown = shownOf(JSON.stringify({ arguments: value }));
        expect(shown.replaceAll('\n', '')).toMatch(/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]*$/u);
        expect(shown).not.toMatch(/\p{Default_Ignorable_Code_Point}|\u2800|\ufffc/u);
        expect(shown.normalize('NFC')).toBe(shown);
        expect(sorted(unshown(shown))).toBe(sorted(value));
      }),
    );
  });

  it('escapes every character that has no glyph', () => {
    for (let code = 0; code <= 0x10ffff; code++) {
      if (code >= 0xd800 && code < 0xe000) continue;
      const character = String.fromCodePoint(code);
      if (!/[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]/u.test(character) || character === ' ') continue;
      if (visible(character) !== `\\u{${code.toString(16)}}`) expect(visible(character)).toBe(code);
    }
  });

  it('escapes what looks like something else, and leaves plain texts of any language alone', () => {
    expect(visible('p\u0430ypal of\ufb01ce \ud835\udc4e')).toBe('p\\u{430}ypal of\\u{fb01}ce \\u{1d44e}');
    expect(visible('e\u0301 \u212b')).toBe('e\\u{301} \\u{212b}');
    expect(visible('a\u0337\u0338\u0335\u0336')).toBe('a\u0337\u0338\u0335\\u{336}');
    const plain = ['Grüße', 'Привет, мир', '日本語（テスト）：', 'नमस्ते', 'שלום', 'مرحبا', '½ … ™ €', '👍🏽'];
    for (const text of plain) expect(visible(text)).toBe(text);
  });

  it('never has a secret, and tells two of them apart', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('password', 'PassWord', 'p\u0061ssword', '\uff50assword'),
        fc.string({ unit: fc.constantFrom('x', 'y', 'z'), minLength: 8 }),
        fc.string({ unit: fc.constantFrom('x', 'y', 'z'), minLength: 8 }),
        (name, a, b) => {
          const of = (secret: string): string =>
            shownOf(JSON.stringify({ arguments: { deep: [{ [name]: secret }] } }), ['password']);
          expect(of(a)).not.toContain(a);
          expect(of(a) === of(b)).toBe(a === b);
          expect(shownOf(JSON.stringify({ arguments: { deep: [{ [name]: of(a) }] } }))).not.toBe(of(a));
        },
      ),
    );
  });
});
