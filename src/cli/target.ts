/** Which gateway a command talks to, and with which credential. */
import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readSecret } from '../config/expand.js';
import { stateFolder } from '../config/listen.js';
import { ownToken } from '../config/token.js';
import { CONSOLE_KEY_FILE } from '../lib/console-key.js';
import { Refusal } from '../terminal/explain.js';
import type { Terminal } from '../terminal/terminal.js';
import { configOf } from './config-path.js';
import {
  clientEndpoint,
  exchange,
  gatewayAddress,
  refusalText,
  type Address,
  type GatewayAnswer,
} from './gateway-request.js';
import type { Written } from './verb.js';

/** Exit statuses: see docs/cli.md. */
export const SERVER_ERROR = 3;
export const NO_GATEWAY = 4;
export const REFUSED = 5;

const TIMEOUT_MS = 10_000;
const BODY_BYTES = 67_108_864;

/** What a running gateway writes into `run/` of its state folder. */
interface RunFile {
  /** Origins. */
  readonly url: string;
  readonly admin?: string | undefined;
  readonly pid: number;
  readonly config?: string | undefined;
}

export interface Gateway {
  /** Of the port that serves the admin API. */
  readonly origin: string;
  readonly address: Address;
  /** `/mcp`. */
  readonly endpoint: string;
  /** Somebody named it, or its run file names the config. Otherwise it is what may answer at the config's port. */
  readonly known: boolean;
  /** Tried in this order. */
  readonly credentials: readonly Credential[];
}

export interface Credential {
  /** `approver`: for votes alone. */
  readonly kind: 'token' | 'console' | 'approver';
  readonly secret: string;
}

/**
 * The gateway of `--url`, of MCPSTEAD_URL, of the config's run file, or at the config's port, in this order. The console key is used only for
 * gateways of this user, on this machine. Throws a Refusal.
 */
export function gatewayOf(written: Pick<Written, 'values'>, { env }: Pick<Terminal, 'env'>): Gateway {
  const url = written.values['url'] ?? (env['MCPSTEAD_URL'] || undefined);
  const config = configOf(written, env);
  const state = stateFolder(config, env);
  const running = state === undefined ? [] : runFiles(state);
  const run =
    url === undefined
      ? running.find(({ config: own }) => own === (config === undefined ? undefined : resolve(config)))
      : running.find((each) => [each.url, each.admin].some((known) => known && sameOrigin(known, url)));
  const alone = url === undefined && config === undefined && running.length === 1 ? running[0] : undefined;
  const found = run ?? alone;
  const token = ownToken(env);
  const address =
    found && url === undefined
      ? { url: new URL('/', found.admin ?? found.url), own: true }
      : gatewayAddress({ url, config }, env, (why) => {
          // Another gateway may answer at the default address, and must not get the token.
          throw new Refusal(`${why}; or name the gateway with --url`, NO_GATEWAY);
        });
  // Where no gateway of this state runs, any program of this machine may listen at its port: it gets no key.
  const key = givenKey(env) ?? (found ? consoleKey(state) : undefined);
  return {
    origin: address.url.origin,
    address,
    known: found !== undefined || url !== undefined,
    endpoint:
      found || url !== undefined
        ? new URL('/mcp', found?.url ?? address.url).href
        : clientEndpoint(config, env),
    credentials: [
      ...(token === undefined ? [] : [{ kind: 'token' as const, secret: token }]),
      ...(key === undefined ? [] : [{ kind: 'console' as const, secret: key }]),
    ],
  };
}

function sameOrigin(a: string, b: string): boolean {
  return URL.canParse(a) && URL.canParse(b) && new URL(a).origin === new URL(b).origin;
}

/** The gateways that run with this state folder. */
function runFiles(state: string): readonly RunFile[] {
  const folder = join(state, 'run');
  let names: readonly string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names.slice(0, 256).flatMap((name) => {
    try {
      const read = JSON.parse(readFileSync(join(folder, name), 'utf8')) as RunFile;
      return URL.canParse(read.url) && isAlive(read.pid) ? [read] : [];
    } catch {
      return [];
    }
  });
}

/** The origins of the gateways that run with the state of this config. */
export function runningOrigins(config: string | undefined, env: NodeJS.ProcessEnv): readonly string[] {
  const state = stateFolder(config, env);
  return (state === undefined ? [] : runFiles(state)).map(({ url }) => new URL(url).origin);
}

