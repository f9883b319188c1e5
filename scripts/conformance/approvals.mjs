// Clients on the Python SDKs 1 and 2, the latter in both eras, of a gateway that holds their calls: they answer a form, or are shown the page, or
// give up, and make the same call again.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { until } from '../fleet/processes.mjs';
import { runSteps, startGateway } from './processes.mjs';
import { at, LEGACY, MODERN } from './suites.mjs';

const CLIENT = at('test/fixtures/clients/approvals.py');
const SERVER = at('test/fixtures/servers/stdio-upstream.mjs');
/** How long a client may take. */
const LIMIT_MS = 120_000;
/** What the client prints for each step: its name in the report. */
const STEPS = new Map([
  ['yes', 'says yes in the form: the call is sent'],
  ['no', 'does not check the box: it is not sent, nor is the next same one'],
  ['declined', 'declines the form: it is not sent'],
  ['empty', 'accepts the form empty: it is not sent, and waits for its yes'],
  ['page', 'takes no forms: it is told of the page, and sent when repeated after the yes'],
  ['timeout', 'gives up after a second: it is sent when repeated after the yes'],
]);

/** A column of the report for each client: {title, found: step -> what is wrong}. */
export async function runApprovals(folder, { python, python1 }) {
  const clients = [
    { title: `SDK 1, ${LEGACY}`, command: python1, mode: 'legacy' },
    { title: `SDK 2, ${LEGACY}`, command: python, mode: 'legacy' },
    { title: `SDK 2, ${MODERN}`, command: python, mode: MODERN },
  ];
  const columns = [];
  for (const [index, { title, command, mode }] of clients.entries()) {
    const key = `mcpo_${randomBytes(32).toString('base64url')}`;
    const gateway = await startGateway(
      [{ name: 's', command: process.execPath, args: [SERVER, '{}'] }],
      join(folder, `approvals-gateway-${index}.log`),
      {
        policy: { default: 'allow', rules: [{ name: 'ask', hold: [{ tools: ['echo'], by: 'caller' }] }] },
        approvals: { wait_seconds: { default: 1, brief: 3, patient: 60 } },
        state: { dir: join(folder, `approvals-state-${index}`) },
      },
      { env: { ...process.env, MCPSTEAD_CONSOLE_KEY: key } },
    );
    try {
      const does = { approve: () => approve(gateway.url, key) };
      const log = join(folder, `approvals-${index}.log`);
      const found = await runSteps(
        [command, CLIENT, gateway.url, mode],
        { steps: STEPS, does, limitMs: LIMIT_MS },
        log,
      );
      columns.push({ title, found });
    } finally {
      await gateway.close();
    }
  }
  return columns;
}

/**
 * The holder of the console key says yes to the newest call that is open, once it does not wait any more: SDK 1 does not say that it has given up, and
 * a yes would send the call whose answer it does not hear.
 */
async function approve(endpoint, key) {
  const base = new URL('/-/api/v1/approvals', endpoint).href;
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const { id, digest } = await until(async () => {
    const { approvals } = await (await fetch(base, { headers })).json();
    const newest = approvals.findLast(({ state }) => state === 'open');
    return newest?.waiting === false && newest;
  }, 'the end of the wait');
  const body = JSON.stringify({ decision: 'approve', digest });
  const answer = await fetch(`${base}/${id}`, { method: 'POST', headers, body });
  if (!answer.ok) throw new Error(`the yes was refused: ${answer.status} ${await answer.text()}`);
}
