/** The views on one source: of all servers, and of each. */
import type { View } from '../protocol/ports.js';
import type { Source } from './source.js';
import { MergedView, SingleView } from './view.js';

export class Views {
  readonly merged: View;
  readonly #source: Source;
  readonly #singles = new Map<string, View>();

  constructor(source: Source) {
    this.#source = source;
    this.merged = new MergedView(source);
  }

  /** `server`: undefined: all. undefined: there is no such server. */
  of(server: string | undefined): View | undefined {
    if (server === undefined) return this.merged;
    if (!this.#source.get(server)) {
      this.#singles.delete(server);
      return undefined;
    }
    let view = this.#singles.get(server);
    if (!view) this.#singles.set(server, (view = new SingleView(this.#source, server)));
    return view;
  }
}
