/** Which pages of apps a client has read: it shows apps, whatever it declared, and a page calls tools by the names of its server. */
import { showsApps } from '../protocol/extensions/index.js';
import type { AnswerHead, Sink, Target } from '../protocol/ports.js';
import { PassThroughSink } from '../protocol/sinks.js';
import type { Session } from '../session/store.js';
import type { Incoming } from './incoming.js';

export interface AppsDeps {
  /** A session turns out to show apps: it may see more. */
  readonly showsApps: (session: Session) => void;
}

/** What a request for a resource is relayed with, to note the page that it reads; undefined: there is nothing to note it for. */
export function notesPage(
  deps: AppsDeps,
  { session, merged }: Incoming,
): ((target: Target, sink: Sink) => Sink) | undefined {
  if (!session || !merged) return undefined;
  return ({ link, name }, sink) =>
    name.startsWith('ui://') ? new PageSink(sink, deps, session, link.server) : sink;
}

class PageSink extends PassThroughSink {
  readonly #deps: AppsDeps;
  readonly #session: Session;
  readonly #server: string;

  constructor(sink: Sink, deps: AppsDeps, session: Session, server: string) {
    super(sink);
    this.#deps = deps;
    this.#session = session;
    this.#server = server;
  }

  override start(head: AnswerHead): void {
    if (head.kind === 'result') this.#note();
    super.start(head);
  }

  #note(): void {
    const session = this.#session;
    (session.pages ??= new Set<string>()).add(this.#server);
    const { caller } = session;
    if (caller.apps === true || showsApps(caller.capabilities) || !session.open) return;
    caller.apps = true;
    this.#deps.showsApps(session);
  }
}
