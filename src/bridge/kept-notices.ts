import type { Holder } from '../lib/budget.js';
import { find, type Message } from '../protocol/message.js';
import type { Notice, Sink } from '../protocol/ports.js';
import { scanObject } from '../wire/json.js';
import { splice } from '../wire/splice.js';

const MAX_LOGS = 32;
const MAX_LOG_BYTES = 65_536;

/** Notifications that arrive while the client of a call is away: the last progress, and the latest log messages. */
export class KeptNotices {
  readonly #holder: Holder;
  #progress: Notice | undefined;
  readonly #logs: Notice[] = [];
  #logBytes = 0;

  constructor(holder: Holder) {
    this.#holder = holder;
  }

  /** Drops the notice if the budget has no room for it. */
  add(notice: Notice): void {
    const { length } = notice.bytes;
    if (notice.method === 'notifications/progress') {
      this.#holder.give(this.#progress?.bytes.length ?? 0);
      this.#progress = this.#holder.take(length) ? notice : undefined;
      return;
    }
    if (!this.#holder.take(length)) return;
    this.#logs.push(notice);
    this.#logBytes += length;
    while (this.#logs.length > MAX_LOGS || this.#logBytes > MAX_LOG_BYTES) {
      const oldest = (this.#logs.shift() as Notice).bytes.length;
      this.#logBytes -= oldest;
      this.#holder.give(oldest);
    }
  }

  /** Sends everything to the client that retried with `message`: logs first, then progress under the token of that request. */
  flush(message: Message, sink: Sink): void {
    const progress = this.#progress;
    this.#holder.give(progress?.bytes.length ?? 0);
    for (const notice of this.#logs) {
      this.#holder.give(notice.bytes.length);
      sink.notify(notice);
    }
    const token = find(message.meta, 'progressToken');
    if (!progress || !token) return;
    const read = scanObject(progress.bytes);
    const at = read && find(read.params, 'progressToken');
    if (!at) return;
    const own = message.body.subarray(token.start, token.end);
    const bytes = splice(progress.bytes, [{ start: at.start, end: at.end, bytes: own }]);
    sink.notify({ ...progress, bytes });
  }
}
