/** What a person does about a state of a server. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import type { Action } from '../../../src/admin/schemas.js';
import { post, type Failure } from '../data/api.js';
import { isOperator } from '../data/live.js';
import { timeOfDay } from '../format.js';
import { announce } from './announce.js';
import { Button, Command, Problem } from './basics.js';
import { LogIn } from './login.js';

const VERBS: Readonly<Record<string, string>> = {
  restart: 'Restart',
  refresh: 'Refresh',
  enable: 'Switch on',
  reload: 'Reload',
};

/** What a person does about a state: words, a command to copy, a button. */
export function WayOut({
  action,
  name,
  words,
}: {
  action: Action | null;
  name: string;
  /** Without a button: the page has one. */
  words?: boolean;
}): JSX.Element | null {
  const failed = useSignal<Failure | null>(null);
  const busy = useSignal(false);
  const said = useSignal('');
  if (!action) return null;
  const { post: path, command, text } = action;
  const verb = VERBS[path?.split('/').at(-1) ?? ''] ?? 'Do it';
  return (
    <span class="way-out">
      <span>{text}</span>
      {command === undefined ? null : <Command text={command} />}
      {path?.endsWith('/login') === true && isOperator() ? (
        <LogIn server={name} />
      ) : path !== undefined && isOperator() && words !== true ? (
        <Button
          disabled={busy.value}
          label={`${verb}: ${name}`}
          onClick={() => {
            busy.value = true;
            void post(path.replace(/^\//, '')).then((result) => {
              busy.value = false;
              failed.value = result.ok ? null : result;
              // What fails at once again looks as if nothing had happened.
              said.value = result.ok ? `done ${timeOfDay(Date.now())}` : '';
              if (result.ok) announce(`${verb}: ${name}`);
            });
          }}
        >
          {verb}
        </Button>
      ) : null}
      {said.value === '' ? null : <span class="dim">{said.value}</span>}
      {failed.value ? <Problem failure={failed.value} /> : null}
    </span>
  );
}
