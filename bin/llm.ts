#!/usr/bin/env node
/**
 * The operator's command line: `npm run llm -- COMMAND …` in this repository, `npx llm-serving COMMAND …` where the
 * package is installed.
 */
import { main } from './llm/main.ts';

process.exitCode = await main(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
});
