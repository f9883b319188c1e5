/** Signing in: at the identity provider where the gateway signs people in, or by a key that is typed. A link of the command line brings a ticket. */
import { signal, useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { beginSignIn, issuerHere } from './data/account.js';
import { ownGrant, refusal, setKey, signedOut, signOut, type Failure } from './data/api.js';
import { isRoleless, readMe, start } from './data/live.js';
import { OwnConnections } from './screens/connections.js';
import { OwnSignIns } from './screens/sign-ins.js';
import { LazyApprovals } from './ui/lazy.js';
import { Button, Command } from './ui/basics.js';

/** What was refused is what was typed, not the ticket that the page was opened with. */
const tried = signal(false);

export function SignIn(): JSX.Element {
  const typed = useSignal('');
  const failed = refusal.value;
  const busy = useSignal(false);
  const issuer = useSignal<string | null>(null);
  useEffect(() => void issuerHere().then((found) => (issuer.value = found)), []);
  const here = issuer.value;
  const enter = async (): Promise<void> => {
    const key = typed.value.trim();
    tried.value = true;
    if (!/^[!-~]+$/.test(key)) {
      refusal.value = NOT_A_KEY;
      return;
    }
    busy.value = true;
    setKey(key);
    const refused = await readMe();
    busy.value = false;
    refusal.value = refused;
    if (refused) signOut(null);
    else if (!isRoleless.value) start();
  };
  return (
    <main class="signin">
      <h1>mcpstead console</h1>
      {signedOut.value === null ? null : (
        <p class="note attention" role="alert">
          <span aria-hidden="true">▲ </span>
          {signedOut.value}
        </p>
      )}
      {failed ? (
        <div class="note failed" role="alert">
          <p>
            <span aria-hidden="true">✕ </span>
            <strong>{wordOf(failed, tried.value)}</strong>
          </p>
          <p>
            <bdi>{failed.message}</bdi> <small>({failed.code})</small>
          </p>
          {failed.action === null ? null : <p>{failed.action}</p>}
        </div>
      ) : null}
      {here === null ? null : (
        <p class="actions">
          <Button kind="main" onClick={() => void beginSignIn(here)}>
            Sign in with your account
          </Button>
        </p>
      )}
      <p>
        On the machine of the gateway, this opens the page with a key:
        <br />
        <Command text="mcpstead console" />
      </p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (typed.value.trim() !== '' && !busy.value) void enter();
        }}
      >
        <div class="field">
          <label for="key">Or a key</label>
          <input
            id="key"
            type="password"
            autocomplete="off"
            spellcheck={false}
            value={typed.value}
            aria-invalid={failed !== null}
            onInput={(event) => {
              typed.value = event.currentTarget.value;
              refusal.value = null;
            }}
          />
          <p class="dim">
            The console key, or the token or key of an operator or viewer. It stays in this tab.
          </p>
        </div>
        <p class="actions">
          <button type="submit" class={here === null ? 'main' : ''} disabled={busy.value}>
            Sign in
          </button>
        </p>
      </form>
    </main>
  );
}

/** No header can carry it. */
const NOT_A_KEY: Failure = {
  ok: false,
  status: 401,
  code: 'unauthorized',
  message: 'a key has only letters, digits and signs of ASCII, without spaces',
  action: null,
};

function wordOf({ status, code }: Failure, isTyped: boolean): string {
  if (code === 'too_many_attempts' || status === 429) return 'Too many attempts.';
  if (status === 401) return isTyped ? 'This key is wrong.' : 'This key or ticket is not accepted.';
  if (status === 403) return 'This is not for you.';
  return 'Signing in did not work.';
}

/** Somebody whom the gateway knows, but who is neither operator nor viewer. */
export function NoRole(): JSX.Element {
  const isAccount = ownGrant() !== null;
  return (
    <main class="signin">
      <h1>mcpstead console</h1>
      <LazyApprovals own />
      <div class="note attention" role="status">
        <p>
          <span aria-hidden="true">▲ </span>
          <strong>You are neither operator nor viewer.</strong>
        </p>
        <p>
          You see the calls that wait for you. The rest of the console is for those named by{' '}
          <code>mcp.auth.admins</code> (operators) and <code>mcp.auth.viewers</code> (viewers) in the
          configuration.
        </p>
      </div>
      <p class="actions">
        <Button onClick={() => signOut(null)}>{isAccount ? 'Sign out' : 'Use another key'}</Button>
      </p>
      <OwnConnections />
      {isAccount ? <OwnSignIns /> : null}
    </main>
  );
}
