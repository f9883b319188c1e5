/** Begins to record what gateways in this process emit, into files in `folder`. */
export function startRecording(folder: string): void;
/** What is recorded from now on belongs to this test. */
export function labelRecords(test: string): void;
