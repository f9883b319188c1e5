import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BrokenFile, edited, parsed, type Change, type Format } from '../../src/cli/edit/edit.js';
import { jsonTree, valueOf } from '../../src/cli/edit/json-tree.js';
import { Refusal } from '../../src/terminal/explain.js';

const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,11}$/);
const value = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.constantFrom(
    '',
    '# no comment',
    'a: b',
    '- c',
    '${X}',
    '$$',
    '{',
    '[',
    '"',
    "'",
    '\\',
    'true',
    '1',
    '~',
    'a\nb',
  ),
);
const entry = fc.record(
  {
    command: value.filter((text) => text !== ''),
    args: fc.array(value, { maxLength: 3 }),
    env: fc.dictionary(name, value, { maxKeys: 2 }),
  },
  { requiredKeys: ['command'] },
);
const comment = fc.constantFrom('', ' one', ' "two": {', ' [x] - y: z');

/** JSON as people write it: comments, odd spaces, trailing commas, tabs, CRLF, a byte order mark. */
const jsonText = fc
  .record({
    servers: fc.uniqueArray(fc.tuple(name, entry), { selector: ([key]) => key, maxLength: 4 }),
    before: comment,
    after: comment,
    unit: fc.constantFrom('  ', '\t', '    '),
    trailing: fc.boolean(),
    crlf: fc.boolean(),
    bom: fc.boolean(),
    inline: fc.boolean(),
    ending: fc.boolean(),
  })
  .map(({ servers, before, after, unit, trailing, crlf, bom, inline, ending }) => {
    const rows = servers.map(([key, each], index) => {
      const own = inline
        ? JSON.stringify(each)
        : JSON.stringify(each, null, unit).replace(/\n/g, `\n${unit}${unit}`);
      const comma = index < servers.length - 1 || trailing ? ',' : '';
      return `${unit}${unit}${JSON.stringify(key)}: ${own}${comma} //${before}`;
    });
    const inner = rows.length === 0 ? '{}' : `{ //${after}\n${rows.join('\n')}\n${unit}}`;
    const text = `//${before}\n{\n${unit}"odd" : [1,2 , /* 3 */ 4],\n${unit}"mcpServers": ${inner}${trailing ? ',' : ''}\n}${ending ? '\n' : ''}`;
    return (bom ? '\ufeff' : '') + (crlf ? text.replace(/\n/g, '\r\n') : text);
  });

const yamlText = fc
  .record({
    servers: fc.uniqueArray(fc.tuple(name, entry), { selector: ([key]) => key, maxLength: 4 }),
    note: comment,
    column: fc.constantFrom(0, 2, 4),
    crlf: fc.boolean(),
    bom: fc.boolean(),
    ending: fc.boolean(),
    more: fc.boolean(),
    first: fc.boolean(),
  })
  .map(({ servers, note, column, crlf, bom, ending, more, first }) => {
    const indent = ' '.repeat(column);
    const rows = servers.map(
      ([key, { command, args, env }]) =>
        `${indent}- name: ${key}   #${note}\n${indent}  command: ${JSON.stringify(command)}\n` +
        (args ? `${indent}  args: ${JSON.stringify(args)}\n` : '') +
        (env && Object.keys(env).length > 0
          ? `${indent}  env:\n${Object.entries(env)
              .map(
                ([variable, each]) => `${indent}    ${JSON.stringify(variable)}: ${JSON.stringify(each)}\n`,
              )
              .join('')}`
          : ''),
    );
    const list =
      rows.length === 0 ? `servers: [] #${note}\n` : `servers:\n${rows.join(`${indent}#${note}\n`)}`;
    const head = `# a comment\nhost: "127.0.0.1"   # odd\n\n`;
    const tail = more ? `\nport: 1234\nlogging: {level:   info}\n` : '';
    const text = (first ? head : '') + list + tail;
    const whole = ending ? text : text.replace(/\n$/, '');
    return (bom ? '\ufeff' : '') + (crlf ? whole.replace(/\n/g, '\r\n') : whole);
  });

const tomlText = fc
  .record({
    servers: fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key, maxLength: 3 }),
    note: comment,
    crlf: fc.boolean(),
    ending: fc.boolean(),
  })
  .map(({ servers, note, crlf, ending }) => {
    const rows = servers.map(
      ([key, each]) =>
        `[mcp_servers.${key}]   #${note}\ncommand = ${JSON.stringify(each)}\nargs = [\n  "a", # [x]\n]\n\n[mcp_servers.${key}.env]\nX = """\n[not.a.table]\n"""\n\n#${note}\n`,
    );
    const text = `#${note}\nmodel   = "gpt"\n\n${rows.join('')}[tools]\nweb = true\n`;
    const whole = ending ? text : text.replace(/\n$/, '');
    return crlf ? whole.replace(/\n/g, '\r\n') : whole;
  });

