/** Process statistics from /proc. */
import { readdir, readFile } from 'node:fs/promises';

/** Memory in bytes, time in seconds. undefined: not available. */
export interface ProcessSample {
  readonly resident_memory_bytes: number | undefined;
  readonly virtual_memory_bytes: number | undefined;
  readonly cpu_seconds_total: number;
  readonly open_fds: number;
  readonly max_fds: number | undefined;
  readonly threads: number | undefined;
}

/** undefined: there is no /proc. */
export async function sampleProcess(): Promise<ProcessSample | undefined> {
  let status: string;
  let limits: string;
  let descriptors: string[];
  try {
    [status, limits, descriptors] = await Promise.all([
      readFile('/proc/self/status', 'utf8'),
      readFile('/proc/self/limits', 'utf8'),
      readdir('/proc/self/fd'),
    ]);
  } catch {
    return undefined;
  }
  const kilobytes = (key: string) => number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status), 1024);
  const { user, system } = process.cpuUsage();
  return {
    resident_memory_bytes: kilobytes('VmRSS'),
    virtual_memory_bytes: kilobytes('VmSize'),
    cpu_seconds_total: (user + system) / 1e6,
    open_fds: descriptors.length,
    max_fds: number(/^Max open files\s+(\d+)/m.exec(limits)),
    threads: number(/^Threads:\s+(\d+)/m.exec(status)),
  };
}

function number(match: RegExpExecArray | null, factor = 1): number | undefined {
  return match ? Number(match[1]) * factor : undefined;
}
