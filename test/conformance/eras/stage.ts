/** One gateway in front of single-era servers, the clients that use them, and the results per row. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, test } from 'vitest';
import { atEnd } from '../../helpers/cleanup.js';
import { startGateway, type RunningGateway } from '../../helpers/gateway.js';
import { until } from '../../helpers/wait.js';
import {
  connect,
  KINDS,
  RawModern,
  type Actor,
  type ConnectOptions,
  type Json,
  type Kind,
} from './actors.js';

const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../fixtures/servers/${name}.mjs`, import.meta.url));
const FILES = { legacy: fixture('conformance'), modern: fixture('modern') };

export type Era = 'legacy' | 'modern';
export type Transport = 'HTTP' | 'stdio';

/** Client and server: the columns of the table. */
export const COLUMNS = ['legacy-legacy', 'modern-modern', 'modern-legacy', 'legacy-modern'] as const;
export type Column = (typeof COLUMNS)[number];
export const ALL: readonly Column[] = [...COLUMNS];
/** The columns by the era of the client and by that of the server. */
export const CLIENT = {
  legacy: ['legacy-legacy', 'legacy-modern'],
  modern: ['modern-modern', 'modern-legacy'],
} as const;
export const SERVER = {
  legacy: ['legacy-legacy', 'modern-legacy'],
  modern: ['modern-modern', 'legacy-modern'],
} as const;

/** The URLs of the HTTP fixtures. */
export const urls: Record<Era, string> = { legacy: '', modern: '' };
export let gateway: RunningGateway;

function startFixture(era: Era): Promise<string> {
  const child = spawn(process.execPath, [FILES[era], 'http'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.on('exit', resolve));
  atEnd(async () => {
    child.kill();
    await ended;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', () => {
      reject(new Error(`the ${era} fixture ended`));
    });
    child.stdout.setEncoding('utf8').once('data', (text: string) => {
      resolve(text.trim());
    });
  });
}

/**
 * On a shared connection the gateway can attribute a question only while a single client has calls there. So over stdio each
 * kind of client has its own legacy server, and another one for its clients without capabilities.
 */
const ownServer = (kind: Kind, unable: boolean): string =>
  `legacy-stdio-${KINDS.indexOf(kind)}${unable ? '-unable' : ''}`;

beforeAll(async () => {
  [urls.legacy, urls.modern] = await Promise.all([startFixture('legacy'), startFixture('modern')]);
  const stdio = (name: string, era: Era): object => ({
    name,
    command: process.execPath,
    args: [FILES[era], 'stdio'],
  });
  gateway = await startGateway({
    servers: [
      { name: 'legacy-http', url: urls.legacy },
      { name: 'modern-http', url: urls.modern },
      stdio('modern-stdio', 'modern'),
      ...KINDS.flatMap((kind) => [
        stdio(ownServer(kind, false), 'legacy'),
        stdio(ownServer(kind, true), 'legacy'),
      ]),
    ] as never,
  });
});

/** A combination of client and server. */
export class Meeting {
  readonly column: Column;
  readonly kind: Kind;
  readonly server: Era;
  readonly transport: Transport;
  readonly title: string;
  #actor: Promise<Actor> | undefined;

  constructor(column: Column, kind: Kind, transport: Transport) {
    this.column = column;
    this.kind = kind;
    this.server = column.endsWith('legacy') ? 'legacy' : 'modern';
    this.transport = transport;
    this.title = `${kind.title}, ${this.server} server over ${transport}`;
  }

  /** The name of the server behind the gateway. */
  upstream(unable = false): string {
    if (this.transport === 'HTTP') return `${this.server}-http`;
    return this.server === 'modern' ? 'modern-stdio' : ownServer(this.kind, unable);
  }

  get url(): string {
    return gateway.server(this.upstream());
  }

  /** The client shared by all tests, with empty records. */
  async client(): Promise<Actor> {
    this.#actor ??= connect(this.kind, this.url);
    const actor = await this.#actor;
    actor.forget();
    return actor;
  }

  /** A new client, for a test that changes its state. */
  async fresh(options: ConnectOptions = {}): Promise<Actor> {
    const actor = await connect(this.kind, this.url, options);
    atEnd(() => actor.close());
    return actor;
  }

  /** A client that cannot answer questions. */
  async unable(capabilities: Json = {}): Promise<Actor> {
    const actor = await connect(this.kind, gateway.server(this.upstream(true)), { capabilities });
    atEnd(() => actor.close());
    return actor;
  }

  /** A modern client for hand-written requests. */
  raw(capabilities?: Json): RawModern {
    return new RawModern(this.url, this.kind, capabilities);
  }

  async end(): Promise<void> {
    await (await this.#actor?.catch(() => undefined))?.close();
  }
}

const meetings: readonly Meeting[] = COLUMNS.flatMap((column) =>
  KINDS.filter(({ era }) => column.startsWith(era)).flatMap((kind) =>
    (['HTTP', 'stdio'] as const).map((transport) => new Meeting(column, kind, transport)),
  ),
);
beforeAll(() => async () => {
  for (const meeting of meetings) await meeting.end();
});

/** For each row and column: the number of tests, and of passed tests. */
export const table = new Map<string, Map<Column, { tests: number; passed: number }>>();

type Check = (meeting: Meeting) => Promise<void>;

export interface Row {
  /** Creates a test for every client and transport in these columns that `where` admits. */
  (columns: readonly Column[], sentence: string, check: Check, where?: (meeting: Meeting) => boolean): void;
}

export function row(title: string): Row {
  const cells = new Map(COLUMNS.map((column) => [column, { tests: 0, passed: 0 }]));
  table.set(title, cells);
  return (columns, sentence, check, where = () => true) => {
    const chosen = meetings.filter((meeting) => columns.includes(meeting.column) && where(meeting));
    if (chosen.length === 0) throw new Error(`nobody meets: ${sentence}`);
    for (const meeting of chosen) {
      const cell = cells.get(meeting.column);
      if (!cell) throw new Error(`no column ${meeting.column}`);
      cell.tests++;
      test(`${sentence} (${meeting.title})`, async () => {
        await check(meeting);
        cell.passed++;
      });
    }
  };
}

/** Which questions a client can be asked: older revisions lack some of them. */
export const asksUsers = ({ kind }: Meeting): boolean => kind.revision >= '2025-06-18';
export const visitsPages = ({ kind }: Meeting): boolean => kind.revision >= '2025-11-25';

/** A unique key. */
let keys = 0;
export const newKey = (): string => `key-${++keys}`;

/** Waits until a fixture reports this state for the call with the key. */
export async function became(actor: Pick<Actor, 'say'>, key: string, state: string): Promise<void> {
  await until(async () => {
    const states = JSON.parse(await actor.say('waited')) as Record<string, string>;
    return states[key] === state;
  }, `${key} to be ${state}`);
}
