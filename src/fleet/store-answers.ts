/**
 * Answers that the client library asks for by itself, and reads without a check: a store that answers with something else
 * would end the process, or keep it busy.
 */
import { isAddress } from './store-socket.js';
import { StoreError } from './store-error.js';

const SLOTS = 16_384;
const MAX_NODES = 1000;

type Callback = (error: Error | null | undefined, answer?: unknown) => void;
type Asked = (...args: unknown[]) => unknown;
/** A client, with the methods that it calls of itself. */
interface Node {
  info: Asked;
  cluster: Asked;
  duplicate: (options: unknown) => Node;
}

/** Leaves of INFO what the library acts on: whether data is loaded, and the role; nothing for a user who may not ask. */
export function guardInfo(client: object): void {
  const node = client as Node;
  const info = node.info.bind(client);
  node.info = (...args) => {
    const done = args.pop() as Callback;
    return info(...args, (error: Error | null, answer: unknown) => {
      const lines = typeof answer === 'string' ? answer.split('\r\n') : [];
      const isForbidden = error?.message.startsWith('NOPERM') === true;
      done(
        isForbidden ? null : error,
        lines.filter((line) => /^(?:loading:[01]|role:[a-z]{1,16})$/.test(line)).join('\r\n'),
      );
    });
  };
}

/** Judges what the nodes say about slots, and has no connection for subscriptions, of which there are none. */
export function guardCluster(client: object): void {
  const cluster = client as {
    on: (event: '+node', listener: (node: Node) => void) => void;
    subscriber: { start: () => void; stop: () => void; getInstance: () => undefined };
  };
  const nothing = (): undefined => undefined;
  cluster.subscriber = { start: nothing, stop: nothing, getInstance: nothing };
  cluster.on('+node', (node) => {
    guardInfo(node);
    const duplicate = node.duplicate.bind(node);
    node.duplicate = (options) => {
      const copy = duplicate(options);
      const ask = copy.cluster.bind(copy);
      copy.cluster = (...args) => {
        const done = args.pop() as Callback;
        return ask(...args, (error: Error | null, answer: unknown) => {
          if (error || isSlots(answer)) done(error, answer);
          else
            done(new StoreError('away', 'a node of the cluster answers CLUSTER SLOTS with something else'));
        });
      };
      return copy;
    };
  });
}

/** `[[first slot, last slot, [host, port, ...], ...], ...]`: the first node is the primary. */
export function isSlots(answer: unknown): boolean {
  if (!Array.isArray(answer)) return false;
  let [slots, nodes] = [0, 0];
  for (const range of answer as unknown[]) {
    if (!Array.isArray(range)) return false;
    const [first, last, ...holders] = range as unknown[];
    if (!isSlot(first) || !isSlot(last) || first > last) return false;
    slots += last - first + 1;
    nodes += holders.length;
    if (slots > SLOTS || nodes > MAX_NODES || !holders.every(isHolder)) return false;
  }
  return true;
}

function isSlot(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) < SLOTS;
}

/** A node may not know its host: null, or an empty string. */
function isHolder(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  const [host, port] = value as unknown[];
  return host === null || host === '' || isAddress(host, port);
}
