/** Writes the answer of another replica to a client, as it comes. */
import type { ServerResponse } from 'node:http';
import type { Wheel } from '../../lib/wheel.js';
import type { Boundary } from '../../observe/boundary.js';
import type { HopController, HopHandler } from '../../protocol/elsewhere.js';
import { Backpressure } from './event-stream.js';
import { EventBounds, type PassedStreams } from './passed-streams.js';

export interface HopAnswerDeps {
  readonly wheel: Wheel;
  readonly boundary: Boundary;
  /** undefined: what passes does not outlast its request. */
  readonly passed?: PassedStreams | undefined;
}

export interface HopAnswerOptions {
  /** Whether a header goes on. `name`: in lower case. */
  readonly keeps: (name: string) => boolean;
  /** It is an event stream, which may last. */
  readonly streams?: () => void;
  /** The answer is complete. */
  readonly ended: () => void;
  /** An event stream has no end of its own, and was ended here: the replica is to be left. Absent: a stream ends by itself. */
  readonly left?: (() => void) | undefined;
}

/** While the client reads too slowly, the replica is not read. */
export function hopAnswer(
  { wheel, boundary, passed }: HopAnswerDeps,
  res: ServerResponse,
  { keeps, streams, ended, left }: HopAnswerOptions,
): Pick<HopHandler, 'head' | 'data' | 'end'> {
  let writer: Backpressure | undefined;
  let controller: HopController | undefined;
  let bounds: EventBounds | undefined;
  let retryMs: number | undefined;
  let isOver = false;

  function finishBetween(): void {
    if (isOver || retryMs === undefined || !bounds?.isBetween) return;
    isOver = true;
    res.end(`retry: ${retryMs}\n\n`);
    writer?.ended();
    left?.();
  }

  function lasts(): void {
    bounds = new EventBounds();
    const forget = passed?.add({
      finish: boundary.guard('client_request', (ms: number) => {
        retryMs = ms;
        finishBetween();
      }),
    });
    if (forget) res.once('close', forget);
  }

  return {
    head(status, headers, control) {
      controller = control;
      const { kept, isStream } = keptOf(headers, keeps);
      if (isStream) streams?.();
      res.writeHead(status, kept);
      // Any other body follows at once, and goes out in the same packet.
      if (!isStream) return;
      res.flushHeaders();
      if (left) lasts();
    },
    data(chunk) {
      if (isOver) return true;
      writer ??= new Backpressure(res, wheel, boundary, () => {
        controller?.resume();
      });
      const more = writer.wrote(res.write(chunk));
      bounds?.passed(chunk);
      finishBetween();
      return more;
    },
    end() {
      if (isOver) return;
      isOver = true;
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
