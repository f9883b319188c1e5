import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UriMarks, UriMembers } from '../../src/wire/uri-members.js';

const NAMES = ['uri', 'resourceUri', 'ui/resourceUri', 'openai/outputTemplate'];
const SCHEMES = ['ui', 'skill'];
const PREFIX = 's%20x+/';

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** What a reader of the output sees. */
function qualified(value: Json, name?: string): Json {
  if (typeof value === 'string') {
    const scheme = SCHEMES.find((each) => value.startsWith(`${each}://`));
    if (scheme === undefined || name === undefined || !NAMES.includes(name)) return value;
    return `${scheme}://${PREFIX}${value.slice(scheme.length + 3)}`;
  }
  if (Array.isArray(value)) return value.map((each) => qualified(each));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, qualified(each, key)]));
}

const text = fc.oneof(
  fc.constantFrom(
    'ui://a/b',
    'ui://',
    'skill://r/SKILL.md',
    'ui:///',
    'ui:/x',
    'xui://a',
    ' ui://a',
    'UI://a',
  ),
  fc.constantFrom(
    'skill:/',
    'ui',
    's',
    '"ui://a',
    '\\ui://a',
    '{"uri":"ui://a"}',
    '"uri": "',
    '\\'.repeat(70),
  ),
  fc.constantFrom('', 'uri', '":"ui://a', 'u'.repeat(300), '<a href="ui://a">', '\u00fci://a', '\u0175i://a'),
  fc.string({ unit: fc.constantFrom('u', 'i', ':', '/', '"', '\\', ' ', 'skill', 'é', '🚀') }),
);
const name = fc.oneof(
  fc.constantFrom(...NAMES),
  fc.constantFrom(
    'url',
    'x"uri',
    'uri ',
    ' uri',
    'u ri',
    '\\uri',
    'uri\\',
    '\\\\uri',
    'Uri',
    'ui://a',
    '_meta',
    '',
  ),
  text,
);
const value = fc.letrec<{ tree: Json }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'medium' },
    text,
    fc.constantFrom<Json>(null, true, 0, -1.5e9),
    fc.array(tie('tree'), { maxLength: 4 }),
    fc.array(fc.tuple(name, tie('tree')), { maxLength: 5 }).map(fromEntries),
    fc.array(fc.tuple(fc.constantFrom(...NAMES), text), { maxLength: 4 }).map(fromEntries),
  ),
})).tree;

function fromEntries(entries: (readonly [string, Json])[]): Json {
  return Object.fromEntries(entries.filter(([key]) => key !== '__proto__'));
}

type Choose = (n: number) => number;

/** Writes JSON with whitespace and escapes as `choose` decides. */
function written(json: Json, choose: Choose): string {
  const space = (): string => ['', '', '', ' ', '\n', '\r\n\t ', ' '.repeat(90)][choose(7)] as string;
  const string = (of: string): string => {
    const dense = choose(3);
    let out = '"';
    for (const unit of of.split('')) {
      const plain = JSON.stringify(unit).slice(1, -1);
      if (dense === 0 || choose(dense === 1 ? 8 : 2) > 0) out += plain;
      else if (unit === '/' && choose(2) === 0) out += '\\/';
      else {
        const hex = unit.charCodeAt(0).toString(16).padStart(4, '0');
        out += `\\u${choose(2) === 0 ? hex : hex.toUpperCase()}`;
      }
    }
    return `${out}"`;
  };
  const write = (of: Json): string => {
    if (typeof of === 'string') return string(of);
    if (Array.isArray(of)) return `[${of.map((each) => space() + write(each) + space()).join(',')}]`;
    if (typeof of !== 'object' || of === null) return JSON.stringify(of);
    const members = Object.entries(of).map(
      ([key, each]) => `${space()}${string(key)}${space()}:${space()}${write(each)}${space()}`,
    );
    return `{${members.join(',')}}`;
  };
  return write(json);
}

/** Chooses as a list of numbers says, again and again. */
function chooser(seeds: readonly number[]): Choose {
  let i = 0;
  return (n) => ((seeds[i++ % seeds.length] as number) + i) % n;
}

function passed(pieces: readonly Buffer[], schemes = SCHEMES): Buffer {
  const uris = new UriMembers(new UriMarks(schemes, PREFIX));
  const out = pieces.map((piece) => {
    const bytes = Buffer.from(uris.push(piece));
    expect(uris.held).toBeLessThanOrEqual(64);
    // Bytes that were passed on belong to the next owner, who may change them.
    piece.fill(0x78);
    return bytes;
  });
  return Buffer.concat([...out, uris.end()]);
}

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, i) => Buffer.from(bytes.subarray(from, at[i] ?? bytes.length)));
}

const seeds = fc.array(fc.nat(1000), { minLength: 1, maxLength: 40 });

describe('URIs of members', () => {
  it('are those that JSON.parse finds, in any spelling, however the message is cut', () => {
    fc.assert(
      fc.property(value, seeds, fc.array(fc.nat(), { maxLength: 20 }), (json, choices, cuts) => {
        const input = Buffer.from(written(json, chooser(choices)));
        const output = passed(split(input, cuts));
        expect(JSON.parse(output.toString())).toEqual(qualified(JSON.parse(input.toString()) as Json));
        // Nothing else changes.
        expect(output.toString().replaceAll(PREFIX, '')).toBe(input.toString());
        expect(new UriMarks(SCHEMES, PREFIX).splice(input).equals(output)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  it('are found when the message is cut at each byte, and at all of them', () => {
    fc.assert(
      fc.property(value, seeds, (json, choices) => {
        const input = Buffer.from(written(json, chooser(choices)));
        const whole = passed([Buffer.from(input)]);
        for (let cut = 0; cut <= input.length && cut < 600; cut++)
          expect(passed(split(input, [cut])).equals(whole)).toBe(true);
        expect(passed([...input].map((byte) => Buffer.from([byte]))).equals(whole)).toBe(true);
      }),
      { numRuns: 150 },
    );
  });

  it('are found among so many candidates that the bytes are read one by one', () => {
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1, maxLength: 3 }),
        seeds,
        fc.nat(),
        (values, choices, cut) => {
          const json = [...Array<Json>(60).fill({ text: 'a "ui:// \\u0075', uri: 'ui://a' }), ...values];
          const input = Buffer.from(written(json, chooser(choices)));
          const output = passed(split(input, [cut]));
          expect(JSON.parse(output.toString())).toEqual(qualified(JSON.parse(input.toString()) as Json));
        },
      ),
    );
  });

  it('are found whatever bytes surround them, and never fail', () => {
    const bytes = fc.uint8Array({ maxLength: 200 });
    fc.assert(
      fc.property(bytes, bytes, fc.array(fc.nat(), { maxLength: 6 }), (before, after, cuts) => {
        const input = Buffer.concat([before, Buffer.from('{"uri":"ui://a"}'), after]);
        const output = passed(split(input, cuts));
        expect(output.includes(`{"uri":"ui://${PREFIX}a"}`)).toBe(true);
      }),
    );
  });
});
