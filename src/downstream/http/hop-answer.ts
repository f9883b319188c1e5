/** Writes the answer of another replica to a client, as it comes. */
import type { ServerResponse } from 'node:http';
import type { Wheel } from '../../lib/wheel.js';
import type { Boundary } from '../../observe/boundary.js';
import type { HopController, HopHandler } from '../../protocol/elsewhere.js';
import { Backpressure } from './event-stream.js';

export interface HopAnswerDeps {
  readonly wheel: Wheel;
  readonly boundary: Boundary;
}

export interface HopAnswerOptions {
  /** Whether a header goes on. `name`: in lower case. */
  readonly keeps: (name: string) => boolean;
  /** It is an event stream, which may last. */
  readonly streams?: () => void;
  /** The answer is complete. */
  readonly ended: () => void;
}

/** While the client reads too slowly, the replica is not read. */
export function hopAnswer(
  { wheel, boundary }: HopAnswerDeps,
  res: ServerResponse,
  { keeps, streams, ended }: HopAnswerOptions,
): Pick<HopHandler, 'head' | 'data' | 'end'> {
  let writer: Backpressure | undefined;
  let controller: HopController | undefined;
  return {
    head(status, headers, control) {
      controller = control;
      const { kept, isStream } = keptOf(headers, keeps);
      if (isStream) streams?.();
      res.writeHead(status, kept);
      // Any other body follows at once, and goes out in the same packet.
      if (isStream) res.flushHeaders();
    },
    data(chunk) {
      writer ??= new Backpressure(res, wheel, boundary, () => {
        controller?.resume();
      });
      return writer.wrote(res.write(chunk));
    },
    end() {
      res.end();
      writer?.ended();
      ended();
    },
  };
}

function keptOf(
  headers: readonly string[],
  keeps: HopAnswerOptions['keeps'],
): { readonly kept: string[]; readonly isStream: boolean } {
  const kept: string[] = [];
  let isStream = false;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] as string;
    const value = headers[i + 1] as string;
    const lower = name.toLowerCase();
    if (!keeps(lower)) continue;
    kept.push(name, value);
    if (lower === 'content-type') isStream = value.startsWith('text/event-stream');
  }
  return { kept, isStream };
}
