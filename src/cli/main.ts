#!/usr/bin/env node
import { run } from './commands.js';
import { tuneRuntime } from './runtime.js';

tuneRuntime();
// A reader that closes the pipe early (`mcpstead --help | head -1`) is no reason for a stack trace.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

process.exit(
  await run(process.argv.slice(2), {
    env: process.env,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    // Not before they are wanted: to touch stdin is to read it.
    get stdin() {
      return process.stdin;
    },
    get stdout() {
      return process.stdout;
    },
    exit: (status) => process.exit(status),
  }),
);
