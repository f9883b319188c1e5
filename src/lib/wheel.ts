import type { Clock } from './clock.js';
import { monotonic } from './clock.js';

/** A running timer. Its methods do not allocate, and do nothing once it has fired or was cancelled. */
export interface WheelTimer {
  /** Reschedules it to fire in `ms`. 0: never. While paused, sets the remaining time. */
  move(ms: number): void;
  cancel(): void;
  /** Stops the time until `resume()`. */
  pause(): void;
  resume(): void;
}

export interface Wheel {
  /** Calls `fn` in `ms` or at most one tick plus the event loop delay later. 0: never. */
  after(ms: number, fn: () => void): WheelTimer;
  /** Cancels all timers. */
  close(): void;
}

const SLOTS = 512;

const NEVER: WheelTimer = { move() {}, cancel() {}, pause() {}, resume() {} };

/** A node of a circular list; a single node is an empty list. */
class Link {
  next: Link = this;
  prev: Link = this;
}

class Timer extends Link implements WheelTimer {
  readonly #wheel: TimerWheel;
  /** Undefined once fired or cancelled. */
  fn: (() => void) | undefined;
  /** In ms of the wheel's clock. */
  due: number;
  /** The tick of the slot that holds the timer; `due` may be later. */
  tick = 0;
  /** The remaining ms while paused; -1 while running. */
  #left = -1;

  constructor(wheel: TimerWheel, due: number, fn: () => void) {
    super();
    this.#wheel = wheel;
    this.due = due;
    this.fn = fn;
  }

  move(ms: number): void {
    if (this.fn === undefined) return;
    if (ms <= 0) return this.cancel();
    if (this.#left >= 0) {
      this.#left = ms;
      return;
    }
    const due = this.#wheel.now() + ms;
    // A later time is handled when the old slot is visited; an earlier time needs another slot now.
    if (due >= this.due) this.due = due;
    else {
      this.#wheel.unlink(this);
      this.due = due;
      this.#wheel.link(this);
    }
  }

  cancel(): void {
    if (this.fn === undefined) return;
    this.fn = undefined;
    if (this.#left < 0) this.#wheel.unlink(this);
  }

  pause(): void {
    if (this.fn === undefined || this.#left >= 0) return;
    this.#left = Math.max(0, this.due - this.#wheel.now());
    this.#wheel.unlink(this);
  }

  resume(): void {
    if (this.fn === undefined || this.#left < 0) return;
    this.due = this.#wheel.now() + this.#left;
    this.#left = -1;
    this.#wheel.link(this);
  }
}

class TimerWheel implements Wheel {
  readonly #clock: Clock;
  readonly #resolution: number;
  readonly #slots: Link[] = [];
  /** Timers removed from a slot and not yet handled: a list, so that one timer may cancel another. */
  readonly #visited = new Link();
  #armed = 0;
  #last = 0;
  #interval: NodeJS.Timeout | undefined;
  #closed = false;
  readonly #failed: ((thrown: unknown) => void) | undefined;

  constructor(clock: Clock, resolution: number, failed: ((thrown: unknown) => void) | undefined) {
    this.#clock = clock;
    this.#resolution = resolution;
    this.#failed = failed;
    for (let i = 0; i < SLOTS; i++) this.#slots.push(new Link());
  }

  now(): number {
    return this.#clock.now();
  }

  after(ms: number, fn: () => void): WheelTimer {
    if (ms <= 0 || this.#closed) return NEVER;
    const timer = new Timer(this, this.now() + ms, fn);
    this.link(timer);
    return timer;
  }

  close(): void {
    this.#closed = true;
    this.#stop();
    for (const head of [...this.#slots, this.#visited]) {
      while (head.next !== head) (head.next as Timer).cancel();
    }
  }

  link(timer: Timer): void {
    if (this.#closed) return;
    if (this.#interval === undefined) {
      this.#last = Math.floor(this.now() / this.#resolution);
      this.#interval = setInterval(() => this.#turn(), this.#resolution).unref();
    }
    // Rounded up, so that the slot is never visited before the timer is due.
    timer.tick = Math.max(Math.ceil(timer.due / this.#resolution), this.#last + 1);
    insert(this.#slots[timer.tick % SLOTS] as Link, timer);
    this.#armed++;
  }

  unlink(timer: Timer): void {
    if (timer.next === timer) return;
    remove(timer);
    this.#armed--;
  }

  #turn(): void {
    const now = this.now();
    const current = Math.floor(now / this.#resolution);
    // After a long event loop delay, one round visits every slot.
    let tick = Math.max(this.#last, current - SLOTS);
    while (tick < current) {
      const head = this.#slots[++tick % SLOTS] as Link;
      if (head.next !== head) splice(head, this.#visited);
    }
    this.#last = current;
    while (this.#visited.next !== this.#visited) {
      const timer = this.#visited.next as Timer;
      this.unlink(timer);
      if (timer.due > now) {
        this.link(timer);
        continue;
      }
      const fn = timer.fn;
      timer.fn = undefined;
      // An exception must not keep the other timers from firing.
      try {
        fn?.();
      } catch (thrown) {
        if (!this.#failed) throw thrown;
        this.#failed(thrown);
      }
    }
    // Stopped here and not in cancel(), so that arming and cancelling does not start a Node timer each time.
    if (this.#armed === 0) this.#stop();
  }

  #stop(): void {
    clearInterval(this.#interval);
    this.#interval = undefined;
  }
}

function insert(head: Link, link: Link): void {
  link.prev = head.prev;
  link.next = head;
  head.prev.next = link;
  head.prev = link;
}

function remove(link: Link): void {
  link.prev.next = link.next;
  link.next.prev = link.prev;
  link.next = link;
  link.prev = link;
}

/** Moves all nodes of `from` to the end of `to`. */
function splice(from: Link, to: Link): void {
  const first = from.next;
  const last = from.prev;
  from.next = from;
  from.prev = from;
  first.prev = to.prev;
  to.prev.next = first;
  last.next = to;
  to.prev = last;
}

/**
 * Runs many timers on one Node timer, which is active only while a timer is armed, and never keeps the process alive. All
 * operations take constant time. `failed` is called with exceptions of timers.
 */
export function createWheel(
  options: { clock?: Clock; resolution?: number; failed?: (thrown: unknown) => void } = {},
): Wheel {
  return new TimerWheel(options.clock ?? monotonic, options.resolution ?? 100, options.failed);
}
