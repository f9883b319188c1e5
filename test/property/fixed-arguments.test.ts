import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withFixedArguments } from '../../src/protocol/fixed-arguments.js';
import { readMessages, type Message } from '../../src/protocol/message.js';
import { foldName } from '../../src/wire/fold.js';
import { fixedMembers } from '../../src/wire/fixed-members.js';
import { membersOf } from '../../src/wire/walk.js';

/** A string as JSON, each character as it is or with an escape. */
const spelt = (text: string, escaped: readonly boolean[]): string =>
  `"${[...text]
    .map((c, i) => {
      const json = JSON.stringify(c).slice(1, -1);
      if (!(escaped[i] ?? false)) return json;
      return [...c.split('')]
        .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
        .join('');
    })
    .join('')}"`;

const names = fc.constantFrom('tenant', 'k', 'ß', 'é', 'id', '__proto__', 'a"b', 'ſ', '水', '🚀');
const keys = fc.oneof(
  names,
  names.map((name) => name.toUpperCase()),
  fc.constantFrom('K', 'tenant\0x', 'SS', 'tenan', 'tenantx', 'İD', ''),
  fc.string({ maxLength: 8 }),
);
const space = fc.constantFrom('', ' ', '\n\t');
const member = fc.record({
  key: keys,
  escaped: fc.array(fc.boolean(), { maxLength: 10 }),
  value: fc.jsonValue({ maxDepth: 2 }),
  space,
});
const fixed = fc.dictionary(names, fc.jsonValue({ maxDepth: 2 }), { minKeys: 1, maxKeys: 3 });

type Sent = { key: string; escaped: boolean[]; value: unknown; space: string };

const objectOf = (members: readonly Sent[]): string =>
  `{${members.map(({ key, escaped, value, space }) => `${space}${spelt(key, escaped)}${space}:${space}${JSON.stringify(value)}${space}`).join(',')}}`;

const callWith = (args: string | undefined, nameFirst: boolean, idFirst: boolean): Message => {
  const parts = args === undefined ? [] : [`"arguments": ${args}`];
  const params = nameFirst ? ['"name":"t"', ...parts] : [...parts, '"name":"t"'];
  const whole = [
    '"method":"tools/call"',
    `"params": {${params.join(' , ')},"_meta":{"progressToken":"p","x":1}}`,
  ];
  const id = '"id":"1"';
  return readMessages(
    Buffer.from(`{"jsonrpc":"2.0",${(idFirst ? [id, ...whole] : [...whole, id]).join(',')}}`),
  ) as Message;
};

const textAt = ({ body }: Message, { start, end }: { start: number; end: number }): string =>
  body.toString('utf8', start, end);

/** A message with the bare spans of its id and params. */
const spans = ({ idSpan, paramsSpan, ...message }: Message): unknown => ({
  ...message,
  spans: [idSpan, paramsSpan].map((span) => [span?.start, span?.end]),
});

describe('fixed arguments', () => {
  it('each is there once, with its value, whatever the client sent; all else is as it was', () => {
    fc.assert(
      fc.property(
        fixed,
        fc.option(fc.array(member, { maxLength: 6 }), { nil: undefined }),
        fc.array(names, { maxLength: 2 }),
        fc.boolean(),
        fc.boolean(),
        (values, sent, others, nameFirst, idFirst) => {
          const prepared = fixedMembers(
            new Map(Object.entries(values).map(([name, value]) => [name, JSON.stringify(value)])),
            others,
          );
          const before = callWith(sent && objectOf(sent), nameFirst, idFirst);
          const after = withFixedArguments(before, prepared) as Message;
          // The message is what a reader makes of its bytes.
          expect(spans(after)).toEqual(spans(readMessages(after.body) as Message));
          expect(textAt(after, after.idSpan as never)).toBe('"1"');
          const at = after.params.find(({ key }) => key === 'arguments') as { start: number; end: number };
          const read = membersOf(after.body, at.start).map(
            ({ key, start, end }) => [key, after.body.toString('utf8', start, end)] as const,
          );
          const own = Object.entries(values).map(([name, value]) => [name, JSON.stringify(value)] as const);
          const folded = new Set(Object.keys(values).map(foldName));
          const kept = ((sent ?? []) as Sent[])
            .filter(
              ({ key }) =>
                !folded.has(foldName(key)) ||
                ((others as string[]).includes(key) && !Object.hasOwn(values, key)),
            )
            .map(({ key, value }) => [key, JSON.stringify(value)] as const);
          expect(read).toEqual([...kept, ...own]);
          const parsed = JSON.parse(textAt(after, at)) as object;
          for (const [name, value] of Object.entries(values))
            expect(JSON.stringify(Object.getOwnPropertyDescriptor(parsed, name)?.value)).toBe(
              JSON.stringify(value),
            );
        },
      ),
      { numRuns: 2000 },
    );
  });

  it.each(['null', undefined])('%s is as if there were none', (args) => {
    const prepared = fixedMembers(new Map([['tenant', '"acme"']]), []);
    const after = withFixedArguments(callWith(args, true, true), prepared) as Message;
    expect(spans(after)).toEqual(spans(readMessages(after.body) as Message));
    expect(JSON.parse(after.body.toString())).toMatchObject({ params: { arguments: { tenant: 'acme' } } });
  });

  it.each(['[]', '7', '"x"', 'true'])('a call with %s in their place is not sent', (args) => {
    const prepared = fixedMembers(new Map([['tenant', '"acme"']]), []);
    expect(withFixedArguments(callWith(args, true, true), prepared)).toBeUndefined();
  });

  it('a name that a reader in C ends at a NUL goes, however long it is', () => {
    const prepared = fixedMembers(new Map([['tenant', '"acme"']]), []);
    const long = `tenant\\u0000${'x'.repeat(10_000)}`;
    const after = withFixedArguments(
      callWith(`{"${long}":"evil","b":1,"${'y'.repeat(9000)}\\n":2}`, true, true),
      prepared,
    ) as Message;
    expect(after.body.includes('evil')).toBe(false);
    expect(
      Object.keys((JSON.parse(after.body.toString()) as { params: { arguments: object } }).params.arguments),
    ).toEqual(['b', `${'y'.repeat(9000)}\n`, 'tenant']);
  });
});
