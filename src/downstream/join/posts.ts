import type { ClientRequest, IncomingMessage } from 'node:http';
import { errorMessage, GatewayError } from '../../errors.js';
import { classify } from '../../protocol/classify.js';
import { find, idKey, type Message } from '../../protocol/message.js';
import type { Era } from '../../protocol/revisions.js';
import { MAX_HEAD } from '../event-lines.js';
import { Answer } from './answer.js';
import type { JoinContext } from './follow.js';
import { readBody } from './remote.js';
import { RequestHeaders } from './request-headers.js';

/** A message that is being sent. Neither promise rejects: the client hears of failures. */
export interface Posted {
  /** Resolves when the gateway has it. */
  readonly sent: Promise<void>;
  /** Resolves when its answer is complete, or has failed. */
  readonly answered: Promise<void>;
}

/** The messages of the client that are under way, each a POST. */
export class Posts {
  readonly context: JoinContext;
  readonly headers: RequestHeaders;
  /** Called when a message is over. */
  changed: () => void = () => undefined;
  readonly #open = new Set<Post>();
  /** Modern requests by their id: closing the connection is what cancels them. */
  readonly #byId = new Map<string, Post>();
  #idle: (() => void) | undefined;

  constructor(context: JoinContext) {
    this.context = context;
    this.headers = new RequestHeaders(context.remote, context.log);
  }

  /** How many have no complete answer yet. */
  get size(): number {
    return this.#open.size;
  }

  /** `message`: undefined for a batch. Throws GatewayError for a message that HTTP cannot carry. */
  send(body: Buffer, message: Message | undefined): Posted {
    return new Post(this, body, message).begin();
  }

  /** Cancels the modern request that `message` names. false: there is none. */
  cancel(message: Message): boolean {
    const id = find(message.params, 'requestId');
    const key = id && idKey(message.body.toString('utf8', id.start, id.end));
    const post = key === undefined ? undefined : this.#byId.get(key);
    post?.cancel();
    return post !== undefined;
  }