/** Whether a gateway answers at an origin on this machine. Never rejects. */
export async function answersAt(origin: string): Promise<boolean> {
  const request = { path: '/health', timeoutMs: 3000, bodyBytes: BODY_BYTES };
  const answer = await exchange({ url: new URL('/', origin), own: true }, request).catch(() => undefined);
  // One that asks for a credential is one too.
  return answer !== undefined && (answer.status === 401 || answer.body.includes('"uptime_seconds"'));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** MCPSTEAD_CONSOLE_KEY, or the content of MCPSTEAD_CONSOLE_KEY_FILE: somebody named it for the gateway that he named. */
function givenKey({
  MCPSTEAD_CONSOLE_KEY: key,
  MCPSTEAD_CONSOLE_KEY_FILE: path,
}: NodeJS.ProcessEnv): string | undefined {
  if (!path) return key || undefined;
  const read = readSecret(path, process.cwd());
  if (typeof read === 'string') return read.trim();
  throw new Refusal(`MCPSTEAD_CONSOLE_KEY_FILE: ${read.missing}`);
}

function consoleKey(state: string | undefined): string | undefined {
  if (state === undefined) return undefined;
  try {
    return readFileSync(join(state, CONSOLE_KEY_FILE), 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}

export interface ApiRequest {
  /** undefined: a GET; otherwise a POST of JSON. */
  readonly body?: string | undefined;
  /** Default: by the body. */
  readonly method?: 'DELETE';
  readonly timeoutMs?: number;
}

/**
 * Asks a gateway, and tries its next credential where one is refused. Rejects with a Refusal of status 4 if there is no answer, and of status
 * 5 if all credentials are refused. Other answers are returned.
 */
export async function askApi(
  gateway: Gateway,
  path: string,
  { body, method, timeoutMs = TIMEOUT_MS }: ApiRequest = {},
): Promise<GatewayAnswer> {
  const { address, credentials, origin } = gateway;
  let refused: GatewayAnswer | undefined;
  for (const token of credentials.length === 0 ? [undefined] : credentials.map(({ secret }) => secret)) {
    const answer = await exchange(address, {
      path,
      body,
      method,
      token,
      timeoutMs,
      bodyBytes: BODY_BYTES,
    }).catch((error: unknown) => {
      throw new Refusal(
        `no gateway at ${origin}: ${(error as Error).message}; start one with mcpstead, or name another with --url`,
        NO_GATEWAY,
      );
    });
    if (answer.status !== 401 && answer.status !== 403) return answer;
    refused = answer;
  }
  const why = refused ? refusalText(refused) : '';
  const way = credentials.length === 0 ? ': set MCPSTEAD_BEARER_TOKEN to the token of an operator' : '';
  throw new Refusal(`${origin} refused: ${why}${way}`, REFUSED);
}

/** The JSON of an answer to `GET /-/api/v1/<path>`. Rejects with a Refusal. */
export async function readApi<T>(gateway: Gateway, path: string): Promise<T> {
  const answer = await askApi(gateway, `/-/api/v1/${path}`);
  return parsed<T>(gateway, answer);
}

/** The JSON of an answer to `POST /-/api/v1/<path>`. Rejects with a Refusal. */
export async function actApi<T>(gateway: Gateway, path: string, body: object = {}): Promise<T> {
  const answer = await askApi(gateway, `/-/api/v1/${path}`, { body: JSON.stringify(body) });
  return parsed<T>(gateway, answer);
}

/** The JSON of an answer. Throws a Refusal that says what the gateway refused. */
export function parsed<T>({ origin }: Gateway, answer: GatewayAnswer): T {
  if (answer.status >= 400) throw new Refusal(`${origin}: ${refusalText(answer)}`);
  try {
    return JSON.parse(answer.body || 'null') as T;
  } catch {
    throw new Refusal(
      `${origin} answered with something other than JSON: is it a mcpstead gateway?`,
      NO_GATEWAY,
    );
  }
}

/** Asks the gateway that a command is about: a POST, or without a body a GET. Rejects with a Refusal also if the gateway refuses. */
export async function askFor(
  written: Pick<Written, 'values'>,
  path: string,
  body: string | undefined,
  terminal: Pick<Terminal, 'env'>,
): Promise<string> {
  const gateway = gatewayOf(written, terminal);
  const answer = await askApi(gateway, path, { body });
  if (answer.status !== 200) throw new Refusal(`${gateway.origin} refused: ${refusalText(answer)}`);
  return answer.body;
}
