import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
  chmodSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { addKey, entryText, keysFileOf, namesIn, removeKey } from '../../../src/config/keys-file.js';
import { scratchFolder } from '../../helpers/state.js';

const HASH = 'A'.repeat(43);
const key = (name: string) => ({ name, sha256: [HASH] });

function file(text?: string): string {
  const path = join(scratchFolder(), 'keys.yaml');
  if (text !== undefined) writeFileSync(path, text);
  return path;
}

const textOf = (path: string): string => readFileSync(path, 'utf8');
const line = (name: string): string => `- { name: ${name}, sha256: [${HASH}] }\n`;

const LISTED = `# Keys of the team.

- { name: first, sha256: [${HASH}] }   # for the build
# The second one
- name: second
  sha256:
    - ${HASH}
  groups: ["dev", 'ops']  # both

- {name: last, sha256: [${HASH}]}
# The end.
`;

describe('addKey', () => {
  it('makes the file, for its owner alone', () => {
    const path = file();
    addKey(path, { ...key('ci'), groups: ['dev', 'on call'], scopes: ['files:read'], expires: '2027-06-30' });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(parse(textOf(path))).toEqual([
      { ...key('ci'), groups: ['dev', 'on call'], scopes: ['files:read'], expires: '2027-06-30' },
    ]);
    expect(readdirSync(join(path, '..'))).toEqual(['keys.yaml']);
  });

  it('writes whose votes a key gives', () => {
    const path = file();
    addKey(path, { ...key('al-ok'), owner: 'corp:al', approver: true });
    expect(parse(textOf(path))).toEqual([{ ...key('al-ok'), owner: 'corp:al', approver: true }]);
  });

  it('adds to the end; comments and all other bytes stay, and the mode of the file', () => {
    const path = file(LISTED);
    chmodSync(path, 0o640);
    addKey(path, key('new'));
    expect(textOf(path)).toBe(LISTED + line('new'));
    expect(statSync(path).mode & 0o777).toBe(0o640);
    expect(namesIn(path)).toEqual(['first', 'second', 'last', 'new']);
  });

  it('ends a last line that has no end', () => {
    const path = file(line('a').trimEnd());
    addKey(path, key('b'));
    expect(textOf(path)).toBe(line('a') + line('b'));
  });

  it.each(['', '\n', '# nothing yet\n', '[]\n', '# none\n[ ]\n', '---\n'])(
    'adds to an empty file: %j',
    (before) => {
      const path = file(before);
      addKey(path, key('ci'));
      expect(namesIn(path)).toEqual(['ci']);
      for (const comment of before.match(/#.*/g) ?? []) expect(textOf(path)).toContain(comment);
    },
  );

  it.each([
    ['a flow list', `[{ name: a, sha256: [${HASH}] }]\n`],
    ['a list that is indented', `  - { name: a, sha256: [${HASH}] }\n`],
    ['JSON', `[{"name": "a", "sha256": ["${HASH}"]}]`],
  ])('refuses %s, says what to add by hand, and leaves the file', (_what, before) => {
    const path = file(before);
    expect(() => {
      addKey(path, key('ci'));
    }).toThrow(`${path} cannot be edited: add ${line('ci').trim()} to it by hand`);
    expect(textOf(path)).toBe(before);
    expect(readdirSync(join(path, '..'))).toEqual(['keys.yaml']);
  });

  it('refuses a file that is not a list, or cannot be read', () => {
    const mapping = file('keys: []\n');
    expect(() => {
      addKey(mapping, key('ci'));
    }).toThrow('is not a list of keys');
    const folder = join(scratchFolder(), 'folder');
    mkdirSync(folder);
    expect(() => {
      addKey(folder, key('ci'));
    }).toThrow('is a directory');
  });

  it('writes names that YAML would read as something else as text', () => {
    const path = file();
    for (const name of ['1e3', 'true', 'null', 'a.b@c', '-', '~', '2027-01-01', 'no'])
      addKey(path, { ...key(name), groups: [name] });
    expect(namesIn(path)).toEqual(['1e3', 'true', 'null', 'a.b@c', '-', '~', '2027-01-01', 'no']);
  });
});

describe('removeKey', () => {
  it.each([
    ['first', '- { name: first'],
    ['second', '- name: second'],
    ['last', '- {name: last'],
  ])('removes the entry %s, and leaves the others as they are', (name, start) => {
    const path = file(LISTED);
    expect(removeKey(path, name)).toBe(true);
    const text = textOf(path);
    expect(text).not.toContain(start);
    const before = parse(LISTED) as { name: string }[];
    expect(parse(text)).toEqual(before.filter((entry) => entry.name !== name));
    // Every line that stays is a line of before, in its order.
    const lines = LISTED.split('\n');
    let at = 0;
    for (const each of text.split('\n')) {
      at = lines.indexOf(each, at);
      expect(at, each).toBeGreaterThanOrEqual(0);
      at++;
    }
    expect(text).toContain('# Keys of the team.');
  });

  it('leaves an empty list, to which a key can be added again', () => {
    const path = file(line('only'));
    expect(removeKey(path, 'only')).toBe(true);
    expect(textOf(path)).toBe('[]\n');
    addKey(path, key('next'));
    expect(namesIn(path)).toEqual(['next']);
  });

  it('keeps a comment when the only entry goes', () => {
    const path = file(`# Keys\n${line('only')}`);
    expect(removeKey(path, 'only')).toBe(true);
    expect(textOf(path)).toContain('# Keys');
    addKey(path, key('next'));
    expect(namesIn(path)).toEqual(['next']);
    expect(textOf(path)).toContain('# Keys');
  });

  it('knows no name that is not there, and no file that is not there', () => {
    const path = file(LISTED);
    expect(removeKey(path, 'nobody')).toBe(false);
    expect(textOf(path)).toBe(LISTED);
    const none = file();
    expect(removeKey(none, 'ci')).toBe(false);
    expect(existsSync(none)).toBe(false);
  });

  it('refuses a flow list', () => {
    const before = `[{ name: a, sha256: [${HASH}] }, { name: b, sha256: [${HASH}] }]\n`;
    const path = file(before);
    expect(() => removeKey(path, 'a')).toThrow(`${path} cannot be edited: remove the entry 'a' by hand`);
    expect(textOf(path)).toBe(before);
  });
});

describe('keysFileOf', () => {
  it('is beside the config; the rest of the config may be wrong', () => {
    const folder = scratchFolder();
    const config = join(folder, 'config.yaml');
    const set = (text: string): string | undefined => {
      writeFileSync(config, text);
      return keysFileOf(config);
    };
    expect(set('mcp: {auth: {keys_file: keys.yaml}}\nservers: 7\n')).toBe(join(folder, 'keys.yaml'));
    expect(set('mcp: {auth: {keys_file: /etc/keys.yaml}}')).toBe('/etc/keys.yaml');
    for (const text of [
      '',
      '[]',
      'mcp: 1',
      'mcp: {auth: []}',
      'mcp: {auth: {keys_file: 7}}',
      'mcp: {auth: {keys_file: ""}}',
    ])
      expect(set(text)).toBeUndefined();
    expect(() => keysFileOf(join(folder, 'none.yaml'))).toThrow('no such file');
  });
});

it('an entry is one line of YAML, without members that are empty', () => {
  expect(entryText({ ...key('ci'), groups: [], scopes: ['a b'] })).toBe(
    `{ name: ci, sha256: [${HASH}], scopes: ["a b"] }`,
  );
  expect(entryText({ name: 'x', sha256: ['-' + 'A'.repeat(42)] })).toContain('["-A');
});
