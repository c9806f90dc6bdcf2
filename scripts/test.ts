/**
 * Builds what is out of date, then runs the tests. Arguments go to vitest: `npm test -- test/lib`.
 */
import { run } from './run.ts';

await run('node', ['scripts/build.ts']);
try {
  await run('vitest', ['run', ...process.argv.slice(2)]);
} catch {
  // vitest has said what failed.
  process.exit(1);
}
