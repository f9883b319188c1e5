// What the gateways need in a run: CPU time, and the most that they had of everything else.

const CPU = 'mcpstead_process_cpu_seconds_total';
const PEAKS = {
  'most resident, MB': ['mcpstead_process_resident_memory_bytes', 1 / 1_048_576],
  'most sessions': ['mcpstead_downstream_sessions_active', 1],
  'most requests in flight': ['mcpstead_requests_in_flight', 1],
  'most descriptors': ['mcpstead_process_open_fds', 1],
  'most buffered, MB': ['mcpstead_buffered_bytes', 1 / 1_048_576],
};

/** The metrics that `saw` needs. */
export const LOAD_METRICS = [CPU, ...Object.values(PEAKS).map(([name]) => name)];

export class Load {
  #rows = new Map();

  /** `metrics`: values by name, as a gateway gives them now. */
  saw(gateway, metrics) {
    let row = this.#rows.get(gateway);
    if (!row) this.#rows.set(gateway, (row = { cpu: 0, last: metrics[CPU], peaks: {} }));
    // A replica that was started anew begins at 0.
    row.cpu += metrics[CPU] >= row.last ? metrics[CPU] - row.last : metrics[CPU];
    row.last = metrics[CPU];
    for (const [peak, [name, times]] of Object.entries(PEAKS))
      row.peaks[peak] = Math.max(row.peaks[peak] ?? 0, metrics[name] * times);
  }

  /** Of all gateways, in seconds. */
  get cpu() {
    return [...this.#rows.values()].reduce((sum, { cpu }) => sum + cpu, 0);
  }

  /** A row for each gateway. */
  get table() {
    return [...this.#rows].map(([process, { cpu, peaks }]) => ({
      ...{ process, 'CPU, s': Math.round(cpu) },
      ...Object.fromEntries(Object.entries(peaks).map(([peak, value]) => [peak, Number(value.toFixed(1))])),
    }));
  }
}
