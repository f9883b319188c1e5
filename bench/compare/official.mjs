// The official lists of both eras through each gateway, in front of one reference server: how many scenarios are clean.
import { join } from 'node:path';
import { startServer } from '../../scripts/conformance/processes.mjs';
import { at, LEGACY, MODERN, NOT_OVER_STDIO, NOTHING, runLists } from '../../scripts/conformance/suites.mjs';
import { root, withGateway } from './gateways.mjs';
import { STRAIGHT } from './report.mjs';

/** A server for both eras, with everything that the lists ask for. */
const FILE = at('test/fixtures/servers/both.mjs');
const ERAS = [LEGACY, MODERN];
const short = (error) =>
  String(error?.message ?? error)
    .replaceAll(/\s+/g, ' ')
    .slice(0, 200);
const fileName = (text) => text.replaceAll(/\W+/g, '-');

/** {clean, all, unchecked, wrong: [scenario]}; `unchecked` are those in which the suite found nothing to check. */
export function countOf(found) {
  const checked = [...found].filter(([, wrong]) => wrong !== NOTHING);
  const wrong = checked.filter(([, faults]) => faults.length > 0).map(([scenario]) => scenario);
  return {
    clean: checked.length - wrong.length,
    all: found.size,
    unchecked: found.size - checked.length,
    wrong,
  };
}

async function through(peer, url) {
  const kind = peer.serves.includes('http') ? 'http' : 'stdio';
  const server =
    kind === 'http'
      ? { name: 'ref', url }
      : { name: 'ref', command: process.execPath, args: [FILE, 'stdio'], env: {} };
  return withGateway(peer, [server], async (gateway) => {
    const target = peer.straight ? gateway.base + peer.straight('ref') : gateway.url;
    const row = { kind, path: new URL(target).pathname };
    const excused = kind === 'stdio' ? [NOT_OVER_STDIO] : [];
    for (const era of ERAS) {
      const output = join(root, `official-${fileName(peer.name)}-${era}`);
      row[era] = countOf(await runLists(era, target, output, excused));
      console.error(`  ${peer.name}, ${era}: ${row[era].clean} of ${row[era].all}`);
    }
    return row;
  });
}

/** {name: {kind, path, [era]: count}}; `problems` gets those that could not be tried. */
export async function officialLists(peers, problems) {
  const server = await startServer(
    { command: process.execPath, args: [FILE, 'http'] },
    join(root, 'reference.log'),
  );
  const rows = {};
  try {
    const straight = { kind: 'http', path: '/mcp' };
    for (const era of ERAS)
      straight[era] = countOf(await runLists(era, server.url, join(root, `official-straight-${era}`), []));
    rows[STRAIGHT] = straight;
    for (const peer of peers) {
      const why =
        peer.kind === 'sse'
          ? 'its endpoint is HTTP+SSE, and the suite speaks Streamable HTTP'
          : peer.needsToken
            ? 'it needs a token, and the suite sends none'
            : undefined;
      if (why) problems.push({ name: peer.name, what: 'official lists', why });
      else
        try {
          rows[peer.name] = await through(peer, server.url);
        } catch (error) {
          problems.push({ name: peer.name, what: 'official lists', why: short(error) });
        }
    }
    return rows;
  } finally {
    server.stop();
  }
}
