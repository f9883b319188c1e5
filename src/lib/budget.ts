/** Bytes that many buffers share. Who takes, gives back, once. */
export interface Budget {
  /** False, and nothing taken, when less than `bytes` is left. */
  take(bytes: number): boolean;
  give(bytes: number): void;
  readonly used: number;
  /** Takes effect for what is taken from now on. */
  setLimit(bytes: number): void;
}

export function createBudget(limitBytes: number): Budget {
  let limit = limitBytes;
  let used = 0;
  return {
    take(bytes) {
      if (used + bytes > limit) return false;
      used += bytes;
      return true;
    },
    give(bytes) {
      used = Math.max(0, used - bytes);
    },
    get used() {
      return used;
    },
    setLimit(bytes) {
      limit = bytes;
    },
  };
}