/** The parts of `before`, in their order, are all in `after`: only insertions were made. */
function isInsertion(before: string, after: string): boolean {
  let start = 0;
  while (start < before.length && before[start] === after[start]) start++;
  let at = start;
  for (const character of before.slice(start)) {
    at = after.indexOf(character, at);
    if (at === -1) return false;
    at++;
  }
  return true;
}

function roundTrip(text: string, format: Format, add: Change, remove: (value: unknown) => Change): void {
  const file = `/x/config.${format}`;
  const added = edited(text, format, file, [add]);
  expect(edited(added, format, file, [remove(parsed(added, format, file))])).toBe(text);
}

describe('splices', () => {
  it('add and remove a member of JSON, and leave the same bytes', () => {
    fc.assert(
      fc.property(jsonText, entry, (text, each) => {
        const path = ['mcpServers', 'NEW'];
        roundTrip(text, 'json', { op: 'set', path, value: each }, () => ({ op: 'remove', path }));
      }),
    );
  });

  it('add and remove an item of a YAML list, and leave the same bytes', () => {
    fc.assert(
      fc.property(yamlText, entry, (text, each) => {
        const add = { op: 'append', path: ['servers'], value: { name: 'NEW', ...each } } as const;
        roundTrip(text, 'yaml', add, (now) => {
          const { servers } = now as { servers: unknown[] };
          return { op: 'remove', path: ['servers', servers.length - 1] };
        });
      }),
    );
  });

  it('add and remove a TOML table, and leave the same bytes', () => {
    fc.assert(
      fc.property(tomlText, entry, (text, each) => {
        const path = ['mcp_servers', 'NEW'];
        roundTrip(text, 'toml', { op: 'set', path, value: each }, () => ({ op: 'remove', path }));
      }),
    );
  });

  it('only insert when they add', () => {
    fc.assert(
      fc.property(
        yamlText.filter((text) => !text.includes('[] #')),
        entry,
        (text, each) => {
          const change = { op: 'append', path: ['servers'], value: { name: 'NEW', ...each } } as const;
          expect(isInsertion(text, edited(text, 'yaml', '/x/c.yaml', [change]))).toBe(true);
        },
      ),
    );
    fc.assert(
      fc.property(jsonText, entry, (text, each) => {
        const change = { op: 'set', path: ['mcpServers', 'NEW'], value: each } as const;
        expect(isInsertion(text, edited(text, 'json', '/x/c.json', [change]))).toBe(true);
      }),
    );
  });

  it('remove any server and keep the bytes of the others', () => {
    fc.assert(
      fc.property(jsonText, fc.nat(), (text, index) => {
        const value = parsed(text, 'json', '/x/c.json') as { mcpServers: Record<string, unknown> };
        const names = Object.keys(value.mcpServers);
        const key = names[index % Math.max(1, names.length)];
        if (key === undefined) return;
        const after = edited(text, 'json', '/x/c.json', [{ op: 'remove', path: ['mcpServers', key] }]);
        expect(isInsertion(after, text)).toBe(true);
      }),
    );
  });

  it('of hostile text give another text, or say why not', () => {
    const pieces = fc.array(
      fc.constantFrom(
        'servers:',
        ' ',
        '\n',
        '- ',
        'a: b',
        '[',
        ']',
        '{',
        '}',
        '&x ',
        '*x',
        '"',
        "'",
        '#',
        '|',
        '>',
        '\t',
        ',',
        ':',
        '? ',
        '!!str ',
        '---',
        '...',
        '<<: ',
        '[mcp_servers.a]',
        '=',
        '"""',
        'a',
      ),
      { maxLength: 30 },
    );
    const change: Change = { op: 'append', path: ['servers'], value: { name: 'x', command: 'y' } };
    const set: Change = { op: 'set', path: ['mcp_servers', 'x'], value: { url: 'http://x' } };
    fc.assert(
      fc.property(pieces, fc.constantFrom<Format>('json', 'yaml', 'toml'), (parts, format) => {
        const text = parts.join('');
        for (const each of [change, set])
          try {
            edited(text, format, '/x/file', [each]);
          } catch (error) {
            if (!(error instanceof Refusal) && !(error instanceof BrokenFile)) throw error;
          }
      }),
      { numRuns: 500 },
    );
  });
});

describe('the JSON reader', () => {
  it('reads what JSON.parse reads, with comments between', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(valueOf(jsonTree(text).root)).toEqual(JSON.parse(text));
        expect(valueOf(jsonTree(`/* a */ ${text} // b`).root)).toEqual(JSON.parse(text));
      }),
    );
  });
});
