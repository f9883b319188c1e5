/** What keeps clients apart from the gateway: an entry that leads to no gateway, and servers that they have twice. */
import type { Terminal } from '../../terminal/terminal.js';
import { CLIENTS, placeOf, sourcesOf, type Source } from '../clients/index.js';
import { gatewayUrl, isGateway, isSame, partsOf, resolved } from '../clients/take.js';
import { translate } from '../clients/translate.js';
import { resolvedServers, type Resolved } from '../edit/config-file.js';
import { answersAt, gatewayOf, runningOrigins } from '../target.js';
import type { Finding } from '../finding.js';

/** Never rejects. `config`: undefined if there is none that can be read. */
export async function clientFindings(
  config: string | undefined,
  terminal: Pick<Terminal, 'env'>,
): Promise<readonly Finding[]> {
  const { env } = terminal;
  const place = placeOf(env);
  const servers = config === undefined ? [] : resolvedServers(config, env);
  const running = new Set(runningOrigins(config, env));
  const own = originOf(config, terminal);
  if (own !== undefined && !running.has(own) && (await answersAt(own))) running.add(own);
  return sourcesOf(CLIENTS, place).flatMap((source) => {
    const what = source.client.name;
    if (source.broken !== undefined) return [{ what, level: 'problem' as const, text: source.broken }];
    const stale = staleIn(source, running, own);
    const twice = source.servers.some(isGateway) ? twiceIn(source, servers, place.env) : [];
    return [...stale, ...twice];
  });
}

function originOf(config: string | undefined, terminal: Pick<Terminal, 'env'>): string | undefined {
  try {
    return gatewayOf({ values: { config } }, terminal).origin;
  } catch {
    return undefined;
  }
}

/** Gateways on other machines are not asked. */
function staleIn(
  { client, servers }: Source,
  running: ReadonlySet<string>,
  own: string | undefined,
): readonly Finding[] {
  return servers.filter(isGateway).flatMap((server): readonly Finding[] => {
    const url = gatewayUrl(server);
    if (url === undefined || !URL.canParse(url)) return [];
    const { origin, hostname } = new URL(url);
    if (!/^(?:127\.|localhost$|\[::1\]$)/.test(hostname) || running.has(origin)) return [];
    const what = client.name;
    if (origin === own)
      return [{ what, level: 'note', text: `its entry leads to ${url}: no gateway runs there now` }];
    const text = `its entry leads to ${url}, where no gateway of yours runs: mcpstead install ${what}`;
    return [{ what, level: 'problem', text }];
  });
}

function twiceIn(
  { client, servers }: Source,
  own: readonly Resolved[],
  env: NodeJS.ProcessEnv,
): readonly Finding[] {
  const twice = servers.filter((server) => {
    if (isGateway(server) || server.disabled) return false;
    const { dollars } = client;
    const { entry } = translate(server, { name: server.name, platform: process.platform, dollars });
    const parts = partsOf(resolved(entry, env));
    return own.some((each) => isSame(partsOf(each), parts));
  });
  if (twice.length === 0) return [];
  const names = twice.map(({ name }) => name).join(', ');
  const text = `has ${names} directly and through the gateway: mcpstead install ${client.name} --replace`;
  return [{ what: client.name, level: 'problem', text }];
}
