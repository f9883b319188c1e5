/** Starts the page: takes the ticket out of the address, signs in, and shows the screens. */
import { effect } from '@preact/signals';
import { render } from 'preact';
import { App, letters } from './app.js';
import { exchangeTicket, key, refusal, setKey, signOut, type Failure } from './data/api.js';
import { connection, isRoleless, me, readMe, start } from './data/live.js';
import { listen } from './keys.js';
import { place, replace, to } from './router.js';

const RETRY_MS = 2_000;

/** The ticket of the address. It is used once, so it leaves the address before anything else happens. */
function takeTicket(): string | null {
  const ticket = /^#t=([\w-]+)$/.exec(location.hash)?.[1];
  if (ticket === undefined) return null;
  replace(to([]));
  return ticket;
}

async function signIn(): Promise<Failure | null> {
  const ticket = takeTicket();
  if (ticket !== null) {
    const result = await exchangeTicket(ticket);
    // A link that is opened again in a tab that is signed in changes nothing.
    if (result.ok) setKey(result.value.key);
    else if (key.value === null) return result;
  }
  if (key.value === null) return null;
  for (;;) {
    const failed = await readMe();
    if (!failed) break;
    // Its sign-in has ended, which the page says.
    if (key.value === null) return null;
    if (failed.status === 401 || failed.status === 403) {
      signOut(null);
      return failed;
    }
    // The gateway may be starting.
    connection.value = 'lost';
    show();
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  if (!isRoleless.value && me.value?.role !== 'none') start();
  return null;
}

function show(): void {
  const root = document.getElementById('app');
  if (root) render(<App />, root);
}

listen(letters);
effect(() => {
  const { path } = place.value;
  document.title = [...path.slice(0, 2).reverse(), 'mcpstead'].join(' · ');
});
addEventListener('hashchange', () => {
  if (location.hash.startsWith('#t=')) location.reload();
});
void signIn().then((failure) => {
  refusal.value = failure;
  show();
});
