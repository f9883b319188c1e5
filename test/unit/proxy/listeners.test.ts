import { expect, test } from 'vitest';
import type { Caller, Notice, Sink, View } from '../../../src/protocol/ports.js';
import { tellChanged } from '../../../src/proxy/fan-out.js';
import { Listener } from '../../../src/proxy/listeners.js';
import { routeTo } from '../../../src/proxy/route.js';

const CHANGED = 'notifications/tools/list_changed';

test('a stream is told of no change from before it knows what its lists are', () => {
  const told: string[] = [];
  let digest = 'before';
  const sink = { notify: ({ method }: Notice) => told.push(method) > 0 } as unknown as Sink;
  const view = { list: () => ({ digest }) } as unknown as View;
  const listener = new Listener({
    caller: { view } as Caller,
    route: routeTo({}),
    rawId: '1',
    sink,
    changes: new Set(['tools']),
    left: () => undefined,
  });
  tellChanged(listener, ['tools']);
  listener.begin();
  listener.acknowledge('{}');
  tellChanged(listener, ['tools']);
  expect(told).not.toContain(CHANGED);
  digest = 'after';
  tellChanged(listener, ['tools']);
  expect(told.at(-1)).toBe(CHANGED);
});
