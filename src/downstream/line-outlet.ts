/** Writes messages to a client, one per line. */
import type { Writable } from 'node:stream';
import { withoutLineBreaks } from '../wire/splice.js';
import type { Outlet } from './lane.js';

const LF = Buffer.from('\n');

export class LineOutlet implements Outlet {
  drained: () => void = () => undefined;
  readonly #output: Writable;
  #inLine = false;
  #full = false;

  constructor(output: Writable) {
    this.#output = output;
  }

  event(message: Buffer): boolean {
    this.#output.cork();
    this.#output.write(withoutLineBreaks(message));
    const more = this.#output.write(LF);
    this.#output.uncork();
    return this.#wrote(more);
  }

  begin(): void {
    this.#inLine = true;
  }

  chunk(bytes: Buffer): boolean {
    return this.#wrote(this.#output.write(withoutLineBreaks(bytes)));
  }

  finish(): void {
    this.#inLine = false;
    this.#output.write(LF);
  }

  /** An incomplete message is invalid JSON, which the reader of the line notices. */
  cut(): void {
    if (this.#inLine) this.finish();
  }

  end(): void {
    this.cut();
    this.#output.end();
  }

  destroy(): void {
    this.#output.destroy();
  }

  #wrote(more: boolean): boolean {
    if (more || this.#full) return more;
    this.#full = true;
    this.#output.once('drain', () => {
      this.#full = false;
      this.drained();
    });
    return false;
  }
}
