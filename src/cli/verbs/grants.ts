/** Sign-ins of people at the gateway: `mcpstead grants list | end | client`. */
import type { Grant, GrantList, GrantsEnded, PrintedClient } from '../../admin/grant-schemas.js';
import { Refusal } from '../../terminal/explain.js';
import type { Terminal } from '../../terminal/terminal.js';
import { counted, outputOf, type Cell } from '../output.js';
import { agrees } from '../prompts.js';
import { actApi, askApi, gatewayOf, parsed, readApi, type Gateway } from '../target.js';
import type { Verb, Written } from '../verb.js';

const API = '/-/api/v1/grants';
/** The identity provider may be asked to withdraw its token. */
const END_MS = 60_000;

export const listGrants: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const grants = await allGrants(gatewayOf(written, terminal));
  if (output.json) {
    output.document(grants);
    return 0;
  }
  if (grants.length === 0) output.note('nobody is signed in');
  else output.table([HEADINGS, ...grants.map(rowOf)]);
  return 0;
};

/** Ends sign-ins by id, or all of a person, of a client, of everybody. Exit status 1 if none is found. */
export const endGrants: Verb = async (written, terminal) => {
  const { values, flags, words } = written;
  const { person, client } = values;
  const ways = [words.length > 0, person !== undefined, client !== undefined, flags.has('all')];
  if (ways.filter(Boolean).length !== 1)
    throw new Refusal('name what ends, in one way: ID..., --person P, --client NAME or --all', 2);
  const output = outputOf(written, terminal);
  const gateway = gatewayOf(written, terminal);
  const ended = await endChosen(gateway, written, terminal);
  if (ended === undefined) {
    output.note('nothing was changed');
    return 0;
  }
  if (output.json) output.document({ ended });
  else output.line(ended === 0 ? 'there was nothing to end' : `ended ${counted(ended, 'sign-in')}`);
  return 0;
};

/** Prints the id of a client that cannot register itself, alone on stdout. */
export const printClient: Verb = async (written, terminal) => {
  const [name = '', ...uris] = written.words;
  const output = outputOf(written, terminal);
  const gateway = gatewayOf(written, terminal);
  const { client_id } = await actApi<PrintedClient>(gateway, 'grants/client', { name, redirect_uris: uris });
  if (output.json) output.document({ client_id });
  else output.line(client_id);
  return 0;
};

/** Resolves with how many sign-ins have ended; undefined: the person at the terminal says no. */
async function endChosen(
  gateway: Gateway,
  written: Written,
  terminal: Terminal,
): Promise<number | undefined> {
  const { values, flags, words } = written;
  const { person, client } = values;
  if (person !== undefined) {
    const query = new URLSearchParams({ person }).toString();
    return (await erase<GrantsEnded>(gateway, `${API}?${query}`)).ended;
  }
  if (flags.has('all')) {
    const grants = await allGrants(gateway);
    const question = `End ${counted(grants.length, 'sign-in')}? Everybody has to sign in again.`;
    if (
      grants.length > 0 &&
      !(await agrees(question, 'grants end --all signs everybody out', written, terminal))
    )
      return undefined;
    return endEach(
      gateway,
      grants.map(({ id }) => id),
    );
  }
  if (client === undefined) {
    for (const id of words) await erase(gateway, `${API}/${encodeURIComponent(id)}`);
    return words.length;
  }
  const chosen = (await allGrants(gateway)).filter((grant) => grant.client === client);
  if (chosen.length === 0)
    throw new Refusal(`no sign-in is of a client '${client}': see mcpstead grants list`);
  return endEach(
    gateway,
    chosen.map(({ id }) => id),
  );
}

async function allGrants(gateway: Gateway): Promise<readonly Grant[]> {
  return (await readApi<GrantList>(gateway, 'grants')).grants;
}

/** Resolves with how many there were: some may have ended meanwhile. */
async function endEach(gateway: Gateway, ids: readonly string[]): Promise<number> {
  let ended = 0;
  for (const id of ids) {
    const answer = await askApi(gateway, `${API}/${encodeURIComponent(id)}`, {
      method: 'DELETE',
      timeoutMs: END_MS,
    });
    if (answer.status === 404) continue;
    parsed(gateway, answer);
    ended++;
  }
  return ended;
}

async function erase<T>(gateway: Gateway, path: string): Promise<T> {
  return parsed<T>(gateway, await askApi(gateway, path, { method: 'DELETE', timeoutMs: END_MS }));
}

const HEADINGS: readonly Cell[] = [
  'ID',
  'PERSON',
  'CLIENT',
  'HOST',
  'RESOURCE',
  'SCOPES',
  'SINCE',
  'LAST USED',
].map((text) => [text, 'dim'] as const);

function rowOf({ id, person, client, host, resource, scopes, since, last_used }: Grant): Cell[] {
  return [id, person, client, host, resource, scopes.join(' ') || '-', minute(since), minute(last_used)];
}

/** `2026-11-27 12:00` */
function minute(time: string): string {
  return time.slice(0, 16).replace('T', ' ');
}
