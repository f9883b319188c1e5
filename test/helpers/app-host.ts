/** A host of MCP Apps in Chromium: an SDK client in front of a gateway, and the pages of apps in frames. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Frame } from 'playwright-core';
import { build } from 'rolldown';
import type { ConfigInput } from '../../src/index.js';
import { openPage } from './browser.js';
import { atEnd } from './cleanup.js';
import { startGateway, type RunningGateway } from './gateway.js';
import { until } from './wait.js';

const file = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

interface Failed {
  readonly failed?: { readonly code: number; readonly message: string; readonly data?: unknown };
}

interface Listed {
  readonly name: string;
  readonly uri?: string;
  readonly _meta?: { readonly ui?: { readonly resourceUri?: string; readonly visibility?: string[] } };
}

interface Contents {
  readonly contents: { readonly uri: string; readonly text?: string; readonly _meta?: object }[];
}

interface AppCall {
  readonly name: string;
  /** Absent while it runs. */
  readonly outcome?: Failed & {
    readonly structuredContent?: Record<string, unknown>;
    readonly isError?: boolean;
  };
}

/** An app that is shown. */
interface ShownApp extends Contents {
  /** The page that was read. */
  readonly uri: string;
  readonly frame: Frame;
  /** The calls that the app has made. */
  calls(): Promise<AppCall[]>;
  /** Waits until `count` calls of a tool have succeeded. Throws with the error of one that has failed. */
  called(name: string, count?: number): Promise<void>;
}

interface AppHost {
  tools(): Promise<Listed[]>;
  resources(): Promise<Listed[]>;
  call(name: string, args?: object): Promise<Failed & Record<string, unknown>>;
  read(uri: string): Promise<Failed & Partial<Contents>>;
  /** Calls a tool, reads its page and shows it. `uri`: in place of the page that the tool names. */
  show(name: string, args?: object, uri?: string): Promise<ShownApp>;
}

let script: Promise<string> | undefined;

/** The host page's script, built once. */
function bundled(): Promise<string> {
  script ??= build({
    input: file('test/fixtures/clients/app-host.mjs'),
    platform: 'browser',
    write: false,
    logLevel: 'silent',
    output: { format: 'iife' },
  }).then(({ output }) => output[0].code);
  return script;
}

/** Serves the host page. Returns its origin, which the gateway has to allow. */
export async function serveHost(): Promise<string> {
  const code = await bundled();
  const server = createServer((req, res) => {
    const isScript = req.url === '/host.js';
    res.setHeader('content-type', isScript ? 'text/javascript' : 'text/html; charset=utf-8');
    if (isScript) res.end(code);
    else res.end('<!doctype html><link rel="icon" href="data:,"><body><script src="/host.js"></script>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A gateway whose endpoints the page at `origin` may call. */
export function startForHost(origin: string, config: ConfigInput): Promise<RunningGateway> {
  return startGateway({ ...config, http: { ...config.http, allowed_origins: [origin] } });
}

/** Opens the host page and connects it. `declares`: it says that it shows apps. */
export async function openHost(
  origin: string,
  url: string,
  era: 'legacy' | 'modern',
  declares = true,
): Promise<AppHost> {
  const { page } = await openPage(origin);
  const run = async <T>(method: string, ...args: unknown[]): Promise<T> =>
    (await page.evaluate(
      // Undefined arguments take their defaults.
      ([name, json]) =>
        (globalThis as unknown as { host: Record<string, (...a: unknown[]) => unknown> }).host[
          name as string
        ]?.(...(JSON.parse(json as string) as unknown[]).map((each) => each ?? undefined)),
      [method, JSON.stringify(args)],
    )) as T;
  await run('connect', url, era, declares);
  return {
    tools: () => run('tools'),
    resources: () => run('resources'),
    call: (name, args) => run('call', name, args),
    read: (uri) => run('read', uri),
    async show(name, args, uri) {
      const shown = await run<Contents & { app: number; uri: string }>('show', name, args, uri);
      const frame = await (await page.$(`#app-${shown.app}`))?.contentFrame();
      if (!frame) throw new Error(`the app of '${name}' has no frame`);
      const calls = async (): Promise<AppCall[]> => (await run<{ calls: AppCall[] }>('app', shown.app)).calls;
      return {
        ...shown,
        frame,
        calls,
        async called(tool, count = 1) {
          await until(async () => {
            const made = (await calls()).filter((each) => each.name === tool && each.outcome);
            const failed = made.find(({ outcome }) => outcome?.failed ?? outcome?.isError);
            if (failed) throw new Error(`the call of '${tool}' failed: ${JSON.stringify(failed.outcome)}`);
            return made.length >= count;
          }, `${count} calls of '${tool}'`);
        },
      };
    },
  };
}

/** Apps of ext-apps as entries for `servers:`. */
export function appServer(name: string, app: string): { name: string; command: string; args: string[] } {
  const main = file(`node_modules/@modelcontextprotocol/server-${app}/dist/index.js`);
  return { name, command: process.execPath, args: [main, '--stdio'] };
}
