/** Masks of a configuration file: no secret is left, and what was not touched comes back as it was. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { stringify } from 'yaml';
import { maskText, unmaskText } from '../../src/config/index.js';

const name = fc.stringMatching(/^[a-z][a-z0-9]{0,7}$/);
const secret = fc.stringMatching(/^[A-Za-z0-9]{8,16}$/).filter((text) => !/^\d/.test(text));
/** Values that YAML writes in many ways. */
const value = fc.oneof(
  secret,
  fc.string({ minLength: 1 }),
  fc.constant('a: b # c'),
  fc.constant('one\ntwo\n'),
  fc.constant('${NAME}'),
);
const server = fc.record({
  name,
  command: name,
  args: fc.array(value, { maxLength: 3 }),
  env: fc.dictionary(name, value, { maxKeys: 3 }),
});
const file = fc.record({
  servers: fc.uniqueArray(server, { selector: (each) => each.name, maxLength: 3 }),
  token: secret,
});
const text = fc
  .tuple(file, fc.constantFrom('config.yaml', 'config.json'), secret, fc.boolean())
  .map(([content, path, hidden, comment]) => {
    const json = path.endsWith('.json');
    const written = json ? JSON.stringify(content, null, 2) : stringify(content, { lineWidth: 0 });
    const line = json ? `// it was ${hidden}\n` : `# it was ${hidden}\n`;
    return { content, path, text: comment ? line + written : written, secrets: [hidden] };
  });

it('come back as they were', () => {
  fc.assert(
    fc.property(text, ({ path, text: original, secrets }) => {
      const masked = maskText(original, path, secrets);
      if (masked === undefined) return;
      expect(unmaskText(masked, original, path, secrets)).toEqual({ text: original, unknown: 0 });
    }),
  );
});

it('leave no secret', () => {
  fc.assert(
    fc.property(text, ({ content, path, text: original, secrets }) => {
      const masked = maskText(original, path, secrets) ?? '';
      for (const each of secrets) expect(masked).not.toContain(each);
      expect(masked).not.toContain(`"${content.token}"`);
      expect(masked).not.toMatch(new RegExp(`token: ${content.token}`));
    }),
  );
});

it('never throw', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.constantFrom('c.yaml', 'c.json'), (one, other, path) => {
      maskText(one, path, ['secret']);
      unmaskText(one, other, path, ['secret']);
    }),
  );
});
