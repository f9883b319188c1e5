/** Keeping the bodies of calls, for a while and for one server or tool. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import type { Capture } from '../../../src/admin/schemas.js';
import { ask, post, type Failure } from '../data/api.js';
import { me, now, readMe, servers } from '../data/live.js';
import { plural, timeOfDay } from '../format.js';
import { announce } from '../ui/announce.js';
import { Button, Problem } from '../ui/basics.js';

export function Capturing(): JSX.Element {
  const failed = useSignal<Failure | null>(null);
  const server = useSignal('');
  const tool = useSignal('');
  const capture = me.value?.capture ?? null;
  const isOn = capture !== null && Date.parse(capture.until) > now.value && capture.left > 0;
  const begin = (): void =>
    void post<Capture>('capture', { server: server.value, tool: tool.value === '' ? null : tool.value }).then(
      async (result) => {
        failed.value = result.ok ? null : result;
        if (!result.ok) return;
        announce('Capturing began');
        await readMe();
      },
    );
  const end = (): void =>
    void ask('capture', { method: 'DELETE' }).then(async (result) => {
      failed.value = result.ok ? null : result;
      await readMe();
    });
  return (
    <>
      {isOn ? (
        <p class="note attention">
          <span aria-hidden="true">▲ </span>
          Arguments and results of <bdi>{capture.tool ?? capture.server}</bdi> are captured until{' '}
          {timeOfDay(capture.until)}, at most {plural(capture.left, 'call')} more; <bdi>{capture.by}</bdi>{' '}
          began it. <Button onClick={end}>End</Button>
        </p>
      ) : (
        <details>
          <summary>Capture arguments and results</summary>
          <form
            class="filters"
            onSubmit={(event) => {
              event.preventDefault();
              begin();
            }}
          >
            <label>
              Server{' '}
              <select value={server.value} onChange={(event) => (server.value = event.currentTarget.value)}>
                <option value="">choose</option>
                {(servers.value ?? []).map(({ name }) => (
                  <option key={name} value={name}>
                    {name}
                  </option>
                ))}
              </select>
            </label>
            <label>
              Tool <small class="dim">its own name; all if empty</small>{' '}
              <input value={tool.value} onInput={(event) => (tool.value = event.currentTarget.value)} />
            </label>
            <button type="submit" disabled={server.value === ''}>
              Capture
            </button>
          </form>
          <p class="dim">
            100 calls, 10 minutes, 16 KB a body, secrets masked, in memory alone. The log says who began it.
          </p>
        </details>
      )}
      {failed.value ? <Problem failure={failed.value} /> : null}
    </>
  );
}
