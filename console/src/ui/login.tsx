/** The button that logs in to a server: asks for a link, shows where it leads, and waits until somebody has logged in there. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import type { LoginLink, LoginState, LoginStep } from '../../../src/admin/login-schemas.js';
import { ask, get, post, type Failure } from '../data/api.js';
import { announce } from './announce.js';
import { Button, Problem } from './basics.js';

interface Begun {
  readonly id: string;
  readonly step: LoginStep;
  /** Where the link of the page leads. */
  readonly href: string;
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** Whether the browser may be sent there. */
const isSafe = ({ protocol, hostname }: URL): boolean =>
  protocol === 'https:' || (protocol === 'http:' && LOOPBACK.test(hostname));

/** Whether the cookie of this page comes back with the browser, or is not needed. */
const comesBack = ({ host, hostname }: URL): boolean => host === location.host || LOOPBACK.test(hostname);

const failed = (message: string, action: string): Failure => ({
  ok: false,
  status: 0,
  code: '',
  message,
  action,
});

async function begin(server: string): Promise<Begun | Failure> {
  const link = await post<LoginLink>(`servers/${encodeURIComponent(server)}/login/link`);
  if (!link.ok) return link;
  const { id, url } = link.value;
  const begun = await ask<LoginStep>(`logins/${id}`, { method: 'POST', takesCookie: true });
  if (!begun.ok) return begun;
  const step = begun.value;
  if (!isSafe(new URL(step.url)))
    return failed('The authorization server has a page without https.', 'correct auth of the server');
  return { id, step, href: comesBack(new URL(step.redirect_uri)) ? step.url : url };
}

export function LogIn({ server, done }: { server: string; done?: () => void }): JSX.Element {
  const begun = useSignal<Begun | null>(null);
  const failure = useSignal<Failure | null>(null);
  const busy = useSignal(false);
  const id = begun.value?.id;
  useEffect(() => {
    if (id === undefined) return;
    const controller = new AbortController();
    void ended(id, controller.signal).then((result) => {
      if (result === 'aborted') return;
      begun.value = null;
      failure.value = result;
      if (result) return;
      announce(`Logged in to ${server}`);
      done?.();
    });
    return () => controller.abort();
  }, [id]);
  const start = (): void => {
    busy.value = true;
    failure.value = null;
    void begin(server).then((result) => {
      busy.value = false;
      if ('ok' in result) failure.value = result;
      else begun.value = result;
    });
  };
  const { step, href } = begun.value ?? {};
  return (
    <>
      {step && href !== undefined ? (
        <span class="login" role="group" aria-label={`Log in: ${server}`}>
          <span>
            You log in at <bdi class="break">{step.issuer}</bdi>
            {step.scopes.length === 0 ? null : (
              <>
                , for <bdi class="break">{step.scopes.join(' ')}</bdi>
              </>
            )}
          </span>{' '}
          <a class="button main" href={href} target="_blank" rel="noopener noreferrer">
            Continue in a new tab
          </a>{' '}
          <Button kind="quiet" onClick={() => (begun.value = null)}>
            Cancel
          </Button>
        </span>
      ) : (
        <Button disabled={busy.value} label={`Log in: ${server}`} onClick={start}>
          {busy.value ? 'One moment ...' : 'Log in'}
        </Button>
      )}
      {failure.value ? <Problem failure={failure.value} /> : null}
    </>
  );
}

/** Resolves once somebody has logged in, with a failure once that is not possible any more, or when the signal aborts. */
async function ended(id: string, signal: AbortSignal): Promise<Failure | null | 'aborted'> {
  for (;;) {
    const result = await get<LoginState>(`logins/${id}?wait=true`, signal);
    if (signal.aborted) return 'aborted';
    if (!result.ok && result.status !== 0)
      return result.status === 404
        ? failed('Nobody has logged in within 10 minutes.', 'press Log in again')
        : result;
    if (result.ok && result.value.state === 'done') return null;
    // A gateway that cannot be reached is asked again.
    if (!result.ok) await new Promise((resolve) => setTimeout(resolve, 2_000));
  }
}