  /** Resolves when every answer is complete. */
  async idle(): Promise<void> {
    if (this.#open.size > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  abort(): void {
    for (const post of this.#open) post.abort();
    this.#open.clear();
  }

  // For Post.

  add(post: Post): void {
    this.#open.add(post);
    if (post.key !== undefined) this.#byId.set(post.key, post);
  }

  remove(post: Post): void {
    this.#open.delete(post);
    if (post.key !== undefined && this.#byId.get(post.key) === post) this.#byId.delete(post.key);
  }

  left(): void {
    if (this.#open.size === 0) this.#idle?.();
    this.changed();
  }
}

class Post implements Posted {
  readonly sent: Promise<void>;
  readonly answered: Promise<void>;
  /** Of a modern request. */
  readonly key: string | undefined;
  readonly #posts: Posts;
  readonly #body: Buffer;
  readonly #message: Message | undefined;
  /** Of a request; `null` for a batch. */
  readonly #rawId: string | undefined;
  readonly #era: Era;
  /** A modern message, which carries its metadata in headers. */
  readonly #modern: Message | undefined;
  #markSent: () => void = () => undefined;
  #markAnswered: () => void = () => undefined;
  #abort: () => void = () => undefined;
  #cancelled = false;
  /** It was sent a second time; that is done once at most. */
  #repeated = false;

  constructor(posts: Posts, body: Buffer, message: Message | undefined) {
    this.#posts = posts;
    this.#body = body;
    this.#message = message;
    this.#rawId = message ? (message.kind === 'request' ? message.id : undefined) : 'null';
    this.#era = message ? classify(undefined, message) : 'legacy';
    this.#modern = this.#era === 'modern' ? message : undefined;
    this.key = this.#modern?.kind === 'request' ? idKey(this.#modern.id as string) : undefined;
    this.sent = new Promise((resolve) => (this.#markSent = resolve));
    this.answered = new Promise((resolve) => (this.#markAnswered = resolve));
  }

  begin(): this {
    const { boundary, remote } = this.#posts.context;
    const headers = this.#modern ? this.#posts.headers.of(this.#modern) : {};
    const req = remote.post(this.#body, headers, this.#modern !== undefined);
    this.#abort = () => req.destroy();
    let isAnswered = false;
    this.#posts.add(this);
    const failed = (error: GatewayError): void => {
      this.abort();
      this.#markSent();
      this.#done(error.message);
    };
    const unreachable = (error: NodeJS.ErrnoException): void => {
      this.#markSent();
      if (!isAnswered) this.#unreachable(req, error);
    };
    const responded = (res: IncomingMessage): void => {
      isAnswered = true;
      this.#markSent();
      this.#received(res, failed);
    };
    req.on('finish', this.#markSent);
    req.on('error', boundary.guard('answer', unreachable, failed));
    req.on('response', boundary.guard('answer', responded, failed));
    req.end(this.#body);
    return this;
  }

  /** The client does not want the answer any more, nor an error. */
  cancel(): void {
    this.#cancelled = true;
    this.abort();
  }

  abort(): void {
    this.#abort();
  }

  #unreachable(req: ClientRequest, error: NodeJS.ErrnoException): void {
    // The gateway had closed an idle connection. Another one will do, except for a call, which might run twice.
    const isStale = req.reusedSocket && error.code === 'ECONNRESET';
    if (isStale && !this.#repeated && this.#message?.method !== 'tools/call') return this.#repeat();
    const { url } = this.#posts.context.remote;
    this.#done(`cannot reach ${url.href}: ${error.message || error.code || 'no answer'}`);
  }

  #received(res: IncomingMessage, failed: (error: GatewayError) => void): void {
    const { boundary, remote } = this.#posts.context;
    if (this.#message?.method === 'initialize') remote.readSession(res);
    const modern = this.#modern;
    if (modern?.method === 'tools/call' && res.statusCode === 400 && !this.#repeated) {
      boundary.detach('answer', this.#refusedCall(modern, res), failed);
      return;
    }
    const done = (why?: string): void => {
      if (why === undefined && this.#message?.method === 'subscriptions/listen') this.#subscriptionEnded();
      this.#done(why);
    };
    new Answer(this.#posts.context, this.#rawId, done, (abort) => (this.#abort = abort)).receive(res);
  }

  /** A call that lacked headers which are known now is sent again; any other refusal goes to the client. */
  async #refusedCall(message: Message, res: IncomingMessage): Promise<void> {
    const answer = await readBody(res);
    const lacksHeaders = /"code"\s*:\s*-32020\b/.test(answer.toString('utf8', 0, MAX_HEAD));
    if (lacksHeaders && (await this.#posts.headers.learn(message))) return this.#repeat();
    if (!this.#cancelled) this.#posts.context.lane.send(answer);
    this.#done();
  }

  /** On a shared stream, this is how a subscription ends (2026-07-28, basic/patterns/cancellation). */
  #subscriptionEnded(): void {
    const { isOver, lane } = this.#posts.context;
    if (this.#cancelled || isOver()) return;
    const params = `{"requestId":${this.#rawId ?? 'null'},"reason":"the subscription has ended"}`;
    lane.send(Buffer.from(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":${params}}`));
  }

  #repeat(): void {
    this.#repeated = true;
    this.begin();
  }

  #done(why?: string): void {
    const { isOver, lane, log } = this.#posts.context;
    this.#posts.remove(this);
    if (why !== undefined && !isOver() && !this.#cancelled) {
      const error = new GatewayError('upstream_disconnected', why);
      if (this.#rawId === undefined) log(why);
      else lane.send(Buffer.from(errorMessage(error, this.#rawId, this.#era)));
    }
    this.#markAnswered();
    this.#posts.left();
  }
}
