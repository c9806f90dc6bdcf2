import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { App } from 'aws-cdk-lib';

/** What `npm run build` makes and the stack can't be synthesized without. */
const BUILT = [
  '../lib/index.js',
  '../assets/handlers/api/index.mjs',
  '../assets/handlers/authorizer/index.mjs',
  '../assets/handlers/meter/index.mjs',
];

try {
  const missing = BUILT.map((path) => fileURLToPath(new URL(path, import.meta.url))).filter(
    (path) => !existsSync(path),
  );
  if (missing.length > 0) throw new Error(`${missing.join(', ')} is missing: run \`npm run build\` first`);
  // Imports the built library, which may not be there.
  const { stackFromContext } = await import('./context.ts');
  const app = new App();
  stackFromContext(app);
  app.synth();
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : error}`);
  process.exit(1);
}
