import { expect, it } from 'vitest';
import { methodOf } from '../../../src/protocol/methods.js';

/** The requests and notifications of each revision's schema that clients send, but for what only an extension has. */
const LEGACY = `initialize ping tools/list tools/call prompts/list prompts/get resources/list resources/templates/list resources/read
  resources/subscribe resources/unsubscribe completion/complete logging/setLevel tasks/get tasks/list tasks/result tasks/cancel
  notifications/initialized notifications/cancelled notifications/progress notifications/roots/list_changed`;
const MODERN = `server/discover subscriptions/listen tools/list tools/call prompts/list prompts/get resources/list resources/templates/list
  resources/read completion/complete tasks/get tasks/update tasks/cancel notifications/cancelled`;

it('each era has the methods of its schema, and no others', () => {
  const [legacy, modern] = [LEGACY, MODERN].map((text) => new Set(text.split(/\s+/)));
  for (const method of new Set([...(legacy ?? []), ...(modern ?? [])])) {
    const eras = legacy?.has(method) ? (modern?.has(method) ? 'both' : 'legacy') : 'modern';
    expect([method, methodOf(method)?.eras]).toEqual([method, eras]);
  }
  for (const method of ['', 'tools', 'Tools/Call', 'constructor', '__proto__', 'toString', 'x/y'])
    expect(methodOf(method)).toBeUndefined();
});
