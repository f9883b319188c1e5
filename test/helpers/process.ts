import { readFileSync } from 'node:fs';

/** Whether a process exists. */
export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The children of a process that run a scripted server. */
export function childrenOf({ pid }: { readonly pid: number }): number[] {
  const found = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').match(/\d+/g) ?? [];
  return found.map(Number).filter((child) => {
    try {
      return readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('stdio-upstream');
    } catch {
      return false;
    }
  });
}
