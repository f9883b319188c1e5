import { EventEmitter } from 'node:events';
import { beforeEach, describe, expect, it } from 'vitest';
import { ClientPool } from '../../../src/lib/client-pool.js';

/** A connection whose exchanges end when the test says so. */
class Connection extends EventEmitter {
  readonly stats = { size: 0 };
  readonly taken: string[] = [];
  closed = false;
  destroyed: Error | null | undefined;
  refuse = false;

  dispatch(request: string): boolean {
    this.taken.push(request);
    if (!this.refuse) this.stats.size++;
    return false;
  }
  finish(): void {
    this.stats.size--;
    this.emit('drain');
  }
  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
  destroy(reason: Error | null): Promise<void> {
    this.destroyed = reason;
    return Promise.resolve();
  }
}

describe('a pool of connections', () => {
  const made: Connection[] = [];
  let now = 0;
  let pool: ClientPool<string, null>;
  const send = (...requests: string[]) => requests.forEach((request) => pool.dispatch(request, null));
  const at = (index: number) => made[index] as Connection;

  beforeEach(() => {
    made.length = 0;
    const open = () => {
      const connection = new Connection();
      made.push(connection);
      return connection;
    };
    pool = new ClientPool(open, 1000, { now: () => now });
  });

  it('gives each exchange a connection of its own and uses the latest again first', () => {
    send('a', 'b', 'c');
    expect(made).toHaveLength(3);
    at(0).finish();
    at(1).finish();
    send('d', 'e', 'f');
    expect(made).toHaveLength(4);
    expect(made.map((each) => each.taken.join())).toEqual(['a,e', 'b,d', 'c', 'f']);
  });

  it('never puts two exchanges on one, even if it says twice that it is free', () => {
    send('a');
    at(0).finish();
    send('b');
    at(0).emit('drain');
    send('c');
    expect(made.map((each) => each.taken.join())).toEqual(['a,b', 'c']);
  });

  it('takes back a connection that refused its exchange at once', () => {
    send('a');
    at(0).finish();
    at(0).refuse = true;
    send('b');
    at(0).refuse = false;
    send('c');
    expect(made).toHaveLength(1);
  });

  it('forgets a connection whose socket closed or never came, unless an exchange waits on it', () => {
    send('a', 'b', 'c');
    at(0).finish();
    at(0).emit('disconnect');
    at(1).stats.size--;
    at(1).emit('connectionError');
    at(1).emit('drain');
    at(2).emit('disconnect');
    at(2).finish();
    send('d', 'e');
    expect(made.map((each) => each.taken.join())).toEqual(['a', 'b', 'c,d', 'e']);
  });

  it('closes a connection that became too old instead of using it', () => {
    send('a');
    at(0).emit('connect');
    at(0).finish();
    now += 900;
    send('b');
    at(0).finish();
    now += 200;
    send('c');
    expect(made.map((each) => each.taken.join())).toEqual(['a,b', 'c']);
    expect(at(0).closed).toBe(true);
  });

  it('closes or destroys all, busy or idle', async () => {
    send('a', 'b');
    at(0).finish();
    await pool.close();
    expect(made.every((each) => each.closed)).toBe(true);
    pool.destroy(null);
    expect(made.every((each) => each.destroyed === null)).toBe(true);
  });
});
