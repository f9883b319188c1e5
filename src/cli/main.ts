#!/usr/bin/env node
import { run } from './commands.js';

// A reader that closes the pipe early (`mcpstead --help | head -1`) is no reason for a stack trace.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

process.exit(
  await run(process.argv.slice(2), {
    env: process.env,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    exit: (status) => process.exit(status),
  }),
);
