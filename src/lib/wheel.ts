import type { Clock } from './clock.js';
import { monotonic } from './clock.js';

/** One armed wait. Nothing it offers allocates; a timer that has fired or was cancelled ignores every call. */
export interface WheelTimer {
  /** Fires `ms` from now instead. 0: never. While paused it sets what is left. */
  move(ms: number): void;
  cancel(): void;
  /** Time stands still until `resume()`. */
  pause(): void;
  resume(): void;
}

export interface Wheel {
  /** Runs `fn` at the earliest `ms` from now, at the latest one resolution and the loop's delay later. 0: never. */
  after(ms: number, fn: () => void): WheelTimer;
  /** Forgets all timers; none fires any more. */
  close(): void;
}

const SLOTS = 512;

const NEVER: WheelTimer = { move() {}, cancel() {}, pause() {}, resume() {} };

/** A link of a circular list; alone it is a list's head. */
class Link {
  next: Link = this;
  prev: Link = this;
}

class Timer extends Link implements WheelTimer {
  readonly #wheel: TimerWheel;
  /** Undefined once fired or cancelled. */
  fn: (() => void) | undefined;
  /** On the wheel's clock. */
  due: number;
  /** The tick whose slot holds the timer; `due` may have moved beyond it. */
  tick = 0;
  /** What was left when it was paused; -1 while it runs. */
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
    // Later: the visit of the old slot moves it on. Sooner: that visit would be late.
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
  /** Timers taken from a slot and not yet looked at: a list, so that one may cancel another. */
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
    // Rounded up, so that the slot is visited when the timer is due, never before.
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
    // After a long block of the loop one round visits every slot.
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
      // One that throws must not keep the others of this turn from firing.
      try {
        fn?.();
      } catch (thrown) {
        if (!this.#failed) throw thrown;
        this.#failed(thrown);
      }
    }
    // Stopped here, not in cancel(): a call that arms and cancels starts no timer of the runtime each time.
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

/** Moves every link of the list `from` to the end of the list `to`. */
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
 * Many timers on one timer of the runtime, which runs only while one is armed and never keeps
 * the process alive. Arming, cancelling and moving cost the same however many there are. `failed` gets what a timer throws.
 */
export function createWheel(
  options: { clock?: Clock; resolution?: number; failed?: (thrown: unknown) => void } = {},
): Wheel {
  return new TimerWheel(options.clock ?? monotonic, options.resolution ?? 100, options.failed);
}
