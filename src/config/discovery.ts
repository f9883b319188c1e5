/** Checks `discovery`, and finds what its routes lead to. */
import { isPlain } from './address.js';
import { suggestion } from './issues.js';
import { Findings, noSource, type Path } from './problems.js';
import { hasRoute } from './server.js';
import type { Config } from './types.js';

type Checked = Pick<Config, 'discovery' | 'http' | 'servers' | 'disabled' | 'profiles'>;

/** An entry of `discovery.expose`. */
export interface ExposedRoute {
  /** The last part of its published name. */
  readonly name: string;
  /** `merged`: `/mcp`. */
  readonly kind: 'merged' | 'server' | 'profile';
}

const ROUTE = /^(?:\/(servers|profiles)\/([A-Za-z0-9._-]{1,64}))?\/mcp$/;
const NAME_OF_MERGED = 'mcpstead';

/** What an entry of `discovery.expose` leads to, whether or not it exists; undefined: it is not a route. */
export function exposedRoute(route: string): ExposedRoute | undefined {
  const found = ROUTE.exec(route);
  if (!found) return undefined;
  const [, kind, name = NAME_OF_MERGED] = found;
  return { name, kind: kind === undefined ? 'merged' : kind === 'servers' ? 'server' : 'profile' };
}

/** A top-level domain and at least one more label, in reverse order. A published name has at most 200 characters. */
const PUBLISHER =
  /^(?=.{1,135}$)(?:[a-z]{2,63}|xn--[a-z0-9-]{1,59})(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+$/i;
/** Last labels of names that are probably written forwards. */
const FORWARDS = /^(?!(?:com|org|net|io|dev|ai|app)\.).*\.(com|org|net|io|dev|ai|app)$/i;

const EXPOSE: Path = ['discovery', 'expose'];

/** Reports what keeps the documents from being served as configured. */
export function checkDiscovery(config: Checked, findings: Findings): void {
  const { publisher, expose, catalog, registry } = config.discovery;
  if (publisher !== null) checkPublisher(publisher, findings);
  if (expose.length === 0) {
    for (const [key, isOn] of Object.entries({ catalog, registry }))
      if (isOn)
        findings.problem(
          ['discovery', key],
          'has nothing to list: discovery.expose is empty',
          'expose: [/mcp]',
          true,
        );
    return;
  }
  if (publisher === null)
    findings.problem(
      EXPOSE,
      'needs discovery.publisher, which published names begin with',
      'publisher: com.example, the reverse of a domain name of yours',
      true,
    );
  checkPublicUrl(config.http, findings);
  checkRoutes(config, findings);
}

/** What `checkDiscovery` reports about a configuration that keeps settings which only a restart changes; undefined: nothing. */
export function discoveryProblem(config: Checked): string | undefined {
  const findings = new Findings(noSource);
  checkDiscovery(config, findings);
  return findings.problems.length === 0 ? undefined : findings.error().message;
}

function checkPublisher(publisher: string, findings: Findings): void {
  const path = ['discovery', 'publisher'];
  const reversed = publisher.split('.').reverse().join('.');
  if (!PUBLISHER.test(publisher))
    findings.problem(path, 'must be a reverse domain name', 'com.example, for the domain example.com');
  else if (FORWARDS.test(publisher))
    findings.warn(path, `stands for the domain ${reversed}`, `for the domain ${publisher} write ${reversed}`);
}

function checkPublicUrl({ public_url }: Config['http'], findings: Findings): void {
  // A variable in it is not set, which is reported already.
  if (public_url === '') return;
  if (public_url === null)
    findings.problem(
      EXPOSE,
      'needs http.public_url: the documents say where clients reach the gateway',
      'http: {public_url: https://gateway.example.com}',
      true,
    );
  else if (!isPlain(public_url))
    findings.problem(
      ['http', 'public_url'],
      'must be https, or http on loopback, without user, query and fragment: discovery.expose publishes it',
      'https://gateway.example.com',
    );
}

function checkRoutes({ discovery, servers, disabled, profiles }: Checked, findings: Findings): void {
  const known = {
    server: servers.map(({ name }) => name).filter(hasRoute),
    profile: profiles.map(({ name }) => name),
  };
  const off = new Set(disabled.map(({ name }) => name));
  const published = new Map<string, string>();
  // A server that has an error of its own is missing here.
  const isWhole = !findings.problems.some(({ key }) => /^(?:servers|mcpServers)\b/.test(key));
  discovery.expose.forEach((written, index) => {
    const path = [...EXPOSE, index];
    const route = exposedRoute(written);
    if (!route) {
      const shown = written.slice(0, 128);
      findings.problem(
        path,
        `'${shown}' is not the path of a route`,
        '/mcp, /servers/<name>/mcp or /profiles/<name>/mcp',
      );
      return;
    }
    const { kind, name } = route;
    if (kind === 'server' && off.has(name))
      findings.warn(path, `describes nothing: the server '${name}' is disabled`);
    else if (kind !== 'merged' && !known[kind].includes(name) && (kind === 'profile' || isWhole)) {
      const fix = known[kind].length === 0 ? '/mcp' : suggestion(name, known[kind], []);
      findings.problem(path, `there is no ${kind} '${name}' with a route`, fix);
    }
    const other = published.get(name);
    if (other === written) findings.problem(path, `is '${written}' twice`, 'write each route once');
    else if (other !== undefined)
      findings.problem(
        path,
        `would be published as '${name}', and so would ${other}`,
        `rename one of them, or expose one of them`,
      );
    published.set(name, written);
  });
}
