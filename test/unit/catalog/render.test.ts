import fc from 'fast-check';
import { expect, it } from 'vitest';
import { shownDescription } from '../../../src/catalog/render.js';
import { readListPage, type Definition } from '../../../src/protocol/lists.js';

const described = (description: string | undefined): Definition => {
  const text =
    description === undefined ? '' : `,"description":${description.startsWith('"') ? description : ''}`;
  const page = `{"tools":[{"name":"x"${text},"inputSchema":{"type":"object"}}]}`;
  return readListPage('tools', Buffer.from(page)).definitions[0] as Definition;
};

it('begins with the server, whatever escapes and characters the description has', () => {
  const spelt = fc
    .array(fc.tuple(fc.string({ unit: 'grapheme', maxLength: 3 }), fc.boolean()), { maxLength: 40 })
    .map((parts) =>
      parts
        .map(([text, escaped]) =>
          escaped
            ? text
                .split('')
                .map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
                .join('')
            : JSON.stringify(text).slice(1, -1),
        )
        .join(''),
    );
  fc.assert(
    fc.property(spelt, fc.integer({ min: 1, max: 80 }), (json, length) => {
      const whole = `[s] ${JSON.parse(`"${json}"`) as string}`;
      const shown = shownDescription(described(`"${json}"`), 's', length);
      expect(shown).toBe(
        whole
          .slice(0, 4 + length)
          .trim()
          .slice(0, length),
      );
    }),
  );
  expect(shownDescription(described(undefined), 's', 200)).toBe('Tool from s');
});
